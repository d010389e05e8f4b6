"""Tables that fit the screen: in a pipe all columns, on a narrow terminal those that matter most, the rest named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.text import Text

from ptv2.console.output import out, tell
from ptv2.screen import WIDTH, elide, fold, visible, width_of

GAP = 2
PROSE = 120  # columns of notes below a table in a pipe, at most
HEADING = 8  # columns below which no heading needs to fold
WORD = r"[^\s-]+-?|-+"  # what of a heading stays together
LESS = "add | less -S for all of it"
Cell = str | Text


@dataclass(frozen=True)
class Column:
    """A column, and what may become of it where not all fit: the fields after `right`, in this order."""

    name: str
    right: bool = False
    group: bool = False  # its value becomes a line above the rows that share it
    below: bool = False  # its cell becomes a line below the row
    fold: int | None = None  # folded between words to no fewer columns than this
    drop: int | None = None  # left out, the lowest first, and named below the table
    least: int | None = None  # cut in the middle to no fewer columns than this


@dataclass(frozen=True)
class Table:
    """Rows of cells, each as long as there are columns."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    title: str = ""
    notes: Sequence[str] = ()
    more: str = LESS  # how to see what is left out or cut
    sparse: int = 0  # so many columns at the left are blank where they repeat the row above

    @property
    def width(self) -> int:
        """Columns of the screen that all of it takes, with headings on several lines."""
        return _fold_headings(self._whole).width

    @property
    def _whole(self) -> _Shape:
        heads = tuple(column.name for column in self.columns)
        return _Shape(tuple(self.columns), heads, tuple(tuple(map(_text, row)) for row in self.rows), self.sparse)


def show_table(table: Table) -> None:
    """Print a table as it fits standard output."""
    width = width_of(out.file)
    if table.title:
        tell(Text(table.title, style="bold"), out)
    lines, lacks = lay_out(table, width)
    for line in lines:
        out.print(line, soft_wrap=True)
    for note in [*table.notes, *([f"{lacks}; {table.more}"] if lacks else [])]:
        tell(Text(note, style="dim"), out, indent=0, width=width or min(max(WIDTH, *map(_width, lines)), PROSE))


def lay_out(table: Table, width: int | None) -> tuple[list[Text], str]:
    """The lines of a table, of at most `width` columns, and what is left out of them (empty: nothing).

    Where nothing else helps, each row is a block of lines, one for each column.
    """
    whole = table._whole
    if width is None or whole.width <= width:
        return whole.lines(), ""
    shape = _fold_headings(whole)
    for step in (_group, _move_below):
        shape = shape if shape.width <= width else step(shape)
    shown = _fold(shape, width)
    lacks: list[str] = []
    for column in sorted((c for c in shape.columns if c.drop is not None), key=lambda column: column.drop or 0):
        if shown.width > width:
            shape = shape.without(column)
            shown = _fold(shape, width)
            lacks.append(column.name)
    lacks = [f"left out: {', '.join(c.name for c in table.columns if c.name in lacks)}"] if lacks else []
    if shown.width > width:
        shown = _cut(shown, width)
        lacks.append("long values are cut in the middle")
    if shown.width > width:
        return _blocks(whole, width), ""
    return shown.lines(width), "; ".join(lacks)


@dataclass(frozen=True)
class _Shape:
    """A table on its way to a width; line ends in headings and cells are where these fold."""

    columns: tuple[Column, ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[Text, ...], ...]
    sparse: int
    groups: tuple[str, ...] = ()  # for each row, what stands above it and those that follow with the same
    below: tuple[tuple[Text, ...], ...] = ()  # for each row, what stands below it

    @property
    def widths(self) -> list[int]:
        cells = zip(*([Text(head) for head in self.heads], *self.rows), strict=True)
        return [max(map(_width, column)) for column in cells]

    @property
    def width(self) -> int:
        return sum(self.widths) + GAP * (len(self.columns) - 1)

    def without(self, column: Column) -> _Shape:
        place = self.columns.index(column)
        return replace(
            self,
            columns=self.columns[:place] + self.columns[place + 1 :],
            heads=self.heads[:place] + self.heads[place + 1 :],
            rows=tuple(row[:place] + row[place + 1 :] for row in self.rows),
            sparse=self.sparse - (place < self.sparse),
        )

    def cells(self, column: Column) -> list[Text]:
        place = self.columns.index(column)
        return [row[place] for row in self.rows]

    def with_cells(self, column: Column, cells: Sequence[Text]) -> _Shape:
        place = self.columns.index(column)
        rows = tuple((*row[:place], cell, *row[place + 1 :]) for row, cell in zip(self.rows, cells, strict=True))
        return replace(self, rows=rows)

    def lines(self, width: int | None = None) -> list[Text]:
        widths = self.widths
        lines = [*self._line([Text(head) for head in self.heads], widths)]
        before: Sequence[str] = ()
        for number, row in enumerate(self.rows):
            plain = [cell.plain for cell in row]
            if self.groups and (number == 0 or self.groups[number] != self.groups[number - 1]):
                lines += _pieces(Text(self.groups[number], style="bold"), width)
                before = ()
            same = next((i for i in range(self.sparse) if [*plain[: i + 1]] != [*before[: i + 1]]), self.sparse)
            lines += self._line([Text() if place < same else cell for place, cell in enumerate(row)], widths)
            before = plain
            for cell in self._below_of(number):
                pieces = _pieces(cell, None if width is None else width - 2) if cell.plain else []
                lines += [Text("  ") + piece for piece in pieces]
        return lines

    def _below_of(self, number: int) -> tuple[Text, ...]:
        """What stands below a row; what several rows of one name have in common stands below the last of them."""

        def key(at: int) -> tuple[object, ...]:
            rows, below = self.rows[at : at + 1], self.below[at : at + 1]
            return (
                self.groups[at : at + 1],
                [row[0].plain for row in rows],
                [[c.plain for c in cells] for cells in below],
            )

        return () if not self.below or key(number) == key(number + 1) else self.below[number]

    def _line(self, cells: Sequence[Text], widths: Sequence[int]) -> Iterator[Text]:
        """A row as one line, or as several where cells fold."""
        pieces = [cell.split("\n", allow_blank=True) for cell in cells]
        for number in range(max(map(len, pieces))):
            line = Text()
            for folded, width, column in zip(pieces, widths, self.columns, strict=True):
                piece = folded[number].copy() if number < len(folded) else Text()
                pad = width - _width(piece)
                piece.pad_left(pad) if column.right else piece.pad_right(pad)
                line.append_text(piece).append(" " * GAP)
            line.rstrip()
            yield line


def _fold_headings(shape: _Shape) -> _Shape:
    """Headings that are wider than their cells fold between words and after hyphens."""
    heads = []
    for column, head in zip(shape.columns, shape.heads, strict=True):
        room = max([HEADING, *map(_width, shape.cells(column))])
        spans = [fold(line, room, 0, cell_len, WORD) for line in head.split("\n")]
        pieces = [line[a:b] for line, found in zip(head.split("\n"), spans, strict=True) for a, b in found]
        heads.append("\n".join(pieces))
    return replace(shape, heads=tuple(heads))


def _group(shape: _Shape) -> _Shape:
    columns = [column for column in shape.columns if column.group]
    if not columns:
        return shape
    groups = zip(*(shape.cells(column) for column in columns), strict=True)
    joined = tuple(", ".join(cell.plain for cell in cells) for cells in groups)
    for column in columns:
        shape = shape.without(column)
    return replace(shape, groups=joined)


def _move_below(shape: _Shape) -> _Shape:
    columns = [column for column in shape.columns if column.below]
    if not columns:
        return shape
    below = tuple(zip(*(shape.cells(column) for column in columns), strict=True))
    for column in columns:
        shape = shape.without(column)
    return replace(shape, below=below)


def _fold(shape: _Shape, width: int) -> _Shape:
    """Fold cells between words, those of the last column first, as far as the width asks for."""
    for column in reversed([column for column in shape.columns if column.fold is not None]):
        if (excess := shape.width - width) > 0:
            room = max(shape.widths[shape.columns.index(column)] - excess, column.fold or 1)
            cells = [Text("\n").join(_pieces(cell, room)) for cell in shape.cells(column)]
            shape = shape.with_cells(column, cells)
    return shape


def _cut(shape: _Shape, width: int) -> _Shape:
    """Cut cells in the middle, those of the widest column first."""
    for _ in shape.columns:
        widths = dict(zip(shape.columns, shape.widths, strict=True))
        wide = [c for c in shape.columns if c.least is not None and max(map(_width, shape.cells(c))) > c.least]
        if (excess := shape.width - width) <= 0 or not wide:
            break
        column = max(wide, key=lambda column: widths[column])
        room = max(column.least or 1, widths[column] - excess)
        cells = [c if _width(c) <= room else Text(elide(c.plain, room, cell_len), c.style) for c in shape.cells(column)]
        shape = shape.with_cells(column, cells)
    return shape


def _blocks(shape: _Shape, width: int) -> list[Text]:
    """Each row as lines of a name and a value."""
    margin = max(cell_len(column.name) for column in shape.columns) + GAP
    lines: list[Text] = []
    for row in shape.rows:
        lines += [Text()] if lines else []
        for column, cell in zip(shape.columns, row, strict=True):
            for number, piece in enumerate(_pieces(cell, max(1, width - margin)) if cell.plain else []):
                lines.append(Text(f"{column.name if number == 0 else '':<{margin}}").append_text(piece))
    return lines


def _pieces(text: Text, width: int | None) -> list[Text]:
    """`text` on lines of at most `width` columns; words that are longer break, after a hyphen if they have one."""
    if width is None or _width(text) <= width:
        return [text]
    most = width if cell_len(text.plain) == len(text) else max(1, width // 2)  # letters of two columns
    piece = rf"(?<!\S)\S{{1,{most}}}(?!\S)|[^\s/+_-]{{0,{most - 1}}}[/+_-]|[^\s/+_-]{{1,{most}}}"
    return [text[start:end] for start, end in fold(text.plain, width, 0, cell_len, piece)]


def _text(cell: Cell) -> Text:
    return cell if isinstance(cell, Text) else Text(visible(" ".join(cell.split("\n"))))


def _width(text: Text) -> int:
    return max(map(cell_len, text.plain.split("\n")))
