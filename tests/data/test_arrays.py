"""Dataclasses of arrays: joined and taken apart."""

from __future__ import annotations

import errno
import io
import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from ptv2.data import joining
from ptv2.data.arrays import flatten, ranges, unflatten
from ptv2.data.joining import joined
from ptv2.data.mapped import region_of


@dataclass(frozen=True)
class Inner:
    ids: np.ndarray
    types: np.ndarray | None
    starts: np.ndarray
    pad_id: int


@dataclass(frozen=True)
class Outer:
    inner: Inner
    owners: np.ndarray
    truncated: int = 0


def outer(ids: list[list[int]], owners: list[int], truncated: int = 0, types: bool = True) -> Outer:
    flat = np.array([number for row in ids for number in row], dtype=np.int32)
    starts = np.cumsum([0] + [len(row) for row in ids])
    return Outer(Inner(flat, flat % 2 if types else None, starts, 9), np.array(owners, dtype=np.int64), truncated)


class FullDisk(io.FileIO):
    """A file that has room for 20 bytes."""

    def __init__(self) -> None:
        super().__init__(os.memfd_create("disk"), "r+")

    def write(self, data: Any) -> int:
        room = 20 - self.tell()
        if room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(bytes(data)[:room])


def no_folder(**options: Any) -> None:
    raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")


LACKS = {"no folder for files": no_folder, "a full disk": lambda **options: FullDisk()}


def same(left: Outer, right: Outer) -> None:
    (arrays, scalars), (others, more) = flatten(left), flatten(right)
    assert scalars == more
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name])
        assert array.dtype == others[name].dtype


@pytest.mark.parametrize("place", ["in memory", "in files", "partly in files", "no folder for files", "a full disk"])
@pytest.mark.parametrize("types", [True, False])
def test_parts_join_to_the_whole(types: bool, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if place != "in memory":
        monkeypatch.setattr(joining, "MAPPED", 0 if place != "partly in files" else 12)
    if place in LACKS:
        monkeypatch.setattr(joining.tempfile, "TemporaryFile", LACKS[place])
    whole = outer([[1, 2], [3], [4, 5, 6], [7]], [0, 0, 3, 4], 3, types)
    # five examples: 0 in two rows, 1 and 2 in none; then one part without rows
    parts = [outer([[1, 2], [3]], [0, 0], 1, types), outer([], [], 0, types), outer([[4, 5, 6], [7]], [0, 1], 2, types)]
    parts_joined = joined(zip(parts, [2, 1, 2], strict=True))
    same(parts_joined, whole)
    assert (region_of(parts_joined.inner.ids) is not None) == (place in ("in files", "partly in files"))
    same(joined([(whole, 5)]), whole)


def test_each_of_many_small_parts_is_looked_at_once() -> None:
    looks = 0

    class Watched(np.ndarray):
        @property
        def nbytes(self) -> int:
            nonlocal looks
            looks += 1
            return 8 * len(self)

    @dataclass(frozen=True)
    class Labels:
        labels: np.ndarray

    parts = [np.arange(n % 3).view(Watched) for n in range(200)]
    found = joined((Labels(part), len(part)) for part in parts)
    assert found.labels.tolist() == [label for part in parts for label in part.tolist()]
    assert looks == 200


def test_rows_that_are_in_a_file_are_not_in_memory_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "MAPPED", 0)
    rows = np.arange(6, dtype=np.int32).reshape(-1, 2)
    written: list[weakref.ref[np.ndarray]] = []

    def concatenate(arrays: Sequence[np.ndarray]) -> np.ndarray:
        made = np.array(arrays[0])
        written.append(weakref.ref(made))
        return made

    column = joining._Column("offsets")
    with monkeypatch.context() as patch:
        patch.setattr(joining.np, "concatenate", concatenate)
        column.append(rows, 0)
    assert [one() for one in written] == [None]
    assert column.whole().tolist() == rows.tolist()


def test_what_belongs_to_the_whole_must_be_the_same() -> None:
    one = outer([[1]], [0])
    with pytest.raises(ValueError, match=r"^pad_id: "):
        joined([(one, 1), (replace(one, inner=replace(one.inner, pad_id=8)), 1)])
    for pair in ([one, outer([[1]], [0], types=False)], [outer([[1]], [0], types=False), one]):
        with pytest.raises(ValueError, match=r"^types: "):
            joined((part, 1) for part in pair)


@pytest.mark.parametrize("types", [True, False])
def test_flattened_and_back(types: bool) -> None:
    value = outer([[1, 2], [3]], [0, 1], 5, types)
    arrays, scalars = flatten(value)
    assert set(arrays) | set(scalars) == {
        "inner.ids",
        "inner.types",
        "inner.starts",
        "inner.pad_id",
        "owners",
        "truncated",
    }
    same(unflatten(Outer, arrays, scalars), value)
    del scalars["truncated"]
    with pytest.raises(KeyError):
        unflatten(Outer, arrays, scalars)


def test_ranges() -> None:
    assert ranges(np.array([5, 2, 7, 0]), np.array([8, 2, 8, 2])).tolist() == [5, 6, 7, 7, 0, 1]
    assert ranges(np.array([], dtype=int), np.array([], dtype=int)).tolist() == []
