"""The text of a data file and its numbered lines: the same rules for every format."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ptv2.errors import DataError
from ptv2.files import LFS_POINTER, is_lfs_pointer

# CR LF, LF and CR end a line, and CR CR LF, which comes of converting line ends twice. U+2028 does not.
LINE_END = re.compile(r"\r*\n|\r")
MARK = "\ufeff"
BLANKS = " \t\r\n"  # not str.split()'s: a no-break space or U+2028 may be a token, or a part of one
ANY_BLANKS = re.compile(r"[ \t]+")
WIDE = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def read_text(path: Path) -> str:
    """Read the whole text of a UTF-8 file, without a byte order mark.

    Raises:
        DataError: the file cannot be read, or is not UTF-8 text; with the number of the first faulty line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    if is_lfs_pointer(data):
        raise DataError(f"{path}: {LFS_POINTER}")
    if wide := _wide_encoding(data):
        raise DataError(f"{path}:1: expected UTF-8 text, found {wide}; `iconv -f {wide} -t UTF-8 FILE` converts it")
    if 0 in data:
        number = len(LINE_END.findall(data[: data.index(0)].decode("utf-8", "replace"))) + 1
        raise DataError(
            f"{path}:{number}: expected UTF-8 text, found a zero byte; the file is damaged, or no text file"
        )
    try:
        return data.decode("utf-8").lstrip(MARK)
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        number = len(LINE_END.findall(before)) + 1
        raise DataError(f"{path}:{number}: expected UTF-8 text") from error


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Read the lines of a UTF-8 file without their ends, numbered from 1.

    Raises:
        DataError: as `read_text`.
    """
    lines = LINE_END.split(read_text(path))
    if not lines[-1]:
        lines.pop()  # what follows the last line end
    yield from enumerate(lines, start=1)


class Row(NamedTuple):
    """The cells of one line of a CoNLL file, and its "FILE:LINE"."""

    cells: list[str]
    where: str


def split_sentences(lines: Iterable[tuple[str, str]], marks: tuple[str, ...] = ()) -> Iterator[list[Row]]:
    """Split lines ("FILE:LINE", text) into cells at blanks and tabs, and into sentences at blank lines.

    Args:
        marks: a line that begins with one of them counts as blank.
    """
    rows: list[Row] = []
    for where, line in lines:
        text = line.strip(BLANKS)
        if text and not text.startswith(marks):
            rows.append(Row(ANY_BLANKS.split(text), where))
        elif rows:
            yield rows
            rows = []
    if rows:
        yield rows


def check_widths(rows: list[Row]) -> None:
    """Raise `DataError` unless all lines of a sentence have as many columns as its first."""
    width = len(rows[0].cells)
    for row in rows:
        if len(row.cells) != width:
            raise DataError(
                f"{row.where}: expected {width} columns as in the sentence's first line, found {len(row.cells)}"
            )


def _wide_encoding(data: bytes) -> str:
    """Recognize UTF-16 or UTF-32 by a byte order mark or by zero bytes at the beginning; else empty."""
    for mark, name in WIDE.items():
        if data.startswith(mark):
            return name
    start = data[:1000]
    return "UTF-16" if start.count(0) * 3 > len(start) else ""
