"""Semantic roles in the official columns: reading CoNLL-2005 and CoNLL-2012 files, and writing CoNLL-2005 columns.

A column of a proposition marks spans by brackets, `(A0*` `*` `*)` or `(V*)`, one cell per token; in records they are
BIO tags. The spans of one proposition never overlap, so the two forms hold the same.

- CoNLL-2005: word, lemma of the predicate or `-`, then one column for each predicate, in their order.
  https://www.cs.upc.edu/~srlconll/spec.html
- CoNLL-2012 `*_gold_conll`: document, part, token number, word, part of speech, parse, lemma, frameset, word sense,
  speaker, named entities, one column for each predicate, coreference. https://conll.cemantix.org/2012/data.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptv2.data.lines import Row, check_widths, read_lines, split_sentences
from ptv2.data.records import Record
from ptv2.errors import DataError, quote

NO_PREDICATE = "-"

# CoNLL-2012 columns that are read; those of the predicates lie between the first eleven columns and the last.
_WORD, _LEMMA, _FRAMESET, _FIRST_PROPOSITION = 3, 6, 7, 11

_CELL = re.compile(r"(?:\((?P<open>[^()*]+))?\*(?:(?P<end>[^()*]*)\))?")


@dataclass(frozen=True)
class Proposition:
    """A predicate (number of its token, lemma) and its arguments, as one BIO tag per token."""

    predicate: int
    lemma: str
    tags: list[str]
    where: str  # "FILE:LINE" of the predicate


@dataclass(frozen=True)
class Sentence:
    """A sentence with its propositions, if it has any."""

    tokens: list[str]
    propositions: list[Proposition]


def read_props(*paths: Path, labelled: bool = True) -> Iterator[Record]:
    """One record for each predicate of a CoNLL-2005 file, or of its shards; a sentence without predicates gives none.

    Fields: `tokens`, `predicate` (number of its token), `lemma`, `tags` (BIO), `sentence` (counted from 0 over all
    sentences of all files, those without predicates included).

    Raises:
        DataError: as `props_sentences`.
    """
    return _records(sentence for path in paths for sentence in props_sentences(path, labelled=labelled))


def read_conll12(*paths: Path, labelled: bool = True) -> Iterator[Record]:
    """The records, as of `read_props`, of CoNLL-2012 files or of all such files of folder trees.

    Words and labels stay as they are written (`-LRB-`, `ARG0`, `ARGM-TMP`).

    Raises:
        DataError: as `conll12_sentences`.
    """
    return _records(sentence for path in paths for sentence in conll12_sentences(path, labelled=labelled))


def props_sentences(path: Path, *, labelled: bool = True) -> Iterator[Sentence]:
    """The sentences of a CoNLL-2005 file, in order.

    Args:
        labelled: whether every sentence must have its predicates' columns; else a sentence without any is taken as it
            is, all tags of its predicates `O`.

    Raises:
        DataError: with "FILE:LINE" and what was expected: unequal columns, not one column for each predicate, malformed
            brackets, no UTF-8; or no such file.
    """
    for rows in _rows(path):
        yield props_sentence(rows, labelled=labelled)


def props_sentence(rows: list[Row], *, labelled: bool = True) -> Sentence:
    """The sentence of equally long rows; arguments and errors as for `props_sentences`."""
    if len(rows[0].cells) < 2:
        raise DataError(f"{rows[0].where}: expected at least 2 columns (word, lemma or -), found 1")
    lemmas = [row.cells[1] for row in rows]
    predicates = [i for i, lemma in enumerate(lemmas) if lemma != NO_PREDICATE]
    columns = _columns(rows, 2, len(rows[0].cells), predicates, labelled)
    return _sentence(rows, [row.cells[0] for row in rows], lemmas, predicates, columns)


def conll12_sentences(path: Path, *, labelled: bool = True) -> Iterator[Sentence]:
    """The sentences of a CoNLL-2012 file, or of all `*gold_conll` files of a folder tree in the order of their paths.

    Args:
        labelled: as for `props_sentences`.

    Raises:
        DataError: as `props_sentences`; or the folder holds no such file.
    """
    files = sorted(path.rglob("*gold_conll")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path}: expected files *gold_conll in this folder or below, found none")
    for file in files:
        for rows in _rows(file, marks=("#begin document", "#end document")):
            yield _conll12_sentence(rows, labelled)


def write_props(
    sentences: Iterable[Sentence],
    predicted: Mapping[tuple[int, int], Sequence[str]] | None = None,
    words: bool = False,
) -> str:
    """The CoNLL-2005 columns of all sentences, in order.

    Without words this is what the official `srl-eval.pl GOLD PREDICTED` takes for both of its files.

    Args:
        sentences: those of the file that the predictions are of.
        predicted: BIO tags by (sentence, predicate), as records name them; None: the sentences' own tags.
        words: whether to put the word before the other columns, as `read_props` expects it.

    Raises:
        ValueError: predictions miss a proposition, belong to none, or are not one BIO tag per token.
    """
    left = dict(predicted or {})
    blocks = []
    for number, sentence in enumerate(sentences):
        lemmas = [NO_PREDICATE] * len(sentence.tokens)
        columns = []
        for proposition in sentence.propositions:
            lemmas[proposition.predicate] = proposition.lemma
            tags: Sequence[str] = proposition.tags
            if predicted is not None:
                tags = _taken(left, (number, proposition.predicate), len(sentence.tokens))
            columns.append(to_column(tags))
        blocks.append(_aligned([*([sentence.tokens] if words else []), lemmas, *columns]))
    if left:
        raise ValueError(f"expected predictions of propositions, got one of (sentence, predicate) {min(left)}")
    return "".join(blocks)


def to_bio(column: Sequence[str], places: Sequence[str] | None = None) -> list[str]:
    """The BIO tags of a column of brackets; the closing bracket may repeat its label, `*A0)`.

    Args:
        places: the name of each cell in messages; None: "token 0" and so on.

    Raises:
        DataError: a cell is no bracket cell, a span opens within another, or one is closed or left open wrongly.
    """
    places = places or [f"token {i}" for i in range(len(column))]
    tags: list[str] = []
    label, opened = "", ""
    for cell, where in zip(column, places, strict=True):
        if (match := _CELL.fullmatch(cell)) is None:
            raise DataError(f"{where}: expected *, (LABEL*, *) or (LABEL*), found {quote(cell)}")
        if match["open"]:
            if label:
                raise DataError(
                    f"{where}: {quote(cell)} opens a span within ({label}* of {opened}; expected *) before it"
                )
            label, opened = match["open"], where
            tags.append(f"B-{label}")
        else:
            tags.append(f"I-{label}" if label else "O")
        if match["end"] is not None:
            if not label or match["end"] not in ("", label):
                raise DataError(f"{where}: {quote(cell)} closes {f'({label}*' if label else 'no open span'}")
            label = ""
    if label:
        raise DataError(f"{opened}: ({label}* is not closed within its sentence; expected *)")
    return tags


def to_column(tags: Sequence[str]) -> list[str]:
    """The column of brackets of BIO tags.

    An `I-` that continues nothing (after `O` or another label) opens a span, as conlleval reads such sequences.

    Raises:
        ValueError: a tag is not O, B-LABEL or I-LABEL.
    """
    for tag in tags:
        if tag != "O" and not (tag[:2] in ("B-", "I-") and len(tag) > 2):
            raise ValueError(f"expected O, B-LABEL or I-LABEL, got {tag!r}")
    labels = [tag[2:] for tag in tags] + [""]  # no label at O, nor after the end
    opens = [tag[0] == "B" or labels[i] != (labels[i - 1] if i else "") for i, tag in enumerate(tags)] + [False]
    return [
        (f"({label}" if label and opens[i] else "")
        + "*"
        + (")" if label and (opens[i + 1] or not labels[i + 1]) else "")
        for i, label in enumerate(labels[:-1])
    ]


def _records(sentences: Iterable[Sentence]) -> Iterator[Record]:
    for number, sentence in enumerate(sentences):
        for proposition in sentence.propositions:
            fields = {
                "tokens": sentence.tokens,
                "predicate": proposition.predicate,
                "lemma": proposition.lemma,
                "tags": proposition.tags,
                "sentence": number,
            }
            yield Record(fields, proposition.where)


def _rows(path: Path, marks: tuple[str, ...] = ()) -> Iterator[list[Row]]:
    """Read the lines of each sentence, each as wide as the first; a line that begins with a mark counts as blank."""
    for rows in split_sentences(((f"{path}:{number}", line) for number, line in read_lines(path)), marks):
        check_widths(rows)
        yield rows


def _conll12_sentence(rows: list[Row], labelled: bool) -> Sentence:
    width = len(rows[0].cells)
    if width <= _FIRST_PROPOSITION:
        raise DataError(f"{rows[0].where}: expected at least {_FIRST_PROPOSITION + 1} columns, found {width}")
    # The lemma alone does not make a predicate: nouns with a word sense have one too.
    predicates = [i for i, row in enumerate(rows) if row.cells[_FRAMESET] != NO_PREDICATE]
    columns = _columns(rows, _FIRST_PROPOSITION, width - 1, predicates, labelled)
    if len(predicates) != len(columns):  # a frameset without arguments annotated: V says where the others are
        predicates = [tags.index("B-V") for tags in columns if "B-V" in tags]
    words, lemmas = ([row.cells[i] for row in rows] for i in (_WORD, _LEMMA))
    lemmas = [word if lemma == NO_PREDICATE else lemma for word, lemma in zip(words, lemmas, strict=True)]
    return _sentence(rows, words, lemmas, predicates, columns)


def _sentence(
    rows: list[Row], words: list[str], lemmas: list[str], predicates: list[int], columns: list[list[str]]
) -> Sentence:
    """Put predicates and columns together, in their order.

    Raises:
        DataError: not as many predicates as columns, or two columns with the same predicate.
    """
    if len(predicates) != len(columns):
        raise DataError(
            f"{rows[0].where}: expected one column for each predicate of the sentence; "
            f"found {len(predicates)} predicates and {len(columns)} columns"
        )
    if len(set(predicates)) < len(predicates):
        twice = next(i for i in predicates if predicates.count(i) > 1)
        raise DataError(
            f"{rows[twice].where}: expected one column for each predicate; "
            f"{predicates.count(twice)} columns have their (V*) at {quote(words[twice])}"
        )
    pairs = zip(predicates, columns, strict=True)
    return Sentence(words, [Proposition(i, lemmas[i], tags, rows[i].where) for i, tags in pairs])


def _columns(rows: list[Row], first: int, end: int, predicates: Sequence[int], labelled: bool) -> list[list[str]]:
    """The BIO tags of the columns from `first` up to `end`.

    Where there is no column and none is needed (`labelled` false), one without spans for each predicate.
    """
    if first == end and not labelled:
        return [["O"] * len(rows) for _ in predicates]
    places = [row.where for row in rows]
    return [to_bio([row.cells[c] for row in rows], places) for c in range(first, end)]


def _taken(predicted: dict[tuple[int, int], Sequence[str]], key: tuple[int, int], length: int) -> Sequence[str]:
    """Take the prediction of `key` out of `predicted`."""
    tags = predicted.pop(key, None)
    if tags is None:
        raise ValueError(f"expected a prediction for (sentence, predicate) {key}, got none")
    if len(tags) != length:
        raise ValueError(f"expected {length} tags for (sentence, predicate) {key}, got {len(tags)}")
    return tags


def _aligned(columns: list[list[str]]) -> str:
    """Columns as lines, each column as wide as its widest cell, with a blank line at the end."""
    widths = [max(map(len, column)) for column in columns]
    rows = zip(*columns, strict=True)
    lines = (" ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip(" ") for row in rows)
    return "\n".join(lines) + "\n\n"
