"""Cross-validation: the runs of one seed over folds as one result."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ptv2.run_folders.record import Result

POOLED = "A score over folds is the mean of theirs, weighted by the number of their examples"


def folds_of(result: Result) -> int | None:
    """The number of folds that a run is one of; None without cross-validation."""
    number = (result.config.get("data") or {}).get("folds")
    return number if isinstance(number, int) else None


def examples_of(result: Result) -> list[Any]:
    """What tells the examples of a result from those of others; of cross-validation, whose parts differ in size, all.

    Returns:
        The fingerprint of the data with the numbers of examples, and with share and seed of the dev set where that is a
        part of train; of folds with their number, seed and limits.
    """
    fingerprint, settings = result.data["fingerprint"], result.config.get("data") or {}
    if (number := folds_of(result)) is None:
        split = settings.get("split")
        parts = [] if split is None else [split, settings.get("split_seed", 0)]
        return [fingerprint, result.data["examples"], *parts]
    limits = {split: count for split, count in (settings.get("limit") or {}).items() if count is not None}
    return [fingerprint, number, settings.get("seed", 0), limits]


def name_examples(result: Result) -> str:
    """The fingerprint of the data, a slash, and in words what else `examples_of` has for training."""
    fingerprint, *which = examples_of(result)
    if folds_of(result) is None:
        examples, *parts = which
        return f"{fingerprint}/{examples['train']}" + (f", split {parts[0]} by {parts[1]}" if parts else "")
    number, seed, limits = which
    limited = "".join(f", {split} {count}" for split, count in sorted(limits.items()))
    return f"{fingerprint}/{number} folds by {seed}{limited}"


def name_scored(result: Result, split: str) -> str:
    """How many examples a run has in dev, which chose its weights, and in `split`; empty for folds."""
    if folds_of(result) is not None:
        return ""
    counts = {name: result.data["examples"].get(name) for name in dict.fromkeys(("dev", split))}
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count is not None)


def pool_folds(results: Sequence[Result]) -> list[Result]:
    """Put the folds of each seed together; results of runs without folds stay as they are.

    Scores are means weighted by the examples of each fold (for accuracy: the score of all examples together), times and
    counts of training means, counts of answers sums. The result has the name of its first fold.

    Args:
        results: of runs that differ in nothing but seed and fold.
    """
    seeds: dict[int, dict[int, Result]] = {}
    alone = []
    for result in results:
        if folds_of(result) is None:
            alone.append(result)
        else:
            seeds.setdefault(result.seed, {})[result.config["data"]["fold"]] = result
    return [*alone, *(_pool([folds[fold] for fold in sorted(folds)]) for folds in seeds.values())]


def missing_folds(result: Result) -> str | None:
    """Say which seed lacks folds, for a result of `pool_folds`; None where it has all."""
    number = folds_of(result)
    has = len(result.data.get("folds", []))
    return None if number is None or has == number else f"seed {result.seed} has {has} of {number} folds"


def _pool(folds: Sequence[Result]) -> Result:
    first = folds[0]
    examples_of = {split: split for split in first.splits} | {"dev_last": "dev"}
    mean = {
        split: _weighted([(run.scores(split) or {}, run.data["examples"].get(scored, 1)) for run in folds])
        for split, scored in examples_of.items()
    }
    examples = {
        split: (sum if split == "dev" else statistics.mean)([run.data["examples"][split] for run in folds])
        for split in first.data["examples"]
    }
    counts = [split for split in first.data["predicted"] if first.data["predicted"][split]]
    predicted = {split: _summed(run.data["predicted"].get(split) for run in folds) for split in counts}
    data = first.data | {
        "examples": {split: round(count) for split, count in examples.items()},
        "predicted": first.data["predicted"] | predicted,
        "folds": [run.config["data"]["fold"] for run in folds],
    }
    return replace(
        first,
        dev=mean["dev"],
        dev_last=mean["dev_last"],
        test=None if first.test is None else mean["test"],
        tests={name: mean[name] for name in first.tests},
        data=data,
        time={key: statistics.fmean(run.time[key] for run in folds) for key in first.time},
    )


def _weighted(scores: Sequence[tuple[dict[str, float], int]]) -> dict[str, float]:
    """The means of metrics that all have, weighted."""
    names = [name for name in scores[0][0] if all(name in values for values, _ in scores)]
    total = sum(weight for _, weight in scores)
    return {name: sum(values[name] * weight for values, weight in scores) / total for name in names}


def _summed(counts: Iterable[Any]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one or {})
    return dict(total)
