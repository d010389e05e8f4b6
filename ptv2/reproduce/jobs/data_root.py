"""Where the data of a task are below the one folder that a user names, and why a task has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ptv2.config import paths
from ptv2.config.schema import FilesSource, HubSource
from ptv2.data.records import find_files
from ptv2.errors import ConfigError, DataError, unknown

# Tasks with files for `ptv2 prepare`.
LICENSED = ("conll03", "conll05", "conll12", "ontonotes")


@dataclass(frozen=True)
class Described:
    """What a task's own file says of its data."""

    name: str
    family: str  # superglue, ner, srl, qa: the name of a folder that a task may share with its like
    source: str
    files: FilesSource | None
    hub: HubSource | None


@dataclass
class DataRoot:
    """The folder of all data; the folder of a task is the first of ROOT/<task>, ROOT/superglue, ROOT/<family>, ROOT.

    Only the first of these is the task's beyond doubt: what lies in one of the others and would serve several of
    `tasks` alike (a `train.txt`) serves none of them.
    """

    root: Path | None
    tasks: Sequence[Described]
    _found: dict[str, Path | None] = field(default_factory=dict)

    def folder(self, task: Described) -> Path | None:
        """The folder for `data.dir`, or none."""
        if task.name not in self._found:
            self._found[task.name] = self._look(task)
        return self._found[task.name]

    def shared(self, task: Described) -> list[str]:
        """The other tasks that the files would serve which were not taken for `task`'s."""
        return sorted({name for _, others in self._candidates(task) for name in others})

    def _look(self, task: Described) -> Path | None:
        return next((folder for folder, others in self._candidates(task) if not others), None)

    def _candidates(self, task: Described) -> list[tuple[Path, list[str]]]:
        """Folders with the task's files, each with the other tasks that would read the same files."""
        if self.root is None or task.files is None:
            return []
        found: list[tuple[Path, list[str]]] = []
        own = self.root / task.name
        for folder in dict.fromkeys((own, self.root / "superglue", self.root / task.family, self.root)):
            mine = _files(task, folder)
            if mine:
                beyond_doubt = folder == own or (folder == self.root and folder.name == task.name)
                others = [other for other in self.tasks if other.name != task.name and _files(other, folder) & mine]
                found.append((folder, [] if beyond_doubt else [other.name for other in others]))
        return found


def describe(task: str, config_dir: str | None = None) -> Described:
    """Read a task's file.

    Raises:
        ConfigError: there is none.
    """
    known = paths.choices("task", config_dir)
    if task not in known:
        raise ConfigError(unknown("task", task, known))
    tree: dict[str, Any] = yaml.safe_load(known[task].read_text(encoding="utf-8")) or {}
    sources = tree.get("sources") or {}
    files, hub = sources.get("files"), sources.get("hub")
    return Described(
        name=task,
        family=_family(tree),
        source=str(tree.get("source", "files")),
        files=None if files is None else FilesSource.model_validate(files),
        hub=None if hub is None else HubSource.model_validate(hub),
    )


def why_no_files(task: Described, root: DataRoot) -> str:
    """Why a task that comes from files has none, and where they would be looked for."""
    assert task.files is not None
    if shared := root.shared(task):
        others = ", ".join(shared)
        return f"no data: the files found would also be {others}'s; expected them in DIR/{task.name}"
    names = ", ".join(" or ".join(task.files.files[split]) for split in ("train", "dev") if split in task.files.files)
    below = "" if task.files.folder == "." else f"{task.files.folder}/"
    where = f"in DIR/{task.name}" + (" (data=DIR)" if root.root is None else "")
    licensed = f" (licensed: ptv2 prepare {task.name} --from DIR makes them)" if task.name in LICENSED else ""
    return f"no data: expected {below}{names} {where}{licensed}"


def _files(task: Described, folder: Path) -> set[Path]:
    """The training and dev file that a task would read there; none where one of them is missing."""
    if task.files is None:
        return set()
    try:
        found = find_files(task.files, str(folder))
    except DataError:
        return set()
    return {found["train"].resolve(), found["dev"].resolve()}


def _family(tree: dict[str, Any]) -> str:
    shape, metric = tree.get("shape"), tree.get("metric")
    if shape == "tag":
        return "srl" if metric == "roles" else "ner"
    return "qa" if shape == "extract" else "superglue"
