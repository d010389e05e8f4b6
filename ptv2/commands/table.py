"""`ptv2 table`: metrics of finished runs, mean and spread over seeds. Reads records only."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from ptv2.console.arguments import Parser, a_file, a_folder
from ptv2.console.columns import Column, Table, show_table
from ptv2.console.json_document import json_text
from ptv2.console.output import tell, warn_of_faults
from ptv2.errors import ConfigError, RunError
from ptv2.files import write_text_whole
from ptv2.report import tables
from ptv2.report.formats import count_of
from ptv2.report.kept import keep, read_records
from ptv2.report.usable import distinct_results
from ptv2.run_folders.directory import chosen_runs
from ptv2.run_folders.record import Result

# How columns fit a narrow screen.
FITTED = {
    "task": Column("task", group=True),
    "model": Column("model", group=True),
    "settings": Column("settings", below=True),
    "score": Column("score", fold=10),
    "trained %": Column("trained %", drop=2),
    "train time": Column("train time", drop=1),
}


def main(arguments: list[str]) -> int:
    """Print the table, or write it to a file."""
    parser = Parser(prog="ptv2 table", description="Metrics of finished runs, mean and spread over seeds.")
    parser.add_runs()
    parser.add_argument(
        "--records", type=a_folder, metavar="DIR", help="read kept records, DIR/TASK/NAME.json, not runs"
    )
    parser.add_argument("--task", action="append", help="only this task (may be repeated)")
    parser.add_argument("--split", choices=["dev", "test", "test-brown"], default="dev", help="default: dev")
    parser.add_argument("--headline", action="store_true", help="only the metric that chose the weights")
    kinds = ["text", "md", "csv", "json"]
    parser.add_argument("--format", choices=kinds, help="default: text, or the output file's ending")
    parser.add_json()
    parser.add_argument("--output", type=a_file, help="write to this file instead")
    parser.add_argument(
        "--keep", type=a_folder, metavar="DIR", help="also keep a record of each run here, for reproduce records=DIR"
    )
    options = parser.parse_args(arguments)
    if options.records and (options.runs or options.keep):
        raise ConfigError(f"--records: read in the place of runs; expected no {'runs' if options.runs else '--keep'}")
    results = _read_records(options) if options.records else _read_runs(options)
    rows = tables.rows(results, options.split)
    if not rows:
        where = options.records or ", ".join(options.runs) or f"{options.out}/"
        raise RunError(f"no finished run with {options.split} scores in {where}")
    if options.headline:
        rows = [replace(row, metrics={row.headline: row.metrics[row.headline]}) for row in rows]
    if options.json and options.format not in (None, "json"):
        raise ConfigError(f"--json and --format {options.format}: expected one of them")
    kind = (
        "json"
        if options.json
        else options.format or (Path(options.output).suffix.lstrip(".") if options.output else "text")
    )
    if kind == "text" and not options.output:
        _print(rows, options.split)
        return 0
    if kind not in TEXTS:
        raise RunError(f"--output {options.output}: give --format md, csv or json, or a name that ends in one of these")
    text = TEXTS[kind](rows, options.split)
    if options.output:
        write_text_whole(options.output, text)
        tell(f"written: {options.output}")
    else:
        print(text, end="")
    return 0


def _read_runs(options: Namespace) -> list[Result]:
    """The results of the runs that the words name, whose records are then kept where that is asked for."""
    every, faults = distinct_results(chosen_runs(options.runs, options.out))
    warn_of_faults(faults)
    results = {folder: result for folder, result in every.items() if not options.task or result.task in options.task}
    if options.keep and results:
        tell(f"{count_of(keep(results, Path(options.keep)), 'record')} in {options.keep}")
    return list(results.values())


def _read_records(options: Namespace) -> list[Result]:
    paths = sorted(Path(options.records).glob("*/*.json"))
    return read_records(path for path in paths if not options.task or path.parent.name in options.task)


def _json(rows: list[tables.Row], split: str) -> str:
    notes = [tables.footnote(split), *tables.notes(rows)]
    return json_text({"split": split, "rows": tables.records(rows, split), "notes": notes})


TEXTS = {"md": tables.markdown, "csv": tables.comma_separated, "json": _json}


def _print(rows: list[tables.Row], split: str) -> None:
    columns = [FITTED.get(name, Column(name)) for name in tables.HEADER]
    more = "add | less -S or --output table.md for all of it"
    notes = [" ".join([tables.footnote(split), *tables.notes(rows)])]
    show_table(Table(columns, tables.cells(rows), notes=notes, sparse=2, more=more))
