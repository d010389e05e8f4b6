"""What an analysis gives: numbers for a file, fewer of them for a reader, and a figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ptv2.files import write_text_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = dict[str, str | int | float | None]


@dataclass(frozen=True)
class Finding:
    """The outcome of one analysis; `what` says in one line what was measured, `name` names its files."""

    name: str
    what: str
    rows: list[Row]  # all numbers
    summary: list[Row]  # those to print, rounded
    figure: Figure

    def write(self, folder: Path) -> list[Path]:
        """Write the CSV, the PNG and the SVG; returns their paths."""
        from ptv2.report.plots import save

        table = folder / f"{self.name}.csv"
        write_text_whole(table, comma_separated(self.rows))
        return [table, *save(self.figure, folder / self.name)]

    def markdown(self) -> str:
        """A section with the line and the summary."""
        header = list(self.summary[0])
        lines = [header, ["---"] * len(header), *(cells(row) for row in self.summary)]
        table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
        return f"## {self.name}\n\n{self.what}\n\n{table}\n![{self.name}]({self.name}.svg)\n"


def cells(row: Row) -> list[str]:
    """The values of a row as text; nothing for what there is not."""
    return ["" if value is None else str(value) for value in row.values()]


def comma_separated(rows: Sequence[Row]) -> str:
    """Rows with the same keys as CSV with a header."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()
