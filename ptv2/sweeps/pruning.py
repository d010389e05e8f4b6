"""Report the scores of a trial to Optuna while it trains, and let Optuna end it early."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptv2.config.schema import RunConfig
from ptv2.errors import Pruned
from ptv2.training.monitor import Monitor, Silent

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage


def trial_of(hydra: Any) -> int | None:
    """The number of the trial that a job runs, as its sweeper wrote it into Hydra's settings; None for other jobs."""
    return hydra.sweeper.get("trial")


def watch_of(hydra: Any, config: RunConfig) -> Monitor | None:
    """The monitor that reports to the study; None if the job runs no trial."""
    number = trial_of(hydra)
    if number is None:
        return None
    from ptv2.sweeps.study import attach

    study, storage = attach(hydra.sweeper, Path(hydra.sweep.dir))
    by_epoch = config.trainer.evaluate_every == "epoch"
    return TrialMonitor(study, storage, number, config.task.headline, by_epoch=by_epoch)


class TrialMonitor(Silent):
    """Reports the dev headline of every evaluation, and raises `Pruned` when the study's pruner says so.

    Values are reported by epoch if a training evaluates after each, else by optimizer step, since the pruner compares
    trials at equal steps.
    """

    def __init__(self, study: Study, storage: BaseStorage, number: int, headline: str, *, by_epoch: bool) -> None:
        self._study, self._storage, self._headline, self._by_epoch = study, storage, headline, by_epoch
        in_storage = storage.get_study_id_from_name(study.study_name)
        self._trial = storage.get_trial_id_from_study_id_trial_number(in_storage, number)
        self._total = 0

    def started(self, step: int, total: int) -> None:
        self._total = total

    def evaluated(self, step: int, epoch: float, metrics: dict[str, float], *, best: bool) -> None:
        at = math.ceil(epoch - 1e-9) if self._by_epoch else step
        value = metrics[self._headline]
        self._storage.set_trial_intermediate_value(self._trial, at, value)
        if step >= self._total:  # nothing would be saved
            return
        if self._study.pruner.prune(self._study, self._storage.get_trial(self._trial)):
            where = f"epoch {at}" if self._by_epoch else f"step {at}"
            by = type(self._study.pruner).__name__
            raise Pruned(f"ended by {by} at {where}, dev {self._headline} {value:.2f}; no result")
