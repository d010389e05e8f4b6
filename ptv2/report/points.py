"""What a figure shows, value by value: gathered from runs, written as CSV, and read back to draw it again."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from ptv2.errors import RunError
from ptv2.report.plots import Curve, Level, Mark


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


COLUMNS = tuple(field.name for field in fields(Point))


def comma_separated(points: Sequence[Point]) -> str:
    """The points as CSV, one a line, in the order given."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(astuple(point) for point in points)
    return stream.getvalue()


def read_points(path: Path) -> list[Point]:
    """The points of a CSV file that `comma_separated` made.

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
    """The series in order of appearance; places are in the order of numbers, or else of appearance."""
    found = []
    for name in dict.fromkeys(point.series for point in points if point.x):
        own = [point for point in points if point.series == name]
        places = list(dict.fromkeys(point.x for point in own))
        if numeric:
            places.sort(key=float)
        marks = [Mark(x, tuple(point.value for point in own if point.x == x)) for x in places]
        found.append(Curve(name, tuple(marks)))
    return found


def levels(points: Sequence[Point]) -> list[Level]:
    """The horizontal lines in order of appearance."""
    flat = [point for point in points if not point.x]
    names = dict.fromkeys(point.series for point in flat)
    return [Level(name, tuple(point.value for point in flat if point.series == name)) for name in names]
