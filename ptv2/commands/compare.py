"""`ptv2 compare`: methods on a task, each tuned by equally many trials, then run with several seeds."""

from __future__ import annotations

from ptv2.console.arguments import Lists, Parser
from ptv2.reproduce.compare.options import (
    ALL,
    BUDGET,
    COMPARE_PARSERS,
    DEFAULT,
    SEEDS,
    TRIAL_SEED,
    read_compare_settings,
)
from ptv2.reproduce.options import MARGIN

EPILOG = """words:
  task=NAME, NAME,NAME     what is learned
  model=NAME               the backbone; or model.path=PATH, a checkpoint of your own
  methods=NAME,NAME        default: {default}; all: {every}
  budget=N                 trials of each method on each task (default: {budget}); failed and pruned ones count
  finalists=N              trials of each method run with all seeds; the best by mean dev is taken (default: 1)
  seeds=1,2,3 or 1-3       of the table's runs (default: {seeds})
  seed=N                   of all trials (default: {seed})
  sweep=NAME               file with the search spaces, sweep/NAME.yaml in --config-dir (default: optuna)
  data=DIR                 folder of all data: DIR/<task> has a task's files; for one task also data.dir=DIR
  jobs=N                   processes side by side (default: 1)
  fuse=K                   train up to K runs of the table together over one frozen backbone (default: 1)
  out=DIR                  where runs and searches go (default: runs)
  out=FILE.md              write the table to this file too
  records=DIR              write from kept records and the table's own JSON beside DIR; run nothing
  kept=DIR                 kept records whose trials and runs need not be made again; searches as for records=
  results=DIR              where tables go (default: results)
  margin=X                 points within which methods count as equivalent (default: {margin:g})
  KEY=VALUE                any setting of ptv2 train, for all runs; a setting that would be searched is then fixed
  KEY=A,B                  searched among these values for all methods
  hydra/sweeper/pruner=    median (default), halving, none

Each method is searched by Optuna in its own space, from its defaults (recipe=none), and picked by dev. The same
command goes on where it stopped: finished trials and runs are found, interrupted ones continued."""


def main(arguments: list[str]) -> int:
    """Compare what the words ask for."""
    parser = Parser(
        prog="ptv2 compare",
        keys=COMPARE_PARSERS,
        several=("out",),
        description="Search each method with the same number of trials, pick by dev, run the picked settings with "
        "several seeds, and write the table with a paired test.",
        epilog=EPILOG.format(
            default=", ".join(DEFAULT),
            every=", ".join(ALL),
            budget=BUDGET,
            seeds=",".join(map(str, SEEDS)),
            seed=TRIAL_SEED,
            margin=MARGIN,
        ),
        formatter_class=Lists,
    )
    parser.add_argument("words", nargs="*", metavar="key=value", help="what to compare, and settings of all runs")
    parser.add_argument("--plan", action="store_true", help="print trials, runs and a guess of time; run nothing")
    parser.add_argument("--collect", action="store_true", help="write from what there is; run nothing")
    parser.add_argument("--anyway", action="store_true", help="also run what looks too large for this machine")
    parser.add_config_dir()
    given = parser.parse_args(arguments)
    flags = {name: getattr(given, name) for name in ("plan", "collect", "anyway", "config_dir")}
    options = read_compare_settings(given.words, **flags)
    from ptv2.reproduce.compare.make import compare
    from ptv2.reproduce.with_records import with_records

    with with_records(options) as ready:
        return compare(ready)
