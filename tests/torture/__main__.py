"""`make torture`: campaigns of random cases, and a table of how they ended."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from torture.damage import Damage
from torture.frame import Campaign, Tally, attempts
from torture.kills import Kills
from torture.limits import Limits
from torture.mutations import Mutations
from torture.together import Together

CAMPAIGNS: list[type[Campaign]] = [Mutations, Damage, Kills, Limits, Together]


def main() -> int:
    """Run campaigns; returns 1 if any case ended as it should not."""
    options = _parser().parse_args()
    chosen = [kind() for kind in CAMPAIGNS if options.only in (None, kind.name)]
    folder = Path(options.folder or tempfile.mkdtemp(prefix="ptv2-torture-"))
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a fault is seen at once in a pipe too
    out = Console(highlight=False, soft_wrap=True)
    tallies, end = [], time.monotonic() + options.minutes * 60
    for left, campaign in zip(range(len(chosen), 0, -1), chosen, strict=True):
        tallies.append(tally := Tally(campaign))
        start = time.monotonic()
        numbers = range(options.start, options.start + (options.count or campaign.most))
        for number, trial in attempts(campaign, options.seed, numbers, folder, start + (end - start) / left):
            tally.tried += 1
            tally.endings[trial.ending] += 1
            if trial.faults:
                tally.failed += 1
                again = f"--seed {options.seed} --only {campaign.name} --from {number} --count 1"
                out.print(f"{campaign.name} {number}: {trial.about}\n  {again}", style="bold", markup=False)
                for fault in trial.faults:
                    out.print(f"  {fault}", markup=False)
        tally.seconds = time.monotonic() - start
    out.print(_table(tallies, options.seed))
    failed = any(tally.failed for tally in tallies)
    if failed:
        out.print(f"the failed cases' files: {folder}")
    elif options.folder is None:
        shutil.rmtree(folder, ignore_errors=True)
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    names = ", ".join(kind.name for kind in CAMPAIGNS)
    parser = argparse.ArgumentParser(prog="make torture ARGS=...", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of all random choices (default: 1)")
    parser.add_argument("--minutes", type=float, default=60, help="for all campaigns together (default: 60)")
    parser.add_argument("--only", choices=[kind.name for kind in CAMPAIGNS], metavar="CAMPAIGN", help=f"one of {names}")
    parser.add_argument("--from", dest="start", type=int, default=0, metavar="N", help="the first case (default: 0)")
    parser.add_argument("--count", type=int, metavar="N", help="cases of each campaign (default: its own number)")
    parser.add_argument("--folder", metavar="DIR", help="where cases work (default: a temporary folder)")
    return parser


def _table(tallies: list[Tally], seed: int) -> Table:
    table = Table(title=f"seed {seed}", title_justify="left", box=None, pad_edge=False)
    for name in ("campaign", "tried", "as it should", "failed", "seconds", "how they ended"):
        table.add_column(name, justify="left" if name in ("campaign", "how they ended") else "right")
    for tally in tallies:
        endings = ", ".join(f"{count} {name}" for name, count in tally.endings.most_common())
        row = (tally.tried, tally.tried - tally.failed, tally.failed, round(tally.seconds))
        table.add_row(tally.campaign.name, *map(str, row), endings)
    return table


if __name__ == "__main__":
    sys.exit(main())
