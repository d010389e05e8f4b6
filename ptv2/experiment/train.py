"""`ptv2 train`: one run from its configuration to its result, readable from top to bottom."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any
from weakref import proxy

from ptv2.config.recipes import describe_recipe
from ptv2.experiment.data import EncodedData, Predictions, encode_data
from ptv2.experiment.fit import Fit
from ptv2.experiment.open import Opened
from ptv2.experiment.overview import describe_data, log_overview, show_encoded
from ptv2.experiment.read import TRAIN, Read
from ptv2.experiment.record import company_notes, describe_company, notes, recording, say_if_slow, training_notes
from ptv2.experiment.shared_part import Start, begin, train_shared
from ptv2.experiment.tracking import tracking
from ptv2.files import json_lines, write_text_whole
from ptv2.metrics import score_names
from ptv2.metrics.accuracy import OF_CLASSES
from ptv2.models.artifact import save_artifact
from ptv2.models.build import build_model
from ptv2.models.gpu_attention import check_gpu
from ptv2.models.tokenizers import prompt_tokens
from ptv2.run_folders.directory import RunDirectory
from ptv2.run_folders.record import Result, write_result
from ptv2.training.clock import working_seconds
from ptv2.training.device import make_accelerator, release
from ptv2.training.monitor import Monitor
from ptv2.training.shard import build_spread
from ptv2.training.together import current_member
from ptv2.training.trainer import Trainer
from ptv2.variables import quieten_transformers


def train(opened: Opened, read: Read | None, watch: Monitor | None = None, group: str | None = None) -> Result:
    """Train and evaluate one run that is not finished.

    Args:
        read: its data; None if only the part that tasks share is trained.
        watch: told of the training's progress too, but not of the shared part's.
        group: the sweep that the run belongs to, for trackers.

    Returns:
        The result, which the run's directory has too.

    Raises:
        Pruned: `watch` ended the training; the run has no result.
        Ptv2Error: anything a user can mend; what was complete stays in the run's directory.
    """
    started = working_seconds()
    quieten_transformers()
    config, run, shared = opened.config, opened.run, opened.shared
    accelerator = make_accelerator(config.trainer)
    check_gpu(config.model.attention, accelerator.device)
    if read is None:
        assert shared is not None
        return train_shared(shared, group=group)
    accelerator.wait_for_everyone()
    say_if_slow(config.trainer, accelerator)
    data = encode_data(read, shown=accelerator.is_main_process)
    overview = describe_data(data)
    if accelerator.is_main_process:
        show_encoded(overview)
    start = begin(shared, data.longest, group)
    tokens = prompt_tokens(config)
    member = current_member()
    backbone = None if member is None else member.group.backbone(config)
    model = build_spread(lambda: build_model(config, data.head, tokens, backbone), config.trainer.shard, accelerator)
    try:
        model.check_length(data.longest)
        model.check_ids(data.highest)
        start.load(model, config.task.name)
        main = accelerator.is_main_process  # it alone writes
        with run.locked() if main else nullcontext():
            if accelerator.num_processes == 1 and (finished := run.result) is not None:
                return finished  # another process ended it while this one read data and backbone
            trackers = config.track if main else []
            with (
                recording(run) if main else nullcontext(),
                tracking(trackers, run.path, run.config, config.task.headline, group) as tracked,
            ):
                if member is not None:
                    member.join(model, accelerator, run.path.name)
                fit = Fit(config, run.path, model, accelerator, started + start.seconds)
                result = _fit_and_record(fit, data, overview, run, start, watch, tracked.follow)
                tracked.finish(result)
                return result
    finally:
        release(model)


def _fit_and_record(
    fit: Fit,
    data: EncodedData,
    overview: dict[str, Any],
    run: RunDirectory,
    start: Start,
    watch: Monitor | None,
    follow: Callable[[dict[str, Any]], None],
) -> Result:
    config, task, model, accelerator = data.config, data.task, fit.model, fit.accelerator
    # Dev chooses; all other splits but the training set are scored once, with what it chose.
    scored = sorted(data.encoded.keys() - {TRAIN}, key=lambda split: (split != "dev", split))
    predictions: dict[str, Predictions] = {}
    this_fit = proxy(fit)  # its trainer holds `dev`: held by that in turn, the model would outlive its run

    def dev(check: Callable[[], None]) -> dict[str, float]:
        rows = data.predictions("dev", model, accelerator, check)
        if this_fit.trainer.is_last_step:
            predictions["dev"] = rows
        return data.score("dev", rows)

    def predict(trainer: Trainer) -> None:
        if trainer.at.best_step != trainer.at.step:
            predictions.clear()
        left = [split for split in scored if split not in predictions]  # dev too, in a run resumed after its last step
        with trainer.finite.scores(trainer.at.best_step or trainer.at.step):
            predictions.update({split: data.predictions(split, model, accelerator) for split in left})

    if accelerator.is_main_process:
        log_overview(overview)
    others = [name for name in score_names(task.config.metric) if name not in OF_CLASSES]
    recipe = describe_recipe(config)
    fit.run(
        data.encoded["train"],
        dev,
        task.config.headline,
        others=others,
        first=recipe,
        watch=watch,
        follow=follow,
        then=predict,
    )
    tests = {split: data.score(split, predictions[split]) for split in scored if split != "dev"}

    def by_split(count: Callable[[Predictions, list[Any]], dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {split: counts for split in scored if (counts := count(predictions[split], data.examples[split]))}

    record, company = fit.record(), describe_company(run.path.name)
    if company is not None:
        record["runtime"] |= company
        record["memory"] |= {"peak": None, "before_training": None, "what": "not measured: shared with other jobs"}
    result = Result(
        **record,
        task=config.task.name,
        method=config.method,
        test=tests.pop("test", None),
        tests=tests,
        parts=by_split(task.parts),
        confusion=by_split(task.confusion),
        data={**_data_record(data, predictions), "overview": overview},
        config=config.model_dump(mode="json"),
        notes=[*start.notes, *notes(data, model), *training_notes(fit.trainer), *company_notes(company)],
        shared=start.record,
    )
    if accelerator.is_main_process:
        for split, rows in predictions.items():
            _write_predictions(data, run, split, rows)
        save_artifact(model, run.path / "artifact", {**task.state(), "task": config.task.name})
        write_result(run.path, result)
    accelerator.wait_for_everyone()
    return result


def _write_predictions(data: EncodedData, run: RunDirectory, split: str, rows: Predictions) -> None:
    task, examples = data.task, data.examples[split]
    write_text_whole(run.path / f"predictions-{split}.jsonl", json_lines(task.rows(rows, examples)))
    write_text_whole(run.path / f"fractions-{split}.json", json.dumps(task.fractions(rows, examples)))
    for ending, text in task.official(rows, examples, data.source.paths.get(split, ())).items():
        write_text_whole(run.path / f"official-{split}.{ending}", text)


def _data_record(data: EncodedData, predictions: dict[str, Predictions]) -> dict[str, Any]:
    return {
        "source": dict(data.source.provenance),
        "fingerprint": data.source.fingerprint,
        "examples": data.facts.examples,
        "truncated": {split: rows.truncated for split, rows in data.encoded.items()},
        "longest": {split: rows.tokens.longest for split, rows in data.encoded.items()},
        "labels": data.facts.gold,
        "predicted": {split: data.task.answers(rows) for split, rows in predictions.items()},
    }
