"""Read files out of archives that anyone may have made: into memory, never unpacked to disk.

Only a member's last name counts, links may only point into the same archive, sizes are bounded, and an archive is read
to its end, where the checksum of compressed data is.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ptv2.errors import DataError, Ptv2Error, first_line, shorten

ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".zip")
MOST = 64 * 2**20  # bytes of one file; the largest of a corpus have a few MiB
MOST_IN_ALL = 4 * 2**30  # bytes that an archive may unpack to
_PIECE = 2**20
_OPENERS: tuple[tuple[bytes, Callable[[Path], Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\x00", lzma.open),
)


def read_members(path: Path, is_wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Read name and content of each wanted file of an archive; names may come more than once.

    Args:
        is_wanted: called with a member's last name.

    Raises:
        DataError: the archive is damaged or of another kind, one of its files or all together are too large, or a
            wanted file is a broken link.
    """
    with _naming_fault(str(path), f"a whole archive ({', '.join(ENDINGS)})"):
        with path.open("rb") as stream:
            begin = stream.read(6)
        if begin.startswith(b"PK"):
            yield from _in_zip(path, is_wanted)
            return
        opener = next((opener for magic, opener in _OPENERS if begin.startswith(magic)), None)
        with opener(path) if opener else path.open("rb") as stream:
            yield from _in_tar(path, _Bounded(stream, path), is_wanted)


def read_plain(path: Path) -> bytes:
    """Read a file; `DataError` if it is too large."""
    with path.open("rb") as stream:
        return _read(stream, str(path))


def unpack_gzip(where: str, data: bytes) -> bytes:
    """Unpack gzip data; `DataError` if they are damaged, or too large unpacked."""
    with _naming_fault(where, "a whole gzip file"), gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
        return _read(stream, where)


class _Bounded:
    """A stream that stops where a small archive unpacks to too much."""

    def __init__(self, stream: Any, path: Path) -> None:
        self._stream, self._path = stream, path

    def read(self, size: int = -1) -> bytes:
        self._check(self.tell() + max(size, 0))
        if size < 0 or size > MOST + 1:  # such as a name that is longer than any file
            raise _too_large(str(self._path), MOST)
        return bytes(self._stream.read(size))

    def seek(self, position: int, whence: int = 0) -> int:
        if whence == 0:
            self._check(position)
        return int(self._stream.seek(position, whence))

    def tell(self) -> int:
        return int(self._stream.tell())

    def _check(self, position: int) -> None:
        if position > MOST_IN_ALL:
            raise _too_large(str(self._path), MOST_IN_ALL)


def _in_tar(path: Path, stream: _Bounded, is_wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=stream, mode="r:") as archive:  # type: ignore[call-overload]  # has what is needed
        for member in archive:
            if not is_wanted(last_name(member.name)):
                continue
            try:
                content = archive.extractfile(member)
            except (KeyError, RecursionError) as error:
                raise DataError(f"{path}/{shorten(member.name)}: a link to no file of the archive") from error
            if content is not None:  # no folder or device
                yield member.name, _read(content, f"{path}/{shorten(member.name)}")
        stream.seek(archive.offset)
        while piece := stream.read(_PIECE):
            if piece.strip(b"\0"):  # tarfile takes a damaged header for the end
                raise tarfile.ReadError("damaged header")


def _in_zip(path: Path, is_wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.is_dir() or not is_wanted(last_name(member.filename)):
                continue
            where = f"{path}/{shorten(member.filename)}"
            if stat.S_ISLNK(member.external_attr >> 16):
                raise DataError(f"{where}: a link; expected a file")
            with archive.open(member) as content:
                yield member.filename, _read(content, where)


def last_name(name: str) -> str:
    """Return a member's name without its folders, as any system writes them."""
    return name.replace("\\", "/").rpartition("/")[2]


def _read(stream: IO[bytes] | Any, where: str) -> bytes:
    data = bytes(stream.read(MOST + 1))
    if len(data) > MOST:
        raise _too_large(where, MOST)
    return data


def _too_large(where: str, most: int) -> DataError:
    return DataError(f"{where}: larger than {most / 2**20:,.0f} MiB; no file of a corpus is")


@contextmanager
def _naming_fault(where: str, expected: str) -> Iterator[None]:
    """Turn any error of a library about a damaged file into a `DataError`; errors of the system stay."""
    try:
        yield
    except (Ptv2Error, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DataError(f"{where}: expected {expected}: {first_line(error, 100)}") from error
