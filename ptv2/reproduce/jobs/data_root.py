"""Where the data of each task are in the one folder that a user names, or why a task has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ptv2.config import paths
from ptv2.config.task_schema import FilesSource, HubSource
from ptv2.data.records import find_files
from ptv2.errors import ConfigError, DataError, unknown

# Tasks with files for `ptv2 prepare`.
LICENSED = ("conll03", "conll05", "conll12", "ontonotes")


@dataclass(frozen=True)
class TaskData:
    """What a task's file says about its data."""

    name: str
    family: str  # superglue, ner, srl, qa: the name of a folder that a task may share with its like
    source: str
    files: FilesSource | None
    hub: HubSource | None


@dataclass
class DataRoot:
    """The folder of all data; the folder of a task is the first of ROOT/<task>, ROOT/superglue, ROOT/<family>, ROOT.

    Only the first is the task's beyond doubt: files in one of the others that would suit several of `tasks` (such as a
    `train.txt`) are taken for none of them.
    """

    root: Path | None
    tasks: Sequence[TaskData]
    _folders: dict[str, Path | None] = field(default_factory=dict)

    def folder(self, task: TaskData) -> Path | None:
        """The folder for `data.dir`; None if there is none."""
        if task.name not in self._folders:
            certain = (folder for folder, others in self._candidates(task) if not others)
            self._folders[task.name] = next(certain, None)
        return self._folders[task.name]

    def shared(self, task: TaskData) -> list[str]:
        """The other tasks that would read the files which were therefore not taken for `task`'s."""
        return sorted({name for _, others in self._candidates(task) for name in others})

    def _candidates(self, task: TaskData) -> list[tuple[Path, list[str]]]:
        """Folders with the task's files, each with the other tasks that would read the same files."""
        if self.root is None or task.files is None:
            return []
        candidates: list[tuple[Path, list[str]]] = []
        named = self.root / task.name
        for folder in dict.fromkeys((named, self.root / "superglue", self.root / task.family, self.root)):
            if files := _files(task, folder):
                is_certain = folder == named or (folder == self.root and folder.name == task.name)
                others = [t.name for t in self.tasks if t.name != task.name and _files(t, folder) & files]
                candidates.append((folder, [] if is_certain else others))
        return candidates


def describe_data(task: str, config_dir: str | None = None) -> TaskData:
    """Read what a task's file says about its data.

    Raises:
        ConfigError: there is no such task.
    """
    known = paths.choices("task", config_dir)
    if task not in known:
        raise ConfigError(unknown("task", task, known))
    tree: dict[str, Any] = yaml.safe_load(known[task].read_text(encoding="utf-8")) or {}
    sources = tree.get("sources") or {}
    files, hub = sources.get("files"), sources.get("hub")
    return TaskData(
        name=task,
        family=_family(tree),
        source=str(tree.get("source", "files")),
        files=None if files is None else FilesSource.model_validate(files),
        hub=None if hub is None else HubSource.model_validate(hub),
    )


def why_no_files(task: TaskData, root: DataRoot) -> str:
    """Say why a task that is read from files has none, and where they are looked for."""
    assert task.files is not None
    if shared := root.shared(task):
        others = ", ".join(shared)
        return f"no data: the files found would also be {others}'s; expected them in DIR/{task.name}"
    listed = [task.files.files[split] for split in ("train", "dev") if split in task.files.files]
    names = ", ".join(" or ".join(some[:4]) + (" or another of its names" if some[4:] else "") for some in listed)
    below = "" if task.files.folder == "." else f"{task.files.folder}/"
    where = f"in DIR/{task.name}" + (" (data=DIR)" if root.root is None else "")
    licensed = f" (licensed: ptv2 prepare {task.name} --from DIR makes them)" if task.name in LICENSED else ""
    return f"no data: expected {below}{names} {where}{licensed}"


def _files(task: TaskData, folder: Path) -> set[Path]:
    """The training and dev files that a task would read in a folder; empty if one of them is missing."""
    if task.files is None:
        return set()
    try:
        files = find_files(task.files, str(folder))
    except DataError:
        return set()
    return {path.resolve() for split in ("train", "dev") for path in files[split].paths}


def _family(tree: dict[str, Any]) -> str:
    shape, metric = tree.get("shape"), tree.get("metric")
    if shape == "tag":
        return "srl" if metric == "roles" else "ner"
    return "qa" if shape == "extract" else "superglue"
