"""The metrics against scikit-learn, the official scorers written out, and cases worked by hand."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import evaluate  # noqa: F401 - its first import makes a folder for torch's compiler, which is not the metrics' doing
import pytest
from commandline import TIMEOUT
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from ptv2.errors import ConfigError
from ptv2.metrics import accuracy, cb, known_metrics, load_metric, multirc, record, score_names
from ptv2.metrics.squad import normalize

EXAMPLES = {
    "accuracy": ([1, 0, 2], [1, 1, 2], {"accuracy": 2 / 3, "macro_f1": (0 + 2 / 3 + 1) / 3, "mcc": 3 / math.sqrt(24)}),
    "cb": ([0, 1, 2], [0, 1, 1], {"accuracy": 2 / 3, "f1_macro": (1 + 2 / 3 + 0) / 3, "mcc": 3 / math.sqrt(24)}),
    "entities": (
        [["B-PER", "I-PER", "O", "B-LOC"], ["O"]],
        [["B-PER", "I-PER", "O", "B-ORG"], ["O"]],
        {"f1": 0.5, "precision": 0.5, "recall": 0.5},
    ),
    "multirc": (
        [{"idx": {"paragraph": 3, "question": 0, "answer": a}, "prediction": p} for a, p in enumerate([1, 1])],
        [1, 0],
        {"f1a": 2 / 3, "exact_match": 0.0},
    ),
    "record": (
        [{"idx": {"passage": 0, "query": 7}, "prediction_text": "The Red Cross"}],
        [{"idx": {"passage": 0, "query": 7}, "answers": ["Red Cross", "Cross of Malta"]}],
        {"f1": 1.0, "exact_match": 1.0},
    ),
    "roles": (
        [["B-A0", "B-V", "B-A1", "B-C-A0"]],
        [["B-A0", "B-V", "B-A1", "O"]],
        {"f1": 0.5, "precision": 0.5, "recall": 0.5, "f1_with_v": 6 / 7},
    ),
    "squad": (
        [{"id": "b", "prediction_text": "Cross"}, {"id": "a", "prediction_text": ""}],
        [{"id": "a", "answers": {"text": []}}, {"id": "b", "answers": {"text": ["Red Cross", "The Cross of Malta"]}}],
        {"f1": 5 / 6, "exact_match": 0.5},
    ),
}


def classes(highest: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    """Non-empty lists of (prediction, reference)."""
    number = st.integers(0, highest)
    return st.lists(st.tuples(number, number), min_size=1, max_size=40)


def test_every_metric_has_an_example() -> None:
    assert known_metrics() == sorted(EXAMPLES)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_metric_object_computes_and_leaves_nothing_behind(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    metric = load_metric(name)
    predictions, references, expected = EXAMPLES[name]
    assert score_names(name) == tuple(expected)
    for _ in range(2):  # one object serves every epoch
        found = metric.compute(predictions=predictions, references=references)
        assert found == pytest.approx(expected)
        assert all(type(value) is float for value in found.values())
    assert metric.description
    assert metric.inputs_description
    assert list(tmp_path.iterdir()) == []


def test_unknown_metric_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown metric 'acuracy'; did you mean accuracy\? known: accuracy, cb, "):
        load_metric("acuracy")


def test_two_processes_at_once_and_no_network(tmp_path: Path) -> None:
    script = (
        "import os, socket, sys\n"
        "def refuse(*_, **__): raise AssertionError('network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "import evaluate\n"
        "from ptv2.metrics import load_metric\n"
        "other = os.fork()\n"
        "m = load_metric('accuracy')\n"
        "for n in range(1, 50): assert m.compute(predictions=[1] * n, references=[1] * n) ['accuracy'] == 1.0\n"
        "sys.exit(other != 0 and os.waitpid(other, 0)[1] != 0)\n"
    )
    home = tmp_path / "home"
    env = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_listing_metrics_does_not_import_evaluate() -> None:
    script = "import sys, ptv2.metrics as m; m.known_metrics(); sys.exit('evaluate' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@given(classes(4))
def test_accuracy_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    predictions, references = map(list, zip(*pairs, strict=True))
    assert accuracy.score(predictions, references)["accuracy"] == accuracy_score(references, predictions)


@given(classes(2))
def test_cb_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    predictions, references = map(list, zip(*pairs, strict=True))
    expected = f1_score(references, predictions, labels=[0, 1, 2], average="macro", zero_division=0)
    assert cb.score(predictions, references)["f1_macro"] == pytest.approx(expected)
    assert cb.score(predictions, references)["accuracy"] == accuracy_score(references, predictions)


def test_cb_averages_over_three_classes_also_when_one_is_absent() -> None:
    assert cb.score([0, 1], [0, 1])["f1_macro"] == pytest.approx(2 / 3)


def test_cb_refuses_a_fourth_class() -> None:
    with pytest.raises(ValueError, match=r"0, 1 and 2, got \[3\]"):
        cb.score([3], [0])


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 1), st.integers(0, 1)), min_size=1))
@settings(max_examples=60)
def test_multirc_is_the_official_scorer(rows: list[tuple[int, int, int, int]]) -> None:
    predictions = [
        {"idx": {"paragraph": p, "question": q, "answer": a}, "prediction": said}
        for a, (p, q, said, _) in enumerate(rows)
    ]
    references = [right for *_, right in rows]
    questions: dict[str, list[tuple[int, int]]] = {}
    for p, q, said, right in rows:
        questions.setdefault(f"{p}-{q}", []).append((said, right))
    exact = [int(sum(s == r for s, r in pairs) == len(pairs)) for pairs in questions.values()]
    found = multirc.score(predictions, references)
    assert found["exact_match"] == pytest.approx(sum(exact) / len(exact))
    assert found["f1a"] == pytest.approx(f1_score(references, [row[2] for row in rows], zero_division=0))


def test_multirc_by_hand() -> None:
    """Paragraphs 0 and 1 both have a question 0; question (1, 0) has no true answer and is answered rightly."""
    rows = [(0, 0, 0, 1, 1), (0, 0, 1, 1, 0), (0, 1, 0, 1, 1), (0, 1, 1, 0, 0), (1, 0, 0, 0, 0), (1, 0, 1, 0, 0)]
    predictions = [{"idx": {"paragraph": p, "question": q, "answer": a}, "prediction": s} for p, q, a, s, _ in rows]
    found = multirc.score(predictions, [row[-1] for row in rows])
    assert found == pytest.approx({"f1a": 2 * 2 / (3 + 2), "exact_match": 2 / 3})


def test_multirc_without_any_true_answer_is_zero_and_exact() -> None:
    predictions = [{"idx": {"paragraph": 0, "question": 0, "answer": 0}, "prediction": 0}]
    assert multirc.score(predictions, [0]) == {"f1a": 0.0, "exact_match": 1.0}


def test_multirc_refuses_an_answer_judged_twice() -> None:
    twice = [{"idx": {"paragraph": 0, "question": 0, "answer": 0}, "prediction": 0}] * 2
    with pytest.raises(ValueError, match="every answer once"):
        multirc.score(twice, [0, 0])


def one_query(prediction: str, answers: list[str]) -> dict[str, float]:
    idx = {"passage": 0, "query": 0}
    return record.score([{"idx": idx, "prediction_text": prediction}], [{"idx": idx, "answers": answers}])


@pytest.mark.parametrize(
    ("prediction", "answers", "f1", "exact"),
    [
        ("an  Apple.", ["apple"], 1.0, 1.0),  # article, punctuation, case, spaces
        ("U.S.", ["US"], 1.0, 1.0),  # punctuation goes without leaving a space
        ("Theodore", ["odore"], 0.0, 0.0),  # an article is a whole word
        ("New York City", ["Paris", "New York"], 0.8, 0.0),  # the best answer counts
        ("York", ["New York", "York Minster"], 2 / 3, 0.0),  # a tie
        ("New New York", ["New York York"], 2 / 3, 0.0),  # repeated words count as often as both have them
        ("", ["Paris"], 0.0, 0.0),
        ("the", ["a"], 0.0, 1.0),  # both empty after normalisation: equal, but no common word, as in SQuAD's scorer
    ],
)
def test_record_by_hand(prediction: str, answers: list[str], f1: float, exact: float) -> None:
    assert one_query(prediction, answers) == pytest.approx({"f1": f1, "exact_match": exact})


WORDS = st.lists(st.sampled_from(["the", "Red", "red", "Cross", "of", "Malta,", "a", "U.S."]), max_size=5).map(" ".join)


@given(WORDS, st.lists(WORDS, min_size=1, max_size=3))
def test_record_f1_is_precision_and_recall_over_words(prediction: str, answers: list[str]) -> None:
    best = 0.0
    for answer in answers:
        said, right = normalize(prediction).split(), normalize(answer).split()
        if same := sum((Counter(said) & Counter(right)).values()):
            precision, recall = same / len(said), same / len(right)
            best = max(best, 2 * precision * recall / (precision + recall))
    assert one_query(prediction, answers)["f1"] == pytest.approx(best)


def test_record_matches_by_query_and_counts_missing_predictions_as_wrong() -> None:
    references = [{"idx": {"passage": 0, "query": q}, "answers": [f"entity {q}"]} for q in range(4)]
    predictions = [{"idx": {"passage": 0, "query": q}, "prediction_text": f"Entity {q}"} for q in (2, 0)]
    assert record.score(predictions, references) == {"f1": 0.5, "exact_match": 0.5}
    with pytest.raises(ValueError, match=r"a query of the references only, got one for \(0, 0\)"):
        record.score(predictions, references[1:])
    with pytest.raises(ValueError, match="every query once in the predictions"):
        record.score(predictions * 2, references)


@pytest.mark.parametrize("scorer", [accuracy.score, cb.score, multirc.score])
def test_nothing_to_score_or_unequal_lengths_are_refused(scorer) -> None:
    with pytest.raises(ValueError, match="got 0 for 0"):
        scorer([], [])
    with pytest.raises(ValueError, match="got 1 for 2"):
        scorer([1], [1, 0])


def test_record_refuses_empty_references_and_empty_answers() -> None:
    with pytest.raises(ValueError, match="at least one reference"):
        record.score([], [])
    with pytest.raises(ValueError, match="at least one right answer"):
        one_query("x", [])
