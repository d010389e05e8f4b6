"""`result.json`: what a finished run says about itself. Tables read nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ptv2.errors import RunError
from ptv2.files import write_json_whole

SCHEMA = 1


@dataclass(frozen=True)
class Result:
    """A finished run. Metrics are in percent, memory in bytes, times in seconds."""

    name: str
    task: str
    model: str
    method: str
    seed: int
    headline: str  # the dev metric that chose the weights
    dev: dict[str, float]  # of the best evaluation
    dev_last: dict[str, float]  # of the last one
    test: dict[str, float] | None  # of the best weights, scored once; none if there is no labelled test set
    best_step: int
    best_epoch: float
    steps: int  # optimizer steps done; fewer than `steps_planned` after early stopping
    steps_planned: int
    evaluations: int  # the best dev number is the largest of so many
    parameters: dict[str, Any]  # trained, total, percent, by group, prompted layers, pooler
    data: dict[str, Any]  # source, examples, truncated, label counts gold and predicted
    time: dict[str, float]  # train, evaluate, total, examples_per_second
    memory: dict[str, Any]  # peak, what it measures, before training
    runtime: dict[str, Any]  # device, processes, accumulation at the end, how often resumed
    backbone: dict[str, Any]  # name, revision, weights' hash
    config: dict[str, Any]  # the resolved configuration
    notes: list[str] = field(default_factory=list)
    tests: dict[str, dict[str, float]] = field(default_factory=dict)  # further test sets, scored once as `test` is
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)  # by split: scores of each type of span or question
    shared: dict[str, Any] | None = None  # multitask: name, tasks, data, dev, steps, time of what it began with
    schema: int = SCHEMA


def write_result(folder: Path, result: Result) -> None:
    """Write `result.json`; its presence is what says that a run is finished."""
    write_json_whole(folder / "result.json", asdict(result))


def read_result(folder: Path) -> Result | None:
    """The result of a finished run; none if `folder` holds none.

    Raises:
        RunError: the file is there but cannot be read, or has another schema.
    """
    path = folder / "result.json"
    if not path.is_file():
        return None
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        if tree.get("schema") != SCHEMA:
            raise RunError(f"{path}: schema {tree.get('schema')}, expected {SCHEMA}")
        return Result(**tree)
    except (json.JSONDecodeError, TypeError, AttributeError) as error:
        raise RunError(f"{path}: no result of a run ({error})") from error


def read_status(folder: Path) -> dict[str, Any]:
    """`status.json` of a run: state (running, interrupted, pruned, failed, finished), step and message."""
    try:
        return json.loads((folder / "status.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return {"state": "unknown"}
