"""What in a folder may be the file that was looked for in vain, for messages."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ptv2.config.task_schema import FilesSource, Split
from ptv2.data.shards import ShardFinder, set_name

# Tables of other programs, by the ending of their names, and what reads them.
PANDAS = {
    ".feather": "pandas.read_feather",
    ".xlsx": "pandas.read_excel",
    ".xls": "pandas.read_excel",
    ".ods": "pandas.read_excel",
}
PACKED = {".gz": "gunzip", ".bz2": "bunzip2", ".xz": "unxz", ".zst": "unzstd", ".zip": "unzip"}
SAVED = ("dataset_dict.json", "state.json")  # what `save_to_disk` of the library datasets writes, beside Arrow files
# What data sets call a split in the names of its files. CoNLL-2003's testa is its dev set.
WORDS: dict[str, str] = {"train": "train", "dev": "dev|val|testa", "test": "test(?!a)"}
OTHERS = "docs/how-to/other-files.md says how files in other shapes become such"
PLAIN = re.compile(r"[\w.+/-]+", re.ASCII)  # needs no quotation marks on a command line


def convert(path: Path) -> str:
    """Say how a file of a known kind that is not read becomes one that is; empty for any other."""
    ending = path.suffix.lower()
    if function := PANDAS.get(ending):
        lines = path.with_suffix(".jsonl").name
        call = f"{function}({path.name!r}).to_json({lines!r}, orient='records', lines=True)"
        return f"; pandas makes JSON lines of it: {call}"
    if program := PACKED.get(ending):
        return f"; packed files are not read: {program} {path.name}"
    if ending == ".arrow" or path.name in SAVED:
        return (
            "; of datasets' save_to_disk: load_from_disk(DIR)['train'].to_json('train.jsonl') makes a file that is read"
        )
    if ending == ".txt" and _has_tab(path):
        return f"; a table with tabs is read where its name ends in .tsv: {path.with_suffix('.tsv').name}"
    return ""


def holder_of(base: Path, folder: str) -> Path | None:
    """The folder that holds `folder` where `base` does not: the one above if `base` is it, or the only one below."""
    if base.name == folder:
        return base.parent
    holders = [one for one in base.iterdir() if (one / folder).is_dir()]
    return holders[0] if len(holders) == 1 else None


def suggest(below: Path, source: FilesSource, missing: Sequence[Split]) -> str:
    """Name what in a folder may be the files of `missing` splits, and the setting that takes it; empty if nothing may.

    Args:
        below: where the files were looked for.
    """
    entries = sorted(below.iterdir())
    if found := _settings(entries, missing, below):
        return found
    names = source.files.get(missing[0], [])
    finder = ShardFinder()
    files = {one: [one / name for name in names] for one in entries if one.is_dir()}
    holders = [one for one in files if any(os.path.isfile(file) or finder.has_shards(file) for file in files[one])]
    if holders and source.folder == ".":
        folder = holders[0] if len(holders) == 1 else below / "NAME"
        return f"; in the folder {' or '.join(one.name for one in holders[:4])}: data.dir={folder}"
    if hint := next(filter(None, map(convert, entries)), ""):
        return hint
    if found := _settings(sorted(below.glob("*/*")), missing, below):
        return found
    return f"; {OTHERS}" if any(one.is_dir() for one in entries) else ""


def _settings(entries: Sequence[Path], missing: Sequence[Split], below: Path) -> str:
    """Name the files that may be those of the splits, and the settings; empty if none may be the first split's."""
    found = {split: _candidate(entries, split, below) for split in missing}
    settings = [f"task.sources.files.files.{split}=[{name}]" for split, name in found.items() if name]
    return f"; to read another: {' '.join(settings)}" if found[missing[0]] else ""


def _candidate(entries: Sequence[Path], split: Split, below: Path) -> str | None:
    """The first file whose name has a word for the split, and none for another split, relative to `below`.

    Shards are named as the file that they are of.
    """
    if split not in WORDS:
        return None
    others = "|".join(word for name, word in WORDS.items() if name != split)
    for entry in entries:
        name, path = entry.name, entry.relative_to(below).with_name(set_name(entry.name)).as_posix()
        words = name.lower()
        is_named = re.search(WORDS[split], words) and not re.search(others, words) and PLAIN.fullmatch(path)
        if is_named and os.path.isfile(entry) and (entry.suffix == ".txt" or not convert(entry)):
            return path
    return None


def _has_tab(path: Path) -> bool:
    """Whether the first line of a file has a tab."""
    try:
        with path.open("rb") as file:
            return b"\t" in file.readline(1 << 16)
    except OSError:
        return False
