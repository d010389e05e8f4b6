"""Read JSON files: one value per line, or a whole file of rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ptv2.data.lines import LINE_END, read_lines, read_text
from ptv2.errors import DataError, enumerate_some, kind_of, quote

_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(text: str, expected: str, where: str) -> Any:
    """Parse a JSON text.

    Args:
        expected: what the text should be, for messages.
        where: the place of the text, for messages.

    Raises:
        DataError: it is no JSON, has a name twice in one object, or half of a character (a lone surrogate).
    """
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, or absurd nesting
        raise DataError(f"{where}: expected {expected} ({getattr(error, 'msg', error)})") from error
    if "\\" in text and _HALF_CHARACTER.search(text):
        check_characters(value, where)
    return value


def check_characters(value: Any, where: str) -> None:
    """Refuse texts with half of a character, which no file and no tokenizer takes.

    Raises:
        DataError: naming the place `where`.
    """
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        around = error.object[max(0, error.start - 12) : error.start].encode("ascii", "replace").decode()
        raise DataError(f"{where}: half of a character (lone surrogate {half}) after {quote(around)}") from error


def read_json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line that is not blank: "FILE:LINE" and its object.

    Raises:
        DataError: with file, line and what was expected.
    """
    for number, line in read_lines(path):
        if line.strip():
            where = f"{path}:{number}"
            yield where, _as_object(parse_json(line, "one JSON object on the line", where), where)


def read_json(path: Path, expected: str) -> Any:
    """Read the value of a JSON file; if it holds one value per line, as some programs write it, the list of them.

    Raises:
        DataError: with file, line and what was expected.
    """
    text = read_text(path)
    try:
        value = json.loads(text, object_pairs_hook=_distinct)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and LINE_END.search(text[: error.pos]):
            return [value for _, value in read_json_lines(path)]
        raise DataError(f"{path}:{error.lineno}: expected {expected} ({error.msg})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected {expected} ({error})") from error
    if _HALF_CHARACTER.search(text):
        check_characters(value, str(path))
    return value


def rows_of(value: Any) -> list[Any] | None:
    """Return the rows of a list, or of `{"data": [...]}`; None for any other value."""
    rows = value.get("data") if isinstance(value, dict) else value
    return rows if isinstance(rows, list) else None


def read_json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read place and object of each row of a JSON file: a list, `{"data": [...]}`, or one object per line.

    Raises:
        DataError: with file, place and what was expected.
    """
    value = read_json(path, "a list of JSON objects")
    rows = rows_of(value)
    if rows is None or (isinstance(value, dict) and isinstance(value.get("columns"), list)):
        raise DataError(f"{path}: expected a list of objects, or an object with a list 'data'; found {_found(value)}")
    for number, row in enumerate(rows):
        where = f"{path}: row {number}"
        yield where, _as_object(row, where)


def _found(value: Any) -> str:
    """Say what a file holds instead of rows: columns, as pandas writes them by itself, or something else."""
    if not isinstance(value, dict):
        return kind_of(value)
    columns = list(value.values())
    if isinstance(value.get("columns"), list) or (columns and all(map(_is_column, columns))):
        return f"columns ({enumerate_some(value)}); pandas writes rows with to_json(FILE, orient='records', lines=True)"
    return f"an object with {enumerate_some(value) or 'nothing'}"


def _is_column(value: Any) -> bool:
    cells = list(value.values()) if isinstance(value, dict) else value
    return isinstance(cells, list) and bool(cells) and not any(isinstance(cell, dict) for cell in cells)


def _as_object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected a JSON object, found {kind_of(value)}")
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {quote(twice)} twice in one object")
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_distinct)  # `json.loads` makes one for each text
