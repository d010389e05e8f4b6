"""Stopping at the next safe point when the user or the system asks.

That is Ctrl-C, SIGTERM, SIGHUP (a terminal that was closed), or a cluster's SIGUSR1 or SIGUSR2.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import ClassVar

from ptv2.interruption import SHOW_CURSOR, end_at_next
from ptv2.run_folders.processes import is_main_process, is_started_by_user
from ptv2.streams import leave_closed_terminal
from ptv2.training import clock

# What clusters warn with before they take a machine back, and what a closed terminal sends, also through a launcher of
# processes; nobody sends these twice in impatience. Windows has none of them.
HANGUP = getattr(signal, "SIGHUP", None)
WARNINGS = tuple(getattr(signal, name) for name in ("SIGUSR1", "SIGUSR2", "SIGHUP") if hasattr(signal, name))


class StopRequest:
    """While entered, the first SIGINT and the first SIGTERM only set `signal`; a second of its kind acts as usual.

    One of each is no haste: on Ctrl-C a launcher of several processes gets SIGINT as they do, and sends them SIGTERM.
    `WARNINGS` set it too, however often they come; SIGHUP stays ignored where it is, as under nohup. What an outer one
    got, or in another thread, which Python allows no handlers, that of the main thread, counts as well. A process that
    was stopped and goes on tells the clock.

    Args:
        tell: called once, in the handler of the first signal: a second one may end the process before anything else is.
    """

    _of_main: ClassVar[StopRequest | None] = None

    def __init__(self, tell: Callable[[], None] = lambda: None) -> None:
        self._tell = tell
        self._signal: int | None = None
        self._outer: StopRequest | None = None
        self._before: dict[int, object] = {}
        self._handled: set[int] = set()  # what is handled just now
        self._again: set[int] = set()  # what came a second time meanwhile

    @property
    def signal(self) -> int | None:
        """The signal that came; None: no request."""
        return self._signal or (None if self._outer is None else self._outer.signal)

    @classmethod
    def is_entered(cls) -> bool:
        """Whether one is entered in the main thread, so that a signal does not end the process at once."""
        return cls._of_main is not None

    def __enter__(self) -> StopRequest:
        self._outer = StopRequest._of_main
        if threading.current_thread() is threading.main_thread():
            StopRequest._of_main = self
            for number in (signal.SIGINT, signal.SIGTERM, *WARNINGS):
                if number != HANGUP or signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._request)
            if hasattr(signal, "SIGCONT"):
                self._before[signal.SIGCONT] = signal.signal(signal.SIGCONT, clock.continued)
        return self

    def __exit__(self, *details: object) -> None:
        if StopRequest._of_main is self:
            StopRequest._of_main = self._outer
        for number in list(self._before):
            self._restore(number)

    def _request(self, number: int, frame: FrameType | None) -> None:
        if number in self._handled:
            self._again.add(number)
            return
        self._handled.add(number)
        try:
            self._heed(number)
        finally:
            self._handled.remove(number)
        if number in self._again and number not in WARNINGS:
            signal.raise_signal(number)  # as usual

    def _heed(self, number: int) -> None:
        if self._signal is None:
            self._signal = number
            self._tell()
        if number not in WARNINGS:
            self._restore(number)
        if number == signal.SIGINT:
            end_at_next()
            _answer()
        if number == HANGUP:
            leave_closed_terminal()

    def _restore(self, number: int) -> None:
        if number in self._before:
            signal.signal(number, self._before.pop(number))  # type: ignore[arg-type]


def _answer() -> None:
    """Say at once on a terminal that Ctrl-C was heard: the step, or the state to be saved, may take a while.

    A bar hides the cursor, and after a second Ctrl-C nothing would show it again.
    """
    if is_main_process() and is_started_by_user():
        with suppress(OSError):
            if os.isatty(2):  # sys.stderr may be a stand-in of Rich's, which says no in older versions
                os.write(2, SHOW_CURSOR + b"stopping after this step (Ctrl-C again: at once, nothing more is saved)\n")
