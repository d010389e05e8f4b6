"""Arrays that are parts of files: the system reads what is used, and drops it where memory is short."""

from __future__ import annotations

import logging
import math
import mmap
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import IO, Any

import numpy as np

log = logging.getLogger(__name__)

# Bytes of the smallest array that is left in its file.
MAPPED = 2**25
# Bytes that are looked at together where all of an array is.
PIECE = 2**24


def map_array(file: IO[bytes], kind: np.dtype[Any], shape: Sequence[int], offset: int = 0) -> np.ndarray:
    """View a part of a file as an array that cannot be written to; it stays when the file is closed, or removed.

    Where the system does not map files (some network drives, a limit of addresses), it is read.

    Args:
        offset: bytes before it.

    Raises:
        ValueError: the file ends before the array does, or `kind` has objects.
    """
    count = math.prod(shape)
    if not count:
        return np.empty(shape, kind)
    if kind.hasobject:
        raise ValueError(f"{kind}: expected numbers or texts")
    before = offset % mmap.ALLOCATIONGRANULARITY  # a region begins at a multiple
    size = count * kind.itemsize
    try:
        region = mmap.mmap(file.fileno(), before + size, access=mmap.ACCESS_READ, offset=offset - before)
    except OSError as error:
        log.debug("an array of %d bytes is read, since it cannot be mapped: %s", size, error)
        return _read_array(file, kind, shape, offset)
    return np.frombuffer(region, kind, count, before).reshape(shape)


def _read_array(file: IO[bytes], kind: np.dtype[Any], shape: Sequence[int], offset: int) -> np.ndarray:
    array = np.empty(shape, kind)
    left = array.reshape(-1).view(np.uint8).data
    file.seek(offset)
    while left:
        if not (data := file.read(min(PIECE, len(left)))):
            raise ValueError(f"the file ends {len(left)} bytes before the array does")
        left[: len(data)] = data
        left = left[len(data) :]
    array.flags.writeable = False
    return array


def in_pieces(array: np.ndarray) -> Iterator[np.ndarray]:
    """Go through the rows of an array; those of a mapped one do not stay in memory."""
    rows = max(1, PIECE // max(1, array.nbytes // max(1, len(array))))
    region = region_of(array)
    for start in range(0, len(array), rows):
        yield array[start : start + rows]
        if region is not None and sys.platform != "win32" and hasattr(region, "madvise"):
            with suppress(OSError):  # it is only advice, and refused for what is locked in memory
                region.madvise(mmap.MADV_DONTNEED)


def region_of(array: np.ndarray) -> mmap.mmap | None:
    """The mapped file that an array is a part of; None if it is in memory."""
    base: Any = array
    while isinstance(base, (np.ndarray, memoryview)):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    return base if isinstance(base, mmap.mmap) else None
