"""From the runs of a figure to its points, and to the runs of fine-tuning that a line may stand for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ptv2.config.methods import BASELINE
from ptv2.report import tables
from ptv2.report.points import Point
from ptv2.report.usable import usable_results
from ptv2.reproduce.jobs.execute import Outcome
from ptv2.runs.directory import find_runs
from ptv2.runs.metrics_log import read_lines
from ptv2.runs.record import Result


def points_of(outcomes: Iterable[Outcome], split: str, *, course: bool = False) -> list[Point]:
    """The headline metric of finished runs; those without scores on `split` give none.

    Args:
        course: a point for each evaluation of a run instead, at the epoch where it was made.
    """
    points = []
    for outcome in outcomes:
        result, folder = outcome.result, outcome.job.folder
        if result is None or folder is None:
            continue
        series, place = outcome.job.cell.key
        if course:
            lines = [line for line in read_lines(folder / "metrics.jsonl") if "dev" in line]
            values = [(f"{line['epoch']:g}", float(line["dev"][result.headline])) for line in lines]
            points += [_point(result, series, epoch, value, split) for epoch, value in values]
        elif (score := _score(result, split)) is not None:
            points.append(_point(result, series, place, score, split))
    return points


def best_baseline(name: str, like: Result, out: str, split: str) -> list[Point]:
    """Fine-tuning on the same data and backbone among the finished runs in `out`, as points of the level `name`.

    Of several settings it is the best on dev, whatever is drawn; none if there is no such run.
    """
    results = [result for result in usable_results(find_runs([out]))[0] if _is_baseline(result, like)]
    row = max(tables.rows(results, split), key=lambda row: row.dev, default=None)
    if row is None:
        return []
    found = [result for result in results if result.name in row.runs.values()]
    scored = [(result, score) for result in found if (score := _score(result, split)) is not None]
    return [_point(r, name, "", score, split) for r, score in sorted(scored, key=lambda pair: pair[0].seed)]


def splits_of(results: Sequence[Result]) -> list[str]:
    """The splits that all these runs have scores on."""
    known = [{"dev", *(["test"] if result.test is not None else []), *result.tests} for result in results]
    return sorted(set.intersection(*known)) if known else []


def _is_baseline(result: Result, like: Result) -> bool:
    """Whether a run is fine-tuning with the head, data and backbone of another run."""

    def same(of: Result) -> tuple[object, ...]:
        head = of.config["head"].get("kind", "linear")
        return of.task, of.model, of.backbone, of.headline, of.data["fingerprint"], of.data["examples"], head

    return result.method == BASELINE and same(result) == same(like)


def _score(result: Result, split: str) -> float | None:
    scores = {"dev": result.dev, "test": result.test, **result.tests}.get(split)
    return None if scores is None else scores[result.headline]


def _point(result: Result, series: str, place: str, value: float, split: str) -> Point:
    return Point(
        task=result.task,
        model=result.model,
        split=split,
        metric=result.headline,
        series=series,
        x=place,
        seed=result.seed,
        value=round(value, 4),
        trained=result.parameters["trained"],
        trained_percent=round(result.parameters["percent"], 4),
        run=result.name,
    )
