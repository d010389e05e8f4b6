"""Losses, weights and scores that are no numbers: named with the step that made them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from ptv2.errors import NonFiniteError, TrainingError
from ptv2.training import state


class FiniteCheck:
    """What one training checks before it goes on; every fault is a `TrainingError`."""

    def __init__(self, folder: Path, parameters: Mapping[str, Tensor], precision: str) -> None:
        """`folder` holds the states of the training of `parameters`."""
        self._folder, self._parameters = folder, parameters
        self._skips = precision == "fp16"  # its scaler skips steps with infinite gradients by itself

    def error(self, step: int, what: str) -> TrainingError:
        """The error of a step, with what helps and what is left."""
        saved = state.latest_state(self._folder) is not None
        where = f"the last good state is kept in {self._folder}" if saved else "no state had been saved before"
        return TrainingError(f"step {step}: {what}; try a lower optim.lr or trainer.precision=fp32; {where}")

    def loss(self, step: int, loss: float, norm: float) -> None:
        """Check the loss of a step and the norm of its gradient."""
        if not (math.isfinite(loss) and (math.isfinite(norm) or self._skips)):
            raise self.error(step, f"the loss or its gradient is not finite (loss {loss:g})")

    def weights(self, step: int) -> None:
        """Check that no update made a weight NaN or infinite, which the next loss would show too late."""
        if not all(bool(parameter.isfinite().all()) for parameter in self._parameters.values()):
            raise self.error(step, "the weights are not finite after this step")

    def metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Check the scores on dev."""
        if odd := [name for name, value in metrics.items() if not math.isfinite(value)]:
            raise self.error(step, f"dev {odd[0]} is {metrics[odd[0]]}, not a score")

    @contextmanager
    def scores(self, step: int) -> Iterator[None]:
        """Name the step whose weights give scores that are not finite (`NonFiniteError`)."""
        try:
            yield
        except NonFiniteError as error:
            raise self.error(step, str(error)) from error
