"""The numbers of the committed tables and comparisons, computed anew from the records in results/runs/."""

from __future__ import annotations

import csv
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

REPOSITORY = Path(__file__).parents[2]
RESULTS = REPOSITORY / "results"
TABLES = sorted(RESULTS.glob("*.json"))
FIGURES = sorted(RESULTS.glob("figures/*.csv"))


@cache
def record(task: str, name: str) -> dict[str, Any]:
    """The kept record of a run."""
    tree: dict[str, Any] = json.loads((RESULTS / "runs" / task / f"{name}.json").read_text(encoding="utf-8"))
    return tree


def scores(number: dict[str, Any], part: str) -> dict[str, float]:
    """The scores of a number's runs by seed."""
    found = {}
    for name in number["runs"]:
        run = record(number["task"], name)
        of_part = run[part] if part in ("dev", "dev_last", "test") else run["tests"][part]
        found[str(run["seed"])] = of_part[number["metric"]]
    return found


def close(value: float | None, expected: float) -> bool:
    """Whether a stored number, which has four digits, is the expected one; None stands for what has no value."""
    return np.isnan(expected) if value is None else abs(value - expected) < 1e-4


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_table_has_the_scores_of_its_records(path: Path) -> None:
    numbers = json.loads(path.read_text(encoding="utf-8"))["numbers"]
    assert any(number["runs"] for number in numbers)
    baselines = {
        (n["row"], n["column"], n["metric"]): scores(n, n["split"]) for n in numbers if n["method"] == "fine-tuning"
    }
    for number in numbers:
        if not number["runs"]:
            assert number["why_missing"], number
            continue
        ours = scores(number, number["split"])
        assert {seed: round(value, 4) for seed, value in ours.items()} == number["values"]
        assert close(number["mean"], np.mean(list(ours.values())))
        if len(ours) > 1:
            assert close(number["sd"], np.std(list(ours.values()), ddof=1))
        if number["split"] == "dev":
            assert close(number["last_epoch_mean"], np.mean(list(scores(number, "dev_last").values())))
        runs = [record(number["task"], name) for name in number["runs"]]
        assert close(number["cost"]["train_seconds"], np.mean([run["time"]["train"] for run in runs]))
        assert number["cost"]["trained_parameters"] == runs[0]["parameters"]["trained"]
        if (against := number["against"]) is None:
            continue
        theirs = baselines[number["row"], number["column"], number["metric"]]
        common = sorted(ours.keys() & theirs.keys(), key=int)
        pairs = np.array([(ours[seed], theirs[seed]) for seed in common])
        assert [str(seed) for seed in against["common_seeds"]] == common
        assert close(against["difference"], (pairs[:, 0] - pairs[:, 1]).mean())
        if against["p"] is not None:
            assert close(against["p"], stats.ttest_rel(pairs[:, 0], pairs[:, 1]).pvalue)


@pytest.mark.parametrize("path", FIGURES, ids=lambda path: path.stem)
def test_the_points_of_a_figure_are_those_of_its_records(path: Path) -> None:
    lines = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert lines
    for line in lines:
        run = record(line["task"], line["run"])
        of_split = run["dev"] if line["split"] == "dev" else run["test"]
        assert (run["model"], str(run["seed"])) == (line["model"], line["seed"])
        assert abs(of_split[line["metric"]] - float(line["value"])) < 1e-4
        assert run["parameters"]["trained"] == int(line["trained"])
