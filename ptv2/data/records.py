"""Find local files and read them into records, each with its place for messages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptv2.config.task_schema import FilesSource, Split
from ptv2.data.json_rows import read_json_lines, read_json_rows
from ptv2.data.tables import read_csv, read_tsv
from ptv2.errors import DataError, enumerate_some, shorten

# Tables of other programs, by the ending of their names, and what reads them.
PANDAS = {
    ".parquet": "pandas.read_parquet",
    ".feather": "pandas.read_feather",
    ".xlsx": "pandas.read_excel",
    ".xls": "pandas.read_excel",
    ".ods": "pandas.read_excel",
}


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
) -> dict[Split, Path]:
    """Find the file (or folder of files) of each split: the first that exists of the names that the source lists.

    Args:
        folder: `data.dir`; `~` is the user's home.
        needed: splits that must have a file.
        note: called with further files of a split, which are not read.

    Raises:
        DataError: no such folder, or no file for one of the splits that are needed.
    """
    for name in (source.folder, *(name for names in source.files.values() for name in names)):
        if not name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise DataError(f"task.sources.files: '{shorten(name)}'; expected names of files below data.dir")
    base = Path(folder).expanduser()
    if not base.is_dir():
        raise DataError(
            f"data.dir: {'a file, expected the folder that holds it:' if base.exists() else 'no folder'} {base}"
        )
    below = base / source.folder
    if not below.is_dir():
        raise DataError(f"{base}: expected the folder {source.folder}; found: {_listing(base)}")
    paths: dict[Split, Path] = {}
    for split, names in source.files.items():
        present = [name for name in names if (below / name).exists()]
        if present:
            paths[split] = below / present[0]
        if len(present) > 1:
            note(f"several files for {split}: {present[0]} was read, {', '.join(present[1:])} not")
    for split in needed:
        if split not in paths:
            expected = _expected(split, source, trains="train" in needed)
            hint = next(filter(None, map(_conversion, sorted(below.iterdir()))), "")
            raise DataError(f"{below}: no {split} file; {expected}; found: {_listing(below)}{hint}")
    return paths


def _expected(split: Split, source: FilesSource, *, trains: bool) -> str:
    names = source.files.get(split, [])
    if not names:
        return f"expected names for it in task.sources.files.files.{split}"
    hint = ", or data.split=0.1 to take a tenth of the training examples" if split == "dev" and trains else ""
    return f"expected {enumerate_some(names)}{hint}"


def read_file(path: Path, note: Callable[[str], None] = lambda text: None) -> Iterator[Record]:
    """Read a .jsonl, .json, .csv or .tsv file; the first line of the latter two names the fields.

    Args:
        note: called with each guess about the file.

    Raises:
        DataError: with file, line number and what was expected.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        fault = f"unknown format '{path.suffix}'" if path.suffix else "its name has no ending that says its format"
        raise DataError(f"{path}: {fault}; known: {', '.join(sorted(READERS))}{_conversion(path)}")
    rows = (Record(fields, where) for where, fields in reader(path, note))
    tabular = path.suffix.lower() in (".csv", ".tsv")
    yield from require_some(
        rows, path, "records below its first line, which names the fields" if tabular else "records"
    )


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


def fingerprint(files: dict[Split, Path]) -> str:
    """Hash the content of the files by split, with SHA-256; their names and folders do not matter."""
    digest = hashlib.sha256()
    for split in sorted(files):
        digest.update(split.encode())
        path = files[split]
        for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]


def _conversion(path: Path) -> str:
    """How pandas makes JSON lines of a file that is not read here; empty where it has no function for it."""
    if (function := PANDAS.get(path.suffix.lower())) is None:
        return ""
    lines = path.with_suffix(".jsonl").name
    return (
        f"; pandas makes JSON lines of it: {function}({path.name!r}).to_json({lines!r}, orient='records', lines=True)"
    )


def _listing(folder: Path) -> str:
    return enumerate_some(sorted(path.name for path in folder.iterdir())) or "nothing"


READERS: dict[str, Callable[[Path, Callable[[str], None]], Iterator[tuple[str, dict[str, Any]]]]] = {
    ".jsonl": lambda path, note: read_json_lines(path),
    ".json": lambda path, note: read_json_rows(path),
    ".csv": read_csv,
    ".tsv": read_tsv,
}
