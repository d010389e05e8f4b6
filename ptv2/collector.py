"""Importing large libraries without Python's garbage collector, and with an answer to Ctrl-C."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ptv2.interruption import ending_at_once


@contextmanager
def collector_paused() -> Iterator[None]:
    """Leave the collector out while torch and transformers are imported.

    It finds nothing in the hundred thousands of objects that imports make, and takes a sixth of their time. They are
    kept out of later collections too. Once torch is there nothing is left out: a later job of a sweep makes garbage.
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
