"""Locks of open files, which go with the process that holds them. Windows lacks them: there `AVAILABLE` is false."""

from __future__ import annotations

import errno
import os
import sys

try:
    import fcntl
except ImportError:
    AVAILABLE = False
else:
    AVAILABLE = True


def lock(handle: int, *, shared: bool = False, wait: bool = True) -> None:
    """Lock an open file until it is closed.

    Raises:
        BlockingIOError: another process holds it, and `wait` is false.
        OSError: the system or the file system has no such locks.
    """
    if not AVAILABLE:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    if sys.platform != "win32":
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
