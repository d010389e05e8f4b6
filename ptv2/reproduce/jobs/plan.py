"""From the cells of a table or figure to the runs that fill them: settings, folder, and why a run cannot be made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptv2.config.compose import compose
from ptv2.config.identity import shared_hash
from ptv2.config.multitask import in_override, shared_parts
from ptv2.config.schema import RunConfig
from ptv2.data.sources import open_source
from ptv2.errors import ConfigError, DataError, DiskFullError, ModelError, NetworkError, Ptv2Error
from ptv2.models.fingerprint import fingerprint
from ptv2.reproduce.jobs.data_root import DataRoot, describe, why_no_files
from ptv2.reproduce.jobs.feasible import (
    why_hopeless,
    why_no_hub_data,
    why_no_language_model,
    why_no_weights,
    why_too_large,
)
from ptv2.runs.directory import RunDirectory, state_of

NOT_THERE = (DataError, ModelError, NetworkError, DiskFullError)  # data or a backbone are not to be had here


@dataclass(frozen=True)
class Cell:
    """One place of a table or figure: what it is called there, and the settings of its runs, the seed apart."""

    key: tuple[str, ...]
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """One run of a cell."""

    cell: Cell
    seed: int
    overrides: tuple[str, ...]  # all words for `ptv2 train`
    config: RunConfig | None  # none where the settings or the data's place are not known
    folder: Path | None  # where its run is or will be
    why: str | None  # why it cannot be made: "no data: ...", "no weights: ...", "too large: ...", ...


def plan_jobs(
    cells: Sequence[Cell],
    seeds: Sequence[int],
    common: Sequence[str],
    data_root: Path | None,
    config_dir: str | None = None,
    *,
    anyway: bool = False,
) -> list[Job]:
    """The runs of all cells, cell by cell.

    Args:
        common: settings of every run; a cell's own come before them, so that these win.
        data_root: folder that holds a folder for each task; none: each task's own source.
        anyway: also plan what looks too large for this machine.

    Raises:
        ConfigError: settings that are wrong wherever they could be tried, or a task that there is not.
    """
    tasks = {name: describe(name, config_dir) for name in dict.fromkeys(map(_task, cells))}
    root = DataRoot(data_root, list(tasks.values()))
    known = _Fingerprints()
    jobs: list[Job] = []
    faults: list[ConfigError] = []
    for cell in cells:
        task = tasks[_task(cell)]
        words = [*cell.overrides, *common]
        if not any(word.startswith(("data.source=", "data.dir=")) for word in words):
            if folder := root.folder(task):
                words += ["data.source=files", f"data.dir={in_override(str(folder))}"]
            elif task.source == "files":
                jobs += [Job(cell, seed, tuple(words), None, None, why_no_files(task, root)) for seed in seeds]
                continue
        try:
            config = compose(words, config_dir)
        except ConfigError as error:
            faults.append(error)
            jobs += [Job(cell, seed, tuple(words), None, None, f"not available: {error}") for seed in seeds]
            continue
        why = _why_not(config, known, anyway)
        leading = ("--config-dir", config_dir) if config_dir else ()
        runs = [config.model_copy(update={"seed": seed}) for seed in seeds]
        folders = [_folder(own, known) for own in runs]
        if why is None and any(folder is not None and state_of(folder) != "finished" for folder in folders):
            why = why_no_language_model(config)  # last, since it loads the weights
        for own, folder in zip(runs, folders, strict=True):
            jobs.append(Job(cell, own.seed, (*leading, *words, f"seed={own.seed}"), own, folder, why))
    if faults and not any(job.config for job in jobs):
        raise faults[0]
    return jobs


def _task(cell: Cell) -> str:
    """The task that a cell names.

    Raises:
        ConfigError: it names none.
    """
    named = [word.removeprefix("task=") for word in cell.overrides if word.startswith("task=")]
    if not named:
        raise ConfigError(f"{' '.join(cell.key)}: expected task=NAME among its settings")
    return named[-1]


class _Fingerprints:
    """What identifies data and backbones, computed once each: files are read for it, which cells and seeds share."""

    def __init__(self) -> None:
        self._found: dict[str, str | Ptv2Error] = {}

    def data(self, config: RunConfig) -> str:
        """Of the data. Raises one of `NOT_THERE`."""
        key = f"{config.task.model_dump_json()} {config.data.model_dump_json()}"
        return self._ask(key, lambda: open_source(config).fingerprint)

    def model(self, config: RunConfig) -> str:
        """Of the backbone. Raises one of `NOT_THERE`."""
        return self._ask(config.model.model_dump_json(), lambda: fingerprint(config.model))

    def _ask(self, key: str, compute: Callable[[], str]) -> str:
        if key not in self._found:
            try:
                self._found[key] = compute()
            except NOT_THERE as error:
                self._found[key] = error
        found = self._found[key]
        if isinstance(found, Ptv2Error):
            raise found
        return found


def _why_not(config: RunConfig, known: _Fingerprints, anyway: bool) -> str | None:
    """Why a run with these settings cannot be made here; none if nothing speaks against it."""
    if config.data.source == "hub":
        assert config.task.sources.hub is not None
        if why := why_no_hub_data(config.task.sources.hub):
            return why
    why = (None if anyway else why_hopeless(config)) or why_no_weights(config.model)
    if why is not None:
        return why
    for what, ask in (("data", known.data), ("weights", known.model)):
        try:
            ask(config)
        except NOT_THERE as error:
            return f"no {what}: {error}"
    return None if anyway else why_too_large(config)


def _folder(config: RunConfig, known: _Fingerprints) -> Path | None:
    """Where the run of `config` is or will be; none where data or weights cannot be identified."""
    try:
        data, model = known.data(config), known.model(config)
        shared = None
        if config.multitask is not None:
            of_tasks = {name: known.data(part) for name, part in shared_parts(config).items()}
            shared = shared_hash(config, of_tasks, model)
        return RunDirectory(config, data, model, shared).path
    except NOT_THERE:
        return None
