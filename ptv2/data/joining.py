"""Join sets that were encoded in parts, as they come; arrays that grow large are in files and mapped into memory.

The name of a field tells how to join it, the same in every set: `starts` are the bounds of sequences in flat arrays,
`owners` number the examples that rows come from, `truncated` is a count; any other array has one row per item, and any
other value belongs to the whole set.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Iterable
from typing import IO, Any, TypeVar

import numpy as np

from ptv2.data.arrays import flatten, unflatten
from ptv2.data.mapped import MAPPED, map_array

T = TypeVar("T")
log = logging.getLogger(__name__)


def joined(sets: Iterable[tuple[T, int]]) -> T:
    """Join sets of the same kind into the one that encoding all their examples at once would give.

    Args:
        sets: at least one, each with its number of examples, by which `owners` are shifted; few are in memory at once.

    Raises:
        ValueError: a value that belongs to the whole set differs, or only some sets have an array.
    """
    columns: dict[str, _Column] = {}
    values: dict[str, Any] = {}
    kind: type[T] | None = None
    before = 0
    for encoded, examples in sets:
        arrays, others = flatten(encoded)
        if kind is None:
            kind, values = type(encoded), others
            columns = {name: _Column(name.rpartition(".")[2]) for name in arrays}
        else:
            values = {name: _agreed(name, values, others) for name in (values | others)}
        for name in columns.keys() | arrays.keys():
            if name not in arrays or name not in columns:
                raise _different(name)
            columns[name].append(arrays[name], before)
        before += examples
    if kind is None:
        raise ValueError("there are no sets to join")
    return unflatten(kind, {name: columns.pop(name).whole() for name in list(columns)}, values)


def _agreed(name: str, values: dict[str, Any], others: dict[str, Any]) -> Any:
    if name.rpartition(".")[2] == "truncated":
        return values[name] + others[name]
    if name not in values or name not in others or values[name] != others[name]:
        raise _different(name)
    return values[name]


def _different(name: str) -> ValueError:
    return ValueError(f"{name.rpartition('.')[2]}: encoded sets with different values cannot be joined")


class _Column:
    """One array of all sets: rows wait in memory until they are many, and then go to a file."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: list[np.ndarray] = []
        self._bytes = 0  # of those that wait,
        self._most = MAPPED  # and how many may
        self._file: IO[bytes] | None = None
        self._rows = 0  # in the file
        self._last = 0  # where the sequences before end

    def append(self, array: np.ndarray, examples: int) -> None:
        """Add the rows of a set that `examples` stand before."""
        if self._name == "owners":
            array = array + examples
        elif self._name == "starts":
            array = array[1:] + self._last if self._waiting or self._rows else array
            self._last = int(array[-1]) if len(array) else self._last
        self._waiting.append(array)
        self._bytes += array.nbytes
        if self._bytes > self._most:
            self._to_file()

    def whole(self) -> np.ndarray:
        """All rows."""
        if self._file is not None and self._waiting:
            self._to_file()
        return np.concatenate(self._waiting) if self._file is None else self._stored()

    def _to_file(self) -> None:
        rows = np.concatenate(self._waiting)
        self._waiting, self._bytes = [], 0
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
                self._like = np.empty_like(rows, shape=(0, *rows.shape[1:]))  # not `rows[:0]`, which holds all rows
            left = rows.astype(self._like.dtype, casting="safe", copy=False).reshape(-1).view(np.uint8).data
            while left:
                left = left[self._file.write(left) :]
            self._rows += len(rows)
        except OSError as error:  # no folder, or no room in it
            log.debug("%s: joined in memory: %s", self._name, error)
            self._waiting = [rows] if self._file is None else [self._stored(), rows]
            self._file, self._most = None, sys.maxsize

    def _stored(self) -> np.ndarray:
        assert self._file is not None
        return map_array(self._file, self._like.dtype, (self._rows, *self._like.shape[1:]))
