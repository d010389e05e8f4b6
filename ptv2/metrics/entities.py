"""Entities: F1, precision and recall of whole spans, as the conlleval script of the CoNLL shared tasks counts them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ptv2.metrics.accuracy import Fractions, check_pairs

SCORES = ("f1", "precision", "recall")
UNIT = "sentence"  # what `fractions` has a value for

DESCRIPTION = """F1, precision and recall over the spans of all types together; from 0 to 1, higher is better.
A span is right when type, first and last token are. Odd sequences are read as by conlleval: an `I-` after `O`, or after
another type, begins a span. A number whose denominator is zero is 0, as there."""
CITATION = "Tjong Kim Sang and De Meulder 2003, https://aclanthology.org/W03-0419"
FEATURES = {"predictions": ["string"], "references": ["string"]}


Tags = Sequence[Sequence[str]]  # of each sentence


def chunks(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """Return the spans of one sentence's tags as (type, start, end), `end` exclusive.

    A `B-` always begins a span, an `I-` where the tag before it is `O` or has another type; this is what the script's
    startOfChunk and endOfChunk come to on these tags.

    Raises:
        ValueError: a tag is none of `O`, `B-TYPE` and `I-TYPE`.
    """
    spans: list[tuple[str, int, int]] = []
    inside, start = "", 0  # the type of the span that is open; empty outside of spans
    for i, tag in enumerate([*tags, "O"]):
        prefix, _, kind = tag.partition("-")  # a type may hold hyphens
        if tag != "O" and not (prefix in ("B", "I") and kind):
            raise ValueError(f"expected O, B-TYPE or I-TYPE, got '{tag}' (tag {i + 1} of {len(tags)})")
        if inside and (prefix != "I" or kind != inside):
            spans.append((inside, start, i))
            inside = ""
        if kind and not inside:
            inside, start = kind, i
    return spans


# Reads the spans off one sentence's tags, each with its type first.
ReadSpans = Callable[[Sequence[str]], Iterable[tuple[Any, ...]]]


def score(predictions: Tags, references: Tags, read_spans: ReadSpans = chunks) -> dict[str, float]:
    """Return `f1`, `precision` and `recall` over all types together.

    Args:
        predictions: the predicted tags of every sentence: `O`, `B-TYPE` or `I-TYPE`.
        references: the right tags, as many per sentence.

    Raises:
        ValueError: there are no predictions, not as many sentences or tags as in the references, or a tag that is none
            of `O`, `B-TYPE` and `I-TYPE`.
    """
    return _rates(*_total(_count(predictions, references, read_spans)))


def by_type(predictions: Tags, references: Tags, read_spans: ReadSpans = chunks) -> dict[str, dict[str, float | int]]:
    """Return `f1`, `precision`, `recall` and `support` (spans in the references) for each type that either side has.

    Raises:
        ValueError: as `score`.
    """
    counts = _count(predictions, references, read_spans)
    return {kind: {**_rates(*counts[kind]), "support": counts[kind][2]} for kind in sorted(counts)}


def fractions(predictions: Tags, references: Tags, read_spans: ReadSpans = chunks) -> Fractions:
    """Return the `Fractions` of each score over sentences.

    Raises:
        ValueError: as `score`.
    """
    counts = [_total(_count([p], [r], read_spans)) for p, r in zip(predictions, references, strict=True)]
    both, predicted, right = ([float(row[i]) for row in counts] for i in range(3))
    either = [p + r for p, r in zip(predicted, right, strict=True)]
    return {"f1": [([2 * n for n in both], either)], "precision": [(both, predicted)], "recall": [(both, right)]}


def _count(predictions: Tags, references: Tags, read_spans: ReadSpans) -> dict[str, list[int]]:
    """Count spans by type: [in both, predicted, in the references]."""
    check_pairs(predictions, references)
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for i, (prediction, reference) in enumerate(zip(predictions, references, strict=True)):
        if len(prediction) != len(reference):
            raise ValueError(f"expected one tag per token, got {len(prediction)} for {len(reference)} in row {i}")
        predicted, right = set(read_spans(prediction)), set(read_spans(reference))
        for column, spans in enumerate((predicted & right, predicted, right)):
            for kind, *_ in spans:
                counts[kind][column] += 1
    return counts


def _total(counts: dict[str, list[int]]) -> list[int]:
    """Sum the counts of all types."""
    return [sum(column) for column in zip((0, 0, 0), *counts.values(), strict=True)]


def _rates(both: int, predicted: int, right: int) -> dict[str, float]:
    """Return F1, precision and recall; 0 where there is nothing to divide by."""
    return {
        "f1": 2 * both / (predicted + right) if predicted + right else 0.0,
        "precision": both / predicted if predicted else 0.0,
        "recall": both / right if right else 0.0,
    }
