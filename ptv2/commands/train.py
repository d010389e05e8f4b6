"""`ptv2 train`: one run from its configuration to its result, readable from top to bottom."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub.utils import logging as hub_logging
from transformers.utils import logging as transformers_logging

from ptv2.commands.console import RichMonitor, encoding, log, log_file
from ptv2.commands.heads import head_spec, reading
from ptv2.config.schema import RunConfig
from ptv2.data.sources import Source, open_source
from ptv2.data.tokens import EncodedSet
from ptv2.errors import DataError, Interrupted, Pruned
from ptv2.files import write_json_whole, write_text_whole
from ptv2.models.artifact import save_artifact
from ptv2.models.build import PromptedModel, build_model, describe
from ptv2.models.fingerprint import fingerprint
from ptv2.models.tokenizers import load_tokenizer, vocabulary_tokens
from ptv2.runs.directory import RunDirectory
from ptv2.runs.environment import environment
from ptv2.runs.record import Result, write_result
from ptv2.tasks.load import AnyTask, load_task
from ptv2.training.device import make_accelerator, naming_memory, peak_memory
from ptv2.training.monitor import Chain, Monitor, Silent
from ptv2.training.predict import predict
from ptv2.training.shard import held_bytes
from ptv2.training.trainer import Position, Trainer

if TYPE_CHECKING:
    from accelerate import Accelerator

# Dev chooses; all other splits but the training set are scored once, with what it chose.
UNSCORED = "train"
Examples = dict[str, list[Any]]


def train(config: RunConfig, watch: Monitor | None = None) -> tuple[Result, Path, bool]:
    """Train and evaluate one run, or find it finished.

    Args:
        watch: is told of the training's progress, besides the user.

    Returns:
        The result, the run's directory, and whether it was finished before.

    Raises:
        Pruned: `watch` ended the training; the run has no result.
        Ptv2Error: anything a user can mend; what was complete stays in the run's directory.
    """
    started = time.perf_counter()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    hub_logging.set_verbosity_error()  # ten lines of retries would stand before the one that says what to do
    accelerator = make_accelerator(config.trainer)
    source = open_source(config)
    run = RunDirectory(config, source.fingerprint, fingerprint(config.model))
    finished = run.result
    accelerator.wait_for_everyone()
    if finished is not None:
        run.clear_states()  # there still, if a kill came between the result and the end of its run
        return finished, run.path, True

    task = load_task(config.task, source, reading=reading(config))
    examples = read_examples(task, source, config)
    encoded = encode_examples(task, examples, config, shown=accelerator.is_main_process)
    tokens = None
    if config.prompt.init == "vocabulary":
        tokens = vocabulary_tokens(load_tokenizer(config.model), config.prompt.length, config.seed)
    model = build_model(config, head_spec(task, config), init_token_ids=tokens)
    model.check_length(max(part.tokens.longest for part in encoded.values()))

    if not accelerator.is_main_process:
        return (
            _fit_and_record(config, run, accelerator, task, examples, encoded, model, source, started, watch),
            run.path,
            False,
        )
    with run.locked(), log_file(run.path / "log.txt"):
        write_json_whole(run.path / "env.json", environment())
        run.write_status("running")
        try:
            result = _fit_and_record(config, run, accelerator, task, examples, encoded, model, source, started, watch)
        except (Interrupted, KeyboardInterrupt) as error:
            run.write_status("interrupted", str(error))
            raise
        except Pruned as error:
            run.write_status("pruned", str(error))
            run.clear_states()
            raise
        except BaseException as error:
            log.error("%s: %s", type(error).__name__, error)
            with suppress(OSError):  # on a full disk the first error is the one to read
                run.write_status("failed", f"{type(error).__name__}: {error}")
            raise
        run.write_status("finished")
        run.clear_states()
    return result, run.path, False


def read_examples(task: AnyTask, source: Source, config: RunConfig) -> Examples:
    """All splits of the source as labelled examples.

    Raises:
        DataError: a split that is empty, or a record that is not right.
    """
    examples: Examples = {split: task.read(source.read(split)) for split in source.splits}
    for split in ("train", "dev"):
        if not examples.get(split):
            raise DataError(f"task {config.task.name}: the {split} split has no examples")
    return examples


def encode_examples(task: AnyTask, examples: Examples, config: RunConfig, *, shown: bool) -> dict[str, EncodedSet]:
    """Encode all splits by the task's rule, with a progress bar if that is long work.

    Raises:
        DataError: an example that cannot be cut to the task's length, or a split of which nothing is left.
    """
    tokenizer = load_tokenizer(config.model, task.words)
    total = sum(len(part) for part in examples.values())
    with encoding(total) if shown else nullcontext(lambda count: None) as done:
        encoded = {s: task.encode(part, tokenizer, config.data.workers, done) for s, part in examples.items()}
    for split, part in encoded.items():
        if not len(part):
            raise DataError(f"task {config.task.name}: the tokenizer makes nothing of the {split} split")
    return encoded


def _fit_and_record(
    config: RunConfig,
    run: RunDirectory,
    accelerator: Accelerator,
    task: AnyTask,
    examples: Examples,
    encoded: dict[str, EncodedSet],
    model: PromptedModel,
    source: Source,
    started: float,
    watch: Monitor | None,
) -> Result:
    def decoded(split: str, check: Callable[[], None] = lambda: None) -> list[dict[str, Any]]:
        rows = predict(model, encoded[split], config.trainer.eval_batch_size, accelerator, check)
        if split == "dev":
            task.calibrate(rows, examples[split], encoded[split])
        return task.decode(rows, examples[split], encoded[split])

    def dev(check: Callable[[], None]) -> dict[str, float]:
        return task.score(decoded("dev", check), examples["dev"])

    before = peak_memory(accelerator.device)
    shown = RichMonitor(run.path.name, task.config.headline) if accelerator.is_main_process else nullcontext(Silent())
    with naming_memory(config.trainer), shown as monitor:
        trainer = Trainer(
            model,
            encoded["train"],
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
        scored = sorted(encoded.keys() - {UNSCORED}, key=lambda split: (split != "dev", split))
        predictions = {split: decoded(split) for split in scored}
    tests = {split: task.score(predictions[split], examples[split]) for split in scored if split != "dev"}
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
        parts={split: found for split in scored if (found := task.parts(predictions[split], examples[split]))},
        best_step=at.best_step or 0,
        best_epoch=round((at.best_step or 0) / trainer.steps_per_epoch, 2),
        steps=at.step,
        steps_planned=trainer.total,
        evaluations=at.evaluations,
        parameters=describe(model),
        data=_data_record(task, source, examples, encoded, predictions),
        time=_time_record(at, total),
        memory=_memory_record(accelerator.device, before, model),
        runtime=_runtime_record(accelerator, at),
        backbone=model.identity_record(),
        config=config.model_dump(mode="json"),
        notes=[*_notes(config, model, task, examples, encoded), *task.notes(examples)],
    )
    if accelerator.is_main_process:
        for split, rows in predictions.items():
            write_text_whole(run.path / f"predictions-{split}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
            file = Path(source.provenance[split]) if split in source.provenance else None
            for ending, text in task.official(rows, examples[split], file).items():
                write_text_whole(run.path / f"official-{split}.{ending}", text)
        save_artifact(model, run.path / "artifact", {**task.state(), "task": config.task.name})
        write_result(run.path, result)
    accelerator.wait_for_everyone()
    return result


def _data_record(
    task: AnyTask,
    source: Source,
    examples: Examples,
    encoded: dict[str, EncodedSet],
    predictions: dict[str, list[dict[str, Any]]],
) -> dict[str, Any]:
    return {
        "source": dict(source.provenance),
        "fingerprint": source.fingerprint,
        "examples": {split: len(part) for split, part in examples.items()},
        "truncated": {split: part.truncated for split, part in encoded.items()},
        "longest": {split: part.tokens.longest for split, part in encoded.items()},
        "labels": {split: task.gold(part) for split, part in examples.items()},
        "predicted": {split: task.answers(rows) for split, rows in predictions.items()},
    }


def _time_record(at: Position, total: float) -> dict[str, float]:
    return {
        "train": round(at.train_seconds, 3),
        "evaluate": round(at.evaluate_seconds, 3),
        "total": round(max(total, at.train_seconds + at.evaluate_seconds), 3),
        "examples_per_second": round(at.examples / at.train_seconds, 2) if at.train_seconds else 0.0,
    }


def _memory_record(device: torch.device, before: int, model: PromptedModel) -> dict[str, Any]:
    what = "allocated on the GPU" if device.type == "cuda" else "resident memory of the process"
    return {"peak": peak_memory(device), "before_training": before, "what": what, "weights": held_bytes(model)}


def _runtime_record(accelerator: Accelerator, at: Position) -> dict[str, Any]:
    return {
        "device": accelerator.device.type,
        "processes": accelerator.num_processes,
        "threads": torch.get_num_threads(),
        "accumulation": at.accumulation,
        "resumed": at.resumed,
    }


def _notes(
    config: RunConfig, model: PromptedModel, task: AnyTask, examples: Examples, encoded: dict[str, EncodedSet]
) -> list[str]:
    notes = []
    cut = [f"{part.truncated} of {len(examples[split])} {split}" for split, part in encoded.items() if part.truncated]
    if cut:
        notes.append(f"{task.truncated.format(config.task.max_length)}: {', '.join(cut)} examples")
    if config.model.pooler == "published" and model.has_random_frozen_pooler:
        notes.append(
            "the checkpoint has no pooler: scores are read through a random, frozen one, as in the published code"
        )
    if config.head.kind == "verbalizer":
        origin = "a random" if config.model.path == "config:" else "the checkpoint's"
        state = "trained" if config.method == "fine-tuning" else "frozen"
        notes.append(f"verbalizer: scores are those of label words in {origin} language-model head, {state}")
    if config.task.sources.mini is not None and config.data.source == "mini":
        notes.append("mini data are made up by this project; the numbers say nothing about a real task")
    return notes
