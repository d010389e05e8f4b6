"""The outcome of an analysis: numbers for a file, fewer of them for a reader, and a figure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ptv2.files import write_text_whole
from ptv2.report.formats import format_csv, format_markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = dict[str, str | int | float | None]


@dataclass(frozen=True)
class Finding:
    """The outcome of one analysis; `what` says in one line what was measured, and its files have its `name`."""

    name: str
    what: str
    rows: list[Row]  # all numbers
    summary: list[Row]  # to print, rounded
    figure: Figure

    def write(self, folder: Path) -> list[Path]:
        """Write the CSV, the PNG and the SVG; return their paths."""
        from ptv2.report.plots import save

        table = folder / f"{self.name}.csv"
        write_text_whole(table, format_csv(list(self.rows[0]), self.rows))
        return [table, *save(self.figure, folder / self.name)]

    def markdown(self) -> str:
        """A section with `what`, the summary and the figure."""
        table = "\n".join(format_markdown(list(self.summary[0]), map(cells, self.summary)))
        return f"## {self.name}\n\n{self.what}\n\n{table}\n\n![{self.name}]({self.name}.svg)\n"


def cells(row: Row) -> list[str]:
    """The values of a row as text; an empty text for None."""
    return ["" if value is None else str(value) for value in row.values()]
