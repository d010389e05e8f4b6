"""A laid-out table as LaTeX that uses the packages booktabs and graphicx."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ptv2.reproduce.table.layout import Document, Grid

# What is wider than the page is made smaller.
FIT = "\\resizebox{\\ifdim\\width>\\textwidth\\textwidth\\else\\width\\fi}{!}{%"


def latex(document: Document) -> str:
    """Floats that use booktabs and graphicx: a tabular for each grid, then one with comparisons and costs."""
    label = re.sub(r"\W+", "-", document.name.lower()).strip("-")
    lines = [
        "% needs \\usepackage{booktabs,graphicx}",
        "\\begin{table*}[t]",
        "\\centering\\small",
    ]
    for grid in document.grids:
        lines += [*_grid_in_latex(grid), "\\par\\medskip"]
    lines += [
        f"\\caption{{{_tex(document.title)}. {_tex(document.caption)}}}",
        f"\\label{{tab:{label}}}",
        "\\end{table*}",
    ]
    if document.details:
        lines += ["", *_details_in_latex(document, label)]
    lines += ["", *(f"% {note}" for note in document.notes)]
    return "\n".join(lines) + "\n"


def _grid_in_latex(grid: Grid) -> list[str]:
    ends, start = [], 3
    for _, width in grid.spans:
        ends.append(f"\\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    spans = " & ".join(f"\\multicolumn{{{width}}}{{c}}{{{_tex(label)}}}" for label, width in grid.spans)
    lines = [
        FIT,
        f"\\begin{{tabular}}{{ll{'r' * len(grid.methods)}}}",
        "\\toprule",
        f" & & {spans} \\\\",
        "".join(ends),
    ]
    lines += [_tex_row(("", "", *grid.methods)), "\\midrule"]
    for number, line in enumerate(grid.lines):
        if number and line.row:
            lines.append("\\addlinespace")
        lines.append(_tex_row((line.row, line.what, *line.cells)))
    return [*lines, "\\bottomrule", "\\end{tabular}}"]


def _details_in_latex(document: Document, label: str) -> list[str]:
    columns = "lll" + "r" * (len(document.header) - 3)
    return [
        "\\begin{table*}[t]",
        "\\centering\\small",
        FIT,
        f"\\begin{{tabular}}{{{columns}}}",
        "\\toprule",
        _tex_row(document.header),
        "\\midrule",
        *(_tex_row(line) for line in document.details),
        "\\bottomrule",
        "\\end{tabular}}",
        f"\\caption{{{_tex(document.title)}: comparisons and costs.}}",
        f"\\label{{tab:{label}-details}}",
        "\\end{table*}",
    ]


def _tex_row(cells: Sequence[str]) -> str:
    return " & ".join(map(_tex, cells)) + " \\\\"


# Every character by itself; a sign before a number is told apart.
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
    "[": "{[}",  # a row that begins with a bracket would be read as an option of the line break before it
}


def _tex(text: str) -> str:
    """Text with what LaTeX would take for commands escaped; signs before numbers as in formulas."""
    return _CHARACTER.sub(lambda found: f"${found[0]}$" if found["sign"] else _TEX.get(found[0], found[0]), text)
