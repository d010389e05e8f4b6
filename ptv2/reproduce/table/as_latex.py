"""A laid-out table as LaTeX that uses the packages booktabs and graphicx."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ptv2.reproduce.table.layout import Document, Grid

# Shrinks what is wider than the page.
FIT = "\\resizebox{\\ifdim\\width>\\textwidth\\textwidth\\else\\width\\fi}{!}{%"


def latex(document: Document) -> str:
    """Format a table as floats: one with a tabular for each grid, then one with comparisons and costs."""
    label = re.sub(r"\W+", "-", document.name.lower()).strip("-")
    grids = [line for grid in document.grids for line in (*_grid_in_latex(grid), "\\par\\medskip")]
    lines = ["% needs \\usepackage{booktabs,graphicx}"]
    lines += _float(grids, f"{document.title}. {document.caption}", label)
    if document.details:
        columns, header = "lll" + "r" * (len(document.header) - 3), [_tex_row(document.header)]
        details = _tabular(columns, header, [_tex_row(line) for line in document.details])
        lines += ["", *_float(details, f"{document.title}: comparisons and costs.", f"{label}-details")]
    lines += ["", *(f"% {note}" for note in document.notes)]
    return "\n".join(lines) + "\n"


def _float(content: list[str], caption: str, label: str) -> list[str]:
    begin = ["\\begin{table*}[t]", "\\centering\\small"]
    return [*begin, *content, f"\\caption{{{_tex(caption)}}}", f"\\label{{tab:{label}}}", "\\end{table*}"]


def _grid_in_latex(grid: Grid) -> list[str]:
    rules, start = [], 3
    for _, width in grid.spans:
        rules.append(f"\\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    spans = " & ".join(f"\\multicolumn{{{width}}}{{c}}{{{_tex(label)}}}" for label, width in grid.spans)
    body = []
    for number, line in enumerate(grid.lines):
        body += ["\\addlinespace"] if number and line.row else []
        body.append(_tex_row((line.row, line.what, *line.cells)))
    head = [f" & & {spans} \\\\", "".join(rules), _tex_row(("", "", *grid.methods))]
    return _tabular("ll" + "r" * len(grid.methods), head, body)


def _tabular(columns: str, head: list[str], body: list[str]) -> list[str]:
    begin = [FIT, f"\\begin{{tabular}}{{{columns}}}", "\\toprule"]
    return [*begin, *head, "\\midrule", *body, "\\bottomrule", "\\end{tabular}}"]


def _tex_row(cells: Sequence[str]) -> str:
    return " & ".join(map(_tex, cells)) + " \\\\"


# One character, or a sign before a number.
_CHARACTER = re.compile(r"(?P<sign>(?<![\w.])[+-](?=\d))|.")
_TEX = {
    "\\": "\\textbackslash{}",
    "&": "\\&",
    "%": "\\%",
    "$": "\\$",
    "#": "\\#",
    "_": "\\_",
    "{": "\\{",
    "}": "\\}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "±": "$\\pm$",
    "−": "$-$",
    "†": "$^\\dagger$",
    "≈": "$^\\approx$",
    "*": "$^*$",
    "[": "{[}",  # at the start of a row it would be read as an option of the line break before
}


def _tex(text: str) -> str:
    """Escape what LaTeX would take for commands; signs before numbers become those of formulas."""
    return _CHARACTER.sub(lambda match: f"${match[0]}$" if match["sign"] else _TEX.get(match[0], match[0]), text)
