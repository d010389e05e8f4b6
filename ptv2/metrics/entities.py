"""Entities: F1, precision and recall of whole spans, as the conlleval script of the CoNLL shared tasks counts them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datasets

SCORES = ("f1", "precision", "recall")
UNIT = "sentence"  # what `fractions` has a value for

DESCRIPTION = """F1, precision and recall over the spans of all types together; from 0 to 1, higher is better.
A span is right when type, first and last token are. Odd sequences are read as by conlleval: an `I-` after `O`, or after
another type, begins a span. A number whose denominator is zero is 0, as there."""
CITATION = """@inproceedings{tjongkimsang2003conll,
  title={Introduction to the CoNLL-2003 shared task: Language-independent named entity recognition},
  author={Tjong Kim Sang, Erik F. and De Meulder, Fien},
  booktitle={Proceedings of CoNLL-2003},
  pages={142--147},
  year={2003}
}"""
INPUTS = """
Args:
    predictions (list of list of str): the predicted tags of every sentence: `O`, `B-TYPE` or `I-TYPE`.
    references (list of list of str): the right tags, as many a sentence.
Returns:
    f1 (float), precision (float), recall (float).
"""


def score(predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return `f1`, `precision` and `recall` over all types together.

    Raises:
        ValueError: there are no predictions, not as many sentences or tags as in the references, or a tag that is none
            of `O`, `B-TYPE` and `I-TYPE`.
    """
    counts = _count(predictions, references).values()
    return rates(*(sum(column) for column in zip((0, 0, 0), *counts, strict=True)))


def by_type(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
) -> dict[str, dict[str, float | int]]:
    """Return `f1`, `precision`, `recall` and `support` (spans in the references) for each type that either side has.

    Raises:
        ValueError: as for `score`.
    """
    counts = _count(predictions, references)
    return {kind: {**rates(*counts[kind]), "support": counts[kind][2]} for kind in sorted(counts)}


def chunks(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """The spans of one sentence's tags as (type, start, end), `end` exclusive.

    A `B-` always begins a span, an `I-` where the tag before it is `O` or has another type; this is what the script's
    startOfChunk and endOfChunk come to on these tags.

    Raises:
        ValueError: a tag is none of `O`, `B-TYPE` and `I-TYPE`.
    """
    found: list[tuple[str, int, int]] = []
    inside, start = "", 0  # the type of the span that is open; empty outside of spans
    for i, tag in enumerate([*tags, "O"]):
        prefix, _, kind = tag.partition("-")  # a type may hold hyphens
        if tag != "O" and not (prefix in ("B", "I") and kind):
            raise ValueError(f"expected O, B-TYPE or I-TYPE, got '{tag}' (tag {i + 1} of {len(tags)})")
        if inside and (prefix != "I" or kind != inside):
            found.append((inside, start, i))
            inside = ""
        if kind and not inside:
            inside, start = kind, i
    return found


def fractions(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
) -> dict[str, list[tuple[list[float], list[float]]]]:
    """Return each score as `(numerators, denominators)`, one or more of these, whose sums over sentences give it.

    Resampled sentences then give the score of the resampled set, without the predictions.

    Raises:
        ValueError: as `score`.
    """
    rows = [_count([p], [r]).values() for p, r in zip(predictions, references, strict=True)]
    return as_fractions([[sum(column) for column in zip((0, 0, 0), *row, strict=True)] for row in rows])


def as_fractions(rows: Sequence[Sequence[int]]) -> dict[str, list[tuple[list[float], list[float]]]]:
    """F1, precision and recall of rows of spans [right, predicted, in the references], as `fractions` gives them."""
    right, said, true = ([float(row[i]) for row in rows] for i in range(3))
    both = [s + t for s, t in zip(said, true, strict=True)]
    return {"f1": [([2 * n for n in right], both)], "precision": [(right, said)], "recall": [(right, true)]}


def _count(predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> dict[str, list[int]]:
    """By type, the number of spans [right, predicted, in the references]."""
    if not predictions or len(predictions) != len(references):
        raise ValueError(f"expected one prediction a reference, got {len(predictions)} for {len(references)}")
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for i, (prediction, reference) in enumerate(zip(predictions, references, strict=True)):
        if len(prediction) != len(reference):
            raise ValueError(f"expected {len(reference)} predicted tags for sentence {i}, got {len(prediction)}")
        said, true = set(chunks(prediction)), set(chunks(reference))
        for column, spans in enumerate((said & true, said, true)):
            for kind, *_ in spans:
                counts[kind][column] += 1
    return counts


def rates(right: int, said: int, true: int) -> dict[str, float]:
    """F1, precision and recall of so many right spans among the predicted and the true ones; 0 where none are."""
    return {
        "f1": 2 * right / (said + true) if said + true else 0.0,
        "precision": right / said if said else 0.0,
        "recall": right / true if true else 0.0,
    }


def features() -> datasets.Features:
    """Types of a prediction and of its reference, for `evaluate`."""
    import datasets

    tags = datasets.Sequence(datasets.Value("string"))
    return datasets.Features({"predictions": tags, "references": tags})
