"""Read CoNLL column files: one token per line, its tag in one of the columns, a blank line after each sentence.

CoNLL-2003, CoNLL-2004, OntoNotes and most files of users are of this kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from ptv2.data.lines import ANY_BLANKS, BLANKS, read_lines
from ptv2.data.records import Record
from ptv2.errors import DataError, enumerate_some, quote, unknown

BOUNDARY = "-DOCSTART-"
TABS = re.compile(r"\t+")
NAMES = re.compile(r"#\s*global\.columns\s*=\s*(.+)")  # CoNLL-U Plus
# CoNLL-U numbers the words of a sentence. Further lines are for what is written as one (`2-3`) or left out (`3.1`).
FIRST_NUMBER = re.compile(r"[01]|1-[2-9]|0\.1")
NO_WORD = re.compile(r"\d+[-.]\d+")
LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z]+)*:")  # WikiANN's files have one before each word
# Names of the columns of words and of tags, by which a header line shows.
WORD_NAMES = {"word", "words", "token", "tokens", "form", "text"}
TAG_NAMES = {"tag", "tags", "ner", "ner_tag", "ner_tags", "label", "labels", "entity"}
ENOUGH = 20  # sentences that show what a column holds


@dataclass(frozen=True)
class _Layout:
    """How to split the lines of one file, and which cells to use."""

    separator: re.Pattern[str]
    width: int
    token: int
    tag: int | None
    header: int  # the number of a line that names the columns; 0: there is none
    numbered: bool  # whether the first column numbers the words, which are in another

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

    def is_no_word(self, cells: Sequence[str]) -> bool:
        """Whether a line of CoNLL-U stands for several words, which follow, or for one that is left out."""
        return self.numbered and NO_WORD.fullmatch(cells[0]) is not None


class _Doubts:
    """What speaks against the words of a file, for as long as it does in all sentences."""

    def __init__(self, path: Path, layout: _Layout, names: Sequence[str] | None) -> None:
        self._path, self._names = path, names
        self._counting = self._alike = layout.width > 1
        self._language: str | None = None
        self._sentences = self._longest = 0

    def look(self, words: Sequence[str]) -> None:
        """Look at the words of a sentence.

        Raises:
            DataError: as `settle`, once there are enough sentences.
        """
        if not (self._counting or self._alike):
            return
        self._sentences += 1
        self._longest = max(self._longest, len(words))
        self._counting = self._counting and _are_counting(words)
        if self._language is None and (match := LANGUAGE.match(words[0])):
            self._language = match[0]
        self._alike = self._alike and all(word.startswith(self._language or " ") for word in words)
        if self._sentences == ENOUGH:
            self.settle()

    def settle(self) -> None:
        """Refuse numbers that count the words, and words that all begin with the same language.

        Raises:
            DataError: the words are such, and one sentence has three or more.
        """
        if self._longest < 3:
            return
        if self._counting:
            known = f"; the columns are {', '.join(self._names)}" if self._names else ""
            raise DataError(
                f"{self._path}: the words are 1, 2, 3, ..., which count them; task.tagging.tokens is the column of the "
                f"words, by number from 0 or by name{known}"
            )
        if self._alike:
            raise DataError(
                f"{self._path}: every word begins with '{self._language}', as in WikiANN's files; "
                f"`sed -i 's/^{self._language}//' FILE` takes it off"
            )


def _are_counting(words: Sequence[str]) -> bool:
    """Whether the words are whole numbers, each one more than the one before; CoNLL-U's other lines do not matter."""
    numbers = [word for word in words if not NO_WORD.fullmatch(word)]
    if not all(word.isascii() and word.isdigit() and len(word) < 7 for word in numbers):
        return False
    return all(int(word) + 1 == int(after) for word, after in pairwise(numbers))


def read_columns(
    path: Path,
    tokens: int | str = 0,
    tags: int | str | None = -1,
    columns: Sequence[str] | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Iterator[Record]:
    """Read sentences as records `{"tokens": [str], "tags": [str]}`; a record's place is the line of its first token.

    Blanks and tabs separate columns; in a file whose first line of tokens has a tab only tabs do, so that tokens may
    hold blanks. Comments (`# ...`) and `-DOCSTART-` lines are left out; the latter also end a sentence. So are lines of
    CoNLL-U that are no words (`2-3`, `3.1`), and a first line that names the columns (`word tag`).

    Args:
        tokens: the tokens' column, by name or by number from 0 (negative from the end).
        tags: the tags' column; None to read tokens alone, which makes records without `tags`.
        columns: the columns' names; None: those of a line `# global.columns = ...`, if there is one.
        note: called with a line that was taken for names of columns.

    Raises:
        DataError: with file and line: not UTF-8, unequal columns, a column that is not there; or no such file, or words
            that can be none.
    """
    found = _layout(path, tokens, tags, columns)
    if found is None:
        return
    layout, doubts = found
    # Most lines stand in a file many times: they are split once, and their words are in memory once.
    split = lru_cache(1 << 16)(layout.cells)
    sentence: list[tuple[str, ...]] = []
    first = 0
    for number, line in read_lines(path):
        cells = split(line)
        if not cells:
            if sentence:
                yield _record(sentence, layout, f"{path}:{first}", doubts)
            sentence = []
        elif len(cells) == layout.width or not layout.is_comment(line, cells, leads=not sentence):
            if len(cells) != layout.width:
                columns = "1 column" if layout.width == 1 else f"{layout.width} columns"
                raise DataError(
                    f"{path}:{number}: expected {columns} as above, found {len(cells)}; a line holds one word"
                )
            if number == layout.header:
                note(f"{path.name}: line {number} ({enumerate_some(cells)}) names the columns and was passed over")
                continue
            if layout.is_no_word(cells):
                continue
            first = first if sentence else number
            sentence.append(cells)
    if sentence:
        yield _record(sentence, layout, f"{path}:{first}", doubts)
    doubts.settle()


def _record(sentence: Sequence[Sequence[str]], layout: _Layout, where: str, doubts: _Doubts) -> Record:
    fields = {"tokens": [cells[layout.token] for cells in sentence]}
    doubts.look(fields["tokens"])
    if layout.tag is not None:
        fields["tags"] = [cells[layout.tag] for cells in sentence]
    return Record(fields, where)


def _layout(
    path: Path, tokens: int | str, tags: int | str | None, names: Sequence[str] | None
) -> tuple[_Layout, _Doubts] | None:
    """Find the layout in the first line of tokens, or in a header line; None if the file has no such line."""
    for number, line in read_lines(path):
        line = line.strip(BLANKS)
        if match := NAMES.match(line):
            names = names or match[1].split()
        if not line or line.startswith("#") or _is_boundary(line):
            continue
        separator = TABS if "\t" in line else ANY_BLANKS
        cells, where = separator.split(line), f"{path}:{number}"
        width = len(cells)
        if names and len(names) != width:
            raise DataError(f"{where}: expected {len(names)} columns ({', '.join(names)}), found {width}")
        if width == 1 and tags is not None:
            raise DataError(f"{where}: expected a word and its tag, separated by a blank or tab, found {quote(line)}")
        token = _column(tokens, names, width, where)
        tag = None if tags is None else _column(tags, names, width, where)
        numbered = token > 0 and FIRST_NUMBER.fullmatch(cells[0]) is not None
        others = [cells[tag]] if tag is not None else cells[:token] + cells[token + 1 :]
        header = number if _is_header(cells[token], others) else 0
        layout = _Layout(separator, width, token, tag, header, numbered)
        return layout, _Doubts(path, layout, names)
    return None


def _is_header(token: str, others: Sequence[str]) -> bool:
    """Whether the first cell of words, and one of others, are names of columns."""
    tags = {tag.strip(BLANKS).lower() for tag in others}
    return token.strip(BLANKS).lower() in WORD_NAMES and not TAG_NAMES.isdisjoint(tags)


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
