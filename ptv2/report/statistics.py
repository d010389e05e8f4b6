"""How sure a difference between two methods is: over seeds, over examples, and whether it is too small to matter.

Three questions, since "comparable" is the paper's claim and a test that finds no difference does not show that there is
none:

- paired t-test over the seeds that both methods have: would other seeds show a difference?
- bootstrap over the test set's units (sentences, questions, ...; Efron and Tibshirani 1993): the units are drawn anew
  with replacement, the same ones for both methods and all seeds, and the metric is computed again from what each unit
  adds to it, so that F1 is the F1 of the drawn set and no mean. Would other examples show a difference?
- two one-sided t-tests over the same seeds (TOST; Schuirmann 1987): is the difference smaller than a stated margin?
"""

from __future__ import annotations

import json
import math
import statistics as basic
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ptv2.report.formats import format_p

RESAMPLES = 2000
LEVEL = 0.05
TOLERANCE = 1e-9  # points; scores are ratios of counts in floating point, so equal differences differ by rounding
EQUAL = "equal"  # in the place of p
SEED = 0  # of the resampling, so that a table is the same file each time
CHUNK = 4_000_000  # drawn numbers that are held at once

# A score as the mean of ratios of sums: numerators and denominators, each `[units]`.
Fractions = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Bootstrap:
    """The resampled difference: its 95 % interval, two-sided p, and the 90 % interval that decides equivalence."""

    low: float
    high: float
    p: float
    low_90: float
    high_90: float
    units: int
    unit: str


@dataclass(frozen=True)
class Comparison:
    """A method less the baseline, in points; None for what could not be computed."""

    seeds: tuple[int, ...]
    difference: float
    p: float | None
    equivalence_p: float | None
    margin: float
    bootstrap: Bootstrap | None
    equal: bool = False  # the same difference for every seed, which has no t-test

    @property
    def equivalent(self) -> bool:
        """Whether the difference is within the margin by the test over seeds."""
        return self.equivalence_p is not None and self.equivalence_p < LEVEL

    @property
    def differs(self) -> bool:
        """Whether there is a difference by the test over seeds."""
        return self.p is not None and self.p < LEVEL

    @property
    def shown_p(self) -> str:
        """The p of the test over seeds in tables: `equal` where all differences agree, nothing without a test."""
        return EQUAL if self.equal else format_p(self.p)

    @property
    def within(self) -> bool | None:
        """Whether the difference is within the margin by the bootstrap: its 90 % interval lies inside."""
        if self.bootstrap is None:
            return None
        return -self.margin < self.bootstrap.low_90 and self.bootstrap.high_90 < self.margin


def compare(
    ours: Mapping[int, float],
    theirs: Mapping[int, float],
    margin: float = 0.0,
    bootstrap: Bootstrap | None = None,
) -> Comparison | None:
    """Compare scores by seed; None without a common seed. Below a margin of 0 nothing is equivalent."""
    seeds = tuple(sorted(set(ours) & set(theirs)))
    if not seeds:
        return None
    differences = [ours[seed] - theirs[seed] for seed in seeds]
    return Comparison(
        seeds,
        basic.fmean(differences),
        paired_p(differences),
        equivalence_p(differences, margin),
        margin,
        bootstrap,
        all_equal(differences),
    )


def spread_of(values: Collection[float]) -> float | None:
    """Standard deviation (n - 1); None below two values."""
    return basic.stdev(values) if len(values) > 1 else None


def all_equal(differences: Sequence[float]) -> bool:
    """Whether two or more differences agree within `TOLERANCE` points, so that they have no spread to test against."""
    return len(differences) > 1 and max(differences) - min(differences) <= TOLERANCE


def paired_p(differences: Sequence[float]) -> float | None:
    """Two-sided p of the paired t-test; None below two seeds, or where all differences are equal."""
    if len(differences) < 2 or all_equal(differences):
        return None
    return 2 * _tail(-abs(_t(differences, 0.0)), differences)


def equivalence_p(differences: Sequence[float], margin: float) -> float | None:
    """The p of two one-sided tests that the mean lies within `margin`: the larger of the two; None below two seeds.

    Equal differences have no spread: p is what the tests tend to as the spread vanishes, 0 inside the margin, else 1.
    """
    if len(differences) < 2:
        return None
    if all_equal(differences):
        return 0.0 if abs(basic.fmean(differences)) < margin - TOLERANCE else 1.0
    above = _tail(-_t(differences, -margin), differences)
    below = _tail(_t(differences, margin), differences)
    return max(above, below)


def _t(differences: Sequence[float], mean: float) -> float:
    """The statistic of the t-test that the differences have this mean."""
    return (basic.fmean(differences) - mean) / (basic.stdev(differences) / math.sqrt(len(differences)))


def _tail(t: float, differences: Sequence[float]) -> float:
    """The probability of a value below `t`, which `scipy.stats` gives too, but takes seconds for thousands of tests."""
    from scipy.special import stdtr

    return float(stdtr(len(differences) - 1, t))


def bootstrap(ours: Sequence[Fractions], theirs: Sequence[Fractions], unit: str = "example") -> Bootstrap | None:
    """Resample the units of one test set; both lists have the runs of the same seeds in order.

    Returns:
        None where the runs were not scored on as many units.
    """
    sizes = {len(over) for run in (*ours, *theirs) for over, _ in run}
    if len(sizes) != 1 or not ours or len(ours) != len(theirs):
        return None
    (size,) = sizes
    draw = np.random.default_rng(SEED)
    rows = max(1, CHUNK // size)
    chunks = []
    for start in range(0, RESAMPLES, rows):
        count = min(rows, RESAMPLES - start)
        counts = [np.bincount(draw.integers(0, size, size), minlength=size) for _ in range(count)]
        times = np.stack(counts).astype(float)
        chunks.append(_mean_score(times, ours) - _mean_score(times, theirs))
    differences = np.concatenate(chunks)
    low, low_90, high_90, high = np.quantile(differences, [0.025, 0.05, 0.95, 0.975])
    tail = min(np.sum(differences <= 0), np.sum(differences >= 0))
    p = min(1.0, 2 * (1 + float(tail)) / (1 + RESAMPLES))  # the sample itself counts as one of the draws
    return Bootstrap(float(low), float(high), p, float(low_90), float(high_90), size, unit)


def score_of(fractions: Fractions, times: np.ndarray | None = None) -> np.ndarray:
    """The score in percent of each drawn set.

    Args:
        times: `[sets, units]` how often each unit was drawn; None: one set, with every unit once.
    """
    ratios = []
    for over, under in fractions:
        weights = np.ones((1, len(over))) if times is None else times
        above, below = weights @ over, weights @ under
        ratios.append(np.divide(above, below, out=np.zeros_like(above), where=below > 0))
    return 100 * np.mean(ratios, axis=0)


def read_fractions(run: Path, split: str, score: str) -> tuple[Fractions, str] | None:
    """What each unit of a run's split adds to a score, and the unit's name; None for runs without such a file."""
    path = run / f"fractions-{split}.json"
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        fractions = [
            (np.array(over, dtype=float), np.array(under, dtype=float)) for over, under in tree["scores"][score]
        ]
        return fractions, str(tree["unit"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _mean_score(times: np.ndarray, runs: Sequence[Fractions]) -> np.ndarray:
    """The mean over runs of the score of each drawn set, `[sets]`."""
    return np.asarray(np.mean([score_of(run, times) for run in runs], axis=0))
