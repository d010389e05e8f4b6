"""The roles metric against the official scorer (written out here; the script itself where there is one) and seqeval.

To hold it against the script, name it: `SRL_EVAL=.../srl-eval.pl pytest tests/metrics/test_roles.py`.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score
from srl_eval import official_counts, official_rates

from ptv2.data.props import Proposition, Sentence, to_column, write_props
from ptv2.metrics import roles

LABELS = ("V", "A0", "A1", "C-A1", "R-A0", "C-V", "C-R-A0", "AM-TMP", "C-AM-TMP")
TAGS = ["O", "O", *(f"{prefix}-{label}" for label in LABELS for prefix in "BII")]
PAIR = st.integers(1, 9).flatmap(
    lambda n: st.tuples(*[st.lists(st.sampled_from(TAGS), min_size=n, max_size=n) for _ in range(2)])
)


def spread(text: str) -> list[str]:
    """BIO tags from `A1 A1 | . V` notation: a word a token, `.` outside, `|` before a span that begins anew."""
    tags: list[str] = []
    before, anew = ".", False
    for word in text.split():
        if word == "|":
            anew = True
            continue
        tags.append("O" if word == "." else f"{'I' if word == before and not anew else 'B'}-{word}")
        before, anew = word, False
    return tags


@pytest.mark.parametrize(
    ("said", "right", "precision", "recall"),
    [
        ("A0 V A1 A1", "A0 V A1 A1", 1, 1),
        (". V . .", "A0 V A1 A1", 0, 0),
        ("A0 . A1 A1", "A0 V A1 A1", 1, 1),  # V is not counted
        ("V V A1 A1", "A0 V A1 A1", 1, 1 / 2),
        ("A0 V A1 .", "A0 V A1 A1", 1 / 2, 1 / 2),  # extent
        ("A1 V A1 A1", "A0 V A1 A1", 1 / 2, 1 / 2),  # label
        ("A1 V C-A1 .", "A1 V C-A1 .", 1, 1),  # one argument of two pieces
        ("A1 V . .", "A1 V C-A1 .", 0, 0),  # and wrong when a piece is missing
        ("A1 V C-A1 C-A1", "A1 V C-A1 | C-A1", 0, 0),  # or cut differently
        ("A1 V A1 .", "A1 V C-A1 .", 0, 0),  # two arguments are not one
        (". V C-A1 .", ". V A1 .", 1, 1),  # a continuation of nothing is the argument itself
        ("C-A1 V A1 C-A1", "A1 V A1 C-A1", 1, 1),  # and a later piece belongs to the last X before it
        ("A1 V A2 C-A1", "A1 V A2 A1", 1 / 2, 1 / 3),  # also over other arguments
        ("R-A0 V A1 A1", "A0 V A1 A1", 1 / 2, 1 / 2),  # a reference is a label of its own
        ("A0 V . C-V", "A0 V . .", 1, 1),  # C-V goes with V
    ],
)
def test_worked_cases(said: str, right: str, precision: float, recall: float) -> None:
    found = roles.score([spread(said)], [spread(right)])
    assert (found["precision"], found["recall"]) == pytest.approx((precision, recall))
    assert found["f1"] == pytest.approx(2 * precision * recall / (precision + recall) if precision else 0)


def test_odd_sequences_begin_a_span_where_the_label_changes() -> None:
    said = [["I-A0", "B-V", "B-A1", "I-A2", "I-A2"]]
    assert roles.arguments(said[0]) == [("A0", ((0, 1),)), ("A1", ((2, 3),)), ("A2", ((3, 5),))]
    assert roles.score(said, [spread("A0 V A1 A2 A2")])["f1"] == 1.0


def test_counting_v_gives_another_number() -> None:
    """One of two arguments right, one of them in two pieces; the predicate is always right."""
    found = roles.score([spread("A1 V C-A1 A0")], [spread("A1 V C-A1 A2")])
    assert found == pytest.approx({"f1": 1 / 2, "precision": 1 / 2, "recall": 1 / 2, "f1_with_v": 3 / 4})


def test_nothing_said_and_nothing_right_is_zero() -> None:
    assert set(roles.score([["O", "B-V"]], [["B-V", "O"]]).values()) == {0.0}


def test_by_type() -> None:
    found = roles.by_type([spread("A0 V A1 C-A1"), spread("AM-TMP V")], [spread("A0 V A1 C-A1"), spread("A0 V")])
    nothing = {"f1": 0.0, "precision": 0.0, "recall": 0.0}
    assert found == {
        "A0": pytest.approx({"f1": 2 / 3, "precision": 1.0, "recall": 1 / 2, "support": 2}),
        "A1": {"f1": 1.0, "precision": 1.0, "recall": 1.0, "support": 1},
        "AM-TMP": {**nothing, "support": 0},
    }


@pytest.mark.parametrize(
    ("said", "right", "message"),
    [
        ([], [], "got 0 for 0"),
        ([["O"]], [["O"], ["O"]], "got 1 for 2"),
        ([["O"], ["O"]], [["O"], ["O", "O"]], "got 1 for 2 in row 1"),
        ([["S-A0"]], [["O"]], "got 'S-A0'"),
        ([["O"]], [["B-"]], "got 'B-'"),
    ],
)
def test_bad_input_is_refused(said: list[list[str]], right: list[list[str]], message: str) -> None:
    for scorer in (roles.score, roles.by_type):
        with pytest.raises(ValueError, match=message):
            scorer(said, right)


@given(st.lists(PAIR, min_size=1, max_size=6))
@settings(max_examples=200)
def test_is_the_official_scorer(pairs: list[tuple[list[str], list[str]]]) -> None:
    said, right = (list(rows) for rows in zip(*pairs, strict=True))
    counts = [official_counts(to_column(r), to_column(s)) for s, r in pairs]
    ok, excess, missed = (sum((c[i] for c in counts), Counter()) for i in range(3))
    expected = official_rates(ok.total(), excess.total(), missed.total())
    found = roles.score(said, right)
    assert [found[name] for name in ("precision", "recall", "f1")] == pytest.approx(expected)
    by_type = roles.by_type(said, right)
    assert sorted(by_type) == sorted(ok | excess | missed)
    for label, row in by_type.items():
        expected = official_rates(ok[label], excess[label], missed[label])
        assert [row[name] for name in ("precision", "recall", "f1")] == pytest.approx(expected)
        assert row["support"] == ok[label] + missed[label]


@given(st.lists(PAIR, min_size=1, max_size=6))
def test_f1_with_v_is_seqevals(pairs: list[tuple[list[str], list[str]]]) -> None:
    said, right = (list(rows) for rows in zip(*pairs, strict=True))
    assert roles.score(said, right)["f1_with_v"] == pytest.approx(f1_score(right, said, zero_division=0))


def test_is_the_official_script(tmp_path: Path) -> None:
    script = os.environ.get("SRL_EVAL")
    if not script or not shutil.which("perl"):
        pytest.skip("SRL_EVAL names no srl-eval.pl, or there is no perl")
    rng = random.Random(3)
    sentences, predicted, said, right = [], {}, [], []
    for number in range(300):
        tokens = [f"word{i}" for i in range(rng.randint(1, 12))]
        verbs = sorted(rng.sample(range(len(tokens)), rng.randint(0, min(3, len(tokens)))))
        propositions = [Proposition(v, f"verb{v}", noisy(rng, ["O"] * len(tokens), 0.7), "") for v in verbs]
        sentences.append(Sentence(tokens, propositions))
        for proposition in propositions:
            predicted[number, proposition.predicate] = noisy(rng, proposition.tags, 0.2)
            said.append(predicted[number, proposition.predicate])
            right.append(proposition.tags)
    (tmp_path / "gold").write_text(write_props(sentences))
    (tmp_path / "said").write_text(write_props(sentences, predicted))
    command = ["perl", script, str(tmp_path / "gold"), str(tmp_path / "said")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not done.stderr  # it warns of propositions that do not match
    assert re.search(r"Number of Sentences\s*:\s*300\b", done.stdout)
    # label, corr., excess, missed, prec., rec., F1 (percent, two decimals)
    table = [words for line in done.stdout.splitlines() if len(words := line.split()) == 7]
    rows = {label: [float(word) for word in row] for label, *row in table if label not in ("V", "corr.")}
    found = roles.score(said, right)
    assert [100 * found[name] for name in ("precision", "recall", "f1")] == pytest.approx(rows["Overall"][3:], abs=5e-3)
    assert 0.1 < found["f1"] < 0.9
    by_type = roles.by_type(said, right)
    assert set(by_type) == set(rows) - {"Overall"}
    for label, row in by_type.items():
        expected = rows[label]
        assert row["support"] == expected[0] + expected[2]
        assert [100 * row[name] for name in ("precision", "recall", "f1")] == pytest.approx(expected[3:], abs=5e-3)


def noisy(rng: random.Random, tags: list[str], share: float) -> list[str]:
    return [rng.choice(TAGS) if rng.random() < share else tag for tag in tags]
