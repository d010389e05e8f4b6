"""What a trainer tells whoever watches it."""

from __future__ import annotations

from typing import Protocol


class Monitor(Protocol):
    """Receives the progress of one training; `commands` shows it, tests leave it out."""

    def started(self, step: int, total: int) -> None:
        """Training begins (or goes on) after `step` of `total` optimizer steps."""

    def stepped(self, step: int, loss: float, rate: float) -> None:
        """A step is done: the last loss that was read (at first NaN), and the largest learning rate in force."""

    def evaluated(self, step: int, epoch: float, metrics: dict[str, float], *, best: bool) -> None:
        """The dev set was scored. May raise `ptv2.errors.Pruned` to end the training here, in a single process."""

    def note(self, text: str) -> None:
        """Something a user should know."""


class Silent:
    """A monitor that shows nothing."""

    def started(self, step: int, total: int) -> None: ...

    def stepped(self, step: int, loss: float, rate: float) -> None: ...

    def evaluated(self, step: int, epoch: float, metrics: dict[str, float], *, best: bool) -> None: ...

    def note(self, text: str) -> None: ...


class Chain:
    """Tells several monitors, one after the other."""

    def __init__(self, *monitors: Monitor) -> None:
        self._monitors = monitors

    def started(self, step: int, total: int) -> None:
        for monitor in self._monitors:
            monitor.started(step, total)

    def stepped(self, step: int, loss: float, rate: float) -> None:
        for monitor in self._monitors:
            monitor.stepped(step, loss, rate)

    def evaluated(self, step: int, epoch: float, metrics: dict[str, float], *, best: bool) -> None:
        for monitor in self._monitors:
            monitor.evaluated(step, epoch, metrics, best=best)

    def note(self, text: str) -> None:
        for monitor in self._monitors:
            monitor.note(text)
