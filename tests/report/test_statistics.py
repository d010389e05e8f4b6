"""The tests behind a table's marks, against formulas written out and a resampling done by hand."""

from __future__ import annotations

import json
import math
import statistics as basic
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student
from scipy.stats import ttest_rel

from ptv2.metrics import entities
from ptv2.report import statistics
from ptv2.reproduce.table.layout import against_text

OURS = {1: 80.4, 2: 81.0, 3: 79.9, 5: 80.2}
THEIRS = {1: 80.1, 2: 80.2, 3: 80.3, 4: 70.0}
DIFFERENCES = [OURS[seed] - THEIRS[seed] for seed in (1, 2, 3)]


def test_only_common_seeds_are_compared() -> None:
    found = statistics.compare(OURS, THEIRS, margin=1.0)
    assert found is not None
    assert found.seeds == (1, 2, 3)
    assert found.difference == pytest.approx(sum(DIFFERENCES) / 3)
    pairs = [[values[seed] for seed in (1, 2, 3)] for values in (OURS, THEIRS)]
    assert found.p == pytest.approx(ttest_rel(*pairs).pvalue)
    assert statistics.compare({1: 1.0}, {2: 1.0}, margin=1.0) is None


@pytest.mark.parametrize("margin", [0.1, 1.0, 2.5])
def test_equivalence_is_two_one_sided_t_tests(margin: float) -> None:
    mean, error = basic.fmean(DIFFERENCES), basic.stdev(DIFFERENCES) / math.sqrt(3)
    above = student.sf((mean + margin) / error, 2)
    below = student.cdf((mean - margin) / error, 2)
    assert statistics.equivalence_p(DIFFERENCES, margin) == pytest.approx(max(above, below))


def test_equivalence_needs_a_small_difference_and_not_merely_an_unclear_one() -> None:
    noisy = {seed: 80.0 + 8 * (-1) ** seed for seed in range(4)}
    level = dict.fromkeys(range(4), 80.0)
    unclear = statistics.compare(noisy, level, margin=1.0)
    assert unclear is not None
    assert (unclear.differs, unclear.equivalent) == (False, False)
    close = statistics.compare({seed: 80.1 + seed / 100 for seed in range(4)}, level, margin=1.0)
    assert close is not None
    assert (close.differs, close.equivalent) == (True, True), "a difference can be there and too small to matter"
    far = statistics.compare({seed: 77.0 + seed / 100 for seed in range(4)}, level, margin=1.0)
    assert far is not None
    assert (far.differs, far.equivalent) == (True, False)


@pytest.mark.parametrize("differences", [[0.3], []])
def test_nothing_is_tested_below_two_seeds(differences: list[float]) -> None:
    assert statistics.paired_p(differences) is None
    assert statistics.equivalence_p(differences, 1.0) is None


@given(
    total=st.integers(10, 5000),
    baseline=st.lists(st.integers(0, 10_000), min_size=2, max_size=5),
    more=st.integers(0, 50),
    margin=st.sampled_from([0.25, 1.0, 2.5]),
)
def test_the_same_gain_in_right_answers_on_every_seed_has_no_t_test(
    total: int, baseline: list[int], more: int, margin: float
) -> None:
    gain = min(more, total)
    counts = [count % (total - gain + 1) for count in baseline]
    theirs = {seed: 100 * (count / total) for seed, count in enumerate(counts)}
    ours = {seed: 100 * ((count + gain) / total) for seed, count in enumerate(counts)}
    found = statistics.compare(ours, theirs, margin)
    assert found is not None
    assert (found.equal, found.p, found.differs) == (True, None, False)
    assert found.equivalent == (100 * gain / total < margin - 1e-9)
    assert "*" not in against_text(found)


@given(
    total=st.integers(10, 5000),
    pairs=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)), min_size=2, max_size=6),
)
def test_counts_of_right_answers_give_one_mark_at_most(total: int, pairs: list[tuple[int, int]]) -> None:
    counts = [(a % (total + 1), b % (total + 1)) for a, b in pairs]
    ours = {seed: 100 * (a / total) for seed, (a, _) in enumerate(counts)}
    theirs = {seed: 100 * (b / total) for seed, (_, b) in enumerate(counts)}
    found = statistics.compare(ours, theirs, 1.0)
    assert found is not None
    assert found.equal == (len({a - b for a, b in counts}) == 1)
    assert (found.p is None) == found.equal
    assert found.equivalence_p is not None
    assert not ("*" in against_text(found) and "≈" in against_text(found))


def fractions(right: list[int], said: list[int], true: list[int]) -> statistics.Fractions:
    both = [s + t for s, t in zip(said, true, strict=True)]
    return [(2.0 * np.array(right), np.array(both, dtype=float))]


def spans(draw: np.random.Generator, size: int, chance: float) -> statistics.Fractions:
    true = draw.integers(0, 4, size)
    right = draw.binomial(true, chance)
    return fractions(right.tolist(), (right + draw.integers(0, 2, size)).tolist(), true.tolist())


def test_the_bootstrap_draws_the_same_units_for_both_methods_and_all_seeds() -> None:
    draw = np.random.default_rng(7)
    ours, theirs = [spans(draw, 40, 0.7) for _ in range(3)], [spans(draw, 40, 0.6) for _ in range(3)]
    found = statistics.bootstrap(ours, theirs, "sentence")
    assert found is not None
    again = np.random.default_rng(statistics.SEED)
    differences = []
    for _ in range(statistics.RESAMPLES):  # one set at a time, F1 by its own formula
        units = again.integers(0, 40, 40)
        means = [
            basic.fmean(100 * over[units].sum() / under[units].sum() for ((over, under),) in runs)
            for runs in (ours, theirs)
        ]
        differences.append(means[0] - means[1])
    low, low_90, high_90, high = np.percentile(differences, [2.5, 5, 95, 97.5])
    assert (found.low, found.low_90, found.high_90, found.high) == pytest.approx((low, low_90, high_90, high))
    tail = min(sum(d <= 0 for d in differences), sum(d >= 0 for d in differences))
    assert found.p == pytest.approx(min(1.0, 2 * (tail + 1) / (statistics.RESAMPLES + 1)))
    assert (found.units, found.unit) == (40, "sentence")
    assert statistics.bootstrap(ours, theirs, "sentence") == found, "the same table each time"


def test_large_sets_are_drawn_in_parts_with_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(3)
    ours, theirs = [spans(draw, 30, 0.7)], [spans(draw, 30, 0.6)]
    whole = statistics.bootstrap(ours, theirs)
    monkeypatch.setattr(statistics, "CHUNK", 30 * 7)
    assert statistics.bootstrap(ours, theirs) == whole


def test_a_method_compared_with_itself_has_no_difference() -> None:
    runs = [spans(np.random.default_rng(1), 20, 0.5)]
    found = statistics.bootstrap(runs, runs)
    assert found is not None
    assert (found.low, found.high, found.p) == (0, 0, 1)


def test_the_interval_is_about_the_one_that_theory_gives() -> None:
    draw = np.random.default_rng(2)
    size, rates = 4000, (0.9, 0.7)
    ours, theirs = ([[(draw.binomial(1, rate, size).astype(float), np.ones(size))]] for rate in rates)
    found = statistics.bootstrap(ours, theirs)
    assert found is not None
    error = 100 * math.sqrt(sum(rate * (1 - rate) for rate in rates) / size)
    middle = float(statistics.score_of(ours[0])[0] - statistics.score_of(theirs[0])[0])
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.06)
    assert (found.high + found.low) / 2 == pytest.approx(middle, abs=0.2 * error)
    comparison = statistics.compare({1: 90.0}, {1: 70.0}, 25.0, found)
    assert comparison is not None
    assert comparison.within is True
    assert comparison.p is None, "one seed has no test over seeds, but one over examples"


def test_sets_of_different_sizes_are_not_compared() -> None:
    draw = np.random.default_rng(1)
    assert statistics.bootstrap([spans(draw, 5, 0.5)], [spans(draw, 6, 0.5)]) is None
    assert statistics.bootstrap([], []) is None


def test_the_files_of_a_run_give_its_score(tmp_path: Path) -> None:
    said, right = [["B-A", "I-A", "O"], ["B-B"], ["O"]], [["B-A", "O", "B-B"], ["B-B"], ["O"]]
    tree = {"unit": entities.UNIT, "scores": entities.fractions(said, right)}
    (tmp_path / "fractions-dev.json").write_text(json.dumps(tree), encoding="utf-8")
    for score, value in entities.score(said, right).items():
        read = statistics.read_fractions(tmp_path, "dev", score)
        assert read is not None
        found, unit = read
        assert unit == "sentence"
        assert statistics.score_of(found) == pytest.approx([100 * value])
    assert statistics.read_fractions(tmp_path, "test", "f1") is None, "runs that kept no such file have no bootstrap"
    assert statistics.read_fractions(tmp_path, "dev", "accuracy") is None
    (tmp_path / "fractions-test.json").write_text('{"scores": {"f1": [[[1.0], [1.0]]]}}')
    assert statistics.read_fractions(tmp_path, "test", "f1") is None, "nor has one that does not say of what it is"
