"""Standard error that takes nothing (a full disk): what is said there is lost, the work is not."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any


class Forgiving:
    """A stream that goes on where writing fails, unless its reader went away."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or lose the text."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError:
            self._drop()
        return len(text)

    def flush(self) -> None:
        """Flush what can be."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError:
            self._drop()

    def _drop(self) -> None:
        """Let what is buffered, and all that follows, go nowhere: it would be tried again with the next text."""
        with suppress(OSError):
            _point_to_nothing(self._stream.fileno())
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def forgive_errors() -> None:
    """Make standard error forgiving."""
    if not isinstance(sys.stderr, Forgiving):
        sys.stderr = Forgiving(sys.stderr)


def _point_to_nothing(number: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, number)
    os.close(nothing)
