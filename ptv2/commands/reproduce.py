"""`ptv2 reproduce`: a table or figure of the paper, or of one's own, from its description to its files."""

from __future__ import annotations

from ptv2.config import paths
from ptv2.console.arguments import Lists, Parser
from ptv2.reproduce.options import MARGIN, PARSERS, Options, read_settings

EPILOG = """words:
  table=NAME               2, 3, 4 (the paper's), or one of yours: table/NAME.yaml in --config-dir
  figure=NAME task=NAME    depth, length, initialisation, dropout, head, learning, or one of yours: figure/NAME.yaml
  figure=scale task=NAME,NAME model=NAME,NAME  the gap to fine-tuning by size of backbone, for any methods=
  figure.KEY=VALUE         a key of the figure's own file, e.g. figure.x.values=[1,2,4]
  split=test               a figure of test scores (default: dev)
  model=NAME               another backbone, as the only row; then also columns that are not in the paper and have data
  model.path=PATH          a checkpoint of your own, as the only row
  data=DIR                 folder of all data: DIR/<task>, DIR/superglue, DIR/<ner|srl|qa> or DIR has a task's files
  rows=, columns=, methods=  names with commas: only these; columns= and methods= also take any other
  seeds=1,2,3 or 1-3       instead of the table's own
  jobs=N                   runs side by side (default: 1)
  fuse=K                   train up to K runs of each of them together over one frozen backbone (default: 1)
  records=DIR              write from kept records (ptv2 table --keep), without data and runs; run nothing
  kept=DIR                 kept records whose runs need not be made again
  out=DIR, results=DIR     where runs and tables go (default: runs, results)
  name=NAME                of its files, where their usual name would overwrite others
  margin=X                 points within which methods count as equivalent (default: {margin:g})
  share=family|table       which tasks train prompts together under multitask-p-tuning-v2 (default: those of a kind)
  KEY=VALUE                any setting of ptv2 train, for all runs, e.g. trainer.precision=bf16

The same command goes on where it stopped: finished runs are found, interrupted ones continued, failed ones tried again.
Cells without a number say why.

{tables}"""


def main(arguments: list[str]) -> int:
    """Reproduce what the words ask for."""
    parser = Parser(
        prog="ptv2 reproduce",
        keys=PARSERS,
        description="Make the runs of a table or figure and write it.",
        epilog=EPILOG.format(margin=MARGIN, tables=_choices()),
        formatter_class=Lists,
    )
    parser.add_argument("words", nargs="*", metavar="key=value", help="what to reproduce, and settings of its runs")
    parser.add_argument("--plan", action="store_true", help="print the runs and their cost; run nothing")
    parser.add_argument("--collect", action="store_true", help="write from the runs that there are; run nothing")
    parser.add_argument("--anyway", action="store_true", help="also run what looks too large for this machine")
    parser.add_config_dir()
    given = parser.parse_args(arguments)
    flags = {name: getattr(given, name) for name in ("plan", "collect", "anyway", "config_dir")}
    options = read_settings(given.words, **flags)
    from ptv2.reproduce.with_records import with_records

    with with_records(options) as ready:
        return reproduce(ready)


def reproduce(options: Options) -> int:
    """Reproduce a table or a figure; returns 0, or 1 if runs failed."""
    if options.figure is not None:
        from ptv2.reproduce.figure.make import reproduce_figure

        return reproduce_figure(options.figure, options)
    from ptv2.reproduce.table.make import reproduce_table

    return reproduce_table(options)


def _choices() -> str:
    return "\n".join(
        f"  {group}={name:{23 - len(group)}} {paths.summary(path)}"
        for group in ("table", "figure")
        for name, path in paths.choices(group).items()
    )
