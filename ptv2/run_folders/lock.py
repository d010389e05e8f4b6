"""The lock of a run's directory, which is held while the run is trained.

Processes that train compete for `.lock`, and hold `.running` beside it. Other processes only open `.running`, for a
moment and shared, to see whether the run is trained: so they can never make a starting run fail.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from ptv2 import file_locks
from ptv2.errors import RunError
from ptv2.files import set_aside

POLL = 5.0  # seconds between two tries to hold a directory
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
LOCK, RUNNING = ".lock", ".running"


@contextlib.contextmanager
def hold(folder: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold `folder` for this process; the lock goes with the process, however it ends.

    Args:
        waiting: called every `POLL` seconds while another process holds it; None: do not wait.

    Raises:
        RunError: another process holds it, and `waiting` is None; or nothing can be written where it is.
    """
    lock = FileLock(folder / LOCK)
    with _saying_where(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name in (LOCK, RUNNING):
            set_aside(folder / name)
    while not lock.is_locked:
        try:
            with _saying_where(folder):
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


@contextlib.contextmanager
def _saying_where(folder: Path) -> Iterator[None]:
    """Name the setting that chooses the folder, where nothing can be written into it."""
    try:
        yield
    except OSError as error:
        if error.errno not in NOT_WRITABLE:
            raise
        raise RunError(f"{folder}: {error.strerror}; out=DIR names another folder for the runs") from error


def check_free(folder: Path) -> None:
    """Raise `RunError` if another process trains in `folder` now."""
    if is_held(folder):
        raise _taken(folder)


def _taken(folder: Path) -> RunError:
    return RunError(f"{folder}: another process is training this run")


@contextlib.contextmanager
def _mark(path: Path) -> Iterator[None]:
    """Hold `.running`, which has this process's id; it is removed at the end, as users may share a run's folder."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with contextlib.suppress(OSError):  # a file system without `flock`, where `FileLock` has another kind of lock
            file_locks.lock(handle)  # waits for `is_held` of other processes only: microseconds
        os.truncate(handle, 0)
        os.write(handle, json.dumps({"pid": os.getpid()}).encode())
        yield
    finally:
        if file_locks.AVAILABLE:
            path.unlink(missing_ok=True)
        else:
            os.truncate(handle, 0)
        os.close(handle)
        if not file_locks.AVAILABLE:  # Windows removes no open file, also if another process has it open
            with contextlib.suppress(PermissionError):
                path.unlink(missing_ok=True)


def is_held(folder: Path) -> bool:
    """Whether a process trains in `folder` now. Writes nothing and disturbs no starting run.

    False where it is not known, as the file system has no `flock`.
    """
    if not file_locks.AVAILABLE:
        return _is_alive(folder / RUNNING)
    try:
        handle = os.open(folder / RUNNING, os.O_RDONLY)
    except OSError:
        return False
    try:
        file_locks.lock(handle, shared=True, wait=False)
    except OSError as error:
        return isinstance(error, BlockingIOError)
    else:
        return False
    finally:
        os.close(handle)


def _is_alive(path: Path) -> bool:
    """Whether the process that wrote its id to `.running` lives, and not a later one with this id."""
    import psutil

    try:
        number, written = json.loads(path.read_text(encoding="utf-8"))["pid"], path.stat().st_mtime
        return bool(psutil.Process(number).create_time() <= written)
    except (OSError, ValueError, TypeError, KeyError, psutil.Error):
        return False
