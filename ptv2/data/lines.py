"""The text of a data file and its numbered lines: the same rules for every format."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ptv2.errors import DataError
from ptv2.files import LFS_POINTER, is_lfs_pointer

# CR LF, LF and CR end a line, and CR CR LF, which comes of converting line ends twice. U+2028 does not.
LINE_END = re.compile(r"\r*\n|\r")
MARK = "\ufeff"
PIECE = 1 << 20
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
    return "".join(_read_pieces(path))


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Read the lines of a UTF-8 file without their ends, numbered from 1; the file is never in memory as a whole.

    Raises:
        DataError: as `read_text`.
    """
    number, begun = 0, [""]  # the pieces of a line whose end is not read yet
    for piece in _read_pieces(path):
        begun.append(piece)
        if "\n" not in piece and "\r" not in piece:
            continue
        text = "".join(begun)
        whole = text.rstrip("\r")  # these and what follows may be one line end
        lines = LINE_END.split(whole)
        begun = [lines.pop(), text[len(whole) :]]
        yield from enumerate(lines, start=number + 1)
        number += len(lines)
    lines = LINE_END.split("".join(begun))
    if not lines[-1]:
        lines.pop()  # what follows the last line end
    yield from enumerate(lines, start=number + 1)


def _read_pieces(path: Path) -> Iterator[str]:
    """Read the text of a UTF-8 file in pieces of about `PIECE` bytes, without a byte order mark.

    Raises:
        DataError: as `read_text`.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    ends = 0  # line ends of the pieces before
    begun = False  # whether there was text behind a byte order mark
    last = ""  # the end of the piece before, which one of them may begin with

    def faulty(before: str, fault: str) -> DataError:
        return DataError(f"{path}:{ends + _count_ends(last, before) + 1}: expected UTF-8 text{fault}")

    try:
        with path.open("rb") as file:
            for number, data in enumerate(iter(partial(file.read, PIECE), b"")):
                if number == 0 and is_lfs_pointer(data):
                    raise DataError(f"{path}: {LFS_POINTER}")
                if number == 0 and (wide := _wide_encoding(data)):
                    raise faulty("", f", found {wide}; `iconv -f {wide} -t UTF-8 FILE` converts it")
                if 0 in data:
                    before = data[: data.index(0)].decode("utf-8", "replace")
                    raise faulty(before, ", found a zero byte; the file is damaged, or no text file")
                text = _decode(decoder, data, faulty)
                ends += _count_ends(last, text)
                last = text[-1:] or last
                text = text if begun else text.lstrip(MARK)
                begun = begun or bool(text)
                yield text
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    _decode(decoder, b"", faulty)


def _decode(decoder: codecs.IncrementalDecoder, data: bytes, faulty: Callable[[str, str], DataError]) -> str:
    """Decode a piece, or where it is empty see that no character was left unfinished."""
    try:
        return decoder.decode(data, final=not data)
    except UnicodeDecodeError as error:
        raise faulty(error.object[: error.start].decode("utf-8"), "") from error


def _count_ends(last: str, text: str) -> int:
    """Count the line ends of a piece; one that the piece before has the beginning of was counted there."""
    return len(LINE_END.findall(last + text)) - len(LINE_END.findall(last))


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
