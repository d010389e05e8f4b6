"""Read CoNLL column files: one token per line, its tag in one of the columns, a blank line after each sentence.

CoNLL-2003, CoNLL-2004, OntoNotes and most files of users are of this kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ptv2.data.lines import ANY_BLANKS, BLANKS, read_lines
from ptv2.data.records import Record
from ptv2.errors import DataError, quote, unknown

BOUNDARY = "-DOCSTART-"
TABS = re.compile(r"\t+")
NAMES = re.compile(r"#\s*global\.columns\s*=\s*(.+)")  # CoNLL-U Plus


@dataclass(frozen=True)
class _Layout:
    """How to split the lines of one file, and which cells to use."""

    separator: re.Pattern[str]
    width: int
    token: int
    tag: int | None

    def cells(self, line: str) -> tuple[str, ...]:
        """Split a line into cells; where tabs separate, the first cell may be blank: a token that is a blank.

        Blank lines and those between documents have none.
        """
        if _is_boundary(line):
            return ()
        bare = line.strip(BLANKS)
        cells = self.separator.split(bare) if bare else []
        if len(cells) == self.width - 1 and self.separator is TABS and line[0] in BLANKS:
            cells = ["", *cells]
        return tuple(cell.strip(BLANKS) for cell in cells)

    def is_comment(self, line: str, cells: Sequence[str], *, leads: bool) -> bool:
        """Whether a line is a comment and not a token that begins with `#`: it has other columns than the file.

        Args:
            leads: whether the line is before the first token of its sentence. Between tokens only a line of one column
                is a comment, so that a torn line is not ignored.
        """
        return line.startswith("#") and len(cells) != self.width and (leads or len(cells) == 1)


def read_columns(
    path: Path, tokens: int | str = 0, tags: int | str | None = -1, columns: Sequence[str] | None = None
) -> Iterator[Record]:
    """Read sentences as records `{"tokens": [str], "tags": [str]}`; a record's place is the line of its first token.

    Blanks and tabs separate columns; in a file whose first line of tokens has a tab only tabs do, so that tokens may
    hold blanks. Comments (`# ...`) and `-DOCSTART-` lines are left out; the latter also end a sentence.

    Args:
        tokens: the tokens' column, by name or by number from 0 (negative from the end).
        tags: the tags' column; None to read tokens alone, which makes records without `tags`.
        columns: the columns' names; None: those of a line `# global.columns = ...`, if there is one.

    Raises:
        DataError: with file and line: not UTF-8, unequal columns, a column that is not there; or no such file.
    """
    layout = _layout(path, tokens, tags, columns)
    if layout is None:
        return
    # Most lines stand in a file many times: they are split once, and their words are in memory once.
    split = lru_cache(1 << 16)(layout.cells)
    sentence: list[tuple[str, ...]] = []
    first = 0
    for number, line in read_lines(path):
        cells = split(line)
        if not cells:
            if sentence:
                yield _record(sentence, layout, f"{path}:{first}")
            sentence = []
        elif len(cells) == layout.width or not layout.is_comment(line, cells, leads=not sentence):
            if len(cells) != layout.width:
                raise DataError(f"{path}:{number}: expected {layout.width} columns as above, found {len(cells)}")
            first = first if sentence else number
            sentence.append(cells)
    if sentence:
        yield _record(sentence, layout, f"{path}:{first}")


def _record(sentence: Sequence[Sequence[str]], layout: _Layout, where: str) -> Record:
    fields = {"tokens": [cells[layout.token] for cells in sentence]}
    if layout.tag is not None:
        fields["tags"] = [cells[layout.tag] for cells in sentence]
    return Record(fields, where)


def _layout(path: Path, tokens: int | str, tags: int | str | None, names: Sequence[str] | None) -> _Layout | None:
    """Find the layout in the first line of tokens; None if the file has no such line."""
    for number, line in read_lines(path):
        line = line.strip(BLANKS)
        if match := NAMES.match(line):
            names = names or match[1].split()
        if not line or line.startswith("#") or _is_boundary(line):
            continue
        separator = TABS if "\t" in line else ANY_BLANKS
        width, where = len(separator.split(line)), f"{path}:{number}"
        if names and len(names) != width:
            raise DataError(f"{where}: expected {len(names)} columns ({', '.join(names)}), found {width}")
        if width == 1 and tags is not None:
            raise DataError(f"{where}: expected a word and its tag, separated by a blank or tab, found {quote(line)}")
        token = _column(tokens, names, width, where)
        return _Layout(separator, width, token, None if tags is None else _column(tags, names, width, where))
    return None


def _column(wanted: int | str, names: Sequence[str] | None, width: int, where: str) -> int:
    """Find the number, from 0, of a column given by name or number."""
    if isinstance(wanted, str):
        if not names:
            raise DataError(
                f"{where}: no column '{wanted}': the file does not name its columns; give their names or a number"
            )
        if wanted not in names:
            raise DataError(f"{where}: {unknown('column', wanted, names)}")
        return list(names).index(wanted)
    if not -width <= wanted < width:
        raise DataError(f"{where}: no column {wanted}: the file has {width}, numbered from 0")
    return wanted % width


def _is_boundary(line: str) -> bool:
    return BOUNDARY in line and BOUNDARY in line.split()
