"""`ptv2 train`: one run from its configuration to its result, readable from top to bottom."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers.utils import logging as transformers_logging

from ptv2.config.recipes import describe_recipe
from ptv2.console.output import RichMonitor
from ptv2.experiment.data import Predictions, Prepared, prepare
from ptv2.experiment.open import Opened, Read
from ptv2.experiment.overview import describe_data, log_overview, show_encoded
from ptv2.experiment.record import (
    notes,
    recording,
    runtime_record,
    say_if_slow,
    time_record,
    training_notes,
)
from ptv2.experiment.shared_part import train_shared
from ptv2.files import json_lines, write_text_whole
from ptv2.metrics import score_names
from ptv2.metrics.accuracy import OF_CLASSES
from ptv2.models.artifact import load_start, save_artifact
from ptv2.models.build import PromptedModel, build_model, describe
from ptv2.models.tokenizers import prompt_tokens
from ptv2.runs.directory import SHARED, RunDirectory
from ptv2.runs.record import Result, write_result
from ptv2.training.device import MemoryMeter, make_accelerator, naming_memory, release
from ptv2.training.monitor import Chain, Monitor, Silent
from ptv2.training.shard import build_spread, held_bytes
from ptv2.training.trainer import Trainer

if TYPE_CHECKING:
    from accelerate import Accelerator

# Dev chooses; all other splits but the training set are scored once, with what it chose.
UNSCORED = "train"


def train(opened: Opened, read: Read | None, watch: Monitor | None = None) -> Result:
    """Train and evaluate one run that is not finished.

    Args:
        read: its data; None if only the part that tasks share is trained.
        watch: is told of the training's progress, besides the user; of several tasks' before it it is not.

    Returns:
        The result, which the run's directory has too.

    Raises:
        Pruned: `watch` ended the training; the run has no result.
        Ptv2Error: anything a user can mend; what was complete stays in the run's directory.
    """
    started = time.perf_counter()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    config, run, shared = opened.config, opened.run, opened.shared
    accelerator = make_accelerator(config.trainer)
    if read is None:
        assert shared is not None
        return train_shared(shared)
    accelerator.wait_for_everyone()
    say_if_slow(config.trainer, accelerator)
    data = prepare(read, shown=accelerator.is_main_process)
    overview = describe_data(data)
    if accelerator.is_main_process:
        show_encoded(overview)
    begun = None
    if shared is not None:
        before = time.perf_counter()
        begun = train_shared(shared, data.longest)
        started += time.perf_counter() - before  # its record has it
    tokens = prompt_tokens(config)
    model = build_spread(lambda: build_model(config, data.head, tokens), config.trainer.shard, accelerator)
    try:
        model.check_length(data.longest)
        model.check_ids(data.highest)
        if shared is not None:
            load_start(model, shared.run.path / "artifact", config.task.name)
        main = accelerator.is_main_process  # it alone writes
        with run.locked() if main else nullcontext():
            if accelerator.num_processes == 1 and (finished := run.result) is not None:
                return finished  # another process ended it while this one read data and backbone
            with recording(run) if main else nullcontext():
                return _fit_and_record(data, overview, run, accelerator, model, begun, started, watch)
    finally:
        release(model)


def _fit_and_record(
    data: Prepared,
    overview: dict[str, Any],
    run: RunDirectory,
    accelerator: Accelerator,
    model: PromptedModel,
    begun: Result | None,
    started: float,
    watch: Monitor | None,
) -> Result:
    config, task = data.config, data.task

    def dev(check: Callable[[], None]) -> dict[str, float]:
        return data.score("dev", data.predictions("dev", model, accelerator, check))

    if accelerator.is_main_process:
        log_overview(overview)
    meter = MemoryMeter(accelerator.device)
    others = [name for name in score_names(task.config.metric) if name not in OF_CLASSES]
    shown = (
        RichMonitor(run.path.name, task.config.headline, others)
        if accelerator.is_main_process
        else nullcontext(Silent())
    )
    with naming_memory(config.trainer), shown as monitor:
        if (recipe := describe_recipe(config)) is not None:
            monitor.said(recipe)
        trainer = Trainer(
            model,
            data.encoded["train"],
            dev,
            task.config.headline,
            config=config.trainer,
            optim=config.optim,
            seed=config.seed,
            folder=run.path,
            accelerator=accelerator,
            monitor=Chain(monitor, watch) if watch else monitor,
            compiled=config.model.compile,
        )
        at = trainer.fit()
        scored = sorted(data.encoded.keys() - {UNSCORED}, key=lambda split: (split != "dev", split))
        with trainer.finite(at.best_step or at.step):
            predictions = {split: data.predictions(split, model, accelerator) for split in scored}
    tests = {split: data.score(split, predictions[split]) for split in scored if split != "dev"}

    def by_split(count: Callable[[Predictions, list[Any]], dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {split: counts for split in scored if (counts := count(predictions[split], data.examples[split]))}

    total = time.perf_counter() - started
    result = Result(
        name=run.path.name,
        task=config.task.name,
        model=config.model.name,
        method=config.method,
        seed=config.seed,
        headline=task.config.headline,
        dev=at.best or {},
        dev_last=at.last or {},
        test=tests.pop("test", None),
        tests=tests,
        parts=by_split(task.parts),
        confusion=by_split(task.confusion),
        best_step=at.best_step or 0,
        best_epoch=round((at.best_step or 0) / trainer.steps_per_epoch, 2),
        steps=at.step,
        steps_planned=trainer.total,
        evaluations=at.evaluations,
        parameters=describe(model),
        data={**_data_record(data, predictions), "overview": overview},
        time=time_record(at, total),
        memory={**meter.record(), "weights": held_bytes(model)},
        runtime=runtime_record(accelerator, at),
        backbone=model.identity_record(),
        config=config.model_dump(mode="json"),
        notes=[*_begun_with(begun), *notes(data, model), *training_notes(trainer)],
        shared=None if begun is None else _shared_record(begun),
    )
    if accelerator.is_main_process:
        for split, rows in predictions.items():
            _write_predictions(data, run, split, rows)
        save_artifact(model, run.path / "artifact", {**task.state(), "task": config.task.name})
        write_result(run.path, result)
    accelerator.wait_for_everyone()
    return result


def _write_predictions(data: Prepared, run: RunDirectory, split: str, rows: Predictions) -> None:
    task, examples, provenance = data.task, data.examples[split], data.source.provenance
    write_text_whole(run.path / f"predictions-{split}.jsonl", json_lines(task.rows(rows, examples)))
    write_text_whole(run.path / f"fractions-{split}.json", json.dumps(task.fractions(rows, examples)))
    file = Path(provenance[split]) if split in provenance else None
    for ending, text in task.official(rows, examples, file).items():
        write_text_whole(run.path / f"official-{split}.{ending}", text)


def _data_record(data: Prepared, predictions: dict[str, Predictions]) -> dict[str, Any]:
    return {
        "source": dict(data.source.provenance),
        "fingerprint": data.source.fingerprint,
        "examples": {split: len(part) for split, part in data.examples.items()},
        "truncated": {split: part.truncated for split, part in data.encoded.items()},
        "longest": {split: part.tokens.longest for split, part in data.encoded.items()},
        "labels": {split: data.task.gold(part) for split, part in data.examples.items()},
        "predicted": {split: data.task.answers(rows) for split, rows in predictions.items()},
    }


def _shared_record(begun: Result) -> dict[str, Any]:
    """What a run's record says of the part that it began with."""
    return {
        "name": begun.name,
        "tasks": begun.task.split("+"),
        "data": begun.data["fingerprint"],
        "dev": begun.dev,
        "best_epoch": begun.best_epoch,
        "steps": begun.steps,
        "time": begun.time,
    }


def _begun_with(begun: Result | None) -> list[str]:
    if begun is None:
        return []
    tasks = begun.task.replace("+", ", ")
    return [f"began with the prompts of {SHARED}/{begun.name}, trained on {tasks} together"]
