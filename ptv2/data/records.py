"""Find local files and read them into records, each with its place for messages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptv2.config.task_schema import FilesSource, Split
from ptv2.data.json_rows import read_json_lines, read_json_rows
from ptv2.data.near import OTHERS, convert, holder_of, suggest
from ptv2.data.parquet import read_parquet
from ptv2.data.shards import SHARD, ShardFinder, SplitFiles, set_name
from ptv2.data.tables import read_csv, read_tsv
from ptv2.errors import DataError, enumerate_some, shorten
from ptv2.files import from_home


@dataclass(frozen=True)
class Record:
    """One record of a data source: its fields, and its place ("FILE:LINE") for messages."""

    fields: dict[str, Any]
    where: str


def find_files(
    source: FilesSource,
    folder: str,
    needed: Sequence[Split] = ("train", "dev"),
    note: Callable[[str], None] = lambda text: None,
) -> dict[Split, SplitFiles]:
    """Find the file of each split: the first that exists of the names that the source lists.

    A folder of files stands for one file, and so do all shards of it: `train-00000-of-00002.jsonl` and
    `train-00001-of-00002.jsonl` for `train.jsonl`.

    Args:
        folder: `data.dir`; `~` is the user's home.
        needed: splits that must have a file.
        note: called with further files of a split, which are not read.

    Raises:
        DataError: no such folder, no file for one of the splits that are needed, or shards of a file are missing.
    """
    for name in (source.folder, *(name for names in source.files.values() for name in names)):
        if not name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise DataError(f"task.sources.files: '{shorten(name)}'; expected names of files below data.dir")
    base = from_home(folder)
    if not base.is_dir():
        raise DataError(
            f"data.dir: {'a file, expected the folder that holds it:' if base.exists() else 'no folder'} {base}"
        )
    below = base / source.folder
    if not below.is_dir():
        here = f"; data.dir is the folder that holds it: {holder}" if (holder := holder_of(base, source.folder)) else ""
        raise DataError(f"{base}: expected the folder {source.folder}{here}; found: {_listing(base)}")
    found: dict[Split, SplitFiles] = {}
    finder = ShardFinder()
    for split, names in source.files.items():
        present = [name for name in names if finder.is_there(below / name)]
        if not present:
            continue
        files = found[split] = finder.find(below / present[0])
        if len(present) > 1:
            note(f"several files for {split}: {present[0]} was read, {', '.join(present[1:])} not")
        if finder.has_shards(files.place):
            note(f"{present[0]} was read, and not the shards of it that are beside it")
        if (shard := SHARD.fullmatch(files.paths[0].name)) and int(shard[3]) > len(files.paths):
            note(f"{present[0]} is one of {int(shard[3])} shards; {set_name(present[0])} names all of them")
    if missing := [split for split in needed if split not in found]:
        hint = suggest(below, source, missing)
        expected = _expected(missing[0], source, trains="train" in needed, most=4 if hint else 8)
        raise DataError(f"{below}: no {missing[0]} file; {expected}{hint}; found: {_listing(below)}")
    return found


def _expected(split: Split, source: FilesSource, *, trains: bool, most: int) -> str:
    names = source.files.get(split, [])
    if not names:
        return f"expected names for it in task.sources.files.files.{split}"
    hint = ", or data.split=0.1 to take a tenth of the training examples" if split == "dev" and trains else ""
    return f"expected {enumerate_some(names, most)}{hint}"


def read_file(
    path: Path, note: Callable[[str], None] = lambda text: None, columns: Sequence[str] | None = None
) -> Iterator[Record]:
    """Read a .jsonl, .json, .parquet, .csv or .tsv file; the first line of the latter two names the fields.

    Args:
        note: called with each guess about the file.
        columns: names of the fields of .csv and .tsv files without such a line.

    Raises:
        DataError: with file, line number and what was expected.
    """
    has_header = path.suffix.lower() in (".csv", ".tsv") and columns is None
    what = "records below its first line, which names the fields" if has_header else "records"
    yield from require_some(read_rows(path, note, columns), path, what)


def read_rows(path: Path, note: Callable[[str], None], columns: Sequence[str] | None) -> Iterator[Record]:
    """Read as `read_file` does; a file may have no records, as one of several shards may."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        fault = f"unknown format '{path.suffix}'" if path.suffix else "its name has no ending that says its format"
        raise DataError(f"{path}: {fault}; known: {', '.join(sorted(READERS))}{convert(path) or f'; {OTHERS}'}")
    for where, fields in reader(path, note, columns):
        yield Record(fields, where)


def require_some(records: Iterable[Record], path: Path, what: str = "records") -> Iterator[Record]:
    """Pass records on.

    Raises:
        DataError: at the end, if there was none.
    """
    record = None
    for record in records:
        yield record
    if record is None:
        raise DataError(f"{path}: the file has no {what}")


def fingerprint(files: dict[Split, SplitFiles]) -> str:
    """Hash the content of the files by split, with SHA-256; their names and folders do not matter."""
    digest = hashlib.sha256()
    for split in sorted(files):
        digest.update(split.encode())
        for file in files[split].files():
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]


def _listing(folder: Path) -> str:
    return enumerate_some(sorted(path.name for path in folder.iterdir())) or "nothing"


Reader = Callable[[Path, Callable[[str], None], Sequence[str] | None], Iterator[tuple[str, dict[str, Any]]]]
READERS: dict[str, Reader] = {
    ".jsonl": lambda path, note, columns: read_json_lines(path),
    ".json": lambda path, note, columns: read_json_rows(path),
    ".parquet": lambda path, note, columns: read_parquet(path),
    ".csv": read_csv,
    ".tsv": read_tsv,
}
