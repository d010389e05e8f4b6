"""The lock of a run's directory: held while it is trained, and asked for without being touched.

`.lock` is what processes that train compete for. `.running` is held beside it and is the only file that a look at a
run opens, for a moment and shared, so that a look can never make a starting run fail.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from ptv2.errors import RunError
from ptv2.files import set_aside

POLL = 5.0  # seconds between two looks at a directory that another process holds
LOCK, RUNNING = ".lock", ".running"


@contextlib.contextmanager
def hold(folder: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold `folder` for this process; the lock goes with the process, however it ends.

    Args:
        waiting: wait for another process, and call this every `POLL` seconds meanwhile.

    Raises:
        RunError: another process holds it, and this one is not to wait.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (LOCK, RUNNING):
        set_aside(folder / name)
    lock = FileLock(folder / LOCK)
    while not lock.is_locked:
        try:
            lock.acquire(timeout=POLL if waiting else 0)
        except Timeout as error:
            if waiting is None:
                raise _taken(folder) from error
            waiting()
    try:
        with _mark(folder / RUNNING):
            yield
    finally:
        lock.release()


def check_free(folder: Path) -> None:
    """Raise `RunError` if another process trains in `folder` now."""
    if is_held(folder):
        raise _taken(folder)


def _taken(folder: Path) -> RunError:
    return RunError(f"{folder}: another process is training this run")


@contextlib.contextmanager
def _mark(path: Path) -> Iterator[None]:
    """Hold `.running`, which has this process's number; it is removed at the end, as a run's folder may be shared."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # waits for looks only, which last microseconds
        os.truncate(handle, 0)
        os.write(handle, json.dumps({"pid": os.getpid()}).encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def is_held(folder: Path) -> bool:
    """Whether a process trains in `folder` now. Writes nothing, and no starting run notices."""
    try:
        handle = os.open(folder / RUNNING, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(handle)


def holder(folder: Path) -> int | None:
    """Number of the process that trains in `folder`; None if there is none or it cannot be read."""
    try:
        return int(json.loads((folder / RUNNING).read_text(encoding="utf-8"))["pid"]) if is_held(folder) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
