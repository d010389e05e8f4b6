"""Arrays by name in one file of NumPy's npz format, uncompressed: large ones are mapped, not read."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from ptv2.data.mapped import MAPPED, in_pieces, map_array

SUFFIX = ".npy"
# Where a member's header in a zip file says how long its name and its extra field are, and how long the header is else.
NAME_AND_EXTRA, HEADER = 26, 30


def save_arrays(file: IO[bytes], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays of numbers and of texts; `numpy.load` reads the file too."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            rows = np.asarray(array, order="C")
            with archive.open(name + SUFFIX, "w", force_zip64=True) as member:
                if rows.nbytes <= MAPPED or not rows.ndim:
                    npy.write_array(member, rows, allow_pickle=False)
                else:
                    npy.write_array_header_1_0(member, npy.header_data_from_array_1_0(rows))
                    for piece in in_pieces(rows):
                        member.write(piece.data)


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read what `save_arrays` wrote; mapped arrays cannot be written to.

    Raises:
        FileNotFoundError: there is no such file.
        Exception: of any kind, where the file is torn or foreign: the checksum of each array is verified.
    """
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        return {one.filename.removesuffix(SUFFIX): _load(file, archive, one) for one in archive.infolist()}


def _load(file: IO[bytes], archive: zipfile.ZipFile, about: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(about) as member:
        if about.file_size <= MAPPED:
            array = npy.read_array(member, allow_pickle=False)
            if member.read(1):
                raise ValueError(f"{about.filename}: more than an array")
            return array
        if about.compress_type != zipfile.ZIP_STORED or npy.read_magic(member) != (1, 0):
            raise ValueError(f"{about.filename}: not as save_arrays writes it")
        shape, is_fortran, kind = npy.read_array_header_1_0(member)
        begin = member.tell()
        while member.read(2**20):  # to the end, where the checksum is verified
            pass
    if is_fortran:
        raise ValueError(f"{about.filename}: not as save_arrays writes it")
    file.seek(about.header_offset + NAME_AND_EXTRA)
    name, extra = struct.unpack("<HH", file.read(4))
    return map_array(file, kind, shape, about.header_offset + HEADER + name + extra + begin)
