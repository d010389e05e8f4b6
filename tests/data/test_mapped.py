"""Arrays that are parts of files, also where the system does not map files."""

from __future__ import annotations

import errno
import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptv2.data import array_files, mapped
from ptv2.data.array_files import load_arrays, save_arrays
from ptv2.data.mapped import in_pieces, map_array, region_of

ARRAYS: dict[str, np.ndarray] = {
    "ids": np.arange(50_000, dtype=np.int32),
    "pairs": np.arange(24_000, dtype=np.int64).reshape(-1, 2),
    "texts": np.array([f"w{n}" for n in range(999)]),
    "none": np.empty((0, 2), dtype=np.int8),
}


class Refused(mmap.mmap):
    """A region on a file system that maps nothing."""

    def __new__(cls, *args: Any, **options: Any) -> Refused:
        raise OSError(errno.ENODEV, "No such device")


class Locked(mmap.mmap):
    """A region that the system does not give back, as after `mlockall`."""

    def madvise(self, *args: Any) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")


@pytest.mark.parametrize("region", [mmap.mmap, Refused, Locked])
def test_files_have_the_same_arrays_whether_they_are_mapped_or_read(
    region: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(array_files, "MAPPED", 0)
    monkeypatch.setattr(mapped, "PIECE", 7777)
    monkeypatch.setattr(mapped.mmap, "mmap", region)
    path = tmp_path / "arrays.npz"
    with path.open("wb") as file:
        save_arrays(file, ARRAYS)
    found = load_arrays(path)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
        np.testing.assert_array_equal(np.concatenate([found[name][:0], *in_pieces(found[name])]), array)
        if array.size:
            assert not found[name].flags.writeable
    monkeypatch.undo()
    assert (region_of(found["ids"]) is None) == (region is Refused)


@pytest.mark.parametrize("region", [mmap.mmap, Refused])
def test_a_file_that_ends_too_early_is_refused(region: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped.mmap, "mmap", region)
    path = tmp_path / "short"
    path.write_bytes(bytes(5000))
    with path.open("rb") as file:
        assert map_array(file, np.dtype(np.int64), (5, 100), 1000).sum() == 0
        with pytest.raises(ValueError, match=r"the file ends|greater than file size"):
            map_array(file, np.dtype(np.int64), (501,), 1000)
        with pytest.raises(ValueError, match="expected numbers or texts"):
            map_array(file, np.dtype(object), (3,))


def test_only_the_part_of_a_file_is_mapped(tmp_path: Path) -> None:
    """Several arrays of a large file take no more addresses than the file has bytes, which a limit may count."""
    path = tmp_path / "large"
    path.write_bytes(bytes(10 * mmap.ALLOCATIONGRANULARITY))
    with path.open("rb") as file:
        region = region_of(map_array(file, np.dtype(np.int8), (100,), 5 * mmap.ALLOCATIONGRANULARITY + 3))
    assert region is not None
    assert len(region) == 103
