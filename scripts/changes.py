"""Print a figure of several tasks as one Markdown table: a row for each value of each series, a column for each task.

    python scripts/changes.py results/figures/FIGURE-TASK-MODEL.csv ...

Scores are means over seeds. The mean over tasks, which may choose a default for all of them, and its difference to the
first row are taken where every task has a score.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from ptv2.report.formats import format_markdown
from ptv2.report.points import Point, read_points


def table(points: Sequence[Point]) -> Iterator[str]:
    """The lines of the table; lines across the figures, such as fine-tuning, come last."""
    tasks = list(dict.fromkeys(point.task for point in points))
    scores: dict[str, dict[str, list[float]]] = {}
    several = len({point.series for point in points if point.x}) > 1
    for point in sorted(points, key=lambda point: not point.x):
        name = ", ".join(filter(None, (point.series, point.x))) if several else point.x or point.series
        scores.setdefault(name, {}).setdefault(point.task, []).append(point.value)
    means = {name: {task: fmean(values) for task, values in of.items()} for name, of in scores.items()}
    over_tasks = {name: fmean(of.values()) for name, of in means.items() if len(of) == len(tasks)}
    first = next(iter(means))
    rows = []
    for name, of in means.items():
        cells = [f"{of[task]:.1f}" if task in of else "" for task in tasks]
        mean = over_tasks.get(name)
        cells.append("" if mean is None else f"{mean:.1f}")
        cells.append("" if mean is None or name == first else f"{round(mean - over_tasks[first], 1) + 0:+.1f}")
        rows.append((name, *cells))
    yield from format_markdown(("changed", *tasks, "mean", "difference"), rows)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, help="CSV files that ptv2 reproduce figure=NAME wrote")
    print("\n".join(table([point for path in parser.parse_args().files for point in read_points(path)])))


if __name__ == "__main__":
    main()
