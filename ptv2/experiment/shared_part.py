"""The part that runs of method multitask-p-tuning-v2 begin with: one deep prompt trained on several tasks together.

It is trained once for all runs that name the same tasks and settings, in a folder of its own below `<out>/shared/`.
Source: the paper's MPT-2, as its authors describe it; they published no code.
"""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelerate.utils import broadcast_object_list

from ptv2.config.methods import MULTITASK
from ptv2.console.output import tell
from ptv2.data.mixture import Mixture
from ptv2.experiment.data import EncodedData, encode_data
from ptv2.experiment.fit import Fit
from ptv2.experiment.open import Shared, for_each_task
from ptv2.experiment.overview import describe_data, log_overview, show_encoded, show_read
from ptv2.experiment.read import read_examples
from ptv2.experiment.record import notes, recording, say_if_slow, training_notes
from ptv2.experiment.tracking import Tracking, tracking
from ptv2.models.artifact import load_start, save_artifact
from ptv2.models.build import HeadSpec, PromptedModel, build_model
from ptv2.models.gpu_attention import check_gpu
from ptv2.models.tokenizers import prompt_tokens
from ptv2.run_folders.directory import SHARED, SharedDirectory
from ptv2.run_folders.record import Result, write_result
from ptv2.training.clock import working_seconds
from ptv2.training.device import make_accelerator, release
from ptv2.training.shard import build_spread

if TYPE_CHECKING:
    from accelerate import Accelerator

HEADLINE = "mean"  # of the tasks' headlines on dev: what chooses the weights
SPLITS = ("train", "dev")  # test sets are for the runs that go on from here


@dataclass(frozen=True)
class Start:
    """What a training begins with: nothing, or the shared part's prompts."""

    result: Result | None = None
    artifact: Path | None = None
    seconds: float = 0.0  # that it took now; its own record has them

    def load(self, model: PromptedModel, task: str) -> None:
        """Put the prompts, and the head of `task` if the part has one, on a model."""
        if self.artifact is not None:
            load_start(model, self.artifact, task)

    @property
    def notes(self) -> list[str]:
        """What a run's record notes of it."""
        if self.result is None:
            return []
        tasks = self.result.task.replace("+", ", ")
        return [f"began with the prompts of {SHARED}/{self.result.name}, trained on {tasks} together"]

    @property
    def record(self) -> dict[str, Any] | None:
        """What a run's record says of the part."""
        if self.result is None:
            return None
        fields = ("name", "dev", "best_epoch", "steps", "time")
        about = {field: getattr(self.result, field) for field in fields}
        return {**about, "tasks": self.result.task.split("+"), "data": self.result.data["fingerprint"]}


def begin(shared: Shared | None, longest: int, group: str | None = None) -> Start:
    """Train or find the shared part, if a run begins with one.

    Args:
        longest, group: see `train_shared`.
    """
    if shared is None:
        return Start()
    before = working_seconds()
    result = train_shared(shared, longest, group)
    return Start(result, shared.run.path / "artifact", working_seconds() - before)


def train_shared(shared: Shared, longest: int = 0, group: str | None = None) -> Result:
    """Train the part, or on from where it stands, or find it finished; wait for a process that trains it now.

    Args:
        longest: tokens of a sequence that the run after it will have, so that it is refused before.
        group: the sweep that the run belongs to, for trackers.

    Raises:
        Ptv2Error: anything a user can mend.
    """
    accelerator = make_accelerator(next(iter(shared.parts.values())).trainer, idle_heads=True)
    check_gpu(shared.config.model.attention, accelerator.device)
    if _agreed(accelerator, shared.run.result is not None):
        if accelerator.is_main_process:
            shared.run.tidy()  # in case a kill came between the result and the end of it
            tell(f"{shared.run.path}: finished before")
    else:
        say_if_slow(next(iter(shared.parts.values())).trainer, accelerator)
        read = for_each_task(shared.parts, lambda name: _encode_task(shared, name, accelerator), shared.config)
        task_data = {name: data for name, (data, _) in read.items()}
        overviews = {name: overview for name, (_, overview) in read.items()}
        model = _build(shared, task_data, accelerator)
        model.check_length(max(longest, *(data.longest for data in task_data.values())))
        model.check_ids(max(data.highest for data in task_data.values()))
        try:
            with _held(shared.run, accelerator):
                if not _agreed(accelerator, shared.run.result is not None):
                    config, main = next(iter(shared.parts.values())), accelerator.is_main_process
                    trackers = config.track if main else []
                    with (
                        recording(shared.run) if main else nullcontext(),
                        tracking(trackers, shared.run.path, shared.run.config, HEADLINE, group) as tracked,
                    ):
                        fit = Fit(config, shared.run.path, model, accelerator, working_seconds())
                        _fit_and_record(shared, task_data, overviews, fit, tracked)
        finally:
            release(model)
            del model  # before the run that goes on from here loads its own
    result = shared.run.result
    assert result is not None
    return result


def _encode_task(shared: Shared, name: str, accelerator: Accelerator) -> tuple[EncodedData, dict[str, Any]]:
    """Read and encode one task's data, and say what they are."""
    read = read_examples(shared.parts[name], shared.sources[name], SPLITS)
    if accelerator.is_main_process:
        show_read(read)
    data = encode_data(read, shown=accelerator.is_main_process)
    overview = describe_data(data)
    if accelerator.is_main_process:
        show_encoded(overview)
    return data, overview


def _build(shared: Shared, task_data: dict[str, EncodedData], accelerator: Accelerator) -> PromptedModel:
    config = next(iter(shared.parts.values()))
    heads = HeadSpec.of_tasks({name: data.head for name, data in task_data.items()})
    tokens = prompt_tokens(config)
    return build_spread(lambda: build_model(config, heads, tokens), config.trainer.shard, accelerator)


def _fit_and_record(
    shared: Shared, task_data: dict[str, EncodedData], overviews: dict[str, dict[str, Any]], fit: Fit, tracked: Tracking
) -> None:
    model, accelerator = fit.model, fit.accelerator
    headlines = {name: f"{name}.{data.task.config.headline}" for name, data in task_data.items()}

    def dev(check: Callable[[], None]) -> dict[str, float]:
        scores: dict[str, float] = {}
        for number, (name, data) in enumerate(task_data.items()):
            predictions = data.predictions("dev", model, accelerator, check, head=number)
            scores |= {f"{name}.{metric}": value for metric, value in data.score("dev", predictions).items()}
        return {HEADLINE: statistics.fmean(scores[name] for name in headlines.values()), **scores}

    if accelerator.is_main_process:
        for overview in overviews.values():
            log_overview(overview)
    fit.run(_mixture(shared, task_data), dev, HEADLINE, others=[*headlines.values()], follow=tracked.follow)
    if accelerator.is_main_process:
        result = Result(
            **fit.record(),
            task="+".join(task_data),
            method=MULTITASK,
            test=None,
            data=_data_record(shared, task_data, overviews),
            config={**shared.run.config, "task": {"name": "+".join(task_data)}},
            notes=[
                *(f"{name}: {note}" for name, data in task_data.items() for note in notes(data, model)),
                *training_notes(fit.trainer),
            ],
        )
        states = {name: data.task.state() for name, data in task_data.items()}
        save_artifact(model, shared.run.path / "artifact", {"tasks": states}, to_go_on=True)
        write_result(shared.run.path, result)
        tracked.finish(result)
    accelerator.wait_for_everyone()


def _mixture(shared: Shared, task_data: dict[str, EncodedData]) -> Mixture:
    assert shared.config.multitask is not None
    return Mixture([data.encoded["train"] for data in task_data.values()], shared.config.multitask.temperature)


def _data_record(
    shared: Shared, task_data: dict[str, EncodedData], overviews: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """The sums over tasks under the names that a run's record has, and each task's own under `tasks`."""
    config = next(iter(shared.parts.values()))
    mixture = _mixture(shared, task_data)
    batches = dict(zip(task_data, mixture.counts(config.trainer.batch_size), strict=True))
    fingerprints = {name: data.source.fingerprint for name, data in task_data.items()}
    tasks = {
        name: {
            "source": dict(data.source.provenance),
            "fingerprint": fingerprints[name],
            "examples": data.facts.examples,
            "rows": len(data.encoded["train"]),
            "batches_an_epoch": batches[name],
            "overview": overviews[name],
        }
        for name, data in task_data.items()
    }
    return {
        "fingerprint": hashlib.sha256(json.dumps(fingerprints, sort_keys=True).encode()).hexdigest()[:16],
        "examples": {split: sum(data.facts.examples[split] for data in task_data.values()) for split in SPLITS},
        "predicted": {},
        "tasks": tasks,
    }


@contextmanager
def _held(run: SharedDirectory, accelerator: Accelerator) -> Iterator[None]:
    """Hold the folder for all processes of this training, after another that trains in it now.

    The main process tells the others every few seconds that it waits, as they would not wait for it for long.
    """
    if not accelerator.is_main_process:
        while not _agreed(accelerator, False):
            pass
        yield
        return
    waited: list[None] = []

    def waiting() -> None:
        if not waited:
            tell(f"waiting for {run.path}: another process is training it")
        waited.append(None)
        _agreed(accelerator, False)

    with run.locked(waiting):
        _agreed(accelerator, True)
        yield


def _agreed(accelerator: Accelerator, value: bool) -> bool:
    """The main process's value, on all processes."""
    values = [value]
    if accelerator.num_processes > 1:
        broadcast_object_list(values)
    return values[0]
