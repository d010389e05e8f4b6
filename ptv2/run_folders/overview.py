"""A run in one row: what `ptv2.runs()` and `ptv2 list runs --json` say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ptv2.run_folders.directory import look_at

COLUMNS = ["name", "state", "task", "model", "method", "seed", "headline", "dev", "test", "trained", "seconds", "path"]


def describe_run(folder: Path) -> dict[str, Any]:
    """The values of `COLUMNS` for a run, None where there is no result to read, and its `message`, which says why."""
    state, result, message = look_at(folder)
    named = {"name": folder.name, "state": state, "path": str(folder), "message": message}
    row: dict[str, Any] = {**dict.fromkeys(COLUMNS), **named}
    if result is None:
        return row
    fields = ("task", "model", "method", "seed", "headline")
    return {
        **row,
        **{field: getattr(result, field) for field in fields},
        "dev": result.dev[result.headline],
        "test": None if result.test is None else result.test[result.headline],
        "trained": result.parameters["trained"],
        "seconds": result.time["total"],
    }
