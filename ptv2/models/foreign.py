"""Files that somebody else made: whatever a library raises about them becomes one line for the user."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ptv2.errors import ModelError, Ptv2Error, first_line, kind_of
from ptv2.files import LFS_POINTER, is_lfs_pointer


@contextmanager
def naming_fault(what: str) -> Iterator[None]:
    """Turn any error of a library into a `ModelError` that begins with `what`.

    Libraries raise nearly everything for broken files: `tokenizers` bare `Exception`, `transformers` whatever its code
    meets (`AttributeError` for a list in the place of a mapping, `RecursionError` for deep nesting).
    """
    try:
        yield
    except (Ptv2Error, MemoryError):
        raise
    except Exception as error:
        raise ModelError(f"{what}: {first_line(error)}") from error


def refuse_lfs_pointer(path: Path) -> None:
    """Raise `ModelError` for a file that Git LFS has not fetched."""
    with path.open("rb") as file:
        if is_lfs_pointer(file.read(100)):
            raise ModelError(f"{path}: {LFS_POINTER}")


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        ModelError: the file holds no JSON, or something else than an object.
    """
    refuse_lfs_pointer(path)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: expected a JSON object; {first_line(error)}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path}: expected a JSON object, found {kind_of(value)}")
    return value
