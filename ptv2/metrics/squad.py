"""SQuAD 1.1 and 2.0: F1 over words and exact match of the answer's text, and the threshold for answering nothing."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from ptv2.metrics.accuracy import Fractions

SCORES = ("f1", "exact_match")
UNIT = "question"  # what `fractions` has a value for

DESCRIPTION = """F1 over words and exact match of SQuAD; from 0 to 1, higher is better.
Both are the best over a question's right answers, and the mean over questions. Before the comparison, text is
lower-cased and loses ASCII punctuation, then the articles a, an, the, then surplus spaces. Where there is a question
without answers the rules of version 2.0 hold: nothing but the empty text is right for it, and a right answer of which
the normalisation leaves nothing does not count as one. A question without a prediction counts as 0, as in the script of
version 1.1 (that of 2.0 leaves it out)."""
CITATION = "Rajpurkar et al. 2016, https://aclanthology.org/D16-1264; of 2.0: 2018, https://aclanthology.org/P18-2124"
FEATURES = {
    "predictions": {"id": "string", "prediction_text": "string"},
    "references": {"id": "string", "answers": {"text": ["string"]}},
}

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)

Rows = Sequence[Mapping[str, Any]]
K = TypeVar("K", str, tuple[int, int])


class Threshold(NamedTuple):
    """A question is answered where its no-answer score is at most `value`; `score` is the mean that this gives."""

    value: float
    score: float


def score(predictions: Rows, references: Rows) -> dict[str, float]:
    """Return `f1` and `exact_match`.

    Args:
        predictions: `{"id": str, "prediction_text": str}`, at most one per question, in any order; the empty text says
            that there is no answer.
        references: `{"id": str, "answers": {"text": [str]}}`; an empty list says that there is none.

    Raises:
        ValueError: there are no references, or a question occurs twice or is not known.
    """
    return mean_scores(_by_question(predictions, references).values())


def mean_scores(scores: Collection[Mapping[str, float]]) -> dict[str, float]:
    """Average the `SCORES` of questions."""
    return {name: sum(one[name] for one in scores) / len(scores) for name in SCORES}


def fractions(predictions: Rows, references: Rows) -> Fractions:
    """Return the `Fractions` of each score over questions.

    Raises:
        ValueError: as `score`.
    """
    return as_fractions(_by_question(predictions, references).values())


def as_fractions(scores: Collection[Mapping[str, float]]) -> Fractions:
    """Return the `SCORES` of questions as `Fractions`."""
    return {name: [([one[name] for one in scores], [1.0] * len(scores))] for name in SCORES}


def by_kind(predictions: Rows, references: Rows) -> dict[str, dict[str, float | int]]:
    """Return `f1`, `exact_match` and `total` of the questions with an answer and of those without, apart.

    Returns:
        Results under `has_answer` (if there are such) and `no_answer`; nothing where all questions have an answer.

    Raises:
        ValueError: as `score`.
    """
    scores = _by_question(predictions, references)
    kinds: dict[str, list[dict[str, float]]] = {"has_answer": [], "no_answer": []}
    for reference in references:
        kinds["has_answer" if reference["answers"]["text"] else "no_answer"].append(scores[reference["id"]])
    if not kinds["no_answer"]:
        return {}
    return {kind: {**mean_scores(group), "total": len(group)} for kind, group in kinds.items() if group}


def best_threshold(
    no_answer_scores: Mapping[str, float], predictions: Rows, references: Rows, by: str = "f1"
) -> Threshold:
    """Find the threshold for answering nothing that gives the highest mean of the score `by` (`f1` or `exact_match`).

    It is the official script's where all no-answer scores differ. Where some are equal, the script may return a mean
    that no threshold gives, as it also looks between them. Here the mean is always that of the threshold; where it is
    best to answer nothing, the threshold is below all scores.

    Args:
        no_answer_scores: by question id; the higher, the likelier there is no answer.
        predictions: for every question the text that is given if it is answered, as for `score`.

    Raises:
        ValueError: as `score`, or a question without no-answer score or prediction.
    """
    scores = _by_question(predictions, references)
    given = {row["id"]: row["prediction_text"] for row in predictions}
    if missing := [name for name in scores if name not in no_answer_scores or name not in given]:
        raise ValueError(f"expected a prediction and a no-answer score for every question, got none for {missing[0]}")
    without = {row["id"] for row in references if not row["answers"]["text"]}
    order = sorted(scores, key=lambda name: no_answer_scores[name])
    lowest = no_answer_scores[order[0]]
    value = 0.0 if lowest > 0 else math.nextafter(lowest, -math.inf)  # answers nothing
    total = best = float(len(without))
    for name, following in zip(order, [*order[1:], None], strict=True):
        if name not in without:
            total += scores[name][by]
        elif given[name]:
            total -= 1
        here = no_answer_scores[name]
        tied = following is not None and no_answer_scores[following] == here
        if total > best and not tied:
            best, value = total, here
    return Threshold(value, best / len(scores))


def normalize(text: str) -> str:
    """Lower the case and remove punctuation, articles and surplus spaces, in the order of the official scripts."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def _by_question(predictions: Rows, references: Rows) -> dict[str, dict[str, float]]:
    """The two scores of each question of the references, by its id."""
    pairs = pair_rows(predictions, references, lambda row: str(row["id"]), "question")
    version_2 = any(not row["answers"]["text"] for row in references)
    f1 = _f1_version_2 if version_2 else _f1
    scores: dict[str, dict[str, float]] = {}
    for name, (prediction, reference) in pairs.items():
        if prediction is None:
            scores[name] = dict.fromkeys(SCORES, 0.0)
            continue
        answers = [normalize(answer) for answer in reference["answers"]["text"]]
        if version_2:
            answers = [answer for answer in answers if answer] or [""]
        text = normalize(prediction["prediction_text"])
        scores[name] = {"f1": _best(f1, text, answers), "exact_match": _best(str.__eq__, text, answers)}
    return scores


def pair_rows(
    predictions: Rows, references: Rows, key: Callable[[Mapping[str, Any]], K], unit: str
) -> dict[K, tuple[Mapping[str, Any] | None, Mapping[str, Any]]]:
    """Pair each reference with its prediction (None: there is none), by `key`, in the order of the references.

    Args:
        key: tells which `unit` a row is about.

    Raises:
        ValueError: there are no references, or a unit occurs twice, or among the predictions only.
    """
    if not references:
        raise ValueError("expected at least one reference, got none")
    predicted, right = ({key(row): row for row in rows} for rows in (predictions, references))
    for side, rows, by_key in (("predictions", predictions, predicted), ("references", references, right)):
        if len(by_key) != len(rows):
            raise ValueError(f"expected every {unit} once in the {side}, got {len(rows)} rows for {len(by_key)}")
    if strange := predicted.keys() - right.keys():
        raise ValueError(f"expected predictions for a {unit} of the references only, got one for {sorted(strange)[0]}")
    return {name: (predicted.get(name), row) for name, row in right.items()}


def _best(compare: Callable[[str, str], float], text: str, answers: Sequence[str]) -> float:
    return float(max(compare(text, answer) for answer in answers))


def _f1(text: str, answer: str) -> float:
    """F1 over the words of two normalised texts, repeated words as often as both have them; 0 where one is empty."""
    predicted, right = text.split(), answer.split()
    common = (Counter(predicted) & Counter(right)).total()
    if not common:
        return 0.0
    precision, recall = common / len(predicted), common / len(right)
    return 2 * precision * recall / (precision + recall)  # in this form to round as the official scripts do


def _f1_version_2(text: str, answer: str) -> float:
    """As `_f1`, but two empty texts agree."""
    return _f1(text, answer) if text and answer else float(text == answer)
