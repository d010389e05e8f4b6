"""What a trainer tells whoever watches it."""

from __future__ import annotations

from typing import Protocol


class Monitor(Protocol):
    """Receives the progress of one training; `commands` shows it, tests leave it out."""

    def started(self, step: int, total: int) -> None:
        """Training begins (or goes on) after `step` of `total` optimizer steps."""

    def stepped(self, step: int, loss: float, rate: float) -> None:
        """A step is done: its mean loss, and the largest learning rate in force."""

    def evaluated(self, step: int, epoch: float, metrics: dict[str, float], *, best: bool) -> None:
        """The dev set was scored."""

    def said(self, text: str) -> None:
        """Something a user should know."""


class Silent:
    """A monitor that shows nothing."""

    def started(self, step: int, total: int) -> None: ...

    def stepped(self, step: int, loss: float, rate: float) -> None: ...

    def evaluated(self, step: int, epoch: float, metrics: dict[str, float], *, best: bool) -> None: ...

    def said(self, text: str) -> None: ...
