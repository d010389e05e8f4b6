"""Import large libraries without Python's garbage collector, and with an answer to Ctrl-C."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ptv2.interruption import ending_at_once


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the collector while torch and transformers are imported.

    It finds nothing in the hundred thousands of objects that imports make, and takes a sixth of their time; later
    collections skip these objects too. Once torch is imported nothing is paused: later jobs of a sweep make garbage.
    """
    if "torch" in sys.modules:
        yield
        return
    enabled = gc.isenabled()
    gc.disable()
    try:
        with ending_at_once():
            yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
