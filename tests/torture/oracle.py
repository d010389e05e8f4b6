"""What a data file holds, read a second time in the plainest way, to find data that a command passed over or changed.

Each function gives how many examples a file holds and, where that is simple, how often each label stands in it.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Content:
    """Examples in a file, and its labels with their counts; None where they are not known."""

    examples: int
    labels: Counter[str] | None = None


def text_of(path: Path) -> str:
    return path.read_bytes().decode("utf-8").lstrip("\ufeff")


def lines_of(path: Path) -> list[str]:
    return re.split(r"\r*\n|\r", text_of(path))


def label(value: Any) -> str:
    """A label so written that equal ones are equal: 1, 1.0, true."""
    text = str(value).strip()
    if text.lower() in ("true", "false"):
        return str(int(text.lower() == "true"))
    try:
        return str(int(text)) if not isinstance(value, float) else str(int(value)) if value == int(value) else text
    except (ValueError, OverflowError):
        number = re.fullmatch(r"(-?\d+)\.0*", text)
        return number[1] if number else text


def json_values(path: Path) -> list[Any]:
    """The values of a file of JSON lines, or of one JSON value: its rows."""
    if path.suffix == ".json":
        try:
            tree = json.loads(text_of(path))
            return tree["data"] if isinstance(tree, dict) and isinstance(tree.get("data"), list) else tree
        except json.JSONDecodeError:
            pass  # an object on each line
    return [json.loads(line) for line in lines_of(path) if line.strip()]


def sentences(path: Path) -> Content:
    """Rows of JSON with a label."""
    rows = json_values(path)
    unlabelled = any("label" not in row for row in rows)
    return Content(len(rows), None if unlabelled else Counter(label(row["label"]) for row in rows))


def cells(path: Path) -> Content:
    """Rows of a table with a header; nothing is known where quotation marks or separators are to be guessed."""
    text = text_of(path)
    gap = "\t" if path.suffix == ".tsv" else ","
    if path.suffix == ".tsv" and '"' in text:
        return Content(-1)
    quoting: Any = csv.QUOTE_NONE if path.suffix == ".tsv" else csv.QUOTE_MINIMAL
    csv.field_size_limit(2**31 - 1)
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=gap, quoting=quoting) if row]
    header = [name.strip() for name in rows[0]]
    if "label" not in header or len(header) < 2 or any(name[:1] == " " for name in rows[0][1:]):
        return Content(-1)
    return Content(len(rows) - 1, Counter(label(row[header.index("label")]) for row in rows[1:]))


def _blocks(path: Path, marks: tuple[str, ...]) -> Iterator[list[list[str]]]:
    block: list[list[str]] = []
    for line in [*lines_of(path), ""]:
        if not line.strip(" \t\r\n") or line.strip(" \t\r\n").startswith(marks):
            if block:
                yield block
            block = []
        else:
            block.append(re.split(r"[ \t]+", line.strip(" \t\r\n")))
    if block:
        yield block


def columns(path: Path) -> Content:
    """Sentences of a column file; comments make the count uncertain."""
    if "#" in text_of(path) or "\t" in text_of(path):
        return Content(-1)
    return Content(sum(1 for _ in _blocks(path, ("-DOCSTART-",))))


def tokens(path: Path) -> Content:
    return Content(len(json_values(path)))


def questions(path: Path) -> Content:
    """Questions of SQuAD's official form, or of flat rows."""
    tree = json_values(path)
    if not tree or "paragraphs" not in tree[0]:
        return Content(len(tree))
    return Content(sum(len(paragraph["qas"]) for article in tree for paragraph in article["paragraphs"]))


def columns_of_roles(path: Path) -> Content:
    """A column for each predicate: behind two columns of .props, within those of CoNLL-2012."""
    taken = 2 if path.suffix == ".props" else 12
    marks = () if path.suffix == ".props" else ("#begin", "#end")
    return Content(sum(len(block[0]) - taken for block in _blocks(path, marks)))


def answers(path: Path) -> Content:
    """Answers of MultiRC."""
    rows = json_values(path)
    return Content(
        sum(len(question["answers"]) for row in rows for question in row["passage"]["questions"]),
        Counter(
            label(answer["label"])
            for row in rows
            for question in row["passage"]["questions"]
            for answer in question["answers"]
        ),
    )


def rows(path: Path) -> Content:
    return Content(len(json_values(path)))


def unknown(path: Path) -> Content:
    return Content(-1)
