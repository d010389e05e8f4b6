"""CoNLL-2003 named entities: `eng.train`, `eng.testa`, `eng.testb` as the task's scripts make them from Reuters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ptv2.data.columns import BOUNDARY
from ptv2.data.prepare.given import Given, cells, find_given
from ptv2.data.prepare.parts import Part, tagged
from ptv2.data.tags import scheme_of, to_bio
from ptv2.errors import DataError

# Tjong Kim Sang and De Meulder 2003, "Introduction to the CoNLL-2003 Shared Task", tables 1 and 2, without the
# -DOCSTART- lines that the sentences there include (946, 216 and 231)
PUBLISHED = {
    "train": [{"sentences": 14_041, "tokens": 203_621, "entities": 23_499}],
    "dev": [{"sentences": 3_250, "tokens": 51_362, "entities": 5_942}],
    "test": [{"sentences": 3_453, "tokens": 46_435, "entities": 5_648}],
}
# the names of the task's own files, and of the copy that most later releases are made from
_NAMES = {"train": ("eng.train", "train.txt"), "dev": ("eng.testa", "valid.txt"), "test": ("eng.testb", "test.txt")}
_COLUMNS = 4  # word, part of speech, chunk, entity
_WITHOUT_WORDS = re.compile(r"make\.eng|tags\.eng.*|eng\.raw.*")
_WANTED = re.compile("|".join(re.escape(name) for names in _NAMES.values() for name in names))
Lines = list[tuple[str, str]]


def read(base: Path) -> dict[str, Part]:
    """Read the three parts, their tags (IOB1 in the task's own files) as BIO.

    Raises:
        DataError: a file is missing or malformed.
    """
    files = find_given(base, _WANTED)
    return {split: tagged(_sentences(_file(names, files, base))) for split, names in _NAMES.items()}


def _file(names: tuple[str, ...], files: dict[str, Given], base: Path) -> Given:
    for name in names:
        if name in files:
            return files[name]
    if find_given(base, _WITHOUT_WORDS):
        raise DataError(
            f"{base}: missing {names[0]}; this is the release without words: "
            "run its bin/make.eng with the Reuters Corpus (RCV1, volume 1) first"
        )
    raise DataError(f"{base}: missing {' or '.join(names)}")


def _sentences(file: Given) -> Iterator[tuple[list[str], list[str]]]:
    sentences = [rows for block in file.blocks() if (rows := _rows(block))]
    scheme = scheme_of([tags for _, tags, _ in sentences])
    for tokens, tags, where in sentences:
        try:
            yield tokens, to_bio(tags, scheme)
        except ValueError as error:
            raise DataError(f"{where}: {error}") from error


def _rows(block: Lines) -> tuple[list[str], list[str], str] | None:
    """Words, tags and place of a sentence; None for a document's boundary."""
    rows = [(where, cells(text)) for where, text in block if not text.startswith(BOUNDARY)]
    for where, row in rows:
        if len(row) != _COLUMNS:
            raise DataError(
                f"{where}: expected {_COLUMNS} columns (word, part of speech, chunk, entity), found {len(row)}"
            )
    return ([row[0] for _, row in rows], [row[-1] for _, row in rows], rows[0][0]) if rows else None
