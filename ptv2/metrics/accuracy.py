"""Classification: accuracy (BoolQ, COPA, RTE, WiC, WSC, SST-2, ...), macro-F1, Matthews correlation, and each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

# Numerators and denominators by score, with a value for each unit. The ratio of their sums over any units, such as a
# resampled test set, is the score of these units; of several pairs the mean ratio.
Fractions = dict[str, list[tuple[list[float], list[float]]]]

OF_CLASSES = ("macro_f1", "mcc")
SCORES = ("accuracy", *OF_CLASSES)
UNIT = "example"  # what `fractions` has a value for

DESCRIPTION = """Accuracy is the share of the examples whose predicted class is the right one, from 0 to 1.
Macro-F1 is the mean F1 of the classes that occur among the predictions or the references, from 0 to 1, as scikit-learn
counts it; a class that occurs on one side alone has an F1 of 0. MCC is the Matthews correlation of predictions and
references, from -1 to 1, and 0 for a model that gives one answer to everything. Higher is better."""
CITATION = ""
FEATURES = {"predictions": "int64", "references": "int64"}


class ClassScores(TypedDict):
    """Scores and counts of one class. A rate whose denominator is zero is None."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int  # how often it is right
    predicted: int


def score(predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
    """Return `accuracy`, `macro_f1` and `mcc`.

    Args:
        predictions: predicted classes.
        references: right classes.

    Raises:
        ValueError: there are no predictions, or not as many as references.
    """
    return {
        "accuracy": accuracy(predictions, references),
        "macro_f1": macro_f1(predictions, references),
        "mcc": mcc(predictions, references),
    }


def check_pairs(predictions: Sequence[Any], references: Sequence[Any]) -> None:
    """Raise `ValueError` if there are no predictions, or not as many as references."""
    if not predictions or len(predictions) != len(references):
        raise ValueError(f"expected one prediction per reference, got {len(predictions)} for {len(references)}")


def accuracy(predictions: Sequence[int], references: Sequence[int]) -> float:
    """Return the share of right predictions; `ValueError` as `check_pairs`."""
    check_pairs(predictions, references)
    right = sum(prediction == reference for prediction, reference in zip(predictions, references, strict=True))
    return right / len(references)


def macro_f1(predictions: Sequence[int], references: Sequence[int], classes: Sequence[int] | None = None) -> float:
    """Return the mean F1 of `classes`, or else of those that occur among the predictions or the references."""
    from sklearn.metrics import f1_score

    return float(f1_score(references, predictions, labels=classes, average="macro", zero_division=0))


def mcc(predictions: Sequence[int], references: Sequence[int]) -> float:
    """Return the Matthews correlation; 0 where predictions or references are all of one class."""
    from sklearn.metrics import matthews_corrcoef

    if len({*predictions, *references}) == 1:
        return 0.0  # as scikit-learn, which warns
    return float(matthews_corrcoef(references, predictions))


def by_class(predictions: Sequence[int], references: Sequence[int], classes: int) -> list[ClassScores]:
    """Return precision, recall, F1 and counts of each of the classes 0 to `classes` - 1.

    Raises:
        ValueError: as `score`.
    """
    import numpy as np
    from sklearn.metrics import precision_recall_fscore_support

    check_pairs(predictions, references)
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
    """Count how often each class (row) is taken for each class (column), `[classes, classes]`.

    Raises:
        ValueError: as `score`.
    """
    from sklearn.metrics import confusion_matrix

    check_pairs(predictions, references)
    counts: list[list[int]] = confusion_matrix(references, predictions, labels=range(classes)).tolist()
    return counts


def _defined(rate: float) -> float | None:
    return float(rate) if rate == rate else None


def fractions(predictions: Sequence[int], references: Sequence[int]) -> Fractions:
    """Return the `Fractions` of `accuracy` over examples; the scores `OF_CLASSES` are no such ratios.

    Raises:
        ValueError: as `score`.
    """
    check_pairs(predictions, references)
    right = [float(prediction == reference) for prediction, reference in zip(predictions, references, strict=True)]
    return {"accuracy": [(right, [1.0] * len(right))]}
