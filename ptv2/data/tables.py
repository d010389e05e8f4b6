"""Read CSV and TSV files: a header line that names the fields, if they are not given, then one record per line."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from ptv2.data.lines import LINE_END, MARK, read_lines_with_ends, read_text
from ptv2.errors import DataError, enumerate_some, quote

Rows = Iterator[tuple[str, dict[str, str]]]
_IN_TABLE = re.compile(r"\.[ct]sv:\d", re.IGNORECASE)  # in the place of a record
_AFTER_QUOTES = re.compile(r'"(?:[^"]|"")*"([;\t])')  # a separator behind a first cell in quotation marks
LOOKED_AT = 200  # rows
NO_HEADER = "task.sources.files.columns=[...] names the columns of a table without a header"


def read_csv(path: Path, note: Callable[[str], None], columns: Sequence[str] | None = None) -> Rows:
    """Each record of a CSV file: "FILE:LINE" and its fields.

    A file whose first line has no comma may separate fields by semicolons or tabs.

    Args:
        note: called with each guess about the file.
        columns: names of the fields, where no header line has them.

    Raises:
        DataError: with file, line and what was expected.
    """
    dialect: dict[str, Any] = {"strict": True}
    behind_quotes = _AFTER_QUOTES.match(next(read_lines_with_ends(path), ""))
    header = [behind_quotes[1]] if behind_quotes else _first_row(path, dialect)
    if len(header) == 1:
        for separator, name in ((";", "semicolons"), ("\t", "tabs")):
            if separator in header[0]:
                dialect["delimiter"] = separator
                note(f"{path.name}: fields are separated by {name} (guessed from its first line)")
                header = _first_row(path, dialect)
                break
    if len(header) > 1 and all(name[:1] == " " for name in header[1:]):
        dialect["skipinitialspace"] = True  # `text, "label"`: the quotation marks would be part of the value
        note(f"{path.name}: blanks behind separators were left out, since its first line has them too")
    yield from _records(path, dialect, _without_header(path, dialect, columns, note))


def read_tsv(path: Path, note: Callable[[str], None], columns: Sequence[str] | None = None) -> Rows:
    """Each record of a TSV file: "FILE:LINE" and its fields.

    Quotation marks belong to the fields, as in GLUE's files, unless they can only come from a program that writes
    tables (pandas, a spreadsheet): then they are taken off.

    Args:
        note: called where quotation marks are taken off.
        columns: as in `read_csv`.

    Raises:
        DataError: with file, line and what was expected.
    """
    dialect: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    if any('"' in line for line in read_lines_with_ends(path)) and _is_quoted(read_text(path)):
        dialect = {"delimiter": "\t", "strict": True}
        note(f"{path.name}: quotation marks around cells were taken off, as a table writer (pandas) puts them there")
    yield from _records(path, dialect, _without_header(path, dialect, columns, note))


def _records(path: Path, dialect: dict[str, Any], columns: Sequence[str] | None) -> Rows:
    rows = _rows(read_lines_with_ends(path), dialect)
    last = 0  # the line on which the row before ended
    try:
        header = _header(path, rows) if columns is None else list(columns)
        last = rows.line_num
        for row in rows:
            last = rows.line_num
            if not row:
                continue
            where = f"{path}:{last}"
            if row[0].strip() == header[0] and len(header) > 1 and _names(row) == header:
                raise DataError(
                    f"{where}: the header line again, as of files that were put together; expected an example"
                )
            if len(row) != len(header):
                raise DataError(f"{where}: expected {len(header)} columns ({enumerate_some(header)}), found {len(row)}")
            yield where, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise DataError(_describe(error, path, last + 1, rows.line_num)) from error


def _without_header(
    path: Path, dialect: dict[str, Any], columns: Sequence[str] | None, note: Callable[[str], None]
) -> Sequence[str] | None:
    """Return the names of the columns; None where the first line has them all the same.

    That is so if it has these names, or some of them and another number of cells, as CoLA's test file.
    """
    if columns is None:
        return None
    first = _names(_first_row(path, dialect))
    if first == list(columns):
        return None
    if len(first) != len(columns) and set(first) & set(columns):
        note(f"{path.name}: its first line names the fields, and not task.sources.files.columns")
        return None
    if _may_be_header(path, dialect):
        note(
            f"{path.name}: line 1 ({enumerate_some(first)}) was read as an example, since task.sources.files.columns "
            "names the columns; take it out of the file if it names them too"
        )
    return columns


def _may_be_header(path: Path, dialect: dict[str, Any]) -> bool:
    """Whether nothing of the first row stands again in its column, in the next rows; a label does."""
    rows: list[list[str]] = []
    with suppress(csv.Error):  # said where the row is read
        rows.extend(islice(_rows(read_lines_with_ends(path), dialect), LOOKED_AT))
    if len(rows) < 4 or any(cell.strip().isdigit() for cell in rows[0]):
        return False
    columns = [{row[n].strip() for row in rows[1:] if n < len(row)} for n in range(len(rows[0]))]
    return all(cell.strip() not in column for cell, column in zip(rows[0], columns, strict=True))


def _header(path: Path, rows: Iterator[list[str]]) -> list[str]:
    """Read the names of the fields from the first row.

    Raises:
        DataError: there is none, or no names.
    """
    header = _names(next(rows, []))
    if not any(header) and not any(line.strip() for line in read_lines_with_ends(path)):
        raise DataError(f"{path}: the file is empty; expected a header line that names the fields")
    if header and header[0].lower().startswith("sep="):
        raise DataError(
            f"{path}:1: expected the header line, found {quote(header[0])}, which Excel alone reads; delete it"
        )
    if not any(header) or len(set(header)) != len(header):
        names = enumerate_some(map(repr, header)) or "nothing"
        raise DataError(f"{path}:1: expected a header line with distinct field names, found {names}; {NO_HEADER}")
    return header


def _names(row: Sequence[str]) -> list[str]:
    return [name.strip(f" \t{MARK}") for name in row]


def hint_at_header(where: str) -> str:
    """Name the setting for tables without a header, for the message about a field that a record lacks.

    Args:
        where: the record's place; empty is returned where it is in no table.
    """
    return f"; {NO_HEADER}" if _IN_TABLE.search(where) else ""


def hint_at_lists(where: str) -> str:
    """Say that a table has no lists; empty where the place is in no table."""
    return "; a table holds no lists, but JSON lines do" if _IN_TABLE.search(where) else ""


def _first_row(path: Path, dialect: dict[str, Any]) -> list[str]:
    rows = _rows(read_lines_with_ends(path), dialect)
    try:
        return list(next(rows, []))
    except csv.Error as error:
        begin = "".join(islice(read_lines_with_ends(path), 40))[:40]
        fault = _describe(error, path, 1, rows.line_num)
        raise DataError(f"{fault}, in the header {quote(begin)}") from error


def _describe(error: csv.Error, path: Path, first: int, last: int) -> str:
    """Say what is wrong with the row of a table that begins on line `first` and was read up to line `last`."""
    if "unexpected end of data" in str(error):
        return f"{path}:{first}: a quotation mark is opened in this row and never closed (read to line {last})"
    if "expected after" in str(error):
        return (
            f"{path}:{last}: expected a separator or the end of the line behind a closing quotation mark; "
            'inside a quoted cell a quotation mark is written twice, ""'
        )
    return f"{path}:{last}: {error}"


def _rows(lines: Iterable[str], dialect: dict[str, Any]) -> Any:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # the library's default is 131,072 characters
    return csv.reader(lines, **dialect)


def _is_quoted(text: str) -> bool:
    """Whether a table writer made the quotation marks of a TSV file: writing its cells again reproduces the file."""
    try:
        rows = list(_rows(io.StringIO(text, newline=""), {"delimiter": "\t", "strict": True}))
    except csv.Error:
        return False
    if not rows or len({len(row) for row in rows if row}) != 1:
        return False
    plain = LINE_END.sub("\n", text).strip("\n")
    first = plain.partition("\n")[0]
    if all(len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in first.split("\t")):
        return True  # all names are quoted, as R and `quoting=csv.QUOTE_NONNUMERIC` do it
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter="\t", lineterminator="\n").writerows(row for row in rows if row)
    return LINE_END.sub("\n", stream.getvalue()).strip("\n") == plain
