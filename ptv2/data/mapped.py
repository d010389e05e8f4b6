"""Arrays that are parts of files: the system reads what is used, and drops it where memory is short."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np

# Bytes of the smallest array that is left in its file.
MAPPED = 2**25
# Bytes that are looked at together where all of an array is.
PIECE = 2**24


def map_array(file: IO[bytes], kind: np.dtype[Any], shape: Sequence[int], offset: int = 0) -> np.ndarray:
    """View a part of a file as an array that cannot be written to; it stays when the file is closed, or removed.

    Args:
        offset: bytes before it.

    Raises:
        ValueError: the file ends before the array does, or `kind` has objects.
    """
    count = math.prod(shape)
    if not count:
        return np.empty(shape, kind)
    region = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(region, kind, count, offset).reshape(shape)


def in_pieces(array: np.ndarray) -> Iterator[np.ndarray]:
    """Go through the rows of an array; those of a mapped one do not stay in memory."""
    rows = max(1, PIECE // max(1, array.nbytes // max(1, len(array))))
    region = region_of(array)
    for start in range(0, len(array), rows):
        yield array[start : start + rows]
        if region is not None and hasattr(region, "madvise"):
            region.madvise(mmap.MADV_DONTNEED)


def region_of(array: np.ndarray) -> mmap.mmap | None:
    """The mapped file that an array is a part of; None if it is in memory."""
    base: Any = array
    while isinstance(base, (np.ndarray, memoryview)):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    return base if isinstance(base, mmap.mmap) else None
