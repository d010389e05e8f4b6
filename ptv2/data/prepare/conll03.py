"""CoNLL-2003 named entities: `eng.train`, `eng.testa`, `eng.testb` as the task's scripts make them from Reuters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ptv2.data.columns import BOUNDARY
from ptv2.data.prepare.given import Given, find_given
from ptv2.data.prepare.parts import TaskFile, tagged
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


def read(base: Path) -> dict[str, TaskFile]:
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
    sentences = list(file.sentences(marks=(BOUNDARY,)))
    for row in (row for rows in sentences for row in rows):
        if len(row.cells) != _COLUMNS:
            what = f"{_COLUMNS} columns (word, part of speech, chunk, entity)"
            raise DataError(f"{row.where}: expected {what}, found {len(row.cells)}")
    tags = [[row.cells[-1] for row in rows] for rows in sentences]
    scheme = scheme_of(tags)
    for rows, of_sentence in zip(sentences, tags, strict=True):
        try:
            yield [row.cells[0] for row in rows], to_bio(of_sentence, scheme)
        except ValueError as error:
            raise DataError(f"{rows[0].where}: {error}") from error
