"""Seconds of work: without those in which the process is stopped (Ctrl-Z, a suspended job of a cluster)."""

from __future__ import annotations

import time
from types import FrameType

_last = time.perf_counter()  # when the clock was read
_stopped = 0.0


def working_seconds() -> float:
    """Read the clock: only differences mean something.

    Of a stop only the end is known, so what was done since the reading before it is not counted: one step, say.
    """
    global _last
    _last = time.perf_counter()
    return _last - _stopped


def continued(number: int, frame: FrameType | None) -> None:
    """Handle SIGCONT: take the time since the last reading for one in which the process stood still."""
    global _last, _stopped
    now = time.perf_counter()
    _last, _stopped = now, _stopped + now - _last
