"""ReCoRD: F1 and exact match of the chosen entity, the best over all right answers, after SQuAD's normalisation."""

from __future__ import annotations

from collections import Counter

from ptv2.metrics.accuracy import Fractions
from ptv2.metrics.squad import Rows, as_fractions, mean_scores, normalize, pair_rows

SCORES = ("f1", "exact_match")
UNIT = "query"  # what `fractions` has a value for

DESCRIPTION = """F1 over words and exact match of ReCoRD; from 0 to 1, higher is better.
Both are the best over a query's right answers, and the mean over queries. Before the comparison, text is lower-cased
and loses ASCII punctuation, then the articles a, an, the, then surplus spaces. A query without a prediction
counts as 0."""
CITATION = "Zhang et al. 2018, ReCoRD, https://arxiv.org/abs/1810.12885"
_IDX = {"passage": "int64", "query": "int64"}
FEATURES = {
    "predictions": {"idx": _IDX, "prediction_text": "string"},
    "references": {"idx": _IDX, "answers": ["string"]},
}


def score(predictions: Rows, references: Rows) -> dict[str, float]:
    """Return `f1` and `exact_match`.

    Args:
        predictions: `{"idx": {"passage": int, "query": int}, "prediction_text": str}`, at most one per query, in any
            order.
        references: `{"idx": {"passage": int, "query": int}, "answers": [str]}`.

    Raises:
        ValueError: there are no references, a reference has no answer, or a query occurs twice or is not known.
    """
    return mean_scores(_scores(predictions, references))


def fractions(predictions: Rows, references: Rows) -> Fractions:
    """Return the `Fractions` of each score over queries.

    Raises:
        ValueError: as `score`.
    """
    return as_fractions(_scores(predictions, references))


def _scores(predictions: Rows, references: Rows) -> list[dict[str, float]]:
    """The two scores of each query, in the order of the references."""
    pairs = pair_rows(predictions, references, lambda row: (row["idx"]["passage"], row["idx"]["query"]), "query")
    scores = []
    for query, (prediction, reference) in pairs.items():
        if not reference["answers"]:
            raise ValueError(f"expected at least one right answer, got none for (passage, query) {query}")
        if prediction is None:
            scores.append(dict.fromkeys(SCORES, 0.0))
            continue
        text = prediction["prediction_text"]
        exact = max(normalize(text) == normalize(answer) for answer in reference["answers"])
        f1 = max(_f1(text, answer) for answer in reference["answers"])
        scores.append({"f1": f1, "exact_match": float(exact)})
    return scores


def _f1(prediction: str, answer: str) -> float:
    """F1 over the words of two texts, repeated words counted as often as both have them; 0 where one is empty."""
    predicted, right = normalize(prediction).split(), normalize(answer).split()
    common = (Counter(predicted) & Counter(right)).total()
    return 2 * common / (len(predicted) + len(right)) if common else 0.0
