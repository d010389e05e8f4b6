"""The tasks of method multitask-p-tuning-v2: turn what a user writes into whole configurations, one per task."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from ptv2.config.methods import MULTITASK
from ptv2.config.schema import MULTITASK_ONLY, RunConfig
from ptv2.errors import ConfigError, DataError, unknown

Tree = dict[str, Any]
Compose = Callable[[list[str]], Tree]  # overrides to a composed configuration, not checked yet


def resolve(tree: Tree, compose: Compose) -> None:
    """Replace each entry of `multitask.tasks` by the task's `{task, data}`, sorted by name.

    The run's own task takes part as it is configured; its folder may be in `multitask.dirs` like those of the others.

    Args:
        tree: the composed configuration of a run of this method; changed in place.
        compose: composes the configuration that a task is taken from.

    Raises:
        ConfigError: no tasks, an unknown one, or one without data, with the words that leave it out.
    """
    if tree["method"] != MULTITASK:
        raise ConfigError(f"multitask.*: {MULTITASK_ONLY}")
    chosen: Tree = tree["multitask"]
    families, given, dirs = chosen.pop("families"), chosen.pop("tasks"), chosen.pop("dirs") or {}
    this_run: Tree = {"task": tree["task"], "data": tree["data"]}
    if given is None:
        given = _family(this_run["task"]["name"], families)
    if not isinstance(given, list):
        raise ConfigError(f"multitask.tasks={given!r}: expected a list of tasks")
    entries = [_entry(entry, this_run, compose) for entry in given]
    names = [str(entry["task"]["name"]) for entry in entries]
    for name in dirs:
        if name not in names:
            raise ConfigError(f"multitask.dirs: {unknown('task', str(name), names)}")
    for name, entry in zip(names, entries, strict=True):
        if name in dirs:
            _use_files(name, entry["data"], str(dirs[name]))
    _check_folders(entries, this_run)
    chosen["tasks"] = sorted(entries, key=lambda entry: str(entry["task"]["name"]))


def shared_parts(config: RunConfig) -> dict[str, RunConfig]:
    """Write the shared part as runs of p-tuning-v2, one per task, by its name; only task and data differ."""
    shared = config.multitask
    assert shared is not None
    rates = {"lr": shared.lr, "prompt_lr": shared.prompt_lr, "head_lr": shared.head_lr}
    lengths = ("epochs", "max_steps", "batch_size", "evaluate_every", "patience")
    common = {
        "method": "p-tuning-v2",
        "multitask": None,
        "optim": config.optim.model_copy(update=rates),
        "trainer": config.trainer.model_copy(update={name: getattr(shared, name) for name in lengths}),
    }
    return {
        entry.task.name: config.model_copy(update={**common, "task": entry.task, "data": entry.data})
        for entry in shared.tasks
    }


def missing(faults: Mapping[str, DataError], config: RunConfig) -> DataError:
    """Make one error for all tasks whose data cannot be read, with the words that leave them out."""
    assert config.multitask is not None
    reasons = "; ".join(f"{name}: {fault}" for name, fault in faults.items())
    others = [name for name in faults if name != config.task.name]
    return DataError(f"multitask.tasks: {reasons}{_without(others, [e.task.name for e in config.multitask.tasks])}")


def _family(task: str, families: list[list[str]]) -> list[str]:
    for family in families:
        if task in family:
            return family
    known = "; ".join(", ".join(family) for family in families)
    raise ConfigError(
        f"multitask.tasks is not given, and {task} is of no family ({known}); expected multitask.tasks=[{task},...]"
    )


def _entry(entry: Any, this_run: Tree, compose: Compose) -> Tree:
    """Compose one entry of the list: a task's name, or `{task: NAME, task.KEY: VALUE, data.KEY: VALUE, ...}`."""
    name = this_run["task"]["name"]
    if entry == name:
        return this_run
    if isinstance(entry, str):
        return _composed_entry([f"task={entry}"], compose)
    if not isinstance(entry, dict) or not isinstance(entry.get("task"), str):
        raise ConfigError(f"multitask.tasks: {entry!r}: expected a task's name, or {{task: NAME, data.dir: DIR, ...}}")
    for key in entry:
        if key != "task" and not str(key).startswith(("task.", "data.")):
            raise ConfigError(
                f"multitask.tasks: {key}: expected task, task.* and data.* only; the rest is of all tasks"
            )
    named = _composed_entry([f"{key}={in_override(value)}" for key, value in entry.items()], compose)
    if named["task"]["name"] != name:
        return named
    chosen = ("limit", "shots", "seed")  # which examples
    if named["task"] != this_run["task"] or any(named["data"][key] != this_run["data"][key] for key in chosen):
        raise ConfigError(
            f"multitask.tasks: {name}, this run's own task, has other settings there than in task.* and data.*"
        )
    if folder := named["data"]["dir"]:
        _use_files(name, this_run["data"], folder)
    return this_run


def _composed_entry(overrides: list[str], compose: Compose) -> Tree:
    try:
        tree = compose(overrides)
    except ConfigError as error:
        raise ConfigError(f"multitask.tasks: {error}") from error
    return {"task": tree["task"], "data": tree["data"]}


def _use_files(name: str, data: Tree, folder: str) -> None:
    """Take the task's data from files in `folder`."""
    if data["dir"] not in (None, folder):
        raise ConfigError(f"multitask.dirs: {name} is in {folder}, but data.dir={data['dir']}")
    data |= {"source": "files", "dir": folder}


def _check_folders(entries: list[Tree], this_run: Tree) -> None:
    """Refuse tasks that come from files and have no folder, all of them by name."""
    bare = [str(e["task"]["name"]) for e in entries if e["data"]["source"] == "files" and e["data"]["dir"] is None]
    if not bare:
        return
    folders = ", ".join(f"{name}: DIR" for name in bare)
    others = [name for name in bare if name != this_run["task"]["name"]]
    leave = _without(others, [str(entry["task"]["name"]) for entry in entries])
    raise ConfigError(f"multitask.tasks: no data for {', '.join(bare)}; give multitask.dirs={{{folders}}}{leave}")


def _without(names: list[str], of: list[str]) -> str:
    """Write the words that leave tasks out; empty where too few would be left."""
    left = [name for name in of if name not in names]
    if not names or len(left) < 2:
        return ""
    return f"; without {' and '.join(names)}: multitask.tasks=[{','.join(left)}]"


def in_override(value: Any) -> str:
    """Write a value in the grammar of overrides."""
    if isinstance(value, str):
        # Backslashes mean themselves unless a quote follows them.
        escaped = re.sub(r"(\\*)('|$)", lambda match: 2 * match[1] + ("\\'" if match[2] else ""), value)
        return f"'{escaped}'"
    if isinstance(value, list):
        return f"[{','.join(map(in_override, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{in_override(inner)}' for key, inner in value.items())}}}"
    return json.dumps(value)
