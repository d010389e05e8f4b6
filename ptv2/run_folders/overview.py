"""A run in one row: what `ptv2.runs()` and `ptv2 list runs --json` say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ptv2.errors import RunError
from ptv2.run_folders.directory import state_of
from ptv2.run_folders.record import read_result, read_status

COLUMNS = ["name", "state", "task", "model", "method", "seed", "headline", "dev", "test", "trained", "seconds", "path"]


def describe_run(folder: Path) -> dict[str, Any]:
    """The values of `COLUMNS` for a run, None where there is no result to read, and its `message`, which says why."""
    named = {"name": folder.name, "state": state_of(folder), "path": str(folder)}
    row: dict[str, Any] = {**dict.fromkeys(COLUMNS), **named, "message": ""}
    try:
        result = read_result(folder)
        if result is None:
            return row | {"message": str(read_status(folder).get("message", ""))}
    except RunError as error:
        return row | {"message": str(error).removeprefix(f"{folder}/")}
    fields = ("task", "model", "method", "seed", "headline")
    return {
        **row,
        **{field: getattr(result, field) for field in fields},
        "dev": result.dev[result.headline],
        "test": None if result.test is None else result.test[result.headline],
        "trained": result.parameters["trained"],
        "seconds": result.time["total"],
    }
