"""What in a folder may be the file that was looked for in vain, for messages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ptv2.config.task_schema import FilesSource, Split

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
PLAIN = re.compile(r"[\w.+/-]+", re.ASCII)  # needs no quotation marks on a command line
PART = re.compile(r"(.*)-\d{5}-of-(?!00001)\d{5}\.parquet")  # one of several files of the hub


def convert(path: Path) -> str:
    """Say how a file of a known kind that is not read becomes one that is; empty for any other."""
    ending = path.suffix.lower()
    if function := PANDAS.get(ending):
        lines = path.with_suffix(".jsonl").name
        call = f"{function}({path.name!r}).to_json({lines!r}, orient='records', lines=True)"
        return f"; pandas makes JSON lines of it: {call}"
    if program := PACKED.get(ending):
        return f"; packed files are not read: {program} {path.name}"
    if part := PART.fullmatch(path.name):
        files = f"load_dataset('parquet', data_files='{part[1]}-*.parquet', split='train')"
        return f"; parts of a set are not read: datasets.{files}.to_json('{part[1]}.jsonl') joins them"
    if ending == ".arrow" or path.name in SAVED:
        return (
            "; of datasets' save_to_disk: load_from_disk(DIR)['train'].to_json('train.jsonl') makes a file that is read"
        )
    if ending == ".txt" and _has_tab(path):
        return f"; a table with tabs is read where its name ends in .tsv: {path.with_suffix('.tsv').name}"
    return ""


def suggest(below: Path, source: FilesSource, missing: Sequence[Split]) -> str:
    """Name what in a folder may be the files of `missing` splits, and the setting that takes it; empty if nothing may.

    Args:
        below: where the files were looked for.
    """
    entries = sorted(below.iterdir())
    names = source.files.get(missing[0], [])
    holder = next((one for one in entries if one.is_dir() and any((one / name).is_file() for name in names)), None)
    if holder is not None and source.folder == ".":
        return f"; {holder.name} has one: data.dir={holder}"
    if hint := next(filter(None, map(convert, (one for one in entries if one.suffix != ".txt"))), ""):
        return hint
    below_those = sorted(below.glob("*/*"))
    found = {split: _candidate(entries, split, below) or _candidate(below_those, split, below) for split in missing}
    settings = [f"task.sources.files.files.{split}=[{name}]" for split, name in found.items() if name]
    return f"; to read another: {' '.join(settings)}" if settings else ""


def _candidate(entries: Sequence[Path], split: Split, below: Path) -> str | None:
    """The first file whose name has a word for the split, and none for another split, relative to `below`."""
    if split not in WORDS:
        return None
    others = "|".join(word for name, word in WORDS.items() if name != split)
    for entry in entries:
        name, path = entry.name, entry.relative_to(below).as_posix()
        if re.search(WORDS[split], name) and not re.search(others, name) and PLAIN.fullmatch(path) and entry.is_file():
            return path
    return None


def _has_tab(path: Path) -> bool:
    """Whether the first line of a file has a tab."""
    try:
        with path.open("rb") as file:
            return b"\t" in file.readline(1 << 16)
    except OSError:
        return False
