"""CommitmentBank: accuracy, F1 averaged over the three classes, and Matthews correlation."""

from __future__ import annotations

from collections.abc import Sequence

from ptv2.metrics.accuracy import FEATURES as FEATURES
from ptv2.metrics.accuracy import Fractions, accuracy, check_pairs, macro_f1, mcc
from ptv2.metrics.accuracy import fractions as accuracy_fractions

SCORES = ("accuracy", "f1_macro", "mcc")
OTHER_NAMES = {"macro_f1": "f1_macro"}  # what classification tasks call it
UNIT = "example"  # what `fractions` has a value for
CLASSES = (0, 1, 2)

DESCRIPTION = """Accuracy, macro-averaged F1 and Matthews correlation of CommitmentBank; higher is better.
The mean is always over the three classes, as in SuperGLUE's own scorer: a class that neither the predictions nor the
references hold counts as 0 (only possible in very small samples)."""
CITATION = "de Marneffe, Simons and Tonhauser 2019, The CommitmentBank, https://doi.org/10.18148/sub/2019.v23i2.601"


def score(predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
    """Return `accuracy`, `f1_macro` and `mcc`.

    Args:
        predictions: predicted classes, 0 to 2.
        references: right classes, 0 to 2.

    Raises:
        ValueError: there are no predictions, not as many as references, or a class outside 0 to 2.
    """
    _check(predictions, references)
    return {
        "accuracy": accuracy(predictions, references),
        "f1_macro": macro_f1(predictions, references, CLASSES),
        "mcc": mcc(predictions, references),
    }


def fractions(predictions: Sequence[int], references: Sequence[int]) -> Fractions:
    """Return the `Fractions` of `accuracy` and `f1_macro` over examples; the Matthews correlation is no such ratio.

    Raises:
        ValueError: as `score`.
    """
    _check(predictions, references)
    pairs = list(zip(predictions, references, strict=True))
    of_classes = [
        ([2.0 * (p == r == label) for p, r in pairs], [float((p == label) + (r == label)) for p, r in pairs])
        for label in CLASSES
    ]
    return {**accuracy_fractions(predictions, references), "f1_macro": of_classes}


def _check(predictions: Sequence[int], references: Sequence[int]) -> None:
    check_pairs(predictions, references)
    if strange := sorted({*predictions, *references} - set(CLASSES)):
        raise ValueError(f"expected the classes 0, 1 and 2, got {strange}")
