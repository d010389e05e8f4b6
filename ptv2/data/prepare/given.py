"""The files of a corpus as a user has them: unpacked in a folder, or in archives, which are read without unpacking."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ptv2.data.lines import BLANKS, CONVERT, Row, split_sentences
from ptv2.data.prepare.archives import ENDINGS, last_name, read_members, read_plain, unpack_gzip
from ptv2.errors import DataError, enumerate_some


@dataclass(frozen=True)
class Given:
    """One file: its name for messages, and how to read its bytes (unpacked, where it ends in .gz)."""

    where: str
    read: Callable[[], bytes]

    def lines(self) -> Iterator[tuple[str, str]]:
        """Read the lines as ("FILE:LINE", text without blanks at the ends); only a line feed ends a line.

        Raises:
            DataError: the file is torn, or a line is no UTF-8.
        """
        for number, line in enumerate(self.read().removesuffix(b"\n").split(b"\n"), start=1):
            where = f"{self.where}:{number}"
            try:
                yield where, line.decode("utf-8-sig" if number == 1 else "utf-8").strip(BLANKS)
            except UnicodeDecodeError as error:
                found = f"found the byte 0x{line[error.start]:02X}; {CONVERT}"
                raise DataError(f"{where}: expected UTF-8 text, {found}") from error

    def sentences(self, marks: tuple[str, ...] = ()) -> Iterator[list[Row]]:
        """Read the lines of each sentence; see `split_sentences`."""
        return split_sentences(self.lines(), marks)


def find_given(base: Path, wanted: re.Pattern[str]) -> dict[str, Given]:
    """Find the files whose lower-case name, without .gz, matches `wanted`, by that name.

    They may lie anywhere in the folder, or in archives directly in it; a file beside an archive is preferred to the
    same file within. `base` may also be one archive.

    Raises:
        DataError: no such folder or archive, or an archive that cannot be read.
    """
    if not base.exists():
        raise DataError(f"{base}: no such folder or archive")
    if base.is_file():
        return _in_archive(base, wanted)
    files: dict[str, Given] = {}
    for path in sorted(base.rglob("*")):
        if (name := _plain(path.name, wanted)) and path.is_file():
            files.setdefault(name, _unpacking(str(path), partial(read_plain, path)))
    for path in sorted(path for path in base.iterdir() if path.name.endswith(ENDINGS) and path.is_file()):
        files = {**_in_archive(path, wanted), **files}
    return files


def require(files: dict[str, Given], names: Sequence[str], base: Path, origin: str) -> None:
    """Check that `files` has all of `names`.

    Args:
        origin: the archive or release that has them, for the message.

    Raises:
        DataError: naming the first five missing files, and how many more are missing.
    """
    if missing := [name for name in names if name not in files]:
        raise DataError(f"{base}: missing {enumerate_some(missing, 5)}, of {origin}")


def _in_archive(path: Path, wanted: re.Pattern[str]) -> dict[str, Given]:
    """Read the wanted members of an archive into memory: each step back in a compressed one would read it again."""
    files: dict[str, Given] = {}
    for member, data in read_members(path, lambda name: bool(_plain(name, wanted))):
        files.setdefault(_plain(last_name(member), wanted), _unpacking(f"{path}/{member}", partial(bytes, data)))
    return files


def _plain(name: str, wanted: re.Pattern[str]) -> str:
    """The lower-case name without .gz, or an empty string if the file is not wanted."""
    plain = name.lower().removesuffix(".gz")
    return plain if wanted.fullmatch(plain) else ""


def _unpacking(where: str, read: Callable[[], bytes]) -> Given:
    if not where.lower().endswith(".gz"):
        return Given(where, read)
    return Given(where, lambda: unpack_gzip(where, read()))
