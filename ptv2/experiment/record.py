"""What a training leaves in its folder besides its numbers: state, log, surroundings, times, memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import torch

from ptv2.config.schema import TrainerConfig
from ptv2.console.output import FILE_ONLY, log, log_file, tell
from ptv2.errors import Interrupted, Pruned
from ptv2.experiment.data import EncodedData
from ptv2.files import write_json_whole
from ptv2.models.build import PromptedModel
from ptv2.models.speed import slow_precision
from ptv2.report.formats import count_of
from ptv2.run_folders.directory import RunDirectory
from ptv2.run_folders.environment import environment, processor_of
from ptv2.training.together import current_member
from ptv2.training.trainer import Position, Trainer

if TYPE_CHECKING:
    from accelerate import Accelerator


@contextmanager
def recording(run: RunDirectory) -> Iterator[None]:
    """While entered, the run is running; then it is whatever it ended as. The folder must be locked."""
    with log_file(run.path / "log.txt"):
        write_json_whole(run.path / "env.json", environment())
        run.write_status("running")
        try:
            yield
        except (Interrupted, KeyboardInterrupt) as error:
            run.write_status("interrupted", str(error))
            raise
        except Pruned as error:
            run.write_status("pruned", str(error))
            run.clear_states()
            raise
        except BaseException as error:
            log.error("%s: %s", type(error).__name__, error, extra=FILE_ONLY)  # the command or sweep says it itself
            with suppress(OSError):  # on a full disk the first error is the one to read
                run.write_status("failed", f"{type(error).__name__}: {error}")
            raise
        run.write_status("finished")
        run.clear_states()


def say_if_slow(config: TrainerConfig, accelerator: Accelerator) -> None:
    """Tell the user before a training begins that this device emulates the precision asked for."""
    if accelerator.is_main_process and (warning := slow_precision(config.precision, accelerator.device.type)):
        tell(f"warning: {warning}")


def time_record(at: Position, total: float) -> dict[str, float]:
    """Seconds, and training examples a second; `total` is of this process alone."""
    return {
        "train": round(at.train_seconds, 3),
        "evaluate": round(at.evaluate_seconds, 3),
        "total": round(max(total, at.train_seconds + at.evaluate_seconds), 3),
        "examples_per_second": round(at.examples / at.train_seconds, 2) if at.train_seconds else 0.0,
    }


def runtime_record(accelerator: Accelerator, at: Position) -> dict[str, Any]:
    """What the training ran on, and how."""
    return {
        "device": accelerator.device.type,
        "processor": processor_of(accelerator.device),
        "processes": accelerator.num_processes,
        "threads": torch.get_num_threads(),
        "accumulation": at.accumulation,
        "resumed": at.resumed,
    }


def training_notes(trainer: Trainer) -> list[str]:
    """What a reader should know of how a training went that has ended."""
    at, remarks = trainer.at, []
    if at.step < trainer.total:
        evaluations = f"{at.stale} evaluation{'' if at.stale == 1 else 's'}"
        early = f"stopped early, after step {at.step} of {trainer.total}"
        remarks.append(f"{early}: {evaluations} without a better {trainer.headline}")
    if at.damaged_lines:
        remarks.append(
            f"lines of metrics.jsonl damaged, altered or lost before the run was continued: {at.damaged_lines}"
        )
    return remarks


def describe_company(name: str) -> dict[str, Any] | None:
    """The jobs that began the training of the run `name` together; None: it was alone.

    Returns:
        `together`, how many they were, it included, and, where they shared passes, the names of the others.
    """
    member = current_member()
    if member is None or not member.group.joined or member.group.company < 2:
        return None
    others = [other for other in member.group.names if other != name]
    return {"together": member.group.company, **({"together_with": others} if others else {})}


def company_notes(company: Mapping[str, Any] | None) -> list[str]:
    """What a reader should know of a training together with other jobs."""
    if company is None:
        return []
    others, member = count_of(company["together"] - 1, "other job"), current_member()
    if member is not None and member.group.in_turn:
        return [f"trained in turn with {others} over one backbone"]
    return [f"trained together with {others} over one backbone: times include theirs"]


def notes(data: EncodedData, model: PromptedModel) -> list[str]:
    """What a reader of the numbers should know, besides what the overview of the data has."""
    remarks, config = [], data.config
    if config.model.pooler == "published" and model.has_random_frozen_pooler:
        remarks.append(
            "the checkpoint has no pooler: scores are read through a random, frozen one, as in the published code"
        )
    if config.head.kind == "verbalizer":
        origin = "a random" if config.model.path == "config:" else "the checkpoint's"
        trained = [parameter.requires_grad for parameter in model.head.parameters()]
        state = "trained" if all(trained) else "its biases trained" if any(trained) else "frozen"
        remarks.append(f"verbalizer: scores are those of label words in {origin} language-model head, {state}")
    if config.task.sources.mini is not None and config.data.source == "mini":
        remarks.append("mini data are made up by this project; the numbers say nothing about a real task")
    return [*remarks, *data.task.outcome_notes()]
