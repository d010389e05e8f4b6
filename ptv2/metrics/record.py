"""ReCoRD: F1 and exact match of the chosen entity, the best over all right answers, after SQuAD's normalisation."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datasets

SCORES = ("f1", "exact_match")
UNIT = "query"  # what `fractions` has a value for

DESCRIPTION = """F1 over words and exact match of ReCoRD; from 0 to 1, higher is better.
Both are the best over a query's right answers, and the mean over queries. Before the comparison, text is lower-cased
and loses ASCII punctuation, then the articles a, an, the, then surplus spaces. A query without a prediction
counts as 0."""
CITATION = """@article{zhang2018record,
  title={ReCoRD: Bridging the gap between human and machine commonsense reading comprehension},
  author={Zhang, Sheng and Liu, Xiaodong and Liu, Jingjing and Gao, Jianfeng and Duh, Kevin and Van Durme, Benjamin},
  journal={arXiv preprint arXiv:1810.12885},
  year={2018}
}"""
INPUTS = """
Args:
    predictions (list of dict): {"idx": {"passage": int, "query": int}, "prediction_text": str}, at most one a query, in
        any order.
    references (list of dict): {"idx": {"passage": int, "query": int}, "answers": list of str}.
Returns:
    f1 (float), exact_match (float).
"""

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def score(predictions: Sequence[Mapping[str, Any]], references: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return `f1` and `exact_match`.

    Raises:
        ValueError: there are no references, a reference has no answer, or a query occurs twice or is not known.
    """
    scores = _scores(predictions, references)
    return {name: sum(one[name] for one in scores) / len(scores) for name in SCORES}


def fractions(
    predictions: Sequence[Mapping[str, Any]], references: Sequence[Mapping[str, Any]]
) -> dict[str, list[tuple[list[float], list[float]]]]:
    """Return each score as `(numerators, denominators)`, one or more of these, whose sums over queries give it.

    Resampled queries then give the score of the resampled set, without the predictions.

    Raises:
        ValueError: as `score`.
    """
    scores = _scores(predictions, references)
    return {name: [([one[name] for one in scores], [1.0] * len(scores))] for name in SCORES}


def normalize(text: str) -> str:
    """Lower case without punctuation, articles and surplus spaces, in the order of SQuAD's scorer."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def _scores(
    predictions: Sequence[Mapping[str, Any]], references: Sequence[Mapping[str, Any]]
) -> list[dict[str, float]]:
    """The two scores of each query, in the order of the references."""
    if not references:
        raise ValueError("expected at least one reference, got none")
    said = _by_query(predictions, "predictions")
    right = _by_query(references, "references")
    if strange := sorted(said.keys() - right.keys()):
        raise ValueError(f"expected predictions for queries of the references only, got (passage, query) {strange[0]}")
    scores = []
    for query, reference in right.items():
        if not reference["answers"]:
            raise ValueError(f"expected at least one right answer, got none for (passage, query) {query}")
        if query not in said:
            scores.append(dict.fromkeys(SCORES, 0.0))
            continue
        text = said[query]["prediction_text"]
        exact = max(normalize(text) == normalize(answer) for answer in reference["answers"])
        f1 = max(_f1(text, answer) for answer in reference["answers"])
        scores.append({"f1": f1, "exact_match": float(exact)})
    return scores


def _by_query(rows: Sequence[Mapping[str, Any]], what: str) -> dict[tuple[int, int], Mapping[str, Any]]:
    """Rows by (passage, query)."""
    found = {(row["idx"]["passage"], row["idx"]["query"]): row for row in rows}
    if len(found) != len(rows):
        raise ValueError(f"expected every query once in the {what}, got {len(rows)} rows for {len(found)} queries")
    return found


def _f1(prediction: str, answer: str) -> float:
    """F1 over the words of two texts, repeated words counted as often as both have them; 0 where one is empty."""
    said, right = normalize(prediction).split(), normalize(answer).split()
    common = (Counter(said) & Counter(right)).total()
    return 2 * common / (len(said) + len(right)) if common else 0.0


def features() -> datasets.Features:
    """Types of a prediction and of its reference, for `evaluate`."""
    import datasets

    whole, text = datasets.Value("int64"), datasets.Value("string")
    idx = {"passage": whole, "query": whole}
    prediction = {"idx": idx, "prediction_text": text}
    reference = {"idx": idx, "answers": datasets.Sequence(text)}
    return datasets.Features({"predictions": prediction, "references": reference})
