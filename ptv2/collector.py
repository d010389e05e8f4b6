"""Work without Python's garbage collector, where it would look through hundred thousands of objects for nothing."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from ptv2.interruption import ending_at_once


@contextmanager
def collector_off() -> Iterator[None]:
    """Turn the collector off while many objects are made that stay; later collections skip these objects too.

    Once torch is imported nothing is turned off: later jobs of a sweep make garbage.
    """
    if "torch" in sys.modules:
        yield
        return
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


@contextmanager
def collector_paused() -> Iterator[None]:
    """Import torch and transformers without the collector, which takes a sixth of the time; Ctrl-C ends the process."""
    with collector_off(), nullcontext() if "torch" in sys.modules else ending_at_once():
        yield
