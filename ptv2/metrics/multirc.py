"""MultiRC: F1 over all answers, and the share of questions whose answers are all judged rightly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ptv2.metrics.accuracy import Fractions, check_pairs

SCORES = ("f1a", "exact_match")
UNIT = "question"  # what `fractions` has a value for

DESCRIPTION = """The two numbers of MultiRC in SuperGLUE; from 0 to 1, higher is better.
F1a is the binary F1 of the class 1 over all answers of all questions together. Exact match is the share of questions of
which every answer is judged rightly, so a question without a true answer counts when all its answers are rejected."""
CITATION = "Khashabi et al. 2018, Looking Beyond the Surface, https://aclanthology.org/N18-1023"
FEATURES = {
    "predictions": {"idx": {"paragraph": "int64", "question": "int64", "answer": "int64"}, "prediction": "int64"},
    "references": "int64",
}


def score(predictions: Sequence[Mapping[str, Any]], references: Sequence[int]) -> dict[str, float]:
    """Return `f1a` and `exact_match`. F1a is 0 where no answer is true and none is taken for true.

    Args:
        predictions: for every answer `{"idx": {"paragraph": int, "question": int, "answer": int}, "prediction": 0 or
            1}`. A question is named by its paragraph and question index together.
        references: for every answer, in the same order, 1 if it is true, else 0.

    Raises:
        ValueError: there are no predictions, not as many as references, or an answer is judged twice.
    """
    both, either, right = _by_question(predictions, references)
    return {
        "f1a": sum(both) / sum(either) if any(either) else 0.0,
        "exact_match": sum(right) / len(right),
    }


def fractions(predictions: Sequence[Mapping[str, Any]], references: Sequence[int]) -> Fractions:
    """Return the `Fractions` of each score over questions.

    Raises:
        ValueError: as `score`.
    """
    both, either, right = _by_question(predictions, references)
    return {"f1a": [(both, either)], "exact_match": [(right, [1.0] * len(right))]}


def _by_question(predictions: Sequence[Mapping[str, Any]], references: Sequence[int]) -> list[list[float]]:
    """Numerator and denominator of F1a, and 1 where all answers are judged rightly: three lists over questions."""
    check_pairs(predictions, references)
    answers = {(p["idx"]["paragraph"], p["idx"]["question"], p["idx"]["answer"]) for p in predictions}
    if len(answers) != len(predictions):
        raise ValueError(f"expected every answer once, got {len(predictions)} predictions for {len(answers)} answers")
    questions: dict[tuple[int, int], list[float]] = defaultdict(lambda: [0.0, 0.0, 1.0])
    for prediction, reference in zip(predictions, references, strict=True):
        judged = prediction["prediction"]
        row = questions[prediction["idx"]["paragraph"], prediction["idx"]["question"]]
        row[0] += 2.0 * (judged == reference == 1)
        row[1] += (judged == 1) + (reference == 1)
        row[2] *= judged == reference
    return [list(column) for column in zip(*questions.values(), strict=True)]
