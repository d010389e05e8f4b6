"""What tests of trackers share: a run to be tracked, and the numbers that a tracker must have of it."""

from __future__ import annotations

import os
import signal
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
from commandline import Command, log_lines, only_run, result_of, run, train_words, wait_until

from ptv2.run_folders.metrics_log import read_lines

SETTINGS = ("+model.config.initializer_range=0.3", "trainer.batch_size=8", "trainer.epochs=8")
EVALUATIONS = 8


def needs(module: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(module) is None, reason=f"the extra ptv2[{module}] is not installed")


def train_untracked(data: Path, out: Path) -> Path:
    """Train the run that tracked ones are compared with."""
    done = run(train_words(data, out, *SETTINGS), out.parent)
    assert done.code == 0, done.err
    return only_run(out)


def here(folder: Path, **more: str) -> dict[str, str]:
    """Variables that keep what trackers write below `folder`."""
    return {
        "WANDB_MODE": "offline",
        "WANDB_CACHE_DIR": str(folder / "wandb-cache"),
        "TRACKIO_DIR": str(folder / "trackio"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        **more,
    }


def expected(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The numbers of `metrics.jsonl` under the names that trackers have, each with its step."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for line in log_lines(folder):
        values = {f"dev/{name}": value for name, value in line.get("dev", {}).items()}
        values |= {f"train/{name}": line[name] for name in ("loss", "lr", "gradient_norm") if name in line}
        for name, value in values.items():
            curves.setdefault(name, []).append((line["step"], value))
    return curves


def results(folder: Path) -> dict[str, float]:
    """The scores of result.json under the names that trackers have."""
    result = result_of(folder)
    return {f"result/{split}/{name}": value for split in ("dev", "test") for name, value in result[split].items()}


def assert_same(tracked: dict[str, list[tuple[int, float]]], folder: Path) -> None:
    """The tracked numbers are those of the run's files, each once and in order."""
    for name, points in expected(folder).items():
        assert [step for step, _ in tracked[name]] == [step for step, _ in points], name
        assert [value for _, value in tracked[name]] == pytest.approx([value for _, value in points], rel=1e-5), name
    for name, value in results(folder).items():
        assert [pair[1] for pair in tracked[name]] == pytest.approx([value], rel=1e-5), name


def stop_twice(words: list[str], out: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    """Begin a run, kill it, interrupt it, and let it end; all in `tmp_path`, where MLflow keeps files."""
    there = partial(os.chdir, tmp_path)
    for count, number in ((2, signal.SIGKILL), (5, signal.SIGINT)):
        command = Command(words, tmp_path, environment, there)

        def evaluated(count: int = count) -> bool:
            return sum("dev" in line for log in out.glob("*/metrics.jsonl") for line in read_lines(log)) >= count

        assert wait_until(evaluated, lambda: command.running)  # noqa: B023
        command.signal(number)
        done = command.wait()
        assert done.code == 128 + number, done.err
    done = run(words, tmp_path, environment=environment, before=there)
    assert done.code == 0, done.err
    assert result_of(only_run(out))["runtime"]["resumed"] >= 1
