"""Probes: the states that are read, and what a classifier makes of planted ones."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from tiny import FAMILY_CONFIGS, HIDDEN, LAYERS, tiny_model
from tiny_sets import LENGTHS, accelerator, texts, tokens

from ptv2.analysis.passes import bare
from ptv2.analysis.probing import Probe, Targets, drawn, fit_probe, hidden_states, majority, targets
from ptv2.data.cloze import LabelWords
from ptv2.data.encode import TextSet
from ptv2.data.tokens import Tokens
from ptv2.data.windows import SpanSet
from ptv2.data.words import IGNORED, TaggedSet
from ptv2.errors import DataError
from ptv2.models.build import HeadSpec

CLASSES = HeadSpec("classification", 3)


def planted(classes: np.ndarray, apart: float, seed: int) -> np.ndarray:
    """States around one centre a class."""
    centres = np.eye(HIDDEN)[: classes.max() + 1] * apart
    return (centres[classes] + np.random.default_rng(seed).normal(size=(len(classes), HIDDEN))).astype(np.float32)


def test_planted_classes_are_read_without_a_fault() -> None:
    train, dev = (Targets(np.arange(n), np.arange(n) % 3) for n in (300, 90))
    found = fit_probe(planted(train.classes, 12, 0), train, planted(dev.classes, 12, 1), dev)
    assert found == Probe(100.0, 100.0)


def test_noise_is_read_as_well_as_by_chance() -> None:
    train, dev = (Targets(np.arange(n), np.arange(n) % 2) for n in (400, 2000))
    found = fit_probe(planted(train.classes, 0, 0), train, planted(dev.classes, 0, 1), dev)
    assert found.accuracy == pytest.approx(50, abs=4)


def test_the_likeliest_choice_is_the_answer() -> None:
    """Even where no state alone is over the threshold of a right one."""
    right = np.tile([0, 0, 1, 1, 0, 0, 0, 1, 0], 30)
    both = Targets(np.arange(len(right)), right, 3)
    states = planted(right, 12, 0)
    assert fit_probe(states, both, states, both) == Probe(100.0, 100.0)
    doubtful = states.copy()
    doubtful[:, 1] -= 6
    assert fit_probe(states, both, doubtful, both) == Probe(100.0, 100.0)


def test_the_control_is_the_most_frequent_answer_of_training() -> None:
    train, dev = Targets(np.arange(5), np.array([0, 1, 1, 2, 1])), Targets(np.arange(4), np.array([1, 0, 0, 1]))
    assert majority(train, dev) == Probe(50.0, pytest.approx(100 * (2 / 3 + 0) / 2))
    choices = Targets(np.arange(6), np.array([0, 1, 0, 1, 1, 0]), 2)
    assert majority(choices, Targets(np.arange(4), np.array([0, 1, 1, 0]), 2)).accuracy == 50
    one = Targets(np.arange(2), np.array([1, 1]))
    assert fit_probe(np.zeros((2, 3)), one, np.zeros((4, 3)), dev) == majority(one, dev)


# Which states


def test_a_text_is_read_where_its_head_reads() -> None:
    data = texts()
    ends = np.cumsum(LENGTHS)
    first, last = targets(data, CLASSES, False), targets(data, CLASSES, True)
    np.testing.assert_array_equal(first.tokens, ends - LENGTHS)
    np.testing.assert_array_equal(last.tokens, ends - 1)
    np.testing.assert_array_equal(first.classes, [0, 1, 2, 0, 1, 2])


def test_every_choice_is_read() -> None:
    found = targets(texts(width=2), HeadSpec("choice", 2), False)
    assert found.group == 2
    np.testing.assert_array_equal(found.tokens, np.cumsum(LENGTHS) - LENGTHS)
    np.testing.assert_array_equal(found.classes, [1, 0, 0, 1, 1, 0])  # labels 0, 1, 0


def test_words_are_read_at_their_first_tokens() -> None:
    labels = np.array([IGNORED, 3, IGNORED, 0, 1, IGNORED, 2, IGNORED], dtype=np.int32)
    data = TaggedSet(tokens((5, 3)), np.array([-1, 0, -1, 1, 2, -1, 0, -1]), labels, np.array([0, 1]))
    found = targets(data, HeadSpec("tagging", 4), False)
    np.testing.assert_array_equal(found.tokens, [1, 3, 4, 6])
    np.testing.assert_array_equal(found.classes, [3, 0, 1, 2])


@pytest.mark.parametrize("reading", ["mask", "next"])
def test_a_cloze_is_read_at_its_blank(reading: str) -> None:
    mask = 4
    ids = np.array([9, mask, mask, 8, 7, 9, 9, 8, mask, mask], dtype=np.int32)
    several = ((10, 11), (12,))
    if reading == "mask":
        data = TextSet(Tokens(ids, None, np.array([0, 5, 10]), 0), np.array([1, 0]), 1, 0)
        words = LabelWords("mask", several, (0, 1), mask_id=mask)
        expected = [1, 8]
    else:  # two sequences an example, the first ending in the first word without its last token
        data = TextSet(Tokens(ids, None, np.array([0, 4, 5, 8, 10]), 0), np.array([1, 0]), 2, 0)
        words = LabelWords("next", several, (0, 1))
        expected = [2, 6]
    found = targets(data, HeadSpec("verbalizer", 2, words), reading == "next")
    np.testing.assert_array_equal(found.tokens, expected)
    np.testing.assert_array_equal(found.classes, [1, 0])


def spans(starts: list[int], ends: list[int]) -> SpanSet:
    """Two windows of ten tokens, four of the question and six of the context."""
    offsets = np.tile(np.array([[-1, -1]] * 4 + [[i, i + 1] for i in range(6)], dtype=np.int32), (2, 1))
    null = np.zeros(2, dtype=np.int64)
    return SpanSet(tokens((10, 10)), np.arange(2), offsets, null, np.array(starts), np.array(ends), 0)


def test_answers_are_read_beside_as_many_other_tokens() -> None:
    found = targets(spans([5, 0], [6, 0]), HeadSpec("span", 2), False)  # the second window has no answer
    assert found.classes.tolist().count(1) == found.classes.tolist().count(0) == 2
    np.testing.assert_array_equal(found.tokens[found.classes == 1], [5, 6])
    assert set(found.tokens[found.classes == 0]) <= {4, 7, 8, 9}
    with pytest.raises(DataError, match="no answer"):
        targets(spans([0, 0], [0, 0]), HeadSpec("span", 2), False)


def test_many_states_are_thinned_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    np.testing.assert_array_equal(drawn(3, 5), [0, 1, 2])
    found = drawn(3000, 300)
    assert (np.diff(found) > 0).all()
    assert all(70 < np.count_nonzero(found % 3 == label) < 130 for label in range(3))  # labels in a cycle stay mixed
    monkeypatch.setattr("ptv2.analysis.probing.MOST", 4)
    pairs = targets(texts(width=2), HeadSpec("choice", 2), False)
    assert set(zip(pairs.tokens[::2].tolist(), pairs.tokens[1::2].tolist(), strict=True)) < {(0, 5), (14, 16), (23, 26)}


# The states themselves


@pytest.mark.parametrize("method", ["p-tuning-v2", "prompt-tuning", "fine-tuning"])
@pytest.mark.parametrize("family", sorted(FAMILY_CONFIGS))
def test_the_last_states_are_what_the_head_gets(family: str, method: str) -> None:
    model = tiny_model(family, method, HeadSpec("tagging", 3))
    data = replace(texts(pad=model.config.pad_token_id), labels=None)
    chosen = np.array([0, 3, 4, 5, 13, 14, 34])
    states = hidden_states(model, data, chosen, 4, accelerator())
    assert len(states) == LAYERS + 1
    assert all(len(layer) == len(chosen) for layer in states)
    with torch.no_grad():
        scores = torch.cat([model(data.batch([row]))["scores"][0] for row in range(len(data))])
        expected = model.head(torch.from_numpy(states[-1]))
    torch.testing.assert_close(expected, scores[chosen], atol=1e-4, rtol=1e-4)
    for lower, upper in pairwise(states):
        assert lower.shape != upper.shape or np.abs(lower - upper).max() > 1e-3


def test_states_of_choices_and_of_the_bare_backbone() -> None:
    model = tiny_model("bert", spec=HeadSpec("choice", 2))
    data = texts(width=2)
    chosen = np.cumsum(LENGTHS) - 1
    prompted = hidden_states(model, data, chosen, 2, accelerator())
    with bare(model):
        states = hidden_states(model, data, chosen, 2, accelerator())
    for row, length in enumerate(LENGTHS):
        ids = torch.from_numpy(data.tokens.ids[chosen[row] - length + 1 : chosen[row] + 1].astype(np.int64))[None]
        with torch.no_grad():
            expected = model.backbone(input_ids=ids, output_hidden_states=True).hidden_states
        for layer, state in enumerate(expected):
            np.testing.assert_allclose(states[layer][row], state[0, -1], atol=1e-5)
    assert np.abs(states[-1] - prompted[-1]).max() > 1e-2
    assert model.prompts is not None
    assert model.prompt_length == 4
