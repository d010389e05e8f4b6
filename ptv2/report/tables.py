"""From the records of finished runs to a table: mean and spread over seeds, and a paired test against fine-tuning.

Runs belong together if their configurations differ in the seed only. Nothing here can train.
"""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ptv2.config.methods import BASELINE, METHODS
from ptv2.config.schema import RunConfig
from ptv2.errors import RunError
from ptv2.report.described import describe_settings
from ptv2.report.statistics import all_equal, paired_p
from ptv2.runs.directory import SHARED
from ptv2.runs.record import Result

EQUAL = "equal"  # in the column of p


@dataclass(frozen=True)
class Row:
    """One setting of one method on one task: values by seed and what they cost."""

    task: str
    data: str
    model: str
    method: str
    settings: str
    metrics: dict[str, dict[int, float]]  # metric: seed: value in percent
    headline: str
    dev: float  # mean headline on dev: whatever the table shows, nothing else may choose between settings
    examples: int  # training examples
    trained_percent: float
    seconds: float  # mean training time
    one_class: int  # runs whose model gives one answer to every example
    processors: tuple[str, ...]  # that they were trained on in half precision, as far as records say
    runs: dict[int, str]  # seed: name of its run

    @property
    def seeds(self) -> int:
        return len(self.metrics[self.headline])

    def mean(self, metric: str) -> float:
        return statistics.fmean(self.metrics[metric].values())

    def spread(self, metric: str) -> float | None:
        """Standard deviation over seeds (n - 1); none for one seed."""
        values = list(self.metrics[metric].values())
        return statistics.stdev(values) if len(values) > 1 else None


def rows(results: Iterable[Result], split: str = "dev") -> list[Row]:
    """Group finished runs into rows, sorted by task, model, method; runs without `split` are left out.

    So is what several runs began with: its numbers are means over tasks.
    """
    scored = [r for r in results if _metrics(r, split) is not None and not of_several_tasks(r)]
    made = [_row(group, split) for group in same_settings(scored)]
    return sorted(made, key=lambda r: (r.task, r.data, r.model, list(METHODS).index(r.method), r.settings))


def of_several_tasks(result: Result) -> bool:
    """Whether this is what several runs of method multitask-p-tuning-v2 began with."""
    return SHARED in result.config


def same_settings(results: Iterable[Result]) -> list[list[Result]]:
    """Runs that differ in the seed only (and in where or how they were made), each group in the order of the runs."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(_group(result), []).append(result)
    return list(groups.values())


def baseline_of(row: Row, others: Sequence[Row]) -> Row | None:
    """The fine-tuning row on the same task, data and model: the best of them by the mean headline on dev.

    The same score chose its checkpoints, as others cannot be compared.
    """
    if row.method == BASELINE:
        return None
    kind = (row.task, row.data, row.model, row.headline)
    same = [r for r in others if (r.task, r.data, r.model, r.headline) == kind and r.method == BASELINE]
    return max(same, key=lambda r: r.dev, default=None)


def paired(row: Row, baseline: Row, metric: str) -> tuple[float, float | None]:
    """Mean difference to the baseline over the seeds that both have, and p of a paired t-test.

    p is None below two common seeds, and where the difference is the same for each of them.
    """
    ours, theirs = row.metrics[metric], baseline.metrics[metric]
    common = sorted(set(ours) & set(theirs))
    if not common:
        return row.mean(metric) - baseline.mean(metric), None
    differences = [ours[seed] - theirs[seed] for seed in common]
    return statistics.fmean(differences), paired_p(differences)


HEADER = (
    "task",
    "model",
    "method",
    "settings",
    "metric",
    "score",
    "seeds",
    "vs fine-tuning",
    "p",
    "trained %",
    "train time",
)


def cells(table: Sequence[Row]) -> list[tuple[str, ...]]:
    """The table as text, a line for each row and metric, the headline first."""
    lines: list[tuple[str, ...]] = []
    for row in table:
        for metric in sorted(row.metrics, key=lambda name: (name != row.headline, name)):
            spread = row.spread(metric)
            score = f"{row.mean(metric):.1f}" + (f" ± {spread:.1f}" if spread is not None else "")
            if row.one_class:
                score += f" (one class: {row.one_class} of {row.seeds})"
            difference, p = "", ""
            if (baseline := baseline_of(row, table)) and metric in baseline.metrics:
                change, value = paired(row, baseline, metric)
                difference = f"{change:+.1f}"
                p = EQUAL if _equal(row, baseline, metric) else _chance(value)
            seeds = str(len(row.metrics[metric]))  # runs of earlier versions may lack one
            cost = (f"{row.trained_percent:.3g}", minutes(row.seconds))
            lines.append((row.task, row.model, row.method, row.settings, metric, score, seeds, difference, p, *cost))
    return lines


def markdown(table: Sequence[Row], split: str) -> str:
    """The table as Markdown, with what its numbers are."""
    body = cells(table)
    lines = ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    lines += ["| " + " | ".join(line) + " |" for line in body]
    return "\n".join(lines) + "\n\n" + " ".join([footnote(split), *notes(table)]) + "\n"


def footnote(split: str) -> str:
    """What the numbers of a table are."""
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
    """What else a reader of this very table must know, a sentence each."""
    found = []
    if len(places := dict.fromkeys(place for row in table for place in row.processors)) > 1:
        found.append(
            f"Half precision on {len(places)} kinds of processors, which round differently, so that equal settings and "
            f"seeds need not give equal scores: {'; '.join(places)}."
        )
    lacking = {name for row in table for name, values in row.metrics.items() if len(values) < len(row.runs)}
    if lacking:
        found.append(f"Not every run has {', '.join(sorted(lacking))}: the column of seeds counts those that do.")
    return found


def comma_separated(table: Sequence[Row], split: str) -> str:
    """One line for each row, metric and seed, for other programs."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        [
            "task",
            "data",
            "model",
            "method",
            "settings",
            "split",
            "metric",
            "seed",
            "value",
            "train_examples",
            "trained_percent",
        ]
    )
    for row in table:
        for metric, values in sorted(row.metrics.items()):
            for seed, value in sorted(values.items()):
                numbers = [f"{value:.4f}", row.examples, f"{row.trained_percent:.4f}"]
                writer.writerow(
                    [row.task, row.data, row.model, row.method, row.settings, split, metric, seed, *numbers]
                )
    return stream.getvalue()


def minutes(seconds: float) -> str:
    """Seconds as 62:03."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _metrics(result: Result, split: str) -> dict[str, float] | None:
    return {"dev": result.dev, "test": result.test, **result.tests}.get(split)


def _whole(result: Result) -> dict[str, Any]:
    """The configuration with all settings of today: those newer than the run have the value it was made with."""
    try:
        return RunConfig.model_validate(result.config).model_dump(mode="json")
    except ValidationError as error:
        raise RunError(f"{result.name}: its configuration is not one of this version of ptv2") from error


def _group(result: Result) -> str:
    kept = {key: value for key, value in _whole(result).items() if key not in ("seed", "out", "data", "recipe")}
    config = {key: value for key, value in kept.items() if value is not None}
    if shared := config.get("multitask"):
        tasks = [_same_task(entry) for entry in shared["tasks"]]
        config["multitask"] = {**shared, "only_shared": False, "tasks": tasks}
        config["data"] = (result.shared or {}).get("data")
    for section in METHODS[result.method].ignored:
        config.pop(section)
    config["task"] = _told_apart(config["task"])
    config["model"] = {key: value for key, value in config["model"].items() if key != "scale"}
    config["trainer"] = {
        k: v for k, v in config["trainer"].items() if k not in ("device", "checkpoint_minutes", "halve_on_oom", "shard")
    }
    return json.dumps([config, result.data["fingerprint"], result.data["examples"]], sort_keys=True)


def _same_task(entry: Mapping[str, Any]) -> list[Any]:
    """One task of a shared part, wherever its data are."""
    return [_told_apart(entry["task"]), entry["data"]["limit"]]


def _told_apart(task: Mapping[str, Any]) -> dict[str, Any]:
    """What tells two settings of a task apart."""
    return {k: v for k, v in task.items() if v is not None and k not in ("source", "sources", "scale")}


def _row(group: Sequence[Result], split: str) -> Row:
    first = group[0]
    values: dict[str, dict[int, float]] = {}
    for result in group:
        for metric, value in (_metrics(result, split) or {}).items():
            values.setdefault(metric, {})[result.seed] = value
    predicted = [result.data["predicted"].get(split, {}) for result in group]
    return Row(
        task=first.task,
        data=f"{first.data['fingerprint']}/{first.data['examples']['train']}",
        model=first.model,
        method=first.method,
        settings=describe_settings(group),
        metrics=values,
        headline=first.headline,
        dev=statistics.fmean(result.dev[first.headline] for result in group),
        examples=first.data["examples"]["train"],
        trained_percent=first.parameters["percent"],
        seconds=statistics.fmean(result.time["train"] for result in group),
        one_class=sum(len(counts) > 1 and sum(n > 0 for n in counts.values()) == 1 for counts in predicted),
        processors=_processors(group),
        runs={result.seed: result.name for result in group},
    )


def _processors(group: Sequence[Result]) -> tuple[str, ...]:
    if group[0].config["trainer"]["precision"] == "fp32":
        return ()
    return tuple(dict.fromkeys(str(name) for run in group if (name := run.runtime.get("processor"))))


def _equal(row: Row, baseline: Row, metric: str) -> bool:
    """Whether the difference to the baseline is the same for all of several seeds."""
    ours, theirs = row.metrics[metric], baseline.metrics.get(metric, {})
    return all_equal([ours[seed] - theirs[seed] for seed in ours.keys() & theirs.keys()])


def _chance(p: float | None) -> str:
    if p is None:
        return ""
    return "<0.01" if p < 0.005 else f"{p:.2f}"
