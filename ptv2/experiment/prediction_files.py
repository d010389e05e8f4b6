"""Rows of predictions as text: JSON lines, a JSON list, or a table."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from ptv2.files import json_lines
from ptv2.report.formats import format_csv

SEPARATORS = {".csv": ",", ".tsv": "\t"}
SPREAD = ("text", "choices")  # lists of the same length in each row, one column for each item


def format_rows(rows: Sequence[dict[str, Any]], ending: str = "") -> str:
    """The rows as a file of this ending has them: `.csv`, `.tsv`, `.json`, and JSON lines for all others."""
    if ending.lower() in SEPARATORS:
        return _as_table(rows, SEPARATORS[ending.lower()])
    if ending.lower() == ".json":
        return json.dumps(rows, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    return json_lines(rows)


def in_encoding(text: str, encoding: str | None) -> str:
    """JSON as it is, or, where an encoding lacks some of its letters, with JSON's own escapes for all but ASCII."""
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return re.sub("[^\0-\x7f]+", lambda letters: json.dumps(letters[0])[1:-1], text)
    return text


def _as_table(rows: Sequence[dict[str, Any]], separator: str) -> str:
    """A header and a line for each row; names of nested values are joined by a dot, other lists are JSON."""
    flat = [_flatten(row) for row in rows]
    return format_csv(list(dict.fromkeys(name for row in flat for name in row)), flat, separator)


def _flatten(row: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{name}": one for name, one in value.items()}
        elif isinstance(value, list) and key in SPREAD:
            flat |= {f"{key}.{number}": one for number, one in enumerate(value, start=1)}
        else:
            flat[key] = json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
    return flat
