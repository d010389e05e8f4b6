"""A laid-out table as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from ptv2.reproduce.table.layout import Document, Grid


def markdown(document: Document) -> str:
    """Grids, the list of comparisons and costs, and notes."""
    lines = [f"# {document.heading}", ""]
    for grid in document.grids:
        lines += [*_grid_in_markdown(grid), ""]
    lines += [document.caption, ""]
    if document.details:
        lines += ["## Comparisons and costs", "", _row(document.header), "|" + " --- |" * len(document.header)]
        lines += [_row(line) for line in document.details]
        lines.append("")
    lines += ["## Notes", "", *(f"- {_escaped(note)}" for note in document.notes)]
    return "\n".join(lines) + "\n"


def _grid_in_markdown(grid: Grid) -> list[str]:
    labels = [label for label, width in grid.spans for _ in range(width)]
    header = ["", "", *(f"{label} {method}" for label, method in zip(labels, grid.methods, strict=True))]
    body = [_row((line.row, line.what, *line.cells)) for line in grid.lines]
    return [_row(header), "|" + " --- |" * 2 + " ---: |" * len(labels), *body]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escaped(cell) for cell in cells) + " |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
