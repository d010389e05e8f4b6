"""What the page tells about one run, finished or not, from the files in its folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ptv2.errors import RunError
from ptv2.report import tables
from ptv2.report.html.curves import Curves, read_curves
from ptv2.report.usable import why_no_table
from ptv2.run_folders.altered import altered_files
from ptv2.run_folders.directory import look_at, read_config
from ptv2.run_folders.record import Result, fault_of_files, read_status
from ptv2.run_folders.sharing import shareable_config, shareable_path, shareable_text

WITHOUT_A_WORD = "its process ended without a word; the same command goes on from its last state"


@dataclass(frozen=True)
class Shown:
    """A run; `task`, `model` and `method` are empty and `seed` is None if its files do not tell."""

    name: str
    folder: str  # relative to where the page is made, as pages are shared
    state: str  # finished, running, interrupted, pruned, failed, unreadable, unknown, or left out (of all tables)
    message: str
    time: str  # of the last entry in status.json, UTC
    task: str
    model: str
    method: str
    seed: int | None
    headline: str
    config: dict[str, Any]
    environment: dict[str, Any]
    curves: Curves
    result: Result | None

    @property
    def counted(self) -> bool:
        """Whether tables have its result."""
        return self.state == "finished" and self.result is not None


def read_shown(folder: Path, points: int) -> Shown:
    """Read a run's folder; `message` says what cannot be read, so that a torn file costs no other run.

    Args:
        points: of each learning curve, at most.
    """
    status = read_status(folder)
    state, result, message = look_at(folder)
    config: dict[str, Any] = {}
    try:
        config = result.config if result else read_config(folder).model_dump(mode="json")
    except RunError as error:
        if state != "unreadable":  # else what makes it so is said
            state, message = "unreadable", str(error).removeprefix(f"{folder}/")
    if result and (why := _why_left_out(result, folder)):
        state, message = "left out", why
    altered = altered_files(folder, result.files) if result else []
    if result and altered:
        message = "; ".join(filter(None, [message, fault_of_files(folder, result)]))
    if state == "interrupted" and not message:
        message = WITHOUT_A_WORD
    config = shareable_config(config)
    task, model = config.get("task", {}), config.get("model", {})
    headline = result.headline if result else str(task.get("headline", ""))
    return Shown(
        name=result.name if result else folder.resolve().name,
        folder=shareable_path(str(folder)),
        state=state,
        message=shareable_text(message),
        time=str(status.get("time", "")),
        task=result.task if result else str(task.get("name", "")),
        model=result.model if result else str(model.get("name", "")),
        method=result.method if result else str(config.get("method", "")),
        seed=result.seed if result else config.get("seed"),
        headline=headline,
        config=config,
        environment={} if "env.json" in altered else _read_json(folder / "env.json"),
        curves=Curves() if "metrics.jsonl" in altered else read_curves(folder / "metrics.jsonl", headline, points),
        result=result,
    )


def mark_copies(runs: Sequence[Shown]) -> list[Shown]:
    """The runs, of which copies of another one count in no table, whatever their folders' names."""
    first: dict[str, Shown] = {}
    marked = []
    for run in runs:
        if run.counted and (other := first.setdefault(run.name, run)) is not run:
            marked.append(replace(run, state="left out", message=f"the run of {other.folder} again"))
        else:
            marked.append(run)
    return marked


def _why_left_out(result: Result, folder: Path) -> str | None:
    """Why tables leave this result out: it is damaged, of several tasks, or of a version with other settings."""
    reason = why_no_table(result)
    if reason is None and not tables.of_several_tasks(result):
        return None
    try:
        read_config(folder)
    except RunError as plainer:
        return str(plainer)
    return reason


def _read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; an empty one if there is none."""
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return tree if isinstance(tree, dict) else {}
