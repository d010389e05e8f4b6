"""Losses and gradient norms of steps, left on the device until somebody needs them, since reading one waits for it."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from torch import Tensor


class UnreadLosses:
    """The losses and norms of the last steps, each still a tensor without dimensions.

    `at_once`: reading waits for nothing here, as there is one process and its numbers are in the CPU's memory.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._steps: list[tuple[Tensor, Tensor]] = []
        self.at_once = accelerator.num_processes == 1 and accelerator.device.type == "cpu"

    def add(self, loss: Tensor, norm: Tensor | None) -> None:
        """Take the loss of a step, this process's share of it, and the norm of the gradient where it was measured."""
        self._steps.append((loss, torch.zeros_like(loss) if norm is None else norm.detach().to(loss)))

    def read(self) -> list[tuple[float, float]]:
        """The losses over all processes, and the norms, of the steps since the last reading; one collective."""
        if not self._steps:
            return []
        losses, norms = (torch.stack(values) for values in zip(*self._steps, strict=True))
        self._steps = []
        losses = self._accelerator.reduce(losses, "sum")
        return torch.stack((losses, norms), dim=1).cpu().numpy().tolist()
