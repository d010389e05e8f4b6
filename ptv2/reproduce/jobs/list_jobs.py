"""From the cells of a table or figure to their runs: settings, folder, and why a run cannot be made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptv2.config.compose import compose
from ptv2.config.multitask import in_override, shared_parts
from ptv2.config.schema import RunConfig
from ptv2.data.sources import open_source
from ptv2.errors import ConfigError, DataError, DiskFullError, ModelError, NetworkError, Ptv2Error
from ptv2.experiment.open import check_trackers
from ptv2.models.fingerprint import fingerprint
from ptv2.reproduce.jobs.data_root import DataRoot, describe_data, why_no_files
from ptv2.reproduce.jobs.feasible import (
    why_hopeless,
    why_no_hub_data,
    why_no_language_model,
    why_no_weights,
    why_too_large,
)
from ptv2.reproduce.jobs.recorded import NO_RECORD, RecordedRoot, RecordedRuns, without_path
from ptv2.reproduce.options import Options
from ptv2.run_folders.directory import RunDirectory, SharedDirectory, state_of

NOT_THERE = (DataError, ModelError, NetworkError, DiskFullError)  # data or a backbone cannot be had here


@dataclass(frozen=True)
class Cell:
    """A cell of a table or a mark of a figure: its names there, and the settings of its runs but for the seed."""

    key: tuple[str, ...]
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """One run of a cell."""

    cell: Cell
    seed: int
    overrides: tuple[str, ...]  # all words for `ptv2 train`
    config: RunConfig | None  # None if the settings are wrong, or there are no data
    folder: Path | None  # of its run
    why: str | None  # why it cannot be made: "no data: ...", "no weights: ...", "too large: ...", ...


def list_jobs(
    cells: Sequence[Cell],
    seeds: Sequence[int],
    common: Sequence[str],
    data_root: Path | None,
    config_dir: str | None = None,
    *,
    anyway: bool = False,
    workers: int = 1,
    recorded: RecordedRuns | None = None,
    kept: RecordedRuns | None = None,
) -> list[Job]:
    """List the runs of all cells, cell by cell.

    Args:
        common: settings of every run, which win over those of a cell.
        data_root: folder that holds a folder for each task; None: each task's own source.
        anyway: whether to make also runs that look too large for this machine.
        workers: how many runs are made side by side, each with its share of the memory.
        recorded: where the runs are looked for instead of making them; data and backbones are then not read.
        kept: runs that need not be made again.

    Raises:
        ConfigError: settings that are wrong in every cell, or an unknown task.
    """
    tasks = {name: describe_data(name, config_dir) for name in dict.fromkeys(map(_task, cells))}
    root = DataRoot(data_root, list(tasks.values())) if recorded is None else RecordedRoot(recorded)
    spare = RecordedRoot(kept) if kept else None
    known = _Fingerprints()
    jobs: list[Job] = []
    faults: list[ConfigError] = []
    for cell in cells:
        task = tasks[_task(cell)]
        words, absent = [*cell.overrides, *common], None
        if not any(word.startswith(("data.source=", "data.dir=")) for word in words):
            if folder := root.folder(task):
                words += _of_files(folder)
            elif task.source == "files":
                absent = why_no_files(task, root) if recorded is None else NO_RECORD
                folder = spare.folder(task) if spare else None
                if folder is None:
                    jobs += impossible_jobs(cell, seeds, words, absent)
                    continue
                words += _of_files(folder)
        try:
            config = compose(words if recorded is None else without_path(words), config_dir)
            check_trackers(config.track)
        except ConfigError as error:
            faults.append(error)
            jobs += impossible_jobs(cell, seeds, words, f"not available: {error}")
            continue
        if found := recorded or (kept if absent else None):
            jobs += recorded_jobs(cell, seeds, words, config, found, absent)
            continue
        why = _why_not(config, known, anyway, workers)
        leading = ("--config-dir", config_dir) if config_dir else ()
        runs = [config.model_copy(update={"seed": seed}) for seed in seeds]
        folders = [_folder(run, known) for run in runs]
        if kept is not None:
            folders = [kept.instead_of(folder, run) for folder, run in zip(folders, runs, strict=True)]
        if why is None and any(folder is not None and state_of(folder) != "finished" for folder in folders):
            why = why_no_language_model(config)  # last, since it loads the weights
        for run, folder in zip(runs, folders, strict=True):
            jobs.append(Job(cell, run.seed, (*leading, *words, f"seed={run.seed}"), run, folder, why))
    if faults and not any(job.config for job in jobs):
        raise faults[0]
    return jobs


def impossible_jobs(cell: Cell, seeds: Sequence[int], words: Sequence[str], why: str) -> list[Job]:
    """The jobs of a cell whose settings are wrong or whose data are missing."""
    return [Job(cell, seed, tuple(words), None, None, why) for seed in seeds]


def list_asked_jobs(
    cells: Sequence[Cell], seeds: Sequence[int], options: Options, common: Sequence[str] | None = None
) -> list[Job]:
    """List the runs of a command's cells.

    Args:
        common: settings of every run (default: those of the command).
    """
    return list_jobs(
        cells,
        seeds,
        options.common if common is None else common,
        options.data,
        options.config_dir,
        anyway=options.anyway,
        workers=options.jobs,
        recorded=options.recorded,
        kept=options.known,
    )


def recorded_jobs(
    cell: Cell,
    seeds: Sequence[int],
    words: Sequence[str],
    config: RunConfig,
    recorded: RecordedRuns,
    absent: str | None = None,
) -> list[Job]:
    """The jobs of a cell whose runs are looked for among records.

    Args:
        absent: why runs without a record cannot be made (default: that they have none).
    """
    jobs = []
    why = (why_no_language_model(config) if config.model.path.startswith("embedded:") else None) or absent or NO_RECORD
    for seed in seeds:
        run = config.model_copy(update={"seed": seed})
        folder = recorded.folder(run)
        jobs.append(Job(cell, seed, tuple(words), run, folder, None if folder else why))
    return jobs


def _of_files(folder: Path) -> list[str]:
    """The words of a task's local files."""
    return ["data.source=files", f"data.dir={in_override(str(folder))}"]


def _task(cell: Cell) -> str:
    """The task that a cell's settings name.

    Raises:
        ConfigError: they name none.
    """
    named = [word.removeprefix("task=") for word in cell.overrides if word.startswith("task=")]
    if not named:
        raise ConfigError(f"{' '.join(cell.key)}: expected task=NAME among its settings")
    return named[-1]


class _Fingerprints:
    """Fingerprints of data and backbones, each computed once, since cells and seeds share the files."""

    def __init__(self) -> None:
        self._known: dict[str, str | Ptv2Error] = {}

    def data(self, config: RunConfig) -> str:
        """The fingerprint of the data; raises one of `NOT_THERE`."""
        key = f"{config.task.model_dump_json()} {config.data.model_dump_json()}"
        return self._get(key, lambda: open_source(config).fingerprint)

    def model(self, config: RunConfig) -> str:
        """The fingerprint of the backbone; raises one of `NOT_THERE`."""
        return self._get(config.model.model_dump_json(), lambda: fingerprint(config.model))

    def _get(self, key: str, compute: Callable[[], str]) -> str:
        if key not in self._known:
            try:
                self._known[key] = compute()
            except NOT_THERE as error:
                self._known[key] = error
        fingerprint = self._known[key]
        if isinstance(fingerprint, Ptv2Error):
            raise fingerprint
        return fingerprint


def _why_not(config: RunConfig, known: _Fingerprints, anyway: bool, workers: int) -> str | None:
    """Why a run with these settings cannot be made here; None if nothing speaks against it."""
    if config.data.source == "hub":
        assert config.task.sources.hub is not None
        if why := why_no_hub_data(config.task.sources.hub):
            return why
    if why := (None if anyway else why_hopeless(config, workers)) or why_no_weights(config.model):
        return why
    for kind, identify in (("data", known.data), ("weights", known.model)):
        try:
            identify(config)
        except NOT_THERE as error:
            return f"no {kind}: {error}"
    return None if anyway else why_too_large(config, workers)


def _folder(config: RunConfig, known: _Fingerprints) -> Path | None:
    """The folder of the run of `config`; None if its data or weights cannot be read."""
    try:
        data, model = known.data(config), known.model(config)
        shared = None
        if config.multitask is not None:
            of_tasks = {name: known.data(task) for name, task in shared_parts(config).items()}
            shared = SharedDirectory(config, of_tasks, model).hash
        return RunDirectory(config, data, model, shared).path
    except NOT_THERE:
        return None
