"""A training from its model and examples to the fields of the run's record that every training has."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptv2.config.schema import RunConfig
from ptv2.console.output import RichMonitor
from ptv2.data.batches import TrainingSet
from ptv2.experiment.record import runtime_record, time_record
from ptv2.models.build import PromptedModel, describe
from ptv2.training.clock import working_seconds
from ptv2.training.device import MemoryMeter, naming_memory
from ptv2.training.monitor import Chain, Monitor, Silent
from ptv2.training.shard import held_bytes
from ptv2.training.trainer import Trainer

if TYPE_CHECKING:
    from accelerate import Accelerator


class Fit:
    """One training: `run()` it, then ask for what a record says of it."""

    def __init__(
        self, config: RunConfig, folder: Path, model: PromptedModel, accelerator: Accelerator, started: float
    ) -> None:
        """Begin to measure memory.

        Args:
            config: of the run, or of one of the tasks that are trained together.
            folder: of the run.
            started: `working_seconds()` when the run began, without what has a record of its own.
        """
        self.config, self.folder, self.model, self.accelerator = config, folder, model, accelerator
        self._started = started
        self._meter = MemoryMeter(accelerator.device)
        self.trainer: Trainer

    def run(
        self,
        rows: TrainingSet,
        dev: Callable[[Callable[[], None]], dict[str, float]],
        headline: str,
        *,
        others: list[str],
        first: str | None = None,
        watch: Monitor | None = None,
        follow: Callable[[dict[str, Any]], None] | None = None,
        then: Callable[[Trainer], None] = lambda trainer: None,
    ) -> None:
        """Train, with progress shown by the main process.

        Args:
            rows: the encoded training examples.
            dev: gives the scores on dev; it calls its argument now and then, to be interrupted.
            headline: the score that chooses the weights.
            others: scores shown beside it.
            first: a line said before the training.
            watch: told of the progress too.
            follow: told of every line of `metrics.jsonl`.
            then: what else needs the trained model while memory is watched.
        """
        main = self.accelerator.is_main_process
        shown = RichMonitor(self.folder.name, headline, others) if main else nullcontext(Silent())
        with naming_memory(self.config.trainer), shown as monitor:
            if first is not None:
                monitor.note(first)
            self.trainer = Trainer(
                self.model,
                rows,
                dev,
                headline,
                config=self.config.trainer,
                optim=self.config.optim,
                seed=self.config.seed,
                folder=self.folder,
                accelerator=self.accelerator,
                monitor=Chain(monitor, watch) if watch else monitor,
                compiled=self.config.model.compile,
                follow=follow,
            )
            self.trainer.fit()
            then(self.trainer)

    def record(self) -> dict[str, Any]:
        """Fields of a run's `Result`: names, dev scores, steps, parameters, time, memory, surroundings."""
        at = self.trainer.at
        return {
            "name": self.folder.name,
            "model": self.config.model.name,
            "seed": self.config.seed,
            "headline": self.trainer.headline,
            "dev": at.best or {},
            "dev_last": at.last or {},
            "best_step": at.best_step or 0,
            "best_epoch": round((at.best_step or 0) / self.trainer.steps_per_epoch, 2),
            "steps": at.step,
            "steps_planned": self.trainer.total,
            "evaluations": at.evaluations,
            "parameters": describe(self.model),
            "time": time_record(at, working_seconds() - self._started),
            "memory": {**self._meter.record(), "weights": held_bytes(self.model)},
            "runtime": runtime_record(self.accelerator, at),
            "backbone": self.model.identity_record(),
        }
