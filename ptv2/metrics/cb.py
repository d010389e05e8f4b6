"""CommitmentBank: accuracy, F1 averaged over the three classes, and Matthews correlation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ptv2.metrics.accuracy import mcc

if TYPE_CHECKING:
    import datasets

SCORES = ("accuracy", "f1_macro", "mcc")
OTHER_NAMES = {"macro_f1": "f1_macro"}  # what classification tasks call it
UNIT = "example"  # what `fractions` has a value for
CLASSES = (0, 1, 2)

DESCRIPTION = """Accuracy, macro-averaged F1 and Matthews correlation of CommitmentBank; higher is better.
The mean is always over the three classes, as in SuperGLUE's own scorer: a class that neither the predictions nor the
references hold counts as 0 (only possible in very small samples)."""
CITATION = """@inproceedings{demarneffe2019commitmentbank,
  title={The CommitmentBank: Investigating projection in naturally occurring discourse},
  author={De Marneffe, Marie-Catherine and Simons, Mandy and Tonhauser, Judith},
  booktitle={Proceedings of Sinn und Bedeutung},
  volume={23},
  number={2},
  pages={107--124},
  year={2019}
}"""
INPUTS = """
Args:
    predictions (list of int): predicted classes, 0 to 2.
    references (list of int): right classes, 0 to 2.
Returns:
    accuracy (float), f1_macro (float), mcc (float).
"""


def score(predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
    """Return `accuracy`, `f1_macro` and `mcc`.

    Raises:
        ValueError: there are no predictions, not as many as references, or a class outside 0 to 2.
    """
    if not predictions or len(predictions) != len(references):
        raise ValueError(f"expected one prediction a reference, got {len(predictions)} for {len(references)}")
    if strange := sorted({*predictions, *references} - set(CLASSES)):
        raise ValueError(f"expected the classes 0, 1 and 2, got {strange}")
    pairs = list(zip(predictions, references, strict=True))
    return {
        "accuracy": sum(prediction == reference for prediction, reference in pairs) / len(pairs),
        "f1_macro": sum(_f1(pairs, label) for label in CLASSES) / len(CLASSES),
        "mcc": mcc(predictions, references),
    }


def fractions(
    predictions: Sequence[int], references: Sequence[int]
) -> dict[str, list[tuple[list[float], list[float]]]]:
    """Return scores as `(numerators, denominators)` whose sums over examples give them; for F1 one of these a class.

    Resampled examples then give the score of the resampled set, as the mean of the fractions, without the predictions.
    The Matthews correlation is no such mean.

    Raises:
        ValueError: as `score`.
    """
    score(predictions, references)  # the checks
    pairs = list(zip(predictions, references, strict=True))
    each = [
        ([2.0 * (p == r == label) for p, r in pairs], [float((p == label) + (r == label)) for p, r in pairs])
        for label in CLASSES
    ]
    return {"accuracy": [([float(p == r) for p, r in pairs], [1.0] * len(pairs))], "f1_macro": each}


def _f1(pairs: Sequence[tuple[int, int]], label: int) -> float:
    """F1 of one class over (prediction, reference) pairs; 0 where the class does not occur."""
    both = sum(prediction == label and reference == label for prediction, reference in pairs)
    either = sum((prediction == label) + (reference == label) for prediction, reference in pairs)
    return 2 * both / either if either else 0.0


def features() -> datasets.Features:
    """Types of a prediction and of its reference, for `evaluate`."""
    import datasets

    whole = datasets.Value("int64")
    return datasets.Features({"predictions": whole, "references": whole})
