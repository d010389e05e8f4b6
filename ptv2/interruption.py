"""Handle Ctrl-C: one line and exit code 130, whatever a command does; a second one ends the process at once.

Imports next to nothing: it must be in place before anything that takes a moment.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any

CODE = 130  # 128 + SIGINT, as in a shell
SHOW_CURSOR = b"\r\x1b[K\x1b[?25h"  # a bar hides it
_raised = False  # whether Ctrl-C raised KeyboardInterrupt in this process
_LAST: list[Callable[[], object]] = []  # what is done before the process ends


def install() -> None:
    """Make Ctrl-C end this process at once; nothing changes where it is ignored, as in a job in the background."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
        sys.unraisablehook = _end_if_swallowed


@contextlib.contextmanager
def unwinding() -> Iterator[None]:
    """While a command works, let the first Ctrl-C raise KeyboardInterrupt, so that files and locks are released."""
    with _replaced(_end, _interrupt):
        yield


@contextlib.contextmanager
def ending_at_once() -> Iterator[None]:
    """Let Ctrl-C end the process at once during imports, which may swallow an exception, or turn it into another."""
    with _replaced(_interrupt, _end):
        yield


def end_at_next() -> None:
    """After a Ctrl-C, let the system end the process at the next one, whatever it is computing."""
    if signal.getsignal(signal.SIGINT) is _interrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def before_end(act: Callable[[], object]) -> Iterator[None]:
    """Call `act` also where a signal ends the process at once meanwhile: SIGTERM, SIGHUP, or Ctrl-C during imports."""
    _LAST.append(act)
    try:
        with contextlib.ExitStack() as handled:
            for name in ("SIGTERM", "SIGHUP"):
                if hasattr(signal, name):  # Windows has no SIGHUP
                    handled.enter_context(_replaced(signal.SIG_DFL, _leave, signal.Signals[name]))
            yield
    finally:
        _LAST.remove(act)


@contextlib.contextmanager
def _replaced(usual: Any, handler: Any, number: int = signal.SIGINT) -> Iterator[None]:
    """Handle a signal by `handler` if `usual` handles it now: other processes and threads have other handlers."""
    if signal.getsignal(number) is not usual:
        yield
        return
    try:
        signal.signal(number, handler)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        if signal.getsignal(number) is handler:
            signal.signal(number, usual)


def was_raised() -> bool:
    """Whether Ctrl-C raised KeyboardInterrupt before: OmegaConf and others make errors of their own of it."""
    return _raised


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _raised
    end_at_next()
    _raised = True
    with contextlib.suppress(OSError):
        if os.isatty(2):
            os.write(2, SHOW_CURSOR)
    raise KeyboardInterrupt


def _leave(number: int, frame: FrameType | None) -> None:
    """End as the signal ends any process."""
    signal.signal(number, signal.SIG_DFL)
    _act_last()
    signal.raise_signal(number)


def _act_last() -> None:
    for act in _LAST:
        with contextlib.suppress(Exception):
            act()


def _end(number: int, frame: FrameType | None) -> None:
    _act_last()
    with contextlib.suppress(OSError):  # standard error may be closed or full
        os.write(2, (SHOW_CURSOR if os.isatty(2) else b"") + b"ptv2: error: stopped\n")
    os._exit(CODE)


def _end_if_swallowed(unraisable: sys.UnraisableHookArgs) -> None:
    """End where Python would print KeyboardInterrupt and go on, as in `__del__`."""
    kind: type[BaseException] = unraisable.exc_type
    trace: TracebackType | None = unraisable.exc_traceback
    if issubclass(kind, KeyboardInterrupt):
        _end(signal.SIGINT, None if trace is None else trace.tb_frame)
    sys.__unraisablehook__(unraisable)
