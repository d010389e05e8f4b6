"""Entity scores against two independent implementations of what the conlleval script does, and cases worked by hand."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptv2.metrics import entities, load_metric

TAGS = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-not-a-type", "I-not-a-type"])
PAIRS = st.lists(st.lists(st.tuples(TAGS, TAGS), max_size=9), min_size=1, max_size=6)
Counts = dict[str, tuple[int, int, int]]


def conlleval(predictions: list[list[str]], references: list[list[str]]) -> Counts:
    """By type (right, predicted, in the references), the script's way: one pass over all lines, with its flags.

    A sentence's end is a line `O O`. The start and end of a chunk are decided from two adjacent tags, and a chunk is
    right if both sides start it together, stay of one type, and end it together.
    """

    def cut(tag: str) -> tuple[str, str]:
        prefix, _, kind = tag.partition("-")
        return prefix, kind

    def ends(before: tuple[str, str], now: tuple[str, str]) -> bool:
        return before[0] + now[0] in ("BB", "BO", "IB", "IO") or (before[0] != "O" and before[1] != now[1])

    def starts(before: tuple[str, str], now: tuple[str, str]) -> bool:
        return before[0] + now[0] in ("BB", "IB", "OB", "OI") or (now[0] != "O" and before[1] != now[1])

    lines = [("O", "O")]
    for said, true in zip(predictions, references, strict=True):
        lines += [*zip(said, true, strict=True), ("O", "O")]
    right: Counter[str] = Counter()
    guessed: Counter[str] = Counter()
    found: Counter[str] = Counter()
    in_correct = False
    for before, now in pairwise(lines):
        (said_before, true_before), (said, true) = map(cut, before), map(cut, now)
        said_ends, true_ends = ends(said_before, said), ends(true_before, true)
        if in_correct and said_ends and true_ends and said_before[1] == true_before[1]:
            in_correct = False
            right[true_before[1]] += 1
        elif in_correct and (said_ends != true_ends or said[1] != true[1]):
            in_correct = False
        said_starts, true_starts = starts(said_before, said), starts(true_before, true)
        in_correct |= said_starts and true_starts and said[1] == true[1]
        found[true[1]] += true_starts
        guessed[said[1]] += said_starts
    return {kind: (right[kind], guessed[kind], found[kind]) for kind in found | guessed}


def by_pattern(predictions: list[list[str]], references: list[list[str]]) -> Counts:
    """The same from a regular expression: a tag that does not go on a span, and the `I-` of its type after it."""

    def spans(sentences: list[list[str]]) -> set[tuple[str, int, int]]:
        text = " O ".join(" ".join(tags) for tags in sentences)
        found = re.finditer(r"(?<!\S)[BI]-(\S+)(?: I-\1(?!\S))*", text)
        return {(one[1], text.count(" ", 0, one.start()), text.count(" ", 0, one.end())) for one in found}

    said, true = spans(predictions), spans(references)
    counted = [Counter(kind for kind, *_ in some) for some in (said & true, said, true)]
    return {kind: tuple(count[kind] for count in counted) for kind in counted[1] | counted[2]}


def expected_scores(right: int, said: int, true: int) -> dict[str, float]:
    precision, recall = right / said if said else 0, right / true if true else 0
    f1 = 2 * precision * recall / (precision + recall) if right else 0
    return {"f1": f1, "precision": precision, "recall": recall}


@settings(max_examples=300, deadline=None)
@given(PAIRS)
def test_scores_are_conllevals(pairs: list[list[tuple[str, str]]]) -> None:
    predictions, references = ([[pair[side] for pair in sentence] for sentence in pairs] for side in (0, 1))
    counts = conlleval(predictions, references)
    assert counts == by_pattern(predictions, references)
    total = [sum(column) for column in zip((0, 0, 0), *counts.values(), strict=True)]
    assert entities.score(predictions, references) == pytest.approx(expected_scores(*total))
    apart = entities.by_type(predictions, references)
    assert list(apart) == sorted(counts)
    for kind, numbers in counts.items():
        assert apart[kind] == pytest.approx({**expected_scores(*numbers), "support": numbers[2]})


@pytest.mark.parametrize(
    ("predicted", "right", "counts"),  # counts: right, predicted, in the references
    [
        ("B-PER I-PER O B-LOC", "B-PER I-PER O B-LOC", (2, 2, 2)),
        ("O O O O", "B-PER I-PER O B-LOC", (0, 0, 2)),
        ("B-PER O O O", "B-PER I-PER O O", (0, 1, 1)),  # too short
        ("B-PER I-PER I-PER O", "B-PER I-PER O O", (0, 1, 1)),  # too long
        ("B-LOC I-LOC O O", "B-PER I-PER O O", (0, 1, 1)),  # another type
        ("B-PER B-PER O O", "B-PER I-PER O O", (0, 2, 1)),  # cut in two
        ("B-PER I-PER O O", "B-PER B-PER O O", (0, 1, 2)),  # two taken for one
        ("I-PER I-PER O O", "B-PER I-PER O O", (1, 1, 1)),  # I- after nothing begins a span
        ("O I-PER O I-PER", "O B-PER O B-PER", (2, 2, 2)),  # I- after O begins a span
        ("B-PER I-LOC O O", "B-PER B-LOC O O", (2, 2, 2)),  # I- of another type begins a span
        ("B-PER I-LOC I-PER O", "B-PER I-PER I-PER O", (0, 3, 1)),  # and ends the one before
        ("I-PER B-PER I-PER O", "B-PER B-PER I-PER O", (2, 2, 2)),  # B- ends a span that I- began
        ("O O O I-PER", "O O O B-PER", (1, 1, 1)),  # the sentence's end ends a span
        ("B-A-B I-A-B O O", "B-A-B I-A-B O O", (1, 1, 1)),  # a type may hold hyphens
        ("B-A-B I-A-C O O", "B-A-B I-A-B O O", (0, 2, 1)),
    ],
)
def test_by_hand(predicted: str, right: str, counts: tuple[int, int, int]) -> None:
    said, true = [predicted.split()], [right.split()]
    assert entities.score(said, true) == pytest.approx(expected_scores(*counts))
    for port in (conlleval, by_pattern):  # the implementations that the property above trusts
        assert tuple(map(sum, zip(*port(said, true).values(), strict=True))) == counts


def test_a_span_ends_with_its_sentence() -> None:
    assert entities.score([["O", "B-PER"], ["I-PER"]], [["O", "B-PER"], ["I-PER"]]) == expected_scores(2, 2, 2)
    assert entities.score([["O", "B-PER"], ["O"]], [["O", "B-PER"], ["I-PER"]]) == pytest.approx(
        expected_scores(1, 1, 2)
    )


def test_types_apart_have_their_support() -> None:
    predictions = [["B-PER", "O", "B-LOC"], [], ["B-ORG"]]
    references = [["B-PER", "O", "B-PER"], [], ["O"]]
    assert entities.by_type(predictions, references) == {
        "LOC": {"f1": 0.0, "precision": 0.0, "recall": 0.0, "support": 0},
        "ORG": {"f1": 0.0, "precision": 0.0, "recall": 0.0, "support": 0},
        "PER": {"f1": pytest.approx(2 / 3), "precision": 1.0, "recall": 0.5, "support": 2},
    }


def test_no_spans_at_all_are_zero() -> None:
    assert entities.score([["O", "O"]], [["O", "O"]]) == {"f1": 0.0, "precision": 0.0, "recall": 0.0}
    assert entities.by_type([["O", "O"]], [["O", "O"]]) == {}


def test_the_metric_object_takes_sentences_of_any_length() -> None:
    found = load_metric("entities").compute(
        predictions=[["B-PER"], [], ["O", "I-LOC"]], references=[["B-PER"], [], ["O", "O"]]
    )
    assert found == pytest.approx(expected_scores(1, 2, 1))


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([], [], "got 0 for 0"),
        ([["O"]], [["O"], ["O"]], "got 1 for 2"),
        ([["O"], ["O"]], [["O"], ["O", "O"]], "expected one tag per token, got 1 for 2 in row 1"),
        ([["O", "S-PER"]], [["O", "O"]], r"expected O, B-TYPE or I-TYPE, got 'S-PER' \(tag 2 of 2\)"),
        ([["O"]], [["B"]], "got 'B'"),
        ([["O"]], [["B-"]], "got 'B-'"),
        ([["O"]], [["-PER"]], "got '-PER'"),
        ([["O"]], [["o"]], "got 'o'"),
        ([["O"]], [[""]], "got ''"),
    ],
)
def test_what_cannot_be_scored_is_refused(predictions, references, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        entities.score(predictions, references)
