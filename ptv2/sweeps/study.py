"""Studies of Optuna on disk: one file each beside the runs, found again by what they search, never mixed."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from optuna.storages import BaseStorage, JournalStorage, get_storage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from ptv2.config.identity import without_bookkeeping
from ptv2.config.keys import flat
from ptv2.errors import ConfigError, RunError, first_line
from ptv2.sweeps.outcomes import Outcome
from ptv2.sweeps.space import Distribution, as_overrides

SETTINGS = "settings"  # attribute of a study: what it searches, and its fixed settings
OVERRIDES = "overrides"  # attributes of a trial: the overrides of its job,
RUN = "run"  # the folder of its run,
MESSAGE = "message"  # and how it ended

optuna.logging.set_verbosity(optuna.logging.WARNING)


def settings_of(config: DictConfig, space: Mapping[str, Distribution]) -> dict[str, Any]:
    """What makes two studies the same: the space, and all other settings that decide a run."""
    tree = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    assert isinstance(tree, dict)
    settings = without_bookkeeping({str(key): value for key, value in tree.items() if key != "hydra"})
    searched = {key.lstrip("+") for key in space}
    held = {
        key: value
        for key, value in flat(settings).items()
        if key not in searched and key.partition(".")[0] not in searched
    }
    return {**held, **{key: f"one of {distribution}" for key, distribution in space.items()}}


def default_name(settings: Mapping[str, Any], data: str | None = None, weights: str | None = None) -> str:
    """The name of a study: its task, model and method unless they are searched, and a hash of the settings.

    Args:
        data, weights: fingerprints of what all trials use, so that scores on other data are never taken for these.
    """
    deciding = {**settings, "data": data, "weights": weights}
    digest = hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:8]
    names = [str(settings[key]) for key in ("task.name", "model.name", "method") if key in settings]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join([*names, digest]))


class Search:
    """A study that this command has open; see `opened`."""

    def __init__(self, study: optuna.Study, storage: BaseStorage, sweeper: DictConfig) -> None:
        self._study, self._storage, self._sweeper = study, storage, sweeper

    @property
    def name(self) -> str:
        return self._study.study_name

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials, in the order of their numbers."""
        return self._study.get_trials(deepcopy=False)

    @property
    def left(self) -> int:
        """How many trials are left; those with a dev score and those that were pruned count."""
        counted = (TrialState.COMPLETE, TrialState.PRUNED)
        return int(self._sweeper.trials) - len(self._study.get_trials(deepcopy=False, states=counted))

    @property
    def interrupted(self) -> list[FrozenTrial]:
        """Trials that were begun and not ended, whose runs go on; no other command has the study open."""
        trials = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [trial for trial in trials if OVERRIDES in trial.user_attrs]

    @property
    def best(self) -> FrozenTrial | None:
        """The trial with the highest dev score; None if none has one."""
        try:
            return self._study.best_trial
        except ValueError:
            return None

    def ask(self, space: dict[str, Distribution], fixed: list[str]) -> FrozenTrial:
        """Begin a trial.

        The sampler's seed grows with every trial, so that an interrupted study tries the same settings as any other.
        """
        self._study.sampler = sampler(self._sweeper, len(self.trials))
        trial = self._study.ask(dict(space))
        trial.set_user_attr(OVERRIDES, [*fixed, *as_overrides({key: trial.params[key] for key in space})])
        return self.trials[trial.number]

    def tell(self, trial: FrozenTrial, outcome: Outcome) -> None:
        """End a trial with the outcome of its job; after a signal it stays open."""
        if outcome.signal is not None:
            return
        in_storage = self._storage.get_trial_id_from_study_id_trial_number(
            self._storage.get_study_id_from_name(self.name), trial.number
        )
        self._storage.set_trial_user_attr(in_storage, MESSAGE, outcome.message)
        self._storage.set_trial_user_attr(in_storage, RUN, outcome.run)
        state = {"pruned": TrialState.PRUNED, "failed": TrialState.FAIL}.get(outcome.state, TrialState.COMPLETE)
        self._study.tell(trial.number, outcome.score, state)


@contextmanager
def opened(sweeper: DictConfig, folder: Path, settings: dict[str, Any]) -> Iterator[Search]:
    """Begin the study of `hydra.sweeper` or go on with it, and lock it against other commands.

    Args:
        folder: of the studies.
        settings: see `settings_of`.

    Raises:
        ConfigError: the study of that name searches something else, or it cannot sample or prune as asked.
        RunError: another command has it open, or its storage cannot be read.
    """
    sampler(sweeper, 0)
    pruner(sweeper)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / f"{sweeper.study}.lock").acquire(timeout=1):  # `is_open` has it for a moment
            _mend(journal(folder, sweeper.study))
            storage = _storage(sweeper, folder)
            study = optuna.create_study(
                study_name=sweeper.study, storage=storage, direction="maximize", load_if_exists=True
            )
            _check(study, settings)
            yield Search(study, storage, sweeper)
    except Timeout as error:
        raise RunError(f"study {sweeper.study}: another command goes on with it now") from error


def attach(sweeper: DictConfig, folder: Path) -> tuple[optuna.Study, BaseStorage]:
    """The study that a job belongs to, and its storage, for reports from any process."""
    storage = _storage(sweeper, folder)
    unused = optuna.samplers.RandomSampler()  # a job asks for nothing
    return optuna.load_study(study_name=sweeper.study, storage=storage, sampler=unused, pruner=pruner(sweeper)), storage


def list_trials(folder: Path, name: str) -> list[FrozenTrial]:
    """The trials of a study that has no storage of its own, also while another process goes on with it."""
    path = journal(folder, name)
    if not path.is_file():
        return []
    studies = JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))
    known = [study for study in studies.get_all_studies() if study.study_name == name]
    return studies.get_all_trials(known[0]._study_id) if known else []


def is_open(folder: Path, name: str) -> bool:
    """Whether a process goes on with a study now."""
    if not (path := folder / f"{name}.lock").is_file():
        return False
    try:
        with FileLock(path).acquire(timeout=0):
            return False
    except Timeout:
        return True


def pruner(sweeper: DictConfig) -> optuna.pruners.BasePruner:
    """`hydra.sweeper.pruner`.

    Raises:
        ConfigError: it cannot be made.
    """
    return _instantiate("pruner", sweeper.pruner)


def sampler(sweeper: DictConfig, trials: int) -> optuna.samplers.BaseSampler:
    """`hydra.sweeper.sampler` for the trial after `trials` others.

    Raises:
        ConfigError: it cannot be made.
    """
    settings = dict(sweeper.sampler)
    if isinstance(settings.get("seed"), int):
        settings["seed"] += trials
    return _instantiate("sampler", settings)


def _instantiate(key: str, settings: Any) -> Any:
    try:
        return instantiate(settings)
    except Exception as error:  # a constructor may raise anything, and so may Hydra for a wrong name
        raise ConfigError(f"hydra.sweeper.{key}: {first_line(error.__cause__ or error)}") from error


def journal(folder: Path, name: str) -> Path:
    """The file of a study without a storage of its own."""
    return (folder / f"{name}.journal").resolve()


def _storage(sweeper: DictConfig, folder: Path) -> BaseStorage:
    try:
        if sweeper.storage:
            return get_storage(sweeper.storage)
        path = str(journal(folder, sweeper.study))
        return JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))
    except (ValueError, KeyError, ImportError, optuna.exceptions.StorageInternalError) as error:
        raise RunError(f"study {sweeper.study}: its storage cannot be read ({first_line(error)})") from error


def _mend(path: Path) -> None:
    """Cut off a last line that a power cut tore; nobody else writes meanwhile."""
    if not path.is_file():
        return
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        os.truncate(path, data.rfind(b"\n") + 1)


def _check(study: optuna.Study, settings: dict[str, Any]) -> None:
    before = study.user_attrs.get(SETTINGS)
    if before is None:
        study.set_user_attr(SETTINGS, settings)
        return
    differing = [key for key in sorted(before.keys() | settings.keys()) if before.get(key) != settings.get(key)]
    if differing:
        listed = "; ".join(f"{key}: {before.get(key)} there, {settings.get(key)} here" for key in differing[:3])
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise ConfigError(
            f"hydra.sweeper.study={study.study_name} is a study of other settings ({listed}{more}); choose another "
            "name, or none for one of its own"
        )
