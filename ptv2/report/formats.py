"""Counts, scores, p values, groups and tables, the same wherever results are shown."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


def count_of(number: int, noun: str) -> str:
    """A number with its noun, in the plural unless it is 1."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def group_by(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Items by what `key` gives for them, in the order of their first appearance."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def format_score(mean: float, spread: float | None, digits: int = 1) -> str:
    """A mean and, if there is one, its standard deviation: `81.3 ± 0.4`."""
    return f"{mean:.{digits}f}" + ("" if spread is None else f" ± {spread:.{digits}f}")


def format_p(p: float | None) -> str:
    """A p value in two digits; nothing for None."""
    if p is None:
        return ""
    return "<0.01" if p < 0.005 else f"{p:.2f}"


def format_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], separator: str = ",") -> str:
    """Rows as CSV with a header; None is an empty cell, and keys that are no column are left out."""
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, columns, delimiter=separator, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def format_markdown(header: Sequence[str], rows: Iterable[Sequence[str]], left: int | None = None) -> list[str]:
    """The lines of a table in Markdown; columns after the first `left` are right-aligned, none by default."""
    right = 0 if left is None else len(header) - left
    marks = " --- |" * (len(header) - right) + " ---: |" * right
    first, *body = ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (header, *rows))
    return [first, "|" + marks, *body]
