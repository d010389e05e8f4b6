"""The details of runs as JSON for the page's script; what many runs share is written once."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ptv2.config.keys import flat
from ptv2.config.methods import METHODS
from ptv2.report.html.curves import Curves
from ptv2.report.html.shown import Shown
from ptv2.run_folders.record import Result, shareable_data

DIGITS = 6  # of measured numbers; settings are written exactly
MATRIX = 30  # classes of a confusion matrix, at most; a larger one is hard to read
LISTED = 40  # confusions that are listed of more classes
Flat = dict[str, Any]  # dotted key: value


class Pool:
    """A list that holds each value once."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[str, int] = {}

    def number(self, value: Any) -> int:
        """The value's index in the list, to which it is added if it is new."""
        number = self._numbers.setdefault(json.dumps(value, sort_keys=True), len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


def all_details(runs: Sequence[Shown], settings: Mapping[str, str]) -> dict[str, Any]:
    """Everything that the page's script draws from.

    Args:
        settings: by a run's name, how tables describe its settings, the same for all seeds.

    Returns:
        runs (in their order), common (by task and method, the settings that most runs have), and pool (values that runs
        refer to by their index).
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
    """A run's settings by dotted key, without the recipe and prompts that its method does not have."""
    method = METHODS.get(run.method)
    silent = {"recipe"} | (method.ignored if method is not None else set())
    config = {key: value for key, value in run.config.items() if key not in silent}
    if shared := config.get("multitask"):
        config["multitask"] = {**shared, "tasks": {entry["task"]["name"]: entry for entry in shared["tasks"]}}
    return flat(plain(config))


def _details(run: Shown, config: Flat, usual: Flat, pool: Pool) -> dict[str, Any]:
    differing, lacking = difference(config, usual)
    details = {
        "name": run.name,
        "folder": run.folder,
        "seed": run.seed,
        "task": run.task,
        "model": run.model,
        "method": run.method,
        "headline": run.headline,
        "differing": differing,
        "lacking": lacking,
        "recipe": plain(run.config.get("recipe")),
        "environment": pool.number(plain(run.environment)),
        **_curves(run.curves),
    }
    return details | (_result_details(run.result, pool) if run.result else {})


def _result_details(result: Result, pool: Pool) -> dict[str, Any]:
    scores = {"dev, best": result.dev, "dev, last": result.dev_last}
    scores |= {"test": result.test} if result.test is not None else {}
    data = {key: value for key, value in shareable_data(result.data).items() if key not in ("labels", "predicted")}
    return {
        "scores": plain({**scores, **result.tests}, DIGITS),
        "steps": [result.best_step, plain(result.best_epoch, DIGITS), result.steps, result.steps_planned],
        "evaluations": result.evaluations,
        "parameters": plain(result.parameters, DIGITS),
        "data": pool.number(plain(data)),
        "answers": _answers(result),
        "parts": {split: _columns(rows, pool) for split, rows in result.parts.items()},
        "confusion": {split: _confusion(result, split, pool) for split in result.confusion},
        "time": plain(result.time, DIGITS),
        "memory": plain(result.memory),
        "runtime": pool.number(plain(result.runtime)),
        "backbone": pool.number(plain(result.backbone)),
        "shared": plain(result.shared, DIGITS),
        "notes": result.notes,
    }


def _columns(rows: Mapping[str, Mapping[str, Any]], pool: Pool) -> dict[str, Any]:
    """A table of scores by class or type: the indices of its names and column names, and one list per row."""
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    return {
        "names": pool.number(list(rows)),
        "columns": pool.number(columns),
        "rows": [plain([row.get(name) for name in columns], DIGITS) for row in rows.values()],
    }


def _confusion(result: Result, split: str, pool: Pool) -> dict[str, Any]:
    """How often one class is taken for another: `[right, predicted, count]`, classes by index.

    Of more than `MATRIX` classes only the most frequent confusions, at most `LISTED` of the `kinds` that occur; all
    confusions together are `wrong` of `total` examples.
    """
    counts = result.confusion[split]
    labels = list(dict.fromkeys([*result.parts.get(split, {}), *counts, *(p for row in counts.values() for p in row)]))
    number = {label: index for index, label in enumerate(labels)}
    cells = [(number[gold], number[answer], n) for gold, row in counts.items() for answer, n in row.items()]
    whole = len(labels) <= MATRIX
    wrong = sorted((cell for cell in cells if cell[0] != cell[1]), key=lambda cell: (-cell[2], cell))
    return {
        "labels": pool.number(labels),
        "whole": whole,
        "cells": cells if whole else wrong[:LISTED],
        "kinds": len(wrong),
        "wrong": sum(count for *_, count in wrong),
        "total": sum(count for *_, count in cells),
    }


def _answers(result: Result) -> dict[str, dict[str, list[int]]]:
    """By split and label: how often it is right, and how often predicted; only of splits without scores by class."""
    gold, predicted = result.data.get("labels", {}), result.data.get("predicted", {})
    return {
        split: {label: [gold[split].get(label, 0), counts.get(label, 0)] for label in {**gold[split], **counts}}
        for split, counts in predicted.items()
        if split in gold and split not in result.parts
    }


def _curves(curves: Curves) -> dict[str, Any]:
    """Learning curves as columns, which take less room than rows."""
    loss = [(step, _short(loss, 4)) for step, loss in curves.loss]
    dev = [(step, _short(epoch, 4), _short(value, 4)) for step, epoch, value in curves.dev]
    return {name: list(map(list, zip(*rows, strict=True))) for name, rows in (("loss", loss), ("dev", dev))}


def plain(value: Any, digits: int | None = None) -> Any:
    """A value for JSON, whose keys are text, and which has no NaN or infinity: they become None."""
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


def common(configs: Iterable[Flat]) -> Flat:
    """The most frequent value of each key that most configurations have; the first seen of equally frequent ones."""
    configs = list(configs)
    counts: dict[str, Counter[str]] = {}
    for config in configs:
        for key, value in config.items():
            counts.setdefault(key, Counter())[_text(value)] += 1
    half = len(configs) / 2
    return {key: json.loads(seen.most_common(1)[0][0]) for key, seen in counts.items() if seen.total() > half}


def difference(config: Flat, base: Flat) -> tuple[Flat, list[str]]:
    """The settings of `config` that differ from those of `base`, and the keys of `base` that it lacks."""
    differing = {key: value for key, value in config.items() if key not in base or _text(value) != _text(base[key])}
    return differing, [key for key in base if key not in config]


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
