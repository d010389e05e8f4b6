"""`ptv2 report`: one HTML page about runs, finished or not. Reads their files only."""

from __future__ import annotations

from pathlib import Path

from ptv2.console.arguments import Parser, a_file_of, a_folder
from ptv2.console.output import tell
from ptv2.errors import RunError
from ptv2.files import write_text_whole
from ptv2.report.formats import count_of
from ptv2.run_folders.directory import chosen_runs

POINTS = 200  # of each learning curve, about as many as fit into a chart
ALL_POINTS = 100_000  # of all curves of a kind, some two megabytes
FEWEST_POINTS = 40


def main(arguments: list[str]) -> int:
    """Write the page."""
    parser = Parser(prog="ptv2 report", description="One HTML page about runs: tables, charts, figures, details.")
    parser.add_runs()
    parser.add_argument(
        "--output", type=a_file_of(".html", ".htm"), default="report.html", help="the page (default: report.html)"
    )
    parser.add_argument("--title", default="ptv2 report", help="its title (default: ptv2 report)")
    parser.add_argument("--figures", type=a_folder, metavar="DIR", help="show the SVG files of this folder too")
    options = parser.parse_args(arguments)
    folders = chosen_runs(options.runs, options.out)
    if not folders:
        raise RunError(f"no run in {', '.join(options.runs) or options.out + '/'}; expected folders with a config.yaml")
    figures = _figures(options.figures) if options.figures else []

    from ptv2.report.html.page import render
    from ptv2.report.html.shown import mark_copies, read_shown

    points = max(FEWEST_POINTS, min(POINTS, ALL_POINTS // len(folders)))
    runs = mark_copies([read_shown(folder, points) for folder in folders])
    write_text_whole(options.output, render(runs, figures, options.title))
    finished = sum(run.counted for run in runs)
    tell(f"written: {options.output} ({count_of(len(runs), 'run')}, {finished} of them finished)")
    return 0


def _figures(folder: str) -> list[Path]:
    paths = sorted(Path(folder).glob("*.svg"))
    if not paths:
        raise RunError(f"--figures {folder}: no .svg file there; `ptv2 reproduce figure=...` writes some")
    return paths
