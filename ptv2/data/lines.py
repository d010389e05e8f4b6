"""The text of a data file and its numbered lines: the same rules for every format."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ptv2.errors import DataError
from ptv2.files import LFS_POINTER, is_lfs_pointer

# CR LF, LF and CR end a line, and CR CR LF, which comes of converting line ends twice. U+2028 does not.
LINE_END = re.compile(r"\r*\n|\r")
MARK = "\ufeff"
MARKED_LINE = re.compile(f"([\n\r]){MARK}+")
PIECE = 1 << 20
# Latin-1 has the same bytes for its letters; where Windows-1252 has quotation marks, it has control characters.
CONVERT = "`iconv -f CP1252 -t UTF-8 FILE` converts Windows-1252 and Latin-1"
BLANKS = " \t\r\n"  # not str.split()'s: a no-break space or U+2028 may be a token, or a part of one
ANY_BLANKS = re.compile(r"[ \t]+")
WIDE = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}

# Files of other kinds under the name of a text file, by their first bytes.
OTHER_KINDS = {
    b"PK\3\4": "a zip file, as Excel's are; save it as CSV there, or unpack it",
    b"\xd0\xcf\x11\xe0": "an old Excel file; save it as CSV there",
    b"\x1f\x8b": "a packed file; `gunzip -c OLD > NEW` unpacks it",
    b"BZh": "a packed file; `bunzip2 -c OLD > NEW` unpacks it",
    b"\xfd7zXZ": "a packed file; `unxz -c OLD > NEW` unpacks it",
    b"\x28\xb5\x2f\xfd": "a packed file; `unzstd -c OLD > NEW` unpacks it",
    b"PAR1": "a Parquet file; its name has to end in .parquet",
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
        lines = split_lines(whole)
        begun = [lines.pop(), text[len(whole) :]]
        yield from enumerate(lines, start=number + 1)
        number += len(lines)
    lines = split_lines("".join(begun))
    if not lines[-1]:
        lines.pop()  # what follows the last line end
    yield from enumerate(lines, start=number + 1)


def read_lines_with_ends(path: Path) -> Iterator[str]:
    """Read the lines of a UTF-8 file with their ends (CR LF, LF, CR), as `csv.reader` takes them.

    Raises:
        DataError: as `read_text`.
    """
    begun: list[str] = []
    for piece in _read_pieces(path):
        begun.append(piece)
        if "\n" in piece or "\r" in piece:
            lines = list(io.StringIO("".join(begun), newline=""))
            begun = [lines.pop()]  # its end may be one with what follows
            yield from lines
    yield from io.StringIO("".join(begun), newline="")


def split_lines(text: str) -> list[str]:
    """Split a text at its line ends; the last of the result is what follows the last of them."""
    return LINE_END.split(text) if "\r" in text else text.split("\n")


def _read_pieces(path: Path) -> Iterator[str]:
    """Read the text of a UTF-8 file in pieces of about `PIECE` bytes, without byte order marks.

    Files that were put together (`cat`) have them also at the beginning of other lines.

    Raises:
        DataError: as `read_text`.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    begins = True  # whether the next piece begins a line
    start = 0  # of a piece, in bytes
    try:
        with path.open("rb") as file:
            for data in iter(partial(file.read, PIECE), b""):
                if start == 0 and is_lfs_pointer(data):
                    raise DataError(f"{path}: {LFS_POINTER}")
                if start == 0 and (kind := _other_kind(data)):
                    raise _faulty(path, 0, f", found {kind}")
                if start == 0 and (wide := _wide_encoding(data)):
                    raise _faulty(path, 0, f", found {wide}; `iconv -f {wide} -t UTF-8 FILE` converts it")
                if 0 in data:
                    place = start + data.index(0)
                    raise _faulty(path, place, ", found a zero byte; the file is damaged, or no text file")
                text = _decode(decoder, data, path, start)
                start += len(data)
                if MARK in text:
                    text = MARKED_LINE.sub(r"\1", text.lstrip(MARK) if begins else text)
                begins = text.endswith(("\n", "\r")) if text else begins
                yield text
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    _decode(decoder, b"", path, start)


def _decode(decoder: codecs.IncrementalDecoder, data: bytes, path: Path, start: int) -> str:
    """Decode a piece, or where it is empty see that no character was left unfinished."""
    try:
        return decoder.decode(data, final=not data)
    except UnicodeDecodeError as error:
        before = len(error.object) - len(data)  # bytes of an unfinished character
        found = f", found the byte 0x{error.object[error.start]:02X}; {CONVERT}"
        raise _faulty(path, start - before + error.start, found) from error


def _faulty(path: Path, place: int, fault: str = "") -> DataError:
    """The error for a fault at byte `place` of a file."""
    with path.open("rb") as file:
        number = len(LINE_END.findall(file.read(place).decode("utf-8", "replace"))) + 1
    return DataError(f"{path}:{number}: expected UTF-8 text{fault}")


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


def _other_kind(data: bytes) -> str:
    """Recognize a file that is no text by its first bytes; else empty. Plain text may begin with such letters too."""
    if data.isascii() and 0 not in data and not data.startswith(b"PK\3\4"):
        return ""
    return next((kind for start, kind in OTHER_KINDS.items() if data.startswith(start)), "")


def _wide_encoding(data: bytes) -> str:
    """Recognize UTF-16 or UTF-32 by a byte order mark or by zero bytes at the beginning; else empty.

    Without a mark the name has the order of the bytes, which iconv must be told.
    """
    for mark, name in WIDE.items():
        if data.startswith(mark):
            return name
    start = data[:1000]
    if start.count(0) * 3 <= len(start):
        return ""
    width = 32 if start.count(0) * 3 > 2 * len(start) else 16
    return f"UTF-{width}{'BE' if start[0] == 0 else 'LE'}"
