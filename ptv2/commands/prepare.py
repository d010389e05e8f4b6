"""`ptv2 prepare CORPUS --from DIR`: the files that tasks read, from a corpus that a user has by licence."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptv2.console.arguments import Lists, Parser, a_folder, a_path
from ptv2.console.columns import Column, Table, show_table
from ptv2.console.output import err, tell
from ptv2.data.prepare import RELEASES
from ptv2.data.prepare.parts import Release, TaskFile, differences
from ptv2.errors import ConfigError, unknown
from ptv2.files import write_together

WIDTH = max(map(len, RELEASES)) + 2


def main(arguments: list[str]) -> int:
    """Convert, compare the counts with the published ones, and write; nothing is written if they differ.

    Returns 1 if the counts differ and that was not allowed.
    """
    options = _parser().parse_args(arguments)
    if options.corpus not in RELEASES:
        raise ConfigError(unknown("corpus", options.corpus, RELEASES))
    release, base = RELEASES[options.corpus], Path(options.base)
    folder = Path(options.to or f"data/{options.corpus}")
    with err.status(f"reading {base}"):
        files = _read(release, base, options.treebank)
    faults = {name: differences(file.counts, release.published[name]) for name, file in files.items()}
    for name, listed in faults.items():
        for fault in listed:
            tell(f"ptv2: warning: {options.corpus} {name}: {fault}")
    if any(faults.values()) and not options.allow_mismatch:
        tell(
            "ptv2: error: the counts differ from the published ones, nothing was written; "
            "results on this data cannot be compared with published ones (--allow-mismatch writes it all the same)"
        )
        return 1
    write_together(folder, {f"{name}{release.suffix}": file.text for name, file in files.items()})
    show_table(_table(options.corpus, folder, release, files, faults))
    return 0


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:{WIDTH}}{release.summary}" for name, release in RELEASES.items())
    parser = Parser(
        prog="ptv2 prepare",
        description="Make the files that tasks read from a corpus that you have by licence, and check its size.",
        epilog=f"corpora:\n{listed}",
        formatter_class=Lists,
    )
    parser.add_argument("corpus", help=f"one of: {', '.join(RELEASES)}")
    parser.add_argument(
        "--from", type=a_path, dest="base", required=True, metavar="DIR", help="the folder or archive you have"
    )
    parser.add_argument("--to", type=a_folder, metavar="DIR", help="folder of the new files (default: data/CORPUS)")
    parser.add_argument(
        "--treebank", type=a_folder, metavar="DIR", help="the Penn Treebank (LDC99T42), for conll05's words"
    )
    parser.add_argument(
        "--allow-mismatch", action="store_true", help="write also if the counts are not the published ones"
    )
    return parser


def _read(release: Release, base: Path, treebank: str | None) -> dict[str, TaskFile]:
    if release.takes_treebank:
        return release.read(base, Path(treebank) if treebank else None)
    if treebank:
        raise ConfigError("--treebank: only conll05 takes words from the Penn Treebank")
    return release.read(base)


def _table(
    corpus: str, folder: Path, release: Release, files: dict[str, TaskFile], faults: dict[str, list[str]]
) -> Table:
    """The counts that were written, and whether they are those that were published."""
    counted = list(next(iter(files.values())).counts)
    columns = [
        Column("file", least=24),
        *(Column(what, right=True) for what in counted),
        Column("published counts", fold=16),
    ]
    rows = []
    for name, file in files.items():
        checked = "differ" if faults[name] else f"the same ({', '.join(release.published[name][0])})"
        rows.append((f"{name}{release.suffix}", *(f"{file.counts[what]:,}" for what in counted), checked))
    return Table(columns, rows, title=f"{corpus} in {folder}")
