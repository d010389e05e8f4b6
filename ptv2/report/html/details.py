"""The details of runs as JSON for the page's script; what many runs share is there once."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ptv2.config.methods import METHODS
from ptv2.config.recipes import flat
from ptv2.report.html.curves import Curves
from ptv2.report.html.settings import Flat, common, difference
from ptv2.report.html.shown import Shown
from ptv2.runs.record import Result, shareable_data

DIGITS = 6  # of measured numbers; settings are told exactly
MATRIX = 30  # so many classes have a confusion matrix; more cannot be looked over
LISTED = 40  # confusions of more classes, the most frequent ones


class Pool:
    """Values by their place in a list that holds each of them once."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[str, int] = {}

    def place(self, value: Any) -> int:
        """Where `value` is, or now stands."""
        text = json.dumps(value, sort_keys=True)
        if text not in self._places:
            self._places[text] = len(self.values)
            self.values.append(value)
        return self._places[text]


def all_details(runs: Sequence[Shown], settings: Mapping[str, str]) -> dict[str, Any]:
    """What the script needs to know.

    Args:
        settings: what tables call the settings of runs, by a run's name, the same for all seeds.

    Returns:
        runs (in their order), common (by task and method: the settings that most of its runs have), and pool (what
        runs point to by its place).
    """
    configs = [_settings(run) for run in runs]
    kinds: dict[str, dict[str, list[Flat]]] = {}
    for run, config in zip(runs, configs, strict=True):
        kinds.setdefault(run.task, {}).setdefault(run.method, []).append(config)
    usual = {task: {method: common(same) for method, same in methods.items()} for task, methods in kinds.items()}
    pool = Pool()
    details = [
        _details(run, config, usual[run.task][run.method], pool) | {"settings": settings.get(run.name, "")}
        for run, config in zip(runs, configs, strict=True)
    ]
    return {"runs": details, "common": usual, "pool": pool.values}


def _settings(run: Shown) -> Flat:
    """A run's settings without those that say nothing about it; the recipe is told apart, shared tasks by name."""
    method = METHODS.get(run.method)
    silent = {"recipe"} | (method.ignored if method is not None else set())
    config = {key: value for key, value in run.config.items() if key not in silent}
    if shared := config.get("multitask"):
        config["multitask"] = {**shared, "tasks": {entry["task"]["name"]: entry for entry in shared["tasks"]}}
    return flat(plain(config))


def _details(run: Shown, config: Flat, usual: Flat, pool: Pool) -> dict[str, Any]:
    own, lacking = difference(config, usual)
    told = {
        "name": run.name,
        "folder": run.folder,
        "seed": run.seed,
        "task": run.task,
        "model": run.model,
        "method": run.method,
        "headline": run.headline,
        "own": own,
        "lacking": lacking,
        "recipe": plain(run.config.get("recipe")),
        "environment": pool.place(plain(run.environment)),
        **_curves(run.curves),
    }
    return told | (_record(run.result, pool) if run.result else {})


def _record(result: Result, pool: Pool) -> dict[str, Any]:
    scores = {"dev, best": result.dev, "dev, last": result.dev_last}
    scores |= {"test": result.test} if result.test is not None else {}
    data = {key: value for key, value in shareable_data(result.data).items() if key not in ("labels", "predicted")}
    return {
        "scores": plain({**scores, **result.tests}, DIGITS),
        "steps": [result.best_step, plain(result.best_epoch, DIGITS), result.steps, result.steps_planned],
        "evaluations": result.evaluations,
        "parameters": plain(result.parameters, DIGITS),
        "data": pool.place(plain(data)),
        "answers": _answers(result),
        "parts": {split: _columns(rows, pool) for split, rows in result.parts.items()},
        "confusion": {split: _confusion(result, split, pool) for split in result.confusion},
        "time": plain(result.time, DIGITS),
        "memory": plain(result.memory),
        "runtime": pool.place(plain(result.runtime)),
        "backbone": pool.place(plain(result.backbone)),
        "shared": plain(result.shared, DIGITS),
        "notes": result.notes,
    }


def _columns(rows: Mapping[str, Mapping[str, Any]], pool: Pool) -> dict[str, Any]:
    """A table of scores by class or type: where its names and its columns' names stand, and a list for each row."""
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    return {
        "names": pool.place(list(rows)),
        "columns": pool.place(columns),
        "rows": [plain([row.get(name) for name in columns], DIGITS) for row in rows.values()],
    }


def _confusion(result: Result, split: str, pool: Pool) -> dict[str, Any]:
    """How often one class is taken for another: `[right, predicted, count]` with classes by number.

    Of more than `MATRIX` classes these are the most frequent confusions, at most `LISTED` of the `kinds` that there
    are; all of them together are `wrong` of `total` examples.
    """
    counts = result.confusion[split]
    labels = list(dict.fromkeys([*result.parts.get(split, {}), *counts, *(p for row in counts.values() for p in row)]))
    number = {label: index for index, label in enumerate(labels)}
    cells = [(number[right], number[said], count) for right, row in counts.items() for said, count in row.items()]
    whole = len(labels) <= MATRIX
    wrong = sorted((cell for cell in cells if cell[0] != cell[1]), key=lambda cell: (-cell[2], cell))
    return {
        "labels": pool.place(labels),
        "whole": whole,
        "cells": cells if whole else wrong[:LISTED],
        "kinds": len(wrong),
        "wrong": sum(count for *_, count in wrong),
        "total": sum(count for *_, count in cells),
    }


def _answers(result: Result) -> dict[str, dict[str, list[int]]]:
    """By split and label: how often it is right, how often the model said it; where there are no scores by type."""
    gold, said = result.data.get("labels", {}), result.data.get("predicted", {})
    return {
        split: {label: [gold[split].get(label, 0), counts.get(label, 0)] for label in {**gold[split], **counts}}
        for split, counts in said.items()
        if split in gold and split not in result.parts
    }


def _curves(curves: Curves) -> dict[str, Any]:
    """Columns, which are shorter than rows."""
    return {
        "loss": [list(column) for column in zip(*((step, _short(loss, 4)) for step, loss in curves.loss), strict=True)],
        "dev": [
            list(column)
            for column in zip(*((s, _short(epoch, 4), _short(value, 4)) for s, epoch, value in curves.dev), strict=True)
        ],
    }


def plain(value: Any, digits: int | None = None) -> Any:
    """The same for JSON, which has no word for NaN and infinity, and only text as keys."""
    if isinstance(value, float):
        return _short(value, digits) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, digits) for item in value]
    return value


def _short(value: float, digits: int | None) -> float:
    short = value if digits is None else float(f"{value:.{digits}g}")
    return int(short) if short == int(short) and abs(short) < 2**53 else short
