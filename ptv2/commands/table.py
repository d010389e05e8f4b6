"""`ptv2 table`: metrics of finished runs, mean and spread over seeds. Reads records only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ptv2.console.arguments import Parser, a_file
from ptv2.console.columns import Column, Table, show_table
from ptv2.console.output import out, tell, warn_of_faults
from ptv2.errors import RunError
from ptv2.files import write_text_whole
from ptv2.report import tables
from ptv2.report.usable import usable_results
from ptv2.run_folders.directory import chosen_runs

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
    parser.add_argument("--task", action="append", help="only this task (may be repeated)")
    parser.add_argument("--split", choices=["dev", "test", "test-brown"], default="dev")
    parser.add_argument("--headline", action="store_true", help="only the metric that chose the weights")
    parser.add_argument("--format", choices=["text", "md", "csv"], help="default: text, or the output file's ending")
    parser.add_argument("--output", type=a_file, help="write to this file instead")
    options = parser.parse_args(arguments)
    results, faults = usable_results(chosen_runs(options.runs, options.out))
    warn_of_faults(faults)
    rows = tables.rows([r for r in results if not options.task or r.task in options.task], options.split)
    if not rows:
        raise RunError(f"no finished run with {options.split} scores in {', '.join(options.runs) or options.out + '/'}")
    if options.headline:
        rows = [replace(row, metrics={row.headline: row.metrics[row.headline]}) for row in rows]
    kind = options.format or (Path(options.output).suffix.lstrip(".") if options.output else "text")
    if kind == "text" and not options.output:
        _print(rows, options.split)
        return 0
    if kind not in ("md", "csv"):
        raise RunError(f"--output {options.output}: give --format md or csv, or a name that ends in .md or .csv")
    text = tables.markdown(rows, options.split) if kind == "md" else tables.comma_separated(rows, options.split)
    if options.output:
        write_text_whole(options.output, text)
        tell(f"written: {options.output}")
    else:
        out.print(text, end="", soft_wrap=True)
    return 0


def _print(rows: list[tables.Row], split: str) -> None:
    columns = [FITTED.get(name, Column(name)) for name in tables.HEADER]
    more = "add | less -S or --output table.md for all of it"
    notes = [" ".join([tables.footnote(split), *tables.notes(rows)])]
    show_table(Table(columns, tables.cells(rows), notes=notes, sparse=2, more=more))
