"""Semantic roles: F1 of the arguments as the CoNLL-2005 scorer counts them, and F1 of all spans with the predicates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ptv2.metrics import entities

if TYPE_CHECKING:
    import datasets

SCORES = ("f1", "precision", "recall", "f1_with_v")
UNIT = "predicate"  # what `fractions` has a value for

DESCRIPTION = """Arguments of predicates found with the right label and extent; from 0 to 1, higher is better.
f1, precision and recall are those of srl-eval.pl, the CoNLL-2005 scorer (its line "Overall", in percent): the predicate
itself (V) does not count, a piece C-X belongs to the argument X before it, and such an argument is right only as a
whole. A C-X without an X before it is an X; R-X is a label of its own.
f1_with_v is another number, and usually a higher one: the F1 of seqeval over all spans, with V (which the input gives
away) and with every C-X and R-X as a label of its own. It is here to compare with papers that report it."""
CITATION = """@inproceedings{carreras2005introduction,
  title={Introduction to the CoNLL-2005 Shared Task: Semantic Role Labeling},
  author={Carreras, Xavier and M{\\`a}rquez, Llu{\\'i}s},
  booktitle={Proceedings of CoNLL},
  pages={152--164},
  year={2005}
}"""
INPUTS = """
Args:
    predictions (list of list of str): for every predicate the predicted BIO tags, one a token. An I- that continues
        nothing (after O or another label) begins a span, as in conlleval.
    references (list of list of str): the right tags, in the same order.
Returns:
    f1 (float), precision (float), recall (float), f1_with_v (float).
"""

_PREDICATE = "V"
_CONTINUED = "C-"

Argument = tuple[str, tuple[tuple[int, int], ...]]  # label, and its pieces (start, end) from left to right


def score(predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return `f1`, `precision`, `recall` and `f1_with_v`; each is 0 where there is nothing to divide by.

    Raises:
        ValueError: there are no predictions, not as many as references, not one tag a token, or a malformed tag.
    """
    said, right, both = (counts.total() for counts in _counts(predictions, references))
    return {**entities.rates(both, said, right), "f1_with_v": entities.score(predictions, references)["f1"]}


def by_type(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
) -> dict[str, dict[str, float | int]]:
    """Return `f1`, `precision`, `recall` and `support` (right arguments) of every label, sorted by label.

    The arguments are those of the official scorer: no `V`, and `C-X` within `X`.

    Raises:
        ValueError: as `score`.
    """
    said, right, both = _counts(predictions, references)
    return {
        label: {**entities.rates(both[label], said[label], right[label]), "support": right[label]}
        for label in sorted(said | right)
    }


def fractions(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
) -> dict[str, list[tuple[list[float], list[float]]]]:
    """Return each score as `(numerators, denominators)`, one or more of these, whose sums over predicates give it.

    Resampled predicates then give the score of the resampled set, without the predictions.

    Raises:
        ValueError: as `score`.
    """
    rows = [_counts([p], [r]) for p, r in zip(predictions, references, strict=True)]
    own = entities.as_fractions([[both.total(), said.total(), right.total()] for said, right, both in rows])
    return {**own, "f1_with_v": entities.fractions(predictions, references)["f1"]}


def arguments(tags: Sequence[str]) -> list[Argument]:
    """The arguments of one predicate without `V`: pieces `C-X` joined to the last `X` before them.

    Raises:
        ValueError: a tag is not O, B-LABEL or I-LABEL.
    """
    found: list[tuple[str, list[tuple[int, int]]]] = []
    latest: dict[str, list[tuple[int, int]]] = {}
    for label, start, end in entities.chunks(tags):
        whole = label.removeprefix(_CONTINUED)
        if whole != label and whole in latest:
            latest[whole].append((start, end))
        else:
            latest[whole] = [(start, end)]
            found.append((whole, latest[whole]))
    return [(label, tuple(extent)) for label, extent in found if label != _PREDICATE]


def _counts(
    predictions: Sequence[Sequence[str]],
    references: Sequence[Sequence[str]],
) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """How many arguments of each label are predicted, are right, and both."""
    if not predictions or len(predictions) != len(references):
        raise ValueError(f"expected one prediction a reference, got {len(predictions)} for {len(references)}")
    said: Counter[str] = Counter()
    right: Counter[str] = Counter()
    both: Counter[str] = Counter()
    for number, (prediction, reference) in enumerate(zip(predictions, references, strict=True)):
        if len(prediction) != len(reference):
            raise ValueError(f"expected one tag a token, got {len(prediction)} for {len(reference)} in row {number}")
        found, expected = set(arguments(prediction)), set(arguments(reference))
        for counts, members in ((said, found), (right, expected), (both, found & expected)):
            counts.update(label for label, _ in members)
    return said, right, both


def features() -> datasets.Features:
    """Types of a prediction and of its reference, for `evaluate`."""
    import datasets

    tags = datasets.Sequence(datasets.Value("string"))
    return datasets.Features({"predictions": tags, "references": tags})
