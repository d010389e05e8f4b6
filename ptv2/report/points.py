"""The values that a figure shows: gathered from runs, written as CSV, and read back to draw it again."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ptv2.errors import RunError
from ptv2.report.formats import format_csv, group_by
from ptv2.report.plots import Curve, Level, Mark
from ptv2.run_folders.record import Result


@dataclass(frozen=True)
class Point:
    """One value of one run; `x` is empty for a horizontal line."""

    task: str
    model: str
    split: str
    metric: str
    series: str
    x: str
    seed: int
    value: float  # percent
    trained: int  # parameters
    trained_percent: float  # of all parameters
    run: str


def point_of(result: Result, series: str, x: str, value: float, split: str) -> Point:
    """The point of a run, with its headline metric."""
    return Point(
        task=result.task,
        model=result.model,
        split=split,
        metric=result.headline,
        series=series,
        x=x,
        seed=result.seed,
        value=round(value, 4),
        trained=result.parameters["trained"],
        trained_percent=round(result.parameters["percent"], 4),
        run=result.name,
    )


COLUMNS = tuple(field.name for field in fields(Point))


def comma_separated(points: Sequence[Point]) -> str:
    """The points as CSV, one per line, in the order given."""
    return format_csv(COLUMNS, map(asdict, points))


def read_points(path: Path) -> list[Point]:
    """Read a CSV file that `comma_separated` made.

    Raises:
        RunError: it is not such a file.
    """
    reader = csv.reader(io.StringIO(path.read_text(encoding="utf-8")))
    if tuple(next(reader, ())) != COLUMNS:
        raise RunError(f"{path}: expected the columns {','.join(COLUMNS)}")
    points = []
    for number, row in enumerate(reader, start=2):
        try:
            task, model, split, metric, series, x, seed, value, trained, percent, run = row
            numbers = (int(seed), float(value), int(trained), float(percent))
            points.append(Point(task, model, split, metric, series, x, *numbers, run))
        except ValueError as error:
            raise RunError(f"{path}:{number}: not a point of a figure ({error})") from error
    return points


def curves(points: Sequence[Point], *, numeric: bool) -> list[Curve]:
    """The series in order of appearance; their marks in the order of x if `numeric`, else of appearance."""
    curves = []
    for name, of_series in group_by((point for point in points if point.x), lambda point: point.series).items():
        marks = group_by(of_series, lambda point: (point.x, point.model))  # two backbones may be of one size
        order = sorted(marks, key=lambda mark: float(mark[0])) if numeric else list(marks)
        curves.append(Curve(name, tuple(Mark(key[0], tuple(p.value for p in marks[key])) for key in order)))
    return curves


def levels(points: Sequence[Point]) -> list[Level]:
    """The horizontal lines in order of appearance."""
    groups = group_by((point for point in points if not point.x), lambda point: point.series)
    return [Level(name, tuple(point.value for point in group)) for name, group in groups.items()]
