"""Tables of finished runs: mean and spread over seeds, and a paired test against fine-tuning.

Runs belong together if their configurations differ in nothing but the seed.
"""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from ptv2.config.identity import same_but_seed
from ptv2.config.keys import short_value
from ptv2.config.methods import BASELINE, METHODS
from ptv2.config.rules import read_settings
from ptv2.config.schema import HALF, RunConfig
from ptv2.errors import RunError
from ptv2.report.described import describe_settings
from ptv2.report.folds import POOLED, examples_of, folds_of, missing_folds, name_examples, name_scored, pool_folds
from ptv2.report.formats import format_csv, format_markdown, format_score, group_by
from ptv2.report.settings import decisive, varying
from ptv2.report.statistics import EQUAL, Comparison, compare, spread_of
from ptv2.run_folders.directory import SHARED
from ptv2.run_folders.record import Result


@dataclass(frozen=True)
class Row:
    """One setting of one method on one task: scores by seed, and what the runs cost."""

    task: str
    data: str
    model: str
    method: str
    settings: str
    metrics: dict[str, dict[int, float]]  # metric: seed: value in percent
    headline: str
    dev: float  # mean headline on dev, which alone may choose between settings, whatever split the table shows
    examples: int  # training examples
    trained_percent: float
    seconds: float  # mean training time
    one_class: int  # runs whose model gives the same answer to every example
    processors: tuple[str, ...]  # of runs in half precision, as far as records say
    runs: dict[int, str]  # seed: name of its run
    repeats: tuple[str, ...] = ()  # what records say of examples that also stand in train
    folds: int | None = None  # of cross-validation
    missing_folds: tuple[str, ...] = ()  # which seeds lack some
    scored: str = ""  # how many examples dev and the split of the scores have
    weights: str = ""  # which the backbone had, in a few words
    files: str = ""  # which config.json and tokenizer beside them, where rows with the same weights differ in these

    @property
    def backbone(self) -> str:
        """What tells backbones of one name apart."""
        return ", ".join(filter(None, (self.weights, self.files)))

    @property
    def kind(self) -> tuple[str, ...]:
        """Task, data, backbone and headline, which rows must share to be compared."""
        return self.task, self.data, self.scored, self.model, self.backbone, self.headline

    @property
    def seeds(self) -> int:
        return len(self.metrics[self.headline])

    def mean(self, metric: str) -> float:
        return statistics.fmean(self.metrics[metric].values())

    def spread(self, metric: str) -> float | None:
        """Standard deviation over seeds (n - 1); None for one seed."""
        return spread_of(self.metrics[metric].values())


def rows(results: Iterable[Result], split: str = "dev") -> list[Row]:
    """Group finished runs into rows, sorted by task, model, method.

    Runs without scores on `split` are left out, and so are shared parts, whose scores are means over tasks.
    """
    scored = [r for r in results if r.scores(split) is not None and not of_several_tasks(r)]
    groups = same_settings(scored)
    table = _tell_apart(_without_common_files([_row(pool_folds(group), split) for group in groups]), groups)
    return sorted(table, key=lambda row: (*row.kind[:-1], list(METHODS).index(row.method), row.settings))


def _without_common_files(table: Sequence[Row]) -> list[Row]:
    """The rows; those whose weights have the same files everywhere, as far as runs say, name these no more."""
    files: dict[tuple[str, str], set[str]] = {}
    for row in table:
        files.setdefault((row.model, row.weights), set()).add(row.files)
    return [row if len(files[row.model, row.weights] - {""}) > 1 else replace(row, files="") for row in table]


def _tell_apart(table: Sequence[Row], groups: Sequence[Sequence[Result]]) -> list[Row]:
    """The rows, whose runs are `groups`; those of one method that are described alike say also what differs."""

    def described(number: int) -> tuple[str, ...]:
        row = table[number]
        return *row.kind, row.method, row.settings

    told = list(table)
    for numbers in group_by(range(len(table)), described).values():
        if len(numbers) > 1:
            settings = [decisive(read_settings(RunConfig, groups[number][0].config)) for number in numbers]
            keys = varying(settings)
            for number, one in zip(numbers, settings, strict=True):
                words = [f"{key} {short_value(one.get(key))}" for key in keys]
                told[number] = replace(table[number], settings=", ".join([table[number].settings, *words]))
    return told


def of_several_tasks(result: Result) -> bool:
    """Whether this is the shared part of runs of method multitask-p-tuning-v2."""
    return SHARED in result.config


def same_settings(results: Iterable[Result]) -> list[list[Result]]:
    """Group runs that differ in nothing but the seed and where or how they were made, in the order of the runs."""
    return list(group_by(results, _group).values())


def baselines_of(table: Sequence[Row]) -> list[Row | None]:
    """The fine-tuning row of the same kind for each row of another method; of several the best by its mean on dev."""
    best: dict[tuple[str, ...], Row] = {}
    for row in table:
        if row.method == BASELINE and (row.kind not in best or row.dev > best[row.kind].dev):
            best[row.kind] = row
    return [None if row.method == BASELINE else best.get(row.kind) for row in table]


def tasks_of(table: Sequence[Row]) -> list[str]:
    """The task of each row; where runs of one task and model had different data, which these were."""
    data: dict[tuple[str, str], dict[str, set[str]]] = {}
    for row in table:
        data.setdefault((row.task, row.model), {}).setdefault(row.data, set()).add(row.scored)
    names = []
    for row in table:
        scored_by_data = data[row.task, row.model]
        is_scored_alike = len(scored_by_data[row.data]) == 1
        is_alone = len(scored_by_data) == 1 and is_scored_alike
        names.append(row.task if is_alone else _with_data(row, "" if is_scored_alike else row.scored))
    return names


def models_of(table: Sequence[Row]) -> list[str]:
    """The model of each row; where rows of one name have several backbones, which these were."""
    backbones: dict[str, set[str]] = {}
    for row in table:
        backbones.setdefault(row.model, set()).add(row.backbone)
    return [row.model if len(backbones[row.model]) == 1 else f"{row.model} ({row.backbone})" for row in table]


def _with_data(row: Row, scored: str) -> str:
    source, _, which = row.data.rpartition("/")
    name, comma, chosen = source.partition(",")  # of the hub with its revision, of files a hash
    number, _, parts = which.partition(", ")
    words = [f"{row.examples:,} examples", parts if number.isdecimal() else which, scored]
    return f"{row.task} (data {name if '@' in name else name[:6]}{comma}{chosen}, {', '.join(filter(None, words))})"


def compare_rows(row: Row, baseline: Row, metric: str) -> Comparison:
    """Compare a row with the baseline over their common seeds; without any, the difference of means, untested."""
    untested = Comparison((), row.mean(metric) - baseline.mean(metric), None, None, 0.0, None)
    return compare(row.metrics[metric], baseline.metrics[metric]) or untested


HEADER = (
    *("task", "model", "method", "settings", "metric", "score", "seeds", "vs fine-tuning", "p"),
    *("trained %", "train time"),
)
CSV_COLUMNS = (
    *("task", "data", "model", "backbone", "method", "settings", "split", "metric", "seed", "value"),
    *("train_examples", "trained_percent"),
)


def cells(table: Sequence[Row]) -> list[tuple[str, ...]]:
    """The table as text: one line per row and metric, the headline first."""
    lines: list[tuple[str, ...]] = []
    named = zip(table, baselines_of(table), tasks_of(table), models_of(table), strict=True)
    for row, baseline, task, model in named:
        for metric in sorted(row.metrics, key=lambda name: (name != row.headline, name)):
            score = format_score(row.mean(metric), row.spread(metric))
            if row.one_class:
                score += f" (one class: {row.one_class} of {row.seeds})"
            difference, p = "", ""
            if baseline and metric in baseline.metrics:
                comparison = compare_rows(row, baseline, metric)
                difference, p = f"{comparison.difference:+.1f}", comparison.shown_p
            seeds = str(len(row.metrics[metric]))  # runs of earlier versions may lack one
            cost = (f"{row.trained_percent:.3g}", minutes(row.seconds))
            lines.append((task, model, row.method, row.settings, metric, score, seeds, difference, p, *cost))
    return lines


def markdown(table: Sequence[Row], split: str) -> str:
    """The table as Markdown, with its footnote and notes."""
    text = " ".join([footnote(split), *notes(table)])
    return "\n".join([*format_markdown(HEADER, cells(table)), "", text]) + "\n"


def footnote(split: str) -> str:
    """The sentences that say what the numbers of a table are."""
    chosen = (
        "Scores are on dev, at the best epoch by the headline metric on that same dev set "
        "(optimistic, as in the paper)."
        if split == "dev"
        else f"Scores are on {split}, scored once with the weights of the best epoch on dev."
    )
    return (
        f"{chosen} Mean ± standard deviation over seeds, in percent; p: paired t-test against fine-tuning over the "
        f"seeds both have ({EQUAL}: the same difference for each, which has no test); train time without evaluation."
    )


def notes(table: Sequence[Row]) -> list[str]:
    """What else a reader of this table must know, one sentence each."""
    sentences = []
    if len(processors := dict.fromkeys(name for row in table for name in row.processors)) > 1:
        sentences.append(
            f"Half precision on {len(processors)} kinds of processors, which round differently, so that equal settings "
            f"and seeds need not give equal scores: {'; '.join(processors)}."
        )
    lacking = {name for row in table for name, values in row.metrics.items() if len(values) < len(row.runs)}
    if lacking:
        sentences.append(f"Not every run has {', '.join(sorted(lacking))}: the column of seeds counts those that do.")
    if any(row.folds for row in table):
        sentences.append(f"{POOLED}.")
    repeats = {f"{row.task}: {note}." for row in table for note in row.repeats}
    repeats |= {f"{row.task}, {row.method}: {note}." for row in table for note in row.missing_folds}
    return [*sentences, *sorted(repeats)]


def comma_separated(table: Sequence[Row], split: str) -> str:
    """The table as CSV, for other programs: one line per row, metric and seed."""
    lines = (
        vars(row)
        | {"backbone": row.backbone, "split": split, "metric": metric, "seed": seed, "value": f"{value:.4f}"}
        | {"train_examples": row.examples, "trained_percent": f"{row.trained_percent:.4f}"}
        for row in table
        for metric, values in sorted(row.metrics.items())
        for seed, value in sorted(values.items())
    )
    return format_csv(CSV_COLUMNS, lines)


def records(table: Sequence[Row], split: str) -> list[dict[str, Any]]:
    """The table for other programs: one mapping for each row, with all numbers as they are."""
    return [
        {
            **{key: getattr(row, key) for key in ("task", "data", "model", "backbone", "method", "settings")},
            "split": split,
            **{key: getattr(row, key) for key in ("headline", "runs")},
            "metrics": {metric: _record_metric(row, metric, baseline) for metric in sorted(row.metrics)},
            "train_examples": row.examples,
            "trained_percent": row.trained_percent,
            "train_seconds": row.seconds,
            "runs_of_one_answer": row.one_class,
        }
        for row, baseline in zip(table, baselines_of(table), strict=True)
    ]


def _record_metric(row: Row, metric: str, baseline: Row | None) -> dict[str, Any]:
    values = {"mean": row.mean(metric), "sd": row.spread(metric), "by_seed": row.metrics[metric]}
    if baseline is None or metric not in baseline.metrics:
        return {**values, "against_fine_tuning": None}
    found = compare_rows(row, baseline, metric)
    return {**values, "against_fine_tuning": {"difference": found.difference, "p": found.p, "seeds": found.seeds}}


def minutes(seconds: float) -> str:
    """Format seconds as 62:03."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


# The group of each configuration, data and backbone that were seen: a sweep has thousands of runs of few settings.
_GROUPS: dict[tuple[str, bytes], str] = {}


def _group(result: Result) -> str:
    """A hash that is the same for runs of one row."""
    data, shared = result.data, (result.shared or {}).get("data")
    key = result.settings_hash, to_json([data["fingerprint"], data["examples"], result.backbone, shared])
    if key not in _GROUPS:
        _GROUPS[key] = hashlib.sha256(_what_decides(result).encode()).hexdigest()
    return _GROUPS[key]


def _what_decides(result: Result) -> str:
    try:
        config = read_settings(RunConfig, result.config)  # settings newer than the run have the value it was made with
    except ValidationError as error:
        raise RunError(f"{result.name}: its configuration is not one of this version of ptv2") from error
    backbone: Any = [config.model.path, config.model.revision, config.model.sha256]
    if config.model.path == "config:":  # random weights: their hash depends on the seed
        backbone = None
    elif sha256 := result.backbone.get("sha256"):
        files = result.backbone.get("config_sha256")
        backbone = [sha256, config.model.revision, *([files] if files else [])]
    return same_but_seed(config, examples_of(result), json.dumps(backbone), (result.shared or {}).get("data"))


def _row(group: Sequence[Result], split: str) -> Row:
    first = group[0]
    values: dict[str, dict[int, float]] = {}
    for result in group:
        for metric, value in (result.scores(split) or {}).items():
            values.setdefault(metric, {})[result.seed] = value
    return Row(
        task=first.task,
        data=name_examples(first),
        model=first.model,
        method=first.method,
        settings=describe_settings(group),
        metrics=values,
        headline=first.headline,
        dev=statistics.fmean(result.dev[first.headline] for result in group),
        examples=first.data["examples"]["train"],
        trained_percent=first.parameters["percent"],
        seconds=statistics.fmean(result.time["train"] for result in group),
        one_class=len({result.seed for result in group if result.only_answer(split) is not None}),
        processors=_processors(group),
        runs={result.seed: result.name for result in group},
        repeats=tuple(dict.fromkeys(note for result in group for note in result.notes_on_repeats)),
        folds=folds_of(first),
        missing_folds=tuple(text for result in group if (text := missing_folds(result))),
        scored=name_scored(first, split),
        weights=_weights(first),
        files=f"config {files[:6]}" if (files := first.backbone.get("config_sha256")) else "",
    )


def _weights(result: Result) -> str:
    """The hash of a backbone's weights, in short; random ones are not told apart, since theirs depends on the seed."""
    if result.config["model"]["path"] == "config:":
        return "random weights"
    return f"weights {(result.backbone.get('sha256') or 'unknown')[:6]}"


def _processors(group: Sequence[Result]) -> tuple[str, ...]:
    if group[0].config["trainer"]["precision"] not in HALF:
        return ()
    return tuple(dict.fromkeys(str(name) for run in group if (name := run.runtime.get("processor"))))
