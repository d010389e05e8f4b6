"""Semantic roles: F1 of the arguments as the CoNLL-2005 scorer counts them, and F1 of all spans with the predicates."""

from __future__ import annotations

from collections.abc import Sequence

from ptv2.metrics import entities
from ptv2.metrics.accuracy import Fractions
from ptv2.metrics.entities import FEATURES as FEATURES
from ptv2.metrics.entities import Tags

SCORES = ("f1", "precision", "recall", "f1_with_v")
UNIT = "predicate"  # what `fractions` has a value for

DESCRIPTION = """Arguments of predicates found with the right label and extent; from 0 to 1, higher is better.
f1, precision and recall are those of srl-eval.pl, the CoNLL-2005 scorer (its line "Overall", in percent): the predicate
itself (V) does not count, a piece C-X belongs to the argument X before it, and such an argument is right only as a
whole. A C-X without an X before it is an X; R-X is a label of its own.
f1_with_v is another number, and usually a higher one: the F1 of seqeval over all spans, with V (which the input gives
away) and with every C-X and R-X as a label of its own. It is here to compare with papers that report it."""
CITATION = "Carreras and Màrquez 2005, https://aclanthology.org/W05-0620"

_PREDICATE = "V"
_CONTINUED = "C-"

Argument = tuple[str, tuple[tuple[int, int], ...]]  # label, and its pieces (start, end) from left to right


def score(predictions: Tags, references: Tags) -> dict[str, float]:
    """Return `f1`, `precision`, `recall` and `f1_with_v`; each is 0 where there is nothing to divide by.

    Args:
        predictions: for every predicate the predicted BIO tags, one per token. An I- that continues nothing (after O
            or another label) begins a span, as in conlleval.
        references: the right tags, in the same order.

    Raises:
        ValueError: there are no predictions, not as many as references, not one tag per token, or a malformed tag.
    """
    official = entities.score(predictions, references, arguments)
    return {**official, "f1_with_v": entities.score(predictions, references)["f1"]}


def by_type(predictions: Tags, references: Tags) -> dict[str, dict[str, float | int]]:
    """Return `f1`, `precision`, `recall` and `support` (right arguments) of every label, sorted by label.

    The arguments are those of the official scorer: no `V`, and `C-X` within `X`.

    Raises:
        ValueError: as `score`.
    """
    return entities.by_type(predictions, references, arguments)


def fractions(predictions: Tags, references: Tags) -> Fractions:
    """Return the `Fractions` of each score over predicates.

    Raises:
        ValueError: as `score`.
    """
    official = entities.fractions(predictions, references, arguments)
    return {**official, "f1_with_v": entities.fractions(predictions, references)["f1"]}


def arguments(tags: Sequence[str]) -> list[Argument]:
    """Return the arguments of one predicate without `V`: pieces `C-X` joined to the last `X` before them.

    Raises:
        ValueError: a tag is not O, B-LABEL or I-LABEL.
    """
    pieces: list[tuple[str, list[tuple[int, int]]]] = []  # of each argument, in the order of its first
    latest: dict[str, list[tuple[int, int]]] = {}
    for label, start, end in entities.chunks(tags):
        whole = label.removeprefix(_CONTINUED)
        if whole != label and whole in latest:
            latest[whole].append((start, end))
        else:
            latest[whole] = [(start, end)]
            pieces.append((whole, latest[whole]))
    return [(label, tuple(extent)) for label, extent in pieces if label != _PREDICATE]
