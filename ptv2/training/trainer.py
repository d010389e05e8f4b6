"""The training loop: one for all methods, tasks and numbers of processes.

It gets a module, encoded examples and a function that scores; it never hears a task's name. All it needs to go on
after an interruption is a `Position` and the tensors beside it.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from ptv2.config.schema import HALF, OptimConfig, TrainerConfig
from ptv2.data.batches import TrainingSet, shares
from ptv2.errors import Interrupted, RunError, TrainingError
from ptv2.models.build import PromptedModel, trained_by_name
from ptv2.run_folders.metrics_log import MetricsLog
from ptv2.training import state
from ptv2.training.clock import working_seconds
from ptv2.training.device import empty_cache, is_out_of_memory
from ptv2.training.finite import FiniteCheck
from ptv2.training.losses import UnreadLosses
from ptv2.training.monitor import Monitor
from ptv2.training.optim import build_optimizer, learning_rate_factor
from ptv2.training.position import Position
from ptv2.training.seeds import process_seed
from ptv2.training.stop import StopRequest
from ptv2.training.transfer import send, widen

LOG_EVERY = 10  # steps between two lines of metrics.jsonl
GO_ON = (  # when memory ran out
    "to go on from here add trainer.halve_on_oom=true (same effective batch) or model.gradient_checkpointing=true; "
    "a smaller trainer.batch_size is another run"
)


class Trainer:
    """Trains one model on one data set; see `fit`."""

    def __init__(
        self,
        model: PromptedModel,
        train: TrainingSet,
        evaluate: Callable[[Callable[[], None]], dict[str, float]],
        headline: str,
        *,
        config: TrainerConfig,
        optim: OptimConfig,
        seed: int,
        folder: Path,
        accelerator: Accelerator,
        monitor: Monitor,
        compiled: bool = False,
        follow: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        """Prepare to train.

        Args:
            evaluate: scores the dev set; takes a function to call between batches, which may raise to stop.
            headline: the dev metric that chooses the best weights; higher is better.
            folder: where states, best weights and `metrics.jsonl` go.
            compiled: whether to train through `torch.compile`.
            follow: told of every line of `metrics.jsonl`.
        """
        self.model, self.train, self.evaluate, self.headline = model, train, evaluate, headline
        self.config, self.optim, self.seed, self.folder = config, optim, seed, folder
        self.accelerator, self.monitor = accelerator, monitor
        self.parameters = {f"model.{name}": parameter for name, parameter in trained_by_name(model).items()}
        self.finite = FiniteCheck(folder, self.parameters, config.precision)
        model.to(accelerator.device)
        runner = torch.compile(model, dynamic=True) if compiled else model
        self.runner, self.optimizer = accelerator.prepare(runner, build_optimizer(model, optim))
        self.base_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.steps_per_epoch = math.ceil(len(train) / config.batch_size)
        self.total = min(config.epochs * self.steps_per_epoch, config.max_steps or config.epochs * self.steps_per_epoch)
        self.every = self.steps_per_epoch if config.evaluate_every == "epoch" else int(config.evaluate_every)
        self.at = Position(accumulation=config.accumulation)
        self.log = MetricsLog(folder / "metrics.jsonl", writes=accelerator.is_main_process, follow=follow)
        self._order: tuple[int, list[list[int]]] = (-1, [])
        self._unread = UnreadLosses(accelerator)
        self._loss = math.nan  # the last that was read
        self._widens = accelerator.device.type == "cuda" and config.precision in HALF
        self._saved_at, self._saved_step = time.monotonic(), 0

    def fit(self) -> Position:
        """Train to the end, or on from where a state on disk stands, and load the best weights into the model.

        Raises:
            Interrupted: SIGINT or SIGTERM came; the state was saved.
            TrainingError: loss, weights or scores are not finite, or memory ran out.
        """
        with StopRequest() as self.stop:
            self._restore()
            self.monitor.started(self.at.step, self.total)
            self.model.train()
            while True:
                self._between_steps()
                if self._evaluation_is_due():
                    self._evaluate()
                if self._is_stale() or self.is_last_step:
                    break
                self._train_step()
            self._read_losses()
            if self.at.loss_steps:  # stopped early, between two lines of the log
                self._log_loss()
            self._save()
            self._stop_if_asked()
        self._load_best()
        return self.at

    @property
    def is_last_step(self) -> bool:
        """Whether all planned steps are done."""
        return self.at.step >= self.total

    # One step

    def _train_step(self) -> None:
        started = working_seconds()
        epoch, number = divmod(self.at.step, self.steps_per_epoch)
        if self._order[0] != epoch:
            self._order = (epoch, self.train.epoch_batches(self.config.batch_size, self.seed, epoch))
        batch = self._order[1][number]
        factor = learning_rate_factor(self.optim, self.at.step, self.total, self.steps_per_epoch)
        for group, rate in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = rate * factor
        loss = self._forward_backward(batch)
        norm = self._update(loss)
        self.at.step += 1
        self.at.examples += len(batch)
        self._unread.add(loss, norm)
        due = self._is_tenth() or self.at.step == self.total or self.total < 2 * LOG_EVERY
        if due or self._unread.at_once:
            self._read_losses()
        self.at.train_seconds += working_seconds() - started
        if due:
            self._log_loss()
        self.monitor.stepped(self.at.step, self._loss, self._rate())

    def _is_tenth(self) -> bool:
        return self.at.step % LOG_EVERY == 0

    def _read_losses(self) -> None:
        """Add the losses since the last reading to the mean that is logged; waits for the device.

        Raises:
            TrainingError: one of them, or a gradient, is not finite.
        """
        read = self._unread.read()
        for step, (loss, norm) in enumerate(read, self.at.step - len(read) + 1):
            self.finite.loss(step, loss, norm)
            self.at.loss_sum += loss
            self.at.loss_steps += 1
            self.at.gradient_norm = norm if self.optim.clip is not None and math.isfinite(norm) else None
            self._loss = loss

    def _forward_backward(self, batch: list[int]) -> Tensor:
        """Gradients of the mean loss over the effective batch, and this process's share of that loss, on the device."""
        before = state.random_state()
        while True:
            try:
                return self._accumulate(batch)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(error)
            # Not above, where the error still holds what the failed pass had made.
            empty_cache()
            state.restore_random_state(before)

    def _accumulate(self, batch: list[int]) -> Tensor:
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        parts = shares(batch, world * self.at.accumulation)[rank::world]
        targets = self.train.targets(batch)
        self.optimizer.zero_grad()
        total = torch.zeros((), device=self.accelerator.device)
        for i, indices in enumerate(parts):
            # An empty share still runs forward and backward: the other processes wait for its gradients.
            inputs = self.train.batch(indices or batch[:1])
            if self._widens:
                model = self.model
                inputs = widen(inputs, model.prompt_length, model.config.pad_token_id, model.max_text_length)
            inputs = send(inputs, self.accelerator.device)  # beside the last step, which may still run on a GPU
            weight = world / targets if indices else 0.0  # gradients are averaged over processes afterwards
            last = i == len(parts) - 1
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self.runner):
                loss = self.runner(inputs)["loss_sum"] * weight
                self.accelerator.backward(loss)
                if self.model.together is not None:
                    self.model.together.backward()
            total += loss.detach() / world
        return total

    def _update(self, loss: Tensor) -> Tensor | None:
        """Update what is trained; returns the norm of its gradient, on the device, where that is clipped."""
        norm: Tensor | None = None
        if self.optim.clip is not None:
            norm = self.accelerator.clip_grad_norm_(list(self.parameters.values()), self.optim.clip)
        if self._unread.at_once:  # so that a bad gradient is not applied
            length = 0.0 if norm is None else float(norm.detach().numpy())
            self.finite.loss(self.at.step + 1, float(loss.numpy()), length)
        self.optimizer.step()
        return norm

    def _halve(self, error: BaseException) -> None:
        size = math.ceil(self.config.batch_size / (self.at.accumulation * self.accelerator.num_processes))
        failure = f"out of memory with {size} examples a pass"
        alone = self.accelerator.num_processes == 1  # the other processes would not know
        if not (self.config.halve_on_oom and alone and size > 1):
            self._save_before_giving_up()
            raise TrainingError(
                f"step {self.at.step + 1}: {failure} (trainer.batch_size={self.config.batch_size}, "
                f"trainer.accumulation={self.at.accumulation}, trainer.precision={self.config.precision}); {GO_ON}"
            ) from error
        self.at.accumulation *= 2
        self.monitor.note(f"step {self.at.step + 1}: {failure}; accumulation is now {self.at.accumulation}")

    # Evaluation

    def _evaluation_is_due(self) -> bool:
        at = self.at
        return at.step > at.evaluated_at and (at.step % self.every == 0 or at.step == self.total)

    def _evaluate(self) -> None:
        started = working_seconds()
        self._read_losses()
        self.finite.weights(self.at.step)
        try:
            with self.finite.scores(self.at.step):
                metrics = self.evaluate(self._stop_if_asked)
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                self._save_before_giving_up()
            raise
        at = self.at
        self.finite.metrics(at.step, metrics)
        at.evaluated_at, at.last = at.step, metrics
        at.evaluations += 1
        better = at.best is None or metrics[self.headline] > at.best[self.headline]
        at.stale = 0 if better else at.stale + 1
        if better:
            at.best, at.best_step, at.best_file = metrics, at.step, f"best-{at.step:08d}.safetensors"
            if self.accelerator.is_main_process:
                state.save_best(self.folder, at.best_file, dict(self.parameters), {"step": at.step})
            self.accelerator.wait_for_everyone()
        at.evaluate_seconds += working_seconds() - started
        epoch = at.step / self.steps_per_epoch
        self.log.add({"step": at.step, "epoch": round(epoch, 4), "dev": metrics, "best": better})
        self.monitor.evaluated(at.step, epoch, metrics, best=better)

    def _is_stale(self) -> bool:
        return self.config.patience is not None and self.at.stale >= self.config.patience

    # Interruption

    def _stop_if_asked(self) -> None:
        self._stop_by(self.stop.signal if self.accelerator.num_processes == 1 else self._agree()[0])

    def _stop_by(self, number: int | None) -> None:
        if not number:
            return
        self._save()
        raise Interrupted(
            f"stopped at step {self.at.step} of {self.total}; the same command goes on from there", number
        )

    def _is_save_due(self) -> bool:
        return (
            self.at.step > self._saved_step and time.monotonic() - self._saved_at >= 60 * self.config.checkpoint_minutes
        )

    def _agree(self) -> tuple[int, bool]:
        """The signal that any of several processes got, or 0, and whether one of them is due to save.

        All stop together, or the others would wait for ever; all save together, and their clocks differ.
        """
        mine = torch.tensor([[self.stop.signal or 0, self._is_save_due()]], device=self.accelerator.device)
        number, due = self.accelerator.gather(mine).amax(dim=0).tolist()
        return number, bool(due)

    def _between_steps(self) -> None:
        """Stop or save where that is asked for; several processes ask each other every tenth step."""
        if self.accelerator.num_processes == 1:
            number, due = self.stop.signal, self._is_save_due()
        elif self._is_tenth():
            number, due = self._agree()
        else:
            return
        self._stop_by(number)
        if due:
            self._save()

    def _save(self) -> None:
        self._read_losses()
        self.finite.weights(self.at.step)
        tensors: dict[str, Tensor] = {**self.parameters, **state.optimizer_tensors(self.optimizer)}
        randoms: list[dict[str, Tensor]] = [state.random_state()]
        if self.accelerator.num_processes > 1:
            randoms = gather_object(randoms)
        tensors |= {f"random.{rank}.{name}": t for rank, s in enumerate(randoms) for name, t in s.items()}
        if self.accelerator.scaler is not None:
            tensors |= state.scaler_tensors(self.accelerator.scaler)
        if self.accelerator.is_main_process:
            self.log.flush()
            header = {**asdict(self.at), "processes": len(randoms), "log": self.log.fingerprint()}
            state.save_state(self.folder, self.at.step, tensors, header)
        self._saved_at, self._saved_step = time.monotonic(), self.at.step

    def _save_before_giving_up(self) -> None:
        """Keep what is done when memory runs out, since other settings can go on from there."""
        if self.accelerator.num_processes == 1:  # the other processes would not know, and saving needs them
            self._save()

    def _restore(self) -> None:
        """Put everything where the newest whole state has it, or at the beginning, and remove what is newer."""
        latest = state.latest_state(self.folder)
        self.accelerator.wait_for_everyone()  # all have read it before the main process removes anything
        if self.accelerator.is_main_process:
            step = latest[1]["step"] if latest else -1
            if torn := state.drop_states_after(self.folder, step):
                start = f"goes on from step {step}" if latest else "starts again from the beginning"
                self.monitor.note(f"cannot use {' and '.join(torn)} (torn or altered); training {start}")
        if latest is None:
            torch.manual_seed(process_seed(self.seed, self.accelerator.process_index))
            self._open_log()
            return
        tensors, header = latest
        processes, log = header.pop("processes"), header.pop("log", None)
        if processes != self.accelerator.num_processes:
            raise RunError(
                f"{self.folder}: was interrupted with {processes} processes and can only go on with as many, "
                f"not {self.accelerator.num_processes}"
            )
        self.at = Position(**header)
        self.at.resumed += 1
        self._saved_step = self.at.step
        self._load({name: tensors[name] for name in self.parameters})
        state.restore_optimizer(self.optimizer, tensors)
        prefix = f"random.{self.accelerator.process_index}."
        state.restore_random_state({n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)})
        if self.accelerator.scaler is not None:
            state.restore_scaler(self.accelerator.scaler, tensors)
        self._open_log(log)
        self.accelerator.wait_for_everyone()

    def _open_log(self, saved: dict[str, Any] | None = None) -> None:
        logged = self.at.step - bool(self.at.loss_steps)  # a loss of this step that waits is logged again
        damaged = self.log.start_at(logged, self.at.evaluated_at, saved)
        if damaged:
            self.at.damaged_lines += damaged
            self.monitor.note(f"lines of {self.log.path.name} damaged, altered or lost: {damaged}")

    def _load_best(self) -> None:
        assert self.at.best_file is not None
        best = state.load_tensors(self.folder / self.at.best_file)
        if best is None:
            raise RunError(
                f"{self.folder / self.at.best_file}: the best weights are missing or torn; remove the run and repeat it"
            )
        self._load(best[0])

    def _load(self, tensors: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(tensors[name])

    def _rate(self) -> float:
        """The largest learning rate of the last step, whether this process or an earlier one made it."""
        factor = learning_rate_factor(self.optim, self.at.step - 1, self.total, self.steps_per_epoch)
        return max(self.base_rates) * factor

    def _log_loss(self) -> None:
        at, rate = self.at, self._rate()
        norm = {} if at.gradient_norm is None else {"gradient_norm": at.gradient_norm}
        seconds = {"train_seconds": round(at.train_seconds, 3)}
        self.log.add({"step": at.step, "loss": at.loss_sum / at.loss_steps, "lr": rate, **norm, **seconds})
        at.loss_sum, at.loss_steps = 0.0, 0
