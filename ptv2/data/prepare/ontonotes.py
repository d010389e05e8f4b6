"""OntoNotes 5 named entities: the column of the `*_gold_conll` files as BIO tags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ptv2.data.prepare.archives import read_plain
from ptv2.data.prepare.given import Given
from ptv2.data.prepare.gold import find_gold
from ptv2.data.prepare.parts import TaskFile, tagged
from ptv2.data.props import to_bio
from ptv2.errors import DataError

# Chiu and Nichols 2016, "Named Entity Recognition with Bidirectional LSTM-CNNs", and most papers since: the
# documents of the CoNLL-2012 shared task (version 4) that have names annotated.
PUBLISHED = {
    "train": [{"sentences": 59_924, "tokens": 1_088_503, "entities": 81_828}],
    "dev": [{"sentences": 8_528, "tokens": 147_724, "entities": 11_066}],
    "test": [{"sentences": 8_262, "tokens": 152_728, "entities": 11_257}],
}
_WORD, _ENTITY = 3, 10
_WHOLE = re.compile(r"\(([^()*]+)\)")  # an entity of one token may be written without the asterisk, (GPE)


def read(base: Path) -> dict[str, TaskFile]:
    """Read the three parts, without the documents that have no entity at all: names were not annotated there.

    Among them is the whole New Testament (pt), whose sentences would teach that nothing is a name.

    Raises:
        DataError: a part is missing, or a file is malformed.
    """
    return {
        split: tagged(sentence for path in paths for sentence in _annotated(path))
        for split, paths in find_gold(base).items()
    }


def _annotated(path: Path) -> list[tuple[list[str], list[str]]]:
    sentences = list(_sentences(path))
    return sentences if any(tag != "O" for _, tags in sentences for tag in tags) else []


def _sentences(path: Path) -> Iterator[tuple[list[str], list[str]]]:
    for rows in Given(str(path), partial(read_plain, path)).sentences(marks=("#begin ", "#end ")):
        for row in rows:
            if len(row.cells) <= _ENTITY + 1:
                raise DataError(f"{row.where}: expected at least {_ENTITY + 2} columns, found {len(row.cells)}")
        column = [_WHOLE.sub(r"(\1*)", row.cells[_ENTITY]) for row in rows]
        yield [row.cells[_WORD] for row in rows], to_bio(column, [row.where for row in rows])
