"""The search for answers against the published procedure written out, and the way from text to text."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pairs import bert_like, gpt2_like, roberta_like

from ptv2.data.windows import SpanSet, encode_questions
from ptv2.tasks import answers as module
from ptv2.tasks.answers import Candidate, best_answers, choose, no_answer_score, null_scores

TOKENIZERS = {"bert": bert_like(), "roberta": roberta_like(), "gpt2": gpt2_like()}
QUESTION = "Who sold nineteen loaves?"
CONTEXTS = [
    "The baker of Lund sold  nineteen loaves in March 😀, and Zoë's café sold none. " * 2,
    "The miller sold none.",
    "Nobody knew where the miller had gone that winter, nor why he paid 4,50 € for loaves.",
]


def encoded(name: str, spans: list[tuple[int, int] | None] | None = None, max_length: int = 40) -> SpanSet:
    return encode_questions([QUESTION] * 3, CONTEXTS, spans, TOKENIZERS[name], max_length, 8, ["a", "b", "c"])


def published(
    scores: np.ndarray, data: SpanSet, question: int, n_best: int, longest: int
) -> tuple[list[tuple[int, int, float]], float]:
    """The candidates of one question and its null score, as transformers' example finds them: one pair after another.

    The text with no characters is left out here; the example skips it when it looks for the best text.
    """
    null = math.inf
    candidates: list[tuple[int, int, float]] = []
    for window in range(len(data)):
        if data.owners[window] != question:
            continue
        own = slice(data.tokens.starts[window], data.tokens.starts[window + 1])
        start_logits, end_logits = scores[own, 0], scores[own, 1]
        offset_mapping = [None if a < 0 else (a, b) for a, b in data.offsets[own].tolist()]
        null = min(null, start_logits[0] + end_logits[0])
        for start in np.argsort(start_logits)[-1 : -n_best - 1 : -1].tolist():
            for end in np.argsort(end_logits)[-1 : -n_best - 1 : -1].tolist():
                first, last = offset_mapping[start], offset_mapping[end]
                if first is None or last is None or end < start or end - start + 1 > longest or first[0] == last[1]:
                    continue
                candidates.append((first[0], last[1], float(start_logits[start] + end_logits[end])))
    return sorted(candidates, key=lambda one: one[2], reverse=True)[:n_best], null


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(TOKENIZERS)),
    st.integers(0, 2**32 - 1),
    st.integers(1, 25),
    st.integers(1, 35),
    st.sampled_from([20, 27, 60, 300]),
)
def test_the_search_is_the_published_one(name: str, seed: int, n_best: int, longest: int, room: int) -> None:
    data = encoded(name, max_length=room + len(TOKENIZERS[name](QUESTION)["input_ids"]))
    scores = np.random.default_rng(seed).normal(size=(len(data.tokens.ids), 2)).astype(np.float32)
    assert len(np.unique(scores)) == scores.size, "no ties, which the example resolves by chance"
    found = best_answers(scores, data, 3, n_best, longest)
    nulls = null_scores(scores, data, 3)
    assert len(found) == len(nulls) == 3
    for question, candidates in enumerate(found):
        expected, null = published(scores, data, question, n_best, longest)
        assert candidates == expected
        assert nulls[question] == null
        if candidates:
            margin = null - expected[0][2]
            assert no_answer_score(candidates, nulls[question]) == pytest.approx(margin)
            for threshold in (margin - 0.1, margin + 0.1):
                text = choose(CONTEXTS[question], candidates, nulls[question], threshold)
                best = CONTEXTS[question][expected[0][0] : expected[0][1]].strip()
                assert text == ("" if margin > threshold else best)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded("roberta", max_length=45)
    assert len(data) > 5
    scores = np.random.default_rng(1).normal(size=(len(data.tokens.ids), 2)).astype(np.float32)
    whole = best_answers(scores, data, 3)
    monkeypatch.setattr(module, "BLOCK", 2)
    assert best_answers(scores, data, 3) == whole
    assert [len(candidates) for candidates in whole] == [20, 20, 20]


@pytest.mark.parametrize("name", sorted(TOKENIZERS))
@pytest.mark.parametrize("text", ["baker", "nineteen loaves", "😀", "Zoë", "café", "none."])
def test_right_scores_give_the_right_text(name: str, text: str) -> None:
    """Scores of 1 at the positions that training would aim at, 0 elsewhere: the text comes back, and nothing for the
    questions that have no answer."""
    begin = CONTEXTS[0].index(text)
    data = encoded(name, [(begin, begin + len(text)), None, None], max_length=60)
    assert data.start_positions is not None
    assert data.end_positions is not None
    scores = np.zeros((len(data.tokens.ids), 2), dtype=np.float32)
    starts = data.tokens.starts[:-1]
    scores[starts + data.start_positions, 0] = 1
    scores[starts + data.end_positions, 1] = 1
    found, nulls = best_answers(scores, data, 3), null_scores(scores, data, 3)
    assert data.truncated == 0
    texts = [choose(*one) for one in zip(CONTEXTS, found, nulls, strict=True)]
    assert texts == [text, "", ""]


def test_no_candidate_is_no_answer() -> None:
    """Question tokens with the highest scores take all the places; the published code answers "empty"."""
    data = encoded("bert")
    scores = np.where(data.offsets[:, :1] < 0, 9.0, 0.0).astype(np.float32).repeat(2, axis=1)
    found = best_answers(scores, data, 3, n_best=3)
    assert found == [[], [], []]
    assert no_answer_score(found[0], 1.0) == math.inf
    assert choose(CONTEXTS[0], found[0]) == choose(CONTEXTS[0], found[0], 1.0, threshold=100.0) == ""


def test_the_null_score_is_the_least_over_windows() -> None:
    data = encoded("roberta")
    scores = np.zeros((len(data.tokens.ids), 2), dtype=np.float32)
    for window, owner in enumerate(data.owners):
        scores[data.tokens.starts[window] + data.null_positions[window]] = (window, owner)
    first = [int(np.flatnonzero(data.owners == n)[0]) for n in range(3)]
    assert null_scores(scores, data, 3).tolist() == [window + n for n, window in enumerate(first)]


def candidate(start: int, end: int, score: float) -> Candidate:
    return Candidate(start, end, score)


@pytest.mark.parametrize(
    ("null", "settings", "text"),
    [
        (None, {}, "baker"),
        (4.0, {}, ""),
        (3.0, {}, "baker"),  # at the threshold: answered
        (4.0, {"threshold": 1.0}, "baker"),
        (2.0, {"threshold": -2.0}, ""),
    ],
)
def test_the_threshold(null: float | None, settings: dict[str, Any], text: str) -> None:
    assert choose("The baker", [candidate(3, 9, 3.0), candidate(0, 3, 2.0)], null, **settings) == text
