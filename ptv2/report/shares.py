"""Scores against the share of parameters that a method trains: a panel for each task, as PNG, SVG and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ptv2.files import write_text_whole
from ptv2.report import plots, tables
from ptv2.report.formats import group_by
from ptv2.report.points import Point, comma_separated, point_of
from ptv2.run_folders.record import Result

TITLE = "Score against the share of trained parameters"


def shares_of(results: Iterable[Result], fewest: int = 2) -> dict[str, list[Point]]:
    """The points of each panel, by its title: a task with its number of training examples.

    Of several settings of a method the `most_certain` one is taken. Scores are on test where all runs of the panel
    have them, else on dev. A task with fewer methods than `fewest` has no panel.
    """
    panels: dict[str, list[Point]] = {}
    for of_task in group_by(results, lambda result: (result.task, result.model)).values():
        split = "test" if all("test" in result.splits for result in of_task) else "dev"
        by_name = {result.name: result for result in of_task}
        table = tables.rows(of_task, split)
        named = dict(
            zip(map(_kind, table), zip(tables.tasks_of(table), tables.models_of(table), strict=True), strict=True)
        )
        for kind, of_data in group_by(table, _kind).items():
            by_method = group_by(of_data, lambda row: row.method)
            chosen = [most_certain(rows) for rows in by_method.values()]
            title = _title(chosen[0])
            if title in panels:  # other data with as many examples
                title = ", ".join(named[kind])
            if len(chosen) >= fewest:
                panels[title] = [
                    point_of(
                        by_name[run], row.method, f"{row.trained_percent:.4g}", row.metrics[row.headline][seed], split
                    )
                    for row in chosen
                    for seed, run in sorted(row.runs.items())
                ]
    return panels


def _kind(row: tables.Row) -> tuple[str, ...]:
    """The data and the backbone of a row."""
    return row.data, row.scored, row.backbone


def most_certain(rows: Iterable[tables.Row]) -> tables.Row:
    """Of several settings of a method the one with the most seeds, of equal ones the best by dev."""
    return max(rows, key=lambda row: (row.seeds, row.dev))


def write_shares(panels: dict[str, list[Point]], stem: Path) -> list[Path]:
    """Draw the panels; return the paths of the PNG, the SVG and the CSV."""
    points = [point for of_panel in panels.values() for point in of_panel]
    figure = plots.draw_panels(
        [plots.Panel(title, _axis(of_panel), _marks(of_panel)) for title, of_panel in panels.items()],
        TITLE,
        "trained parameters (% of all)",
    )
    table = stem.with_name(f"{stem.name}.csv")
    write_text_whole(table, comma_separated(points))
    return [*plots.save(figure, stem), table]


def _title(row: tables.Row) -> str:
    return f"{row.task}, {row.model}, {row.examples:,} examples"


def _axis(points: Sequence[Point]) -> str:
    return f"{points[0].metric.replace('f1', 'F1')} on {points[0].split} (%)"


def _marks(points: Sequence[Point]) -> list[plots.Curve]:
    """A mark for each method, from the smallest share to the largest."""
    groups = group_by(sorted(points, key=lambda point: float(point.x)), lambda point: point.series)
    return [
        plots.Curve(name, (plots.Mark(float(of_method[0].x), tuple(point.value for point in of_method)),))
        for name, of_method in groups.items()
    ]
