"""Work without Python's garbage collector, where it would look through hundred thousands of objects for nothing."""

from __future__ import annotations

import atexit
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
        atexit.unregister(_unfreeze_for_nanobind)
        atexit.register(_unfreeze_for_nanobind)
        if enabled:
            gc.enable()


@contextmanager
def collector_paused() -> Iterator[None]:
    """Import torch and transformers without the collector, which takes a sixth of the time; Ctrl-C ends the process."""
    with collector_off(), nullcontext() if "torch" in sys.modules else ending_at_once():
        yield


def _unfreeze_for_nanobind() -> None:
    """Let the last collection free what nanobind would count as leaked: it prints twenty lines to each command's end.

    Triton, which torch's CUDA builds import, is made with nanobind from 3.9 on. Elsewhere nothing is looked through:
    it takes more than a second.
    """
    triton = sys.modules.get("triton._C.libtriton")
    if triton is not None and any(type(value).__module__ == "nanobind" for value in vars(triton).values()):
        gc.unfreeze()
