"""Dataclasses of arrays: joined and taken apart."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from ptv2.data.arrays import concatenated, flatten, ranges, unflatten


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


def same(left: Outer, right: Outer) -> None:
    (arrays, scalars), (others, more) = flatten(left), flatten(right)
    assert scalars == more
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name])
        assert array.dtype == others[name].dtype


@pytest.mark.parametrize("types", [True, False])
def test_parts_join_to_the_whole(types: bool) -> None:
    whole = outer([[1, 2], [3], [4, 5, 6], [7]], [0, 0, 3, 4], 3, types)
    # five examples: 0 in two rows, 1 and 2 in none; then one part without rows
    parts = [outer([[1, 2], [3]], [0, 0], 1, types), outer([], [], 0, types), outer([[4, 5, 6], [7]], [0, 1], 2, types)]
    same(concatenated(parts, [2, 1, 2]), whole)
    same(concatenated([whole], [5]), whole)


def test_what_belongs_to_the_whole_must_be_the_same() -> None:
    one = outer([[1]], [0])
    with pytest.raises(ValueError, match=r"^pad_id: "):
        concatenated([one, replace(one, inner=replace(one.inner, pad_id=8))], [1, 1])
    for pair in ([one, outer([[1]], [0], types=False)], [outer([[1]], [0], types=False), one]):
        with pytest.raises(ValueError, match=r"^types: "):
            concatenated(pair, [1, 1])


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
