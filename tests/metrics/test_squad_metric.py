"""The SQuAD metric against the rules of the official scripts written out one by one, and cases worked by hand."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptv2.metrics.squad import best_threshold, by_kind, score

Rows = list[dict[str, Any]]


def rows(*questions: tuple[str, list[str]]) -> tuple[Rows, Rows]:
    """(prediction, right answers) as predictions and references."""
    predictions = [{"id": f"q{n}", "prediction_text": text} for n, (text, _) in enumerate(questions)]
    references = [{"id": f"q{n}", "answers": {"text": answers}} for n, (_, answers) in enumerate(questions)]
    return predictions, references


# --- An implementation of its own of what the two scripts do, slow and literal.


def words(text: str) -> list[str]:
    kept = [character for character in text.lower() if character not in string.punctuation]
    return re.sub(r"\b(a|an|the)\b", " ", "".join(kept)).split()


def overlap(said: list[str], right: list[str]) -> float:
    rest, common = list(right), 0
    for word in said:
        if word in rest:
            rest.remove(word)
            common += 1
    if common == 0:
        return 0.0
    precision, recall = common / len(said), common / len(right)
    return 2 * precision * recall / (precision + recall)


def version_1(text: str, answers: list[str]) -> tuple[float, float]:
    """F1 and exact match; the script of 1.1 knows nothing of empty texts."""
    said = words(text)
    return max(overlap(said, words(a)) for a in answers), max(float(said == words(a)) for a in answers)


def version_2(text: str, answers: list[str]) -> tuple[float, float]:
    kept = [answer for answer in answers if words(answer)]
    if len(kept) == 0:
        kept = [""]
    f1 = []
    for answer in kept:
        said, right = words(text), words(answer)
        f1.append(float(said == right) if not said or not right else overlap(said, right))
    return max(f1), max(float(words(text) == words(answer)) for answer in kept)


def mean(function: Callable[..., tuple[float, float]], questions: list[tuple[str, list[str]]]) -> dict[str, float]:
    each = [function(*question) for question in questions]
    return {name: sum(one[i] for one in each) / len(each) for i, name in enumerate(("f1", "exact_match"))}


def script_threshold(no_answer: dict[str, float], questions: list[tuple[str, list[str]]], which: int) -> Any:
    """`find_best_thresh`: the mean and the threshold that the official script prints (as fractions)."""
    total = best = float(sum(not answers for _, answers in questions))
    threshold = 0.0
    for name in sorted(no_answer, key=lambda one: no_answer[one]):
        text, answers = questions[int(name[1:])]
        total += version_2(text, answers)[which] if answers else (-1 if text else 0)
        if total > best:
            best, threshold = total, no_answer[name]
    return threshold, best / len(questions)


TEXT = st.lists(
    st.sampled_from(["the", "The", "a", "an", "baker", "Baker's", "co-op", "of", "Lund", "-", "«", "É", "\u00a0", ""]),
    max_size=4,
).map(" ".join)
ANSWERED = st.lists(st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=3)), min_size=1, max_size=8)
ANY = st.lists(st.tuples(TEXT, st.lists(TEXT, max_size=3)), min_size=1, max_size=8)
QUICK = settings(max_examples=300, deadline=None)


@QUICK
@given(ANSWERED)
def test_all_answerable_is_the_script_of_version_1(questions: list[tuple[str, list[str]]]) -> None:
    assert score(*rows(*questions)) == pytest.approx(mean(version_1, questions))
    assert by_kind(*rows(*questions)) == {}


@QUICK
@given(ANY, st.permutations([("", []), ("Lund", [])]))
def test_some_unanswerable_is_the_script_of_version_2(questions: list[Any], more: list[Any]) -> None:
    questions = [*questions, *more]
    predictions, references = rows(*questions)
    assert score(predictions[::-1], references) == pytest.approx(mean(version_2, questions))
    kinds = by_kind(predictions, references)
    for kind, group in (
        ("has_answer", [question for question in questions if question[1]]),
        ("no_answer", [question for question in questions if not question[1]]),
    ):
        if group:
            assert kinds[kind] == pytest.approx(mean(version_2, group) | {"total": len(group)})
        else:
            assert kind not in kinds


@pytest.mark.parametrize(
    ("text", "answers", "f1", "exact"),
    [
        ("The Red Cross", ["red cross!"], 1.0, 1.0),
        ("red", ["the Red Cross"], 2 / 3, 0.0),
        ("red red", ["red cross"], 0.5, 0.0),
        ("of Malta", ["Red Cross", "Cross of Malta"], 0.8, 0.0),
        ("theatre", ["atre"], 0.0, 0.0),
        ("an and a", ["and"], 1.0, 1.0),
        ("", ["Lund"], 0.0, 0.0),
        ("Lund", [], 0.0, 0.0),
        ("", [], 1.0, 1.0),
        ("the", [], 1.0, 1.0),
    ],
)
def test_worked_cases(text: str, answers: list[str], f1: float, exact: float) -> None:
    assert score(*rows((text, answers))) == pytest.approx({"f1": f1, "exact_match": exact})


def test_where_the_versions_differ() -> None:
    """An answer such as "The" becomes empty: right by exact match only in 1.1; like no answer in 2.0."""
    assert score(*rows(("a", ["The"]))) == {"f1": 0.0, "exact_match": 1.0}
    with_unanswerable = score(*rows(("a", ["The"]), ("", [])))
    assert with_unanswerable == {"f1": 1.0, "exact_match": 1.0}
    assert score(*rows(("a", ["The", "Lund"]), ("", []))) == {"f1": 0.5, "exact_match": 0.5}


def test_a_question_without_prediction_counts_as_nothing() -> None:
    predictions, references = rows(("Lund", ["Lund"]), ("", []))
    assert score(predictions[:1], references) == {"f1": 0.5, "exact_match": 0.5}
    assert by_kind(predictions[:1], references)["no_answer"] == {"f1": 0.0, "exact_match": 0.0, "total": 1}


def test_faults() -> None:
    predictions, references = rows(("Lund", ["Lund"]), ("", []))
    with pytest.raises(ValueError, match="at least one reference"):
        score([], [])
    with pytest.raises(ValueError, match="every question once in the predictions, got 3 rows for 2"):
        score([*predictions, predictions[0]], references)
    with pytest.raises(ValueError, match="every question once in the references"):
        score(predictions, [*references, references[1]])
    with pytest.raises(ValueError, match="of the references only, got one for q1"):
        score(predictions, references[:1])
    with pytest.raises(ValueError, match="no-answer score for every question, got none for q1"):
        best_threshold({"q0": 0.0}, predictions, references)
    with pytest.raises(ValueError, match=r"a prediction and .* got none for q1"):
        best_threshold({"q0": 0.0, "q1": 1.0}, predictions[:1], references)


SCORED = st.lists(st.tuples(TEXT, st.lists(TEXT, max_size=2), st.integers(-4, 4)), min_size=1, max_size=8)


def with_threshold(no_answer: dict[str, float], questions: list[tuple[str, list[str]]], value: float, i: int) -> float:
    """The mean when everything above the threshold is answered with nothing (`apply_no_ans_threshold`)."""
    each = [
        (version_2(text, answers)[i] if answers else float(not text)) if no_answer[f"q{n}"] <= value else not answers
        for n, (text, answers) in enumerate(questions)
    ]
    return sum(each) / len(each)


@QUICK
@given(SCORED, st.data(), st.sampled_from(["f1", "exact_match"]))
def test_threshold_is_the_scripts_where_scores_differ(scored: list[Any], data: st.DataObject, by: str) -> None:
    questions = [*((text, answers) for text, answers, _ in scored), ("Lund", [])]
    values = data.draw(st.permutations(range(1, len(questions) + 1)))
    no_answer = {f"q{n}": float(value) for n, value in enumerate(values)}
    found = best_threshold(no_answer, *rows(*questions), by=by)
    assert found == pytest.approx(script_threshold(no_answer, questions, ("f1", "exact_match").index(by)))


@QUICK
@given(SCORED, st.sampled_from(["f1", "exact_match"]))
def test_threshold_gives_the_score_it_promises_and_no_other_gives_more(scored: list[Any], by: str) -> None:
    """Also where scores are equal or negative; texts that are nothing but articles are left out, as the script counts
    them as an answer here and as none elsewhere."""
    questions = [(text if words(text) else "", answers) for text, answers, _ in scored] + [("Lund", [])]
    no_answer = {f"q{n}": float(value) for n, (*_, value) in enumerate(scored)} | {f"q{len(scored)}": 2.0}
    i = ("f1", "exact_match").index(by)
    found = best_threshold(no_answer, *rows(*questions), by=by)
    reached = [with_threshold(no_answer, questions, value, i) for value in [-math.inf, *no_answer.values()]]
    assert found.score == pytest.approx(max(reached))
    assert with_threshold(no_answer, questions, found.value, i) == pytest.approx(found.score)
