"""Tables that fit the screen: in a pipe all columns, on a narrow terminal those that matter most, the rest named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from rich.cells import cell_len
from rich.text import Text

from ptv2.console.output import out, tell
from ptv2.screen import WIDTH, elide, fold, visible, width_of

GAP = 2
PROSE = 120  # columns of notes below a table in a pipe, at most
HEADING = 8  # columns below which no heading needs to fold
WORD = r"[^\s-]+-?|-+"  # the pieces of a heading that do not break
LESS = "add | less -S for all of it"
Cell = str | Text


@dataclass(frozen=True)
class Column:
    """A column; the fields after `right` say what may become of it, in this order, if not all columns fit."""

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
    def _whole(self) -> _Fitted:
        cells = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.columns)
        pairs = zip(self.columns, cells, strict=True)
        return _Fitted(
            tuple(_Filled(column, column.name, tuple(map(_text, texts))) for column, texts in pairs), self.sparse
        )


def show_table(table: Table) -> None:
    """Print a table so that it fits standard output."""
    width = width_of(out.file)
    if table.title:
        tell(Text(table.title, style="bold"), out)
    lines, lacks = lay_out(table, width)
    out.print(Text("\n").join(lines), soft_wrap=True)
    for note in [*table.notes, *([f"{lacks}; {table.more}"] if lacks else [])]:
        tell(Text(note, style="dim"), out, indent=0, width=width or min(max(WIDTH, *map(_width, lines)), PROSE))


def lay_out(table: Table, width: int | None) -> tuple[list[Text], str]:
    """Lay a table out in at most `width` columns of the screen; None: as wide as it is.

    If nothing else helps, each row becomes a block of lines, one for each column.

    Returns:
        The lines, and what is left out of them (empty: nothing).
    """
    whole = table._whole
    if width is None or whole.width <= width:
        return whole.lines(), ""
    fitted = _fold_headings(whole)
    for step in (_group, _move_below):
        fitted = fitted if fitted.width <= width else step(fitted)
    shown = _fold(fitted, width)
    dropped: list[_Filled] = []
    for filled in sorted((c for c in fitted.columns if c.column.drop is not None), key=lambda c: c.column.drop or 0):
        if shown.width > width:
            dropped.append(filled)
            shown = _fold(fitted.without(dropped), width)
    names = [filled.column.name for filled in fitted.columns if filled in dropped]
    lacks = [f"left out: {', '.join(names)}"] if names else []
    if shown.width > width:
        shown = _cut(shown, width)
        lacks.append("long values are cut in the middle")
    if shown.width > width:
        return _blocks(whole, width), ""
    return shown.lines(width), "; ".join(lacks)


@dataclass(frozen=True, eq=False)
class _Filled:
    """A column with its heading and cells, which fold at the line ends in them."""

    column: Column
    head: str
    cells: tuple[Text, ...]

    @cached_property
    def width(self) -> int:
        return max(map(_width, (Text(self.head), *self.cells)))


@dataclass(frozen=True)
class _Fitted:
    """A table on its way to a width."""

    columns: tuple[_Filled, ...]
    sparse: int
    groups: tuple[str, ...] = ()  # for each row, the line above it and the following rows of the same group
    below: tuple[tuple[Text, ...], ...] = ()  # for each row, the texts below it

    @cached_property
    def width(self) -> int:
        return sum(filled.width for filled in self.columns) + GAP * (len(self.columns) - 1)

    def without(self, removed: Sequence[_Filled]) -> _Fitted:
        columns = tuple(filled for filled in self.columns if filled not in removed)
        sparse = sum(filled not in removed for filled in self.columns[: self.sparse])
        return replace(self, columns=columns, sparse=sparse)

    def with_cells(self, changed: _Filled, cells: Sequence[Text]) -> _Fitted:
        new = replace(changed, cells=tuple(cells))
        return replace(self, columns=tuple(new if filled is changed else filled for filled in self.columns))

    def lines(self, width: int | None = None) -> list[Text]:
        rows = list(zip(*(filled.cells for filled in self.columns), strict=True))
        names = [first.plain for first, *_ in rows]
        lines = [*self._line([Text(filled.head) for filled in self.columns])]
        before: Sequence[str] = ()
        for number, row in enumerate(rows):
            plain = [cell.plain for cell in row]
            if self.groups and (number == 0 or self.groups[number] != self.groups[number - 1]):
                lines += _pieces(Text(self.groups[number], style="bold"), width)
                before = ()
            same = next((i for i in range(self.sparse) if [*plain[: i + 1]] != [*before[: i + 1]]), self.sparse)
            lines += self._line([Text() if i < same else cell for i, cell in enumerate(row)])
            before = plain
            for cell in self._below_of(number, names):
                pieces = _pieces(cell, None if width is None else width - 2) if cell.plain else []
                lines += [Text("  ") + piece for piece in pieces]
        return lines

    def _below_of(self, number: int, names: Sequence[str]) -> tuple[Text, ...]:
        """The texts below a row; those that the next row of the same name shares come below that one."""

        def key(at: int) -> tuple[object, ...]:
            texts = [[cell.plain for cell in cells] for cells in self.below[at : at + 1]]
            return self.groups[at : at + 1], names[at : at + 1], texts

        return () if not self.below or key(number) == key(number + 1) else self.below[number]

    def _line(self, cells: Sequence[Text]) -> Iterator[Text]:
        """A row as one line, or as several if cells fold."""
        if not any(cell.style or cell.spans or "\n" in cell.plain for cell in cells):  # as most, and much faster
            yield Text((" " * GAP).join(map(_padded, cells, self.columns)).rstrip())
            return
        pieces = [cell.split("\n", allow_blank=True) for cell in cells]
        for number in range(max(map(len, pieces))):
            line = Text()
            for folded, filled in zip(pieces, self.columns, strict=True):
                piece = folded[number].copy() if number < len(folded) else Text()
                pad = filled.width - _width(piece)
                piece.pad_left(pad) if filled.column.right else piece.pad_right(pad)
                line.append_text(piece).append(" " * GAP)
            line.rstrip()
            yield line


def _padded(cell: Text, filled: _Filled) -> str:
    pad = " " * (filled.width - cell_len(cell.plain))
    return pad + cell.plain if filled.column.right else cell.plain + pad


def _fold_headings(fitted: _Fitted) -> _Fitted:
    """Fold headings that are wider than their cells, between words and after hyphens."""
    columns = []
    for filled in fitted.columns:
        room = max([HEADING, *map(_width, filled.cells)])
        lines = filled.head.split("\n")
        pieces = [line[start:end] for line in lines for start, end in fold(line, room, 0, cell_len, WORD)]
        columns.append(replace(filled, head="\n".join(pieces)))
    return replace(fitted, columns=tuple(columns))


def _group(fitted: _Fitted) -> _Fitted:
    """Make the values of some columns lines above the rows that share them."""
    columns = [filled for filled in fitted.columns if filled.column.group]
    if not columns:
        return fitted
    rows = zip(*(filled.cells for filled in columns), strict=True)
    groups = tuple(", ".join(cell.plain for cell in cells) for cells in rows)
    return replace(fitted.without(columns), groups=groups)


def _move_below(fitted: _Fitted) -> _Fitted:
    """Make the cells of some columns lines below their rows."""
    columns = [filled for filled in fitted.columns if filled.column.below]
    if not columns:
        return fitted
    return replace(fitted.without(columns), below=tuple(zip(*(filled.cells for filled in columns), strict=True)))


def _fold(fitted: _Fitted, width: int) -> _Fitted:
    """Fold cells between words, those of the last column first, as far as the width asks for."""
    for filled in reversed([filled for filled in fitted.columns if filled.column.fold is not None]):
        if (excess := fitted.width - width) > 0:
            room = max(filled.width - excess, filled.column.fold or 1)
            fitted = fitted.with_cells(filled, [Text("\n").join(_pieces(cell, room)) for cell in filled.cells])
    return fitted


def _cut(fitted: _Fitted, width: int) -> _Fitted:
    """Cut cells in the middle, those of the widest column first."""
    for _ in fitted.columns:
        wide = [c for c in fitted.columns if c.column.least is not None and max(map(_width, c.cells)) > c.column.least]
        if (excess := fitted.width - width) <= 0 or not wide:
            break
        widest = max(wide, key=lambda filled: filled.width)
        room = max(widest.column.least or 1, widest.width - excess)
        cells = [c if _width(c) <= room else Text(elide(c.plain, room, cell_len), c.style) for c in widest.cells]
        fitted = fitted.with_cells(widest, cells)
    return fitted


def _blocks(fitted: _Fitted, width: int) -> list[Text]:
    """Each row as lines of a name and a value."""
    margin = max(cell_len(filled.column.name) for filled in fitted.columns) + GAP
    lines: list[Text] = []
    for row in zip(*(filled.cells for filled in fitted.columns), strict=True):
        lines += [Text()] if lines else []
        for filled, cell in zip(fitted.columns, row, strict=True):
            for number, piece in enumerate(_pieces(cell, max(1, width - margin)) if cell.plain else []):
                lines.append(Text(f"{filled.column.name if number == 0 else '':<{margin}}").append_text(piece))
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
