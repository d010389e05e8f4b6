"""`ptv2 reproduce table=NAME`: from a table's description to its runs, and from their results to its files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from rich.text import Text

from ptv2.console.columns import Column, Table, show_table
from ptv2.console.output import out, tell
from ptv2.errors import Interrupted
from ptv2.files import check_folder, write_json_whole, write_text_whole
from ptv2.reproduce.jobs.execute import JobStatus, collect, execute, group_by_cell
from ptv2.reproduce.jobs.show_plan import show_plan
from ptv2.reproduce.options import Options
from ptv2.reproduce.table.as_csv import as_records, comma_separated
from ptv2.reproduce.table.as_latex import latex
from ptv2.reproduce.table.as_markdown import markdown
from ptv2.reproduce.table.cells import TableRequest, list_table_jobs, read_table_request
from ptv2.reproduce.table.entries import Entry, entries
from ptv2.reproduce.table.layout import Document, Grid, lay_out
from ptv2.reproduce.table.notes import clean, format_command
from ptv2.screen import width_of

SCHEMA = 1  # of the JSON


def reproduce_table(options: Options) -> int:
    """Make the missing runs, write the table from the finished ones, and print it.

    Returns:
        0, or 1 if runs failed.

    Raises:
        ConfigError: no such table, or words that do not fit it.
        Interrupted: stopped by a signal; the table is written all the same, and names what is missing.
    """
    request = read_table_request(options)
    jobs_by_position = list_table_jobs(request, options)
    jobs = [job for group in jobs_by_position.values() for job in group]
    if options.plan:
        show_plan(jobs, options)
        return 0
    check_folder(options.results)
    try:
        statuses = (
            collect(jobs) if options.collect else execute(jobs, options.jobs, f"table {request.name}", options.fuse)
        )
    except Interrupted:
        _finish(request, collect(jobs), options)
        raise
    _finish(request, statuses, options)
    return 1 if any(status.state == "failed" for status in statuses) else 0


def _finish(request: TableRequest, statuses: Sequence[JobStatus], options: Options) -> None:
    """Write the table and print it."""
    numbers = entries(request, group_by_cell(statuses), options.margin)
    document = lay_out(request, numbers, options)
    paths = write_table(request, document, numbers, options)
    show_document(document)
    tell("Written, with all comparisons, notes, and why numbers are missing:", out)
    for path in paths:
        tell(Text(str(path)), out)


def write_table(request: TableRequest, document: Document, numbers: Sequence[Entry], options: Options) -> list[Path]:
    """Write the table as Markdown, CSV, LaTeX and JSON; return the paths."""
    stem = options.results / request.stem
    paths = [stem.with_name(f"{stem.name}.{ending}") for ending in ("md", "csv", "tex", "json")]
    records = as_records(numbers, partial(clean, options=options))
    write_text_whole(paths[0], markdown(document))
    write_text_whole(paths[1], comma_separated(records))
    write_text_whole(paths[2], latex(document))
    tree = {
        "schema": SCHEMA,
        "table": request.name,
        "title": document.heading,
        "command": format_command(f"table={request.name}", request.seeds, options),
        "seeds": request.seeds,
        "baseline": request.spec.against,
        "margin": options.margin,
        "caption": document.caption,
        "notes": list(document.notes),
        "numbers": records,
    }
    write_json_whole(paths[3], tree)
    return paths


def show_document(document: Document) -> None:
    """Print the grids, with what their numbers are."""
    for grid in document.grids:
        for table in _tables(grid, width_of(out.file)):
            show_table(table)
            out.print()
    tell(Text(document.caption, style="dim"), out, indent=0)


def _tables(grid: Grid, width: int | None) -> Iterator[Table]:
    """Split a grid into tables that fit the width, each with the names of the rows."""
    labels = [label for label, methods in grid.spans for _ in range(methods)]
    columns = [Column(f"{label}\n{method}", right=True) for label, method in zip(labels, grid.methods, strict=True)]

    def table(chosen: Sequence[int]) -> Table:
        rows: list[Sequence[str | Text]] = [
            (line.row, Text(line.what, style="dim"), *(line.cells[i] for i in chosen)) for line in grid.lines
        ]
        return Table([Column("", least=16), Column(""), *(columns[i] for i in chosen)], rows)

    def fits(chosen: Sequence[int]) -> bool:
        return width is None or table(chosen).width <= width

    numbers = iter(range(len(columns)))
    spans = [[next(numbers) for _ in range(methods)] for _, methods in grid.spans]  # columns of a task stay together
    units = [unit for span in spans for unit in ([span] if fits(span) else [[number] for number in span])]
    groups: list[list[int]] = []
    for unit in units:
        if groups and fits([*groups[-1], *unit]):
            groups[-1] += unit
        else:
            groups.append([*unit])
    return map(table, groups)
