"""Lose messages, not work, where standard error takes nothing (a full disk), or a terminal was closed."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


class Forgiving:
    """A stream that ignores failed writes, unless its reader went away."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or lose the text."""
        with self._forgiving():
            self._stream.write(text)
            self._stream.flush()
        return len(text)

    def flush(self) -> None:
        """Flush, or lose the text."""
        with self._forgiving():
            self._stream.flush()

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Discard what cannot be written and all that follows: else it would be tried again with the next text."""
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError:
            with suppress(OSError):
                _point_to_nothing(self._stream.fileno())
                self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def forgive_errors() -> None:
    """Make standard error forgiving."""
    if not isinstance(sys.stderr, Forgiving):
        sys.stderr = Forgiving(sys.stderr)


def leave_closed_terminal() -> None:
    """Point standard streams to nothing where they are a terminal that is gone, at which every write is an error."""
    for number in range(3):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(number).st_mode) and not os.isatty(number):
                _point_to_nothing(number)


def _point_to_nothing(number: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, number)
    os.close(nothing)
