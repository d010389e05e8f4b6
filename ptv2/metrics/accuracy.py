"""Classification: accuracy (BoolQ, COPA, RTE, WiC, WSC, SST-2, ...), macro-F1, Matthews correlation, and each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import datasets

OF_CLASSES = ("macro_f1", "mcc")
SCORES = ("accuracy", *OF_CLASSES)
UNIT = "example"  # what `fractions` has a value for

DESCRIPTION = """Accuracy is the share of the examples whose predicted class is the right one, from 0 to 1.
Macro-F1 is the mean F1 of the classes that occur among the predictions or the references, from 0 to 1, as scikit-learn
counts it; a class that occurs on one side alone has an F1 of 0. MCC is the Matthews correlation of predictions and
references, from -1 to 1, and 0 for a model that gives one answer to everything. Higher is better."""
CITATION = ""
INPUTS = """
Args:
    predictions (list of int): predicted classes.
    references (list of int): right classes.
Returns:
    accuracy (float), macro_f1 (float), mcc (float).
"""


class ClassScores(TypedDict):
    """What is counted of one class. A rate whose denominator is zero is None."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int  # how often it is right
    predicted: int


def score(predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
    """Return `accuracy`, `macro_f1` and `mcc`.

    Raises:
        ValueError: there are no predictions, or not as many as references.
    """
    _check(predictions, references)
    right = sum(prediction == reference for prediction, reference in zip(predictions, references, strict=True))
    return {
        "accuracy": right / len(references),
        "macro_f1": macro_f1(predictions, references),
        "mcc": mcc(predictions, references),
    }


def macro_f1(predictions: Sequence[int], references: Sequence[int]) -> float:
    """The mean F1 of the classes that occur among the predictions or the references."""
    from sklearn.metrics import f1_score

    return float(f1_score(references, predictions, average="macro", zero_division=0))


def mcc(predictions: Sequence[int], references: Sequence[int]) -> float:
    """The Matthews correlation; 0 where predictions or references are all of one class."""
    from sklearn.metrics import matthews_corrcoef

    if len({*predictions, *references}) == 1:
        return 0.0  # as scikit-learn, which warns
    return float(matthews_corrcoef(references, predictions))


def by_class(predictions: Sequence[int], references: Sequence[int], classes: int) -> list[ClassScores]:
    """Return precision, recall and F1 of each of the classes 0 to `classes` - 1, with its numbers.

    Raises:
        ValueError: as `score`.
    """
    import numpy as np
    from sklearn.metrics import precision_recall_fscore_support

    _check(predictions, references)
    rates = precision_recall_fscore_support(references, predictions, labels=range(classes), zero_division=np.nan)
    predicted = np.bincount(predictions, minlength=classes)
    return [
        {
            "precision": _defined(precision),
            "recall": _defined(recall),
            "f1": _defined(f1),
            "support": int(support),
            "predicted": int(count),
        }
        for precision, recall, f1, support, count in zip(*rates, predicted, strict=True)
    ]


def confusion(predictions: Sequence[int], references: Sequence[int], classes: int) -> list[list[int]]:
    """How often each class (row) is taken for each class (column), `[classes, classes]`.

    Raises:
        ValueError: as `score`.
    """
    from sklearn.metrics import confusion_matrix

    _check(predictions, references)
    counts: list[list[int]] = confusion_matrix(references, predictions, labels=range(classes)).tolist()
    return counts


def _check(predictions: Sequence[int], references: Sequence[int]) -> None:
    if not predictions or len(predictions) != len(references):
        raise ValueError(f"expected one prediction a reference, got {len(predictions)} for {len(references)}")


def _defined(rate: float) -> float | None:
    return float(rate) if rate == rate else None


def fractions(
    predictions: Sequence[int], references: Sequence[int]
) -> dict[str, list[tuple[list[float], list[float]]]]:
    """Return `accuracy` as `(numerators, denominators)`, one or more of these, whose sums over examples give it.

    Resampled examples then give the score of the resampled set, without the predictions. The scores `OF_CLASSES` are no
    such ratios: they need the predictions.

    Raises:
        ValueError: as `score`.
    """
    _check(predictions, references)
    right = [float(prediction == reference) for prediction, reference in zip(predictions, references, strict=True)]
    return {"accuracy": [(right, [1.0] * len(right))]}


def features() -> datasets.Features:
    """Types of a prediction and of its reference, for `evaluate`."""
    import datasets

    whole = datasets.Value("int64")
    return datasets.Features({"predictions": whole, "references": whole})
