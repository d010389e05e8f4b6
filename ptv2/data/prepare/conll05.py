"""CoNLL-2005 semantic roles: the shared task's archives, with the words of its training part from the Penn Treebank.

`conll05st-release.tar.gz` has propositions of WSJ sections 02-21 and 24, `conll05st-tests.tar.gz` words and
propositions of WSJ section 23 and of Brown ck01-ck03. https://www.cs.upc.edu/~srlconll/soft.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import filter as matching
from pathlib import Path

from ptv2.data.lines import Row, check_widths
from ptv2.data.prepare.given import Given, find_given, require
from ptv2.data.prepare.parts import TaskFile, with_roles
from ptv2.data.prepare.penn import tree_words
from ptv2.data.props import Sentence, props_sentence
from ptv2.errors import DataError, enumerate_some

# Carreras and Marquez 2005, "Introduction to the CoNLL-2005 Shared Task", table 1; a proposition is a predicate
PUBLISHED = {
    "train": [{"sentences": 39_832, "predicates": 90_750}],
    "dev": [{"sentences": 1_346, "predicates": 3_248}],
    "test": [{"sentences": 2_416, "predicates": 5_267}],
    "test-brown": [{"sentences": 426, "predicates": 804}],
}


_RELEASE, _TESTS = "conll05st-release.tar.gz", "conll05st-tests.tar.gz"


@dataclass(frozen=True)
class _Piece:
    """One pair of files, its archive, and the pattern of the tree files that have its words."""

    stem: str
    trees: str
    origin: str = _RELEASE

    @property
    def words(self) -> str:
        return f"{self.stem}.words"

    @property
    def props(self) -> str:
        return f"{self.stem}.props"


_PIECES = {
    "train": [_Piece(f"train.{section:02}", f"wsj_{section:02}??.mrg") for section in range(2, 22)],
    "dev": [_Piece("devel.24", "wsj_24??.mrg")],
    "test": [_Piece("test.wsj", "wsj_23??.mrg", _TESTS)],
    "test-brown": [_Piece("test.brown", "ck0[123].mrg", _TESTS)],
}
_WANTED = re.compile(r"(train\.\d\d|devel\.24|test\.wsj|test\.brown)\.(words|props)")
_TREES = re.compile(r"(wsj_\d{4}|ck0[123])\.mrg")


def read(base: Path, treebank: Path | None) -> dict[str, TaskFile]:
    """Read the four parts: train, dev, test (WSJ) and test-brown.

    Raises:
        DataError: a file is missing or malformed, or words and propositions do not fit together.
    """
    files = find_given(base, _WANTED)
    pieces = [piece for split in _PIECES.values() for piece in split]
    for origin in (_RELEASE, _TESTS):
        require(files, [piece.props for piece in pieces if piece.origin == origin], base, origin)
    trees = _trees([piece for piece in pieces if piece.words not in files], base, treebank)
    return {
        split: with_roles(sentence for piece in pieces for sentence in _sentences(piece, files, trees))
        for split, pieces in _PIECES.items()
    }


def _trees(wordless: Sequence[_Piece], base: Path, treebank: Path | None) -> dict[str, Given]:
    """Find the tree files for all of `wordless`."""
    if not wordless:
        return {}
    if treebank is None:
        words = enumerate_some((piece.words for piece in wordless), 5)
        raise DataError(
            f"{base}: missing {words}; the shared task's archives leave these "
            "words to the Penn Treebank (LDC99T42): give its folder with --treebank"
        )
    trees = find_given(treebank, _TREES)
    if missing := [piece.trees for piece in wordless if not matching(trees, piece.trees)]:
        raise DataError(f"{treebank}: missing {enumerate_some(missing, 5)}, of parsed/mrg of LDC99T42")
    return trees


def _sentences(piece: _Piece, files: dict[str, Given], trees: dict[str, Given]) -> Iterator[Sentence]:
    """Put the words and the propositions of one pair of files together."""
    if piece.words in files:
        source = files[piece.words].where
        words = [[row.cells[0] for row in rows] for rows in files[piece.words].sentences()]
    else:
        source = piece.trees
        trees_of_section = [trees[name] for name in sorted(matching(trees, piece.trees))]
        words = [sentence for file in trees_of_section for sentence in tree_words(file.lines())]
    sentences = list(files[piece.props].sentences())
    if len(words) != len(sentences):
        where = files[piece.props].where
        raise DataError(f"{where}: {len(sentences)} sentences, but {len(words)} in {source}; expected as many")
    for tokens, rows in zip(words, sentences, strict=True):
        yield _sentence(tokens, rows, source)


def _sentence(tokens: Sequence[str], rows: list[Row], source: str) -> Sentence:
    """Build a sentence from its words and its lines of propositions (lemma or `-`, then one column per predicate)."""
    if len(tokens) != len(rows):
        raise DataError(f"{rows[0].where}: a sentence of {len(rows)} lines, but of {len(tokens)} words in {source}")
    check_widths(rows)
    return props_sentence([Row([token, *row.cells], row.where) for token, row in zip(tokens, rows, strict=True)])
