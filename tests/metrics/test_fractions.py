"""Scores that are a mean of ratios of sums over units: a bootstrap needs what each unit adds, and nothing more."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import pytest

from ptv2.metrics import known_metrics
from ptv2.metrics.accuracy import OF_CLASSES

Sides = tuple[list[Any], list[Any]]
TAGS = ("O", "B-A0", "I-A0", "B-V", "B-C-A0", "B-A1", "I-A1")


def classes(draw: random.Random, size: int) -> Sides:
    return [draw.randrange(2) for _ in range(size)], [draw.randrange(2) for _ in range(size)]


def three_classes(draw: random.Random, size: int) -> Sides:
    return [draw.randrange(3) for _ in range(size)], [draw.randrange(3) for _ in range(size)]


def tags(draw: random.Random, size: int) -> Sides:
    lengths = [draw.randint(1, 8) for _ in range(size)]
    return tuple([[draw.choice(TAGS) for _ in range(n)] for n in lengths] for _ in range(2))  # type: ignore[return-value]


def multirc(draw: random.Random, size: int) -> Sides:
    keys = [(i // 3, i % 3, answer) for i in range(size) for answer in range(draw.randint(1, 4))]
    given = [
        {"idx": dict(zip(("paragraph", "question", "answer"), key, strict=True)), "prediction": draw.randrange(2)}
        for key in keys
    ]
    return given, [draw.randrange(2) for _ in keys]


def texts(draw: random.Random) -> str:
    return " ".join(draw.choice(("the", "cat", "sat", "mat.")) for _ in range(draw.randint(0, 3)))


def record(draw: random.Random, size: int) -> Sides:
    keys = [{"passage": i // 2, "query": i % 2} for i in range(size)]
    given = [{"idx": key, "prediction_text": texts(draw)} for key in keys if draw.random() < 0.9]
    return given, [{"idx": key, "answers": [texts(draw), texts(draw)]} for key in keys]


def squad(draw: random.Random, size: int) -> Sides:
    given = [{"id": str(i), "prediction_text": texts(draw)} for i in range(size)]
    answers = [[texts(draw)] * draw.randrange(2) for _ in range(size)]
    return given, [{"id": str(i), "answers": {"text": found}} for i, found in enumerate(answers)]


CASES: dict[str, Callable[[random.Random, int], Sides]] = {
    "accuracy": classes,
    "cb": three_classes,
    "entities": tags,
    "roles": tags,
    "multirc": multirc,
    "record": record,
    "squad": squad,
}


def joined(parts: Sequence[tuple[list[float], list[float]]]) -> float:
    """The mean of the ratios of sums; 0 for one without a denominator."""
    return sum(sum(over) / sum(under) if sum(under) else 0.0 for over, under in parts) / len(parts)


def test_every_metric_is_tried() -> None:
    assert CASES.keys() == set(known_metrics())


@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("size", [1, 2, 17])
def test_sums_over_units_give_the_score(name: str, size: int) -> None:
    metric = import_module(f"ptv2.metrics.{name}")
    for seed in range(20):
        sides = CASES[name](random.Random(f"{name} {size} {seed}"), size)
        found = metric.fractions(*sides)
        assert found.keys() == set(metric.SCORES) - set(OF_CLASSES)
        lengths = {len(side) for parts in found.values() for part in parts for side in part}
        assert lengths == {size}, "one value a unit"
        assert {score: joined(parts) for score, parts in found.items()} == pytest.approx(
            {score: value for score, value in metric.score(*sides).items() if score in found}
        )


def test_a_unit_is_a_question_and_not_an_answer() -> None:
    metric = import_module("ptv2.metrics.multirc")
    keys = [(0, 0, 0), (0, 0, 1), (0, 1, 0)]
    given = [
        {"idx": dict(zip(("paragraph", "question", "answer"), key, strict=True)), "prediction": said}
        for key, said in zip(keys, (1, 1, 0), strict=True)
    ]
    found = metric.fractions(given, [1, 0, 0])
    assert found == {"f1a": [([2.0, 0.0], [3.0, 0.0])], "exact_match": [([0.0, 1.0], [1.0, 1.0])]}
