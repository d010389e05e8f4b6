"""MultiRC: F1 over all answers, and the share of questions whose answers are all judged rightly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datasets

SCORES = ("f1a", "exact_match")
UNIT = "question"  # what `fractions` has a value for

DESCRIPTION = """The two numbers of MultiRC in SuperGLUE; from 0 to 1, higher is better.
F1a is the binary F1 of the class 1 over all answers of all questions together. Exact match is the share of questions of
which every answer is judged rightly, so a question without a true answer counts when all its answers are rejected."""
CITATION = """@inproceedings{khashabi2018multirc,
  title={Looking beyond the surface: A challenge set for reading comprehension over multiple sentences},
  author={Khashabi, Daniel and Chaturvedi, Snigdha and Roth, Michael and Upadhyay, Shyam and Roth, Dan},
  booktitle={Proceedings of NAACL-HLT},
  pages={252--262},
  year={2018}
}"""
INPUTS = """
Args:
    predictions (list of dict): for every answer {"idx": {"paragraph": int, "question": int, "answer": int},
        "prediction": 0 or 1}. A question is named by its paragraph and question index together.
    references (list of int): for every answer, in the same order, 1 if it is true, else 0.
Returns:
    f1a (float), exact_match (float).
"""


def score(predictions: Sequence[Mapping[str, Any]], references: Sequence[int]) -> dict[str, float]:
    """Return `f1a` and `exact_match`. F1a is 0 where no answer is true and none is taken for true.

    Raises:
        ValueError: there are no predictions, not as many as references, or an answer is judged twice.
    """
    if not predictions or len(predictions) != len(references):
        raise ValueError(f"expected one prediction a reference, got {len(predictions)} for {len(references)}")
    answers = {(p["idx"]["paragraph"], p["idx"]["question"], p["idx"]["answer"]) for p in predictions}
    if len(answers) != len(predictions):
        raise ValueError(f"expected every answer once, got {len(predictions)} predictions for {len(answers)} answers")
    both = either = 0
    all_right: dict[tuple[int, int], bool] = defaultdict(lambda: True)
    for prediction, reference in zip(predictions, references, strict=True):
        said = prediction["prediction"]
        both += said == reference == 1
        either += (said == 1) + (reference == 1)
        all_right[prediction["idx"]["paragraph"], prediction["idx"]["question"]] &= said == reference
    return {
        "f1a": 2 * both / either if either else 0.0,
        "exact_match": sum(all_right.values()) / len(all_right),
    }


def fractions(
    predictions: Sequence[Mapping[str, Any]], references: Sequence[int]
) -> dict[str, list[tuple[list[float], list[float]]]]:
    """Return each score as `(numerators, denominators)`, one or more of these, whose sums over questions give it.

    Resampled questions then give the score of the resampled set, without the predictions.

    Raises:
        ValueError: as `score`.
    """
    score(predictions, references)  # the checks
    rows: dict[tuple[int, int], list[float]] = defaultdict(lambda: [0.0, 0.0, 1.0])
    for prediction, reference in zip(predictions, references, strict=True):
        said = prediction["prediction"]
        row = rows[prediction["idx"]["paragraph"], prediction["idx"]["question"]]
        row[0] += 2.0 * (said == reference == 1)
        row[1] += (said == 1) + (reference == 1)
        row[2] *= said == reference
    both, either, right = ([row[i] for row in rows.values()] for i in range(3))
    return {"f1a": [(both, either)], "exact_match": [(right, [1.0] * len(rows))]}


def features() -> datasets.Features:
    """Types of a prediction and of its reference, for `evaluate`."""
    import datasets

    whole = datasets.Value("int64")
    prediction = {"idx": {"paragraph": whole, "question": whole, "answer": whole}, "prediction": whole}
    return datasets.Features({"predictions": prediction, "references": whole})
