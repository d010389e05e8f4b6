"""Accuracy: the share of examples whose predicted class is the right one (BoolQ, COPA, RTE, WiC, WSC, SST-2, ...)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datasets

SCORES = ("accuracy",)
UNIT = "example"  # what `fractions` has a value for

DESCRIPTION = "Share of the examples whose predicted class is the right one; from 0 to 1, higher is better."
CITATION = ""
INPUTS = """
Args:
    predictions (list of int): predicted classes.
    references (list of int): right classes.
Returns:
    accuracy (float).
"""


def score(predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
    """Return `accuracy`.

    Raises:
        ValueError: there are no predictions, or not as many as references.
    """
    if not predictions or len(predictions) != len(references):
        raise ValueError(f"expected one prediction a reference, got {len(predictions)} for {len(references)}")
    right = sum(prediction == reference for prediction, reference in zip(predictions, references, strict=True))
    return {"accuracy": right / len(references)}


def fractions(
    predictions: Sequence[int], references: Sequence[int]
) -> dict[str, list[tuple[list[float], list[float]]]]:
    """Return each score as `(numerators, denominators)`, one or more of these, whose sums over examples give it.

    Resampled examples then give the score of the resampled set, without the predictions.

    Raises:
        ValueError: as `score`.
    """
    score(predictions, references)  # the checks
    right = [float(prediction == reference) for prediction, reference in zip(predictions, references, strict=True)]
    return {"accuracy": [(right, [1.0] * len(right))]}


def features() -> datasets.Features:
    """Types of a prediction and of its reference, for `evaluate`."""
    import datasets

    whole = datasets.Value("int64")
    return datasets.Features({"predictions": whole, "references": whole})
