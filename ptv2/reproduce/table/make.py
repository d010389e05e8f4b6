"""`ptv2 reproduce table=NAME`: from a table's description to its runs, and from their results to its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.text import Text

from ptv2.console.columns import Column, Table, show_table
from ptv2.console.output import out, tell
from ptv2.errors import Interrupted
from ptv2.files import write_json_whole, write_text_whole
from ptv2.reproduce.jobs.execute import Outcome, collect, execute
from ptv2.reproduce.jobs.plan import Job
from ptv2.reproduce.jobs.show_plan import show_plan
from ptv2.reproduce.options import Options
from ptv2.reproduce.table.as_csv import as_records, comma_separated
from ptv2.reproduce.table.as_latex import latex
from ptv2.reproduce.table.as_markdown import markdown
from ptv2.reproduce.table.cells import Request, plan_table, read_request
from ptv2.reproduce.table.entries import Entry, entries
from ptv2.reproduce.table.layout import Document, Grid, lay_out
from ptv2.reproduce.table.notes import clean, command
from ptv2.screen import width_of

SCHEMA = 1  # of the JSON
Planned = Mapping[tuple[str, ...], Sequence[Job]]


def reproduce_table(options: Options) -> int:
    """Make the runs that are missing, write the table from what there is, and show it.

    Returns:
        0, or 1 if runs failed.

    Raises:
        ConfigError: no such table, or words that do not fit it.
        Interrupted: stopped by a signal; the table is written all the same, with what is missing named.
    """
    request = read_request(options)
    planned = plan_table(request, options)
    jobs = [job for group in planned.values() for job in group]
    if options.plan:
        show_plan(jobs, options)
        return 0
    if options.collect:
        outcomes = collect(jobs)
    else:
        try:
            outcomes = execute(jobs, options.jobs, f"table {request.name}")
        except Interrupted:
            _finish(request, planned, collect(jobs), options)
            raise
    _finish(request, planned, outcomes, options)
    return 1 if any(outcome.state == "failed" for outcome in outcomes) else 0


def _finish(request: Request, planned: Planned, outcomes: Sequence[Outcome], options: Options) -> None:
    """Write and show."""
    left = iter(outcomes)  # in the order of the jobs
    by_place = {key: [next(left) for _ in group] for key, group in planned.items()}
    found = entries(request, by_place, options.margin)
    document = lay_out(request, found, options)
    paths = write_table(request, document, found, options)
    show_document(document)
    tell("Written, with all comparisons, notes, and why numbers are missing:", out)
    for path in paths:
        tell(Text(str(path)), out)


def write_table(request: Request, document: Document, found: Sequence[Entry], options: Options) -> list[Path]:
    """The table's files."""
    stem = options.results / request.stem
    paths = [stem.with_name(f"{stem.name}.{ending}") for ending in ("md", "csv", "tex", "json")]
    records = as_records(found, partial(clean, options=options))
    write_text_whole(paths[0], markdown(document))
    write_text_whole(paths[1], comma_separated(records))
    write_text_whole(paths[2], latex(document))
    write_json_whole(paths[3], _tree(request, document, records, options))
    return paths


def _tree(request: Request, document: Document, records: Sequence[dict[str, Any]], options: Options) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "table": request.name,
        "title": document.heading,
        "command": command(request, options),
        "seeds": request.seeds,
        "baseline": request.spec.against,
        "margin": options.margin,
        "caption": document.caption,
        "notes": list(document.notes),
        "numbers": list(records),
    }


def show_document(document: Document) -> None:
    """The grids on the terminal, with what their numbers are."""
    for grid in document.grids:
        for table in _tables(grid, width_of(out.file)):
            show_table(table)
            out.print()
    tell(Text(document.caption, style="dim"), out, indent=0)


def _tables(grid: Grid, width: int | None) -> Iterator[Table]:
    """The grid's columns beside the names of its rows, in as many tables below each other as the width asks for."""
    labels = [label for label, methods in grid.spans for _ in range(methods)]
    columns = [Column(f"{label}\n{method}", right=True) for label, method in zip(labels, grid.methods, strict=True)]

    def table(places: Sequence[int]) -> Table:
        rows: list[Sequence[str | Text]] = [
            (line.row, Text(line.what, style="dim"), *(line.cells[i] for i in places)) for line in grid.lines
        ]
        return Table([Column("", least=16), Column(""), *(columns[i] for i in places)], rows)

    def fits(places: Sequence[int]) -> bool:
        return width is None or table(places).width <= width

    places = iter(range(len(columns)))
    spans = [[next(places) for _ in range(methods)] for _, methods in grid.spans]  # of a task, which stay together
    units = [unit for span in spans for unit in ([span] if fits(span) else [[place] for place in span])]
    groups: list[list[int]] = []
    for unit in units:
        if groups and fits([*groups[-1], *unit]):
            groups[-1] += unit
        else:
            groups.append([*unit])
    return map(table, groups)
