"""Reading local files into records: JSON lines, CSV and TSV, with the place of every record kept for error messages."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptv2.config.schema import FilesSource, Split
from ptv2.errors import DataError


@dataclass(frozen=True)
class Record:
    """One record of a data source: its fields, and where it stands ("FILE:LINE") for messages."""

    fields: dict[str, Any]
    where: str


def find_files(source: FilesSource, folder: str) -> dict[Split, Path]:
    """The file (or folder of files) of each split: the first of the names that the source lists.

    Raises:
        DataError: no such folder, or no training or dev file in it.
    """
    base = Path(folder)
    if not base.is_dir():
        raise DataError(f"data.dir: no folder {base}")
    below = base / source.folder
    if not below.is_dir():
        raise DataError(f"{base}: expected the folder {source.folder}; found: {_listing(base)}")
    found: dict[Split, Path] = {
        split: path
        for split, names in source.files.items()
        if (path := next((below / name for name in names if (below / name).exists()), None))
    }
    needed: tuple[Split, ...] = ("train", "dev")
    for split in needed:
        if split not in found:
            names = ", ".join(source.files.get(split, []))
            raise DataError(f"{below}: no {split} file; expected {names}; found: {_listing(below)}")
    return found


def read_file(path: Path) -> list[Record]:
    """Read a .jsonl, .csv or .tsv file; the first line of the latter two names the fields.

    Raises:
        DataError: with file, line number and what was expected.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: unknown format '{path.suffix}'; known: {', '.join(sorted(READERS))}")
    try:
        records = list(reader(path))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}:{_line_of_no_utf8(path)}: expected UTF-8 text") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    if not records:
        raise DataError(f"{path}: the file has no records")
    return records


def fingerprint(files: dict[Split, Path]) -> str:
    """SHA-256 over the content of the files, by split; their names and folders do not matter."""
    digest = hashlib.sha256()
    for split in sorted(files):
        digest.update(split.encode())
        path = files[split]
        for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _line_of_no_utf8(path: Path) -> int:
    """The first line that is no UTF-8; the error of a stream tells only where in its last piece."""
    data = path.read_bytes()
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return data.count(b"\n", 0, error.start) + 1
    return 1


def _json_lines(path: Path) -> Iterator[Record]:
    # newline=None would also be right for JSON; U+2028 inside a string must not split a line, hence no splitlines()
    with path.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            try:
                fields = json.loads(line)
            except (ValueError, RecursionError) as error:  # also a number of thousands of digits, or absurd nesting
                raise DataError(
                    f"{where}: expected one JSON object on the line ({getattr(error, 'msg', error)})"
                ) from error
            if not isinstance(fields, dict):
                raise DataError(f"{where}: expected a JSON object, found {type(fields).__name__}")
            yield Record(fields, where)


def _csv(path: Path) -> Iterator[Record]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        yield from _table(path, csv.reader(stream, strict=True))


def _tsv(path: Path) -> Iterator[Record]:
    # GLUE's layout: fields are as they stand, quotation marks mean nothing
    with path.open(encoding="utf-8-sig", newline="") as stream:
        yield from _table(path, csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def _table(path: Path, rows: Any) -> Iterator[Record]:
    try:
        header = next(rows, None)
        if not header or len(set(header)) != len(header):
            raise DataError(f"{path}:1: expected a header line with distinct field names, found {header}")
        for row in rows:
            if not row:
                continue
            where = f"{path}:{rows.line_num}"
            if len(row) != len(header):
                raise DataError(f"{where}: expected {len(header)} columns ({', '.join(header)}), found {len(row)}")
            yield Record(dict(zip(header, row, strict=True)), where)
    except csv.Error as error:
        raise DataError(f"{path}:{rows.line_num}: {error}") from error


def _listing(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "") or "nothing"


READERS: dict[str, Callable[[Path], Iterator[Record]]] = {".jsonl": _json_lines, ".csv": _csv, ".tsv": _tsv}
