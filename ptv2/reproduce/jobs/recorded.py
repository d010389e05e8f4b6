"""Runs of a table or figure from kept records: nothing else (`records=DIR`), or beside new ones (`kept=DIR`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from ptv2.config.identity import shared_hash
from ptv2.config.multitask import shared_parts
from ptv2.config.schema import ModelConfig, RunConfig
from ptv2.errors import RunError
from ptv2.models.fingerprint import fingerprint, join_hashes
from ptv2.report.kept import as_runs
from ptv2.report.usable import usable_results
from ptv2.reproduce.jobs.data_root import DataRoot, TaskData
from ptv2.run_folders.directory import RunDirectory, find_runs, is_run, state_of
from ptv2.run_folders.record import Result

NO_RECORD = "no record"


@dataclass(frozen=True)
class RecordedRuns:
    """Records laid out as folders of runs, and what identified the data and backbones of these."""

    out: Path
    data: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # fingerprints by task
    models: list[str] = field(default_factory=list)  # fingerprints of backbones
    from_files: set[str] = field(default_factory=set)  # tasks whose data were files

    def note(self, result: Result) -> None:
        """Learn from a record what its task's data and its backbone are called in names of runs."""
        for known, new in ((self.data[result.task], result.data["fingerprint"]), (self.models, _model_of(result))):
            if new not in known:
                known.append(new)
        if (result.config.get("data") or {}).get("source") == "files":
            self.from_files.add(result.task)

    def folder(self, config: RunConfig) -> Path | None:
        """The folder of the run with these settings; None without a record of it."""
        for data, model in product(self.data.get(config.task.name, ()), self.models):
            for shared in self._shared(config, model):
                path = self.out / RunDirectory(config, data, model, shared).path.name
                if is_run(path):
                    return path
        return None

    def instead_of(self, folder: Path | None, config: RunConfig) -> Path | None:
        """The folder of a finished run: its own, else that of its record; its own for a run that is still to make.

        Args:
            folder: of the run, by the data and backbone that are here; None if they are not.
        """
        if folder is None:
            return self.folder(config)
        recorded = self.out / folder.name
        return recorded if state_of(folder) != "finished" and is_run(recorded) else folder

    def _shared(self, config: RunConfig, model: str) -> Iterator[str | None]:
        """The hashes that the shared part of a run may have; None for one that has no such part."""
        if config.multitask is None:
            yield None
            return
        tasks = list(shared_parts(config))
        for data in product(*(self.data.get(name, ()) for name in tasks)):
            yield shared_hash(config, dict(zip(tasks, data, strict=True)), model)


def _model_of(result: Result) -> str:
    """The fingerprint of a run's backbone."""
    settings, backbone = result.config.get("model"), result.backbone
    if isinstance(settings, dict) and settings.get("path") == "config:":
        return fingerprint(ModelConfig.model_validate(settings))
    if sha256 := backbone.get("sha256"):
        return join_hashes(sha256, backbone.get("config_sha256"))
    return f"{backbone.get('name')}@{backbone.get('revision') or 'main'}"


class RecordedRoot(DataRoot):
    """Stands for the folder of all data: it has those tasks of which there are records of runs on files."""

    def __init__(self, runs: RecordedRuns) -> None:
        super().__init__(None, [])
        self._runs = runs

    def folder(self, task: TaskData) -> Path | None:
        """A folder that is nowhere, since nothing is read from it."""
        return Path("DIR", task.name) if task.name in self._runs.from_files else None

    def has(self, task: TaskData) -> bool:
        """Whether there are records of a task, wherever its data came from."""
        return task.name in self._runs.data


def without_path(words: Sequence[str]) -> list[str]:
    """The settings of a run without the folder of a backbone that has a name: the folder need not be here."""
    is_named = any(word.startswith("model=") for word in words)
    return [word for word in words if not (is_named and word.startswith("model.path="))]


@contextmanager
def open_records(folder: Path) -> Iterator[RecordedRuns]:
    """Lay out all records below a folder, FOLDER/TASK/NAME.json, for as long as the context is open.

    Raises:
        RunError: there are none, or one is damaged.
    """
    paths: Iterable[Path] = sorted(folder.glob("*/*.json"))
    if not paths:
        raise RunError(f"records: no records in {folder}; expected {folder}/TASK/NAME.json")
    with as_runs(paths) as out:
        runs = RecordedRuns(out)
        for result in usable_results(find_runs([str(out)]))[0]:
            runs.note(result)
        yield runs
