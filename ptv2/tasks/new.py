"""Read new examples, with or without right answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ptv2.data.formats import read_file
from ptv2.errors import DataError
from ptv2.tasks.load import AnyTask


def read_new(path: Path, task: AnyTask, note: Callable[[str], None] = lambda text: None) -> list[Any]:
    """Read the examples of a file, with their right answers if each of them has one that can be used.

    Args:
        note: called with what was guessed about the file, and with the reason why right answers are not used.

    Raises:
        DataError: a file that cannot be read or has no examples, or a field that is missing or wrong; with file and
            line.
    """
    unusable: DataError | None = None
    try:
        records = list(read_file(path, task.config, note=note))
    except DataError:  # perhaps right answers are missing; any other fault is raised again below
        records = []
    if any(task.has_gold(record) for record in records):
        try:
            return task.read(records)
        except DataError as error:
            unusable = error
    examples = task.read(read_file(path, task.config, labelled=False), labelled=False)
    if not examples:
        raise DataError(f"{path}: the file has no examples")
    if unusable is not None:
        note(f"right answers are left out: {unusable}")
    return examples


def ending_of(data: bytes, shape: str) -> str:
    """Guess the format of a file's content, as the ending of its name."""
    if data.startswith(b"PAR1"):
        return ".parquet"
    text = data.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    first = text.partition("\n")[0]
    if text.startswith(("{", "[")):
        return ".jsonl" if _is_object(first) else ".json"
    if shape == "tag":
        return ".txt"
    return ".tsv" if "\t" in first else ".csv"


def _is_object(line: str) -> bool:
    """Whether a line is a JSON object and not a whole file of rows."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and not isinstance(value.get("data"), list)
