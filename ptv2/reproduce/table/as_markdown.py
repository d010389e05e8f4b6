"""A laid-out table as Markdown."""

from __future__ import annotations

from ptv2.report.formats import format_markdown
from ptv2.reproduce.table.layout import Document


def markdown(document: Document) -> str:
    """Format the grids, the list of comparisons and costs, and the notes."""
    lines = [f"# {document.heading}", ""]
    for grid in document.grids:
        labels = [label for label, width in grid.spans for _ in range(width)]
        header = ["", "", *(f"{label} {method}" for label, method in zip(labels, grid.methods, strict=True))]
        lines += [*format_markdown(header, ((line.row, line.what, *line.cells) for line in grid.lines), left=2), ""]
    lines += [document.caption, ""]
    if document.details:
        lines += ["## Comparisons and costs", "", *format_markdown(document.header, document.details), ""]
    notes = [note.replace("|", "\\|") for note in document.notes]
    return "\n".join([*lines, "## Notes", "", *(f"- {note}" for note in notes)]) + "\n"
