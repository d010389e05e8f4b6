"""Learning curves and settings as the page tells them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ptv2.config.keys import flat
from ptv2.report.html.curves import Curves, read_curves
from ptv2.report.html.details import common, difference


def written(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def evaluation(step: int, value: float) -> dict[str, Any]:
    return {"step": step, "epoch": step / 10, "dev": {"f1": value, "other": 0.0}}


def test_short_curves_are_kept_as_they_are(tmp_path: Path) -> None:
    lines = [{"step": 5, "loss": 2.0}, evaluation(10, 50.0), {"step": 10, "loss": 1.5}]
    curves = read_curves(written(tmp_path / "m", lines), "f1", 3)
    assert curves == Curves(((5, 2.0), (10, 1.5)), ((10, 1.0, 50.0),), 10)
    assert read_curves(tmp_path / "m", "accuracy", 3).dev == ()


def test_losses_are_means_over_neighbours(tmp_path: Path) -> None:
    lines = [{"step": step, "loss": float(step)} for step in range(1, 12)]
    curves = read_curves(written(tmp_path / "m", lines), "f1", 4)
    assert curves.loss == ((3, 2.0), (6, 5.0), (9, 8.0), (11, 10.5))


@pytest.mark.parametrize("best", [0, 1, 37, 98, 99])
def test_of_many_evaluations_the_first_last_and_best_stay(tmp_path: Path, best: int) -> None:
    lines = [evaluation(step, 90.0 if step == best else 40.0) for step in range(100)]
    steps = [step for step, _, _ in read_curves(written(tmp_path / "m", lines), "f1", 10).dev]
    assert len(steps) == 10
    assert steps == sorted(steps)
    assert {0, best, 99} <= set(steps)


def test_what_is_no_number_or_no_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_text('{"step": 1, "loss": NaN}\n{"step": 2, "loss": 0.5}\n[1]\n{"step": 3, "dev": {"f1": null}}\n{"st')
    assert read_curves(path, "f1", 10) == Curves(((2, 0.5),), (), 2)
    path.write_bytes(b"\xff\xfe\n")
    assert read_curves(path, "f1", 10) == read_curves(tmp_path / "nothing", "f1", 10) == Curves()


def test_common_settings_and_differences_make_the_configuration_again() -> None:
    configs = [flat({"a": {"b": n % 2, "list": [1, 2]}, "c": {}, **({"old": 1} if n else {})}) for n in range(3)]
    base = common(configs)
    assert base == {"a.b": 0, "a.list": [1, 2], "c": {}, "old": 1}
    for config in configs:
        own, lacking = difference(config, base)
        assert {key: value for key, value in {**base, **own}.items() if key not in lacking} == config
    assert difference(configs[1], base) == ({"a.b": 1}, [])
    assert difference(configs[0], base) == ({}, ["old"])
