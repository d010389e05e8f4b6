"""scripts/quickstart.py: what it says is true of the runs, whatever came out, and fits a terminal."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))
from commandline import cache_folder
from records import result

from ptv2.run_folders.record import Result, write_result

REPOSITORY = Path(__file__).parents[2]
SCRIPT = REPOSITORY / "scripts" / "quickstart.py"
METHODS = ("fine-tuning", "prompt-tuning", "p-tuning-v2")


def quickstart(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *words], capture_output=True, text=True, cwd=folder, check=False
    )


def write_runs(folder: Path, scores: dict[str, list[tuple[float, float]]], **more: object) -> None:
    """Runs with (dev, test) accuracies by method, seeds 1, 2 and so on."""
    for method, pairs in scores.items():
        for seed, (dev, test) in enumerate(pairs, 1):
            made: Result = result(method, seed, dev, test=test, **more)
            (folder / made.name).mkdir(parents=True)
            (folder / made.name / "config.yaml").touch()
            write_result(folder / made.name, made)


@pytest.mark.parametrize(
    ("fine", "shallow", "deep", "expected"),
    [
        (99.0, 55.0, 96.5, ["is 2.5 points below fine-tuning", "is 41.5 points below p-tuning-v2"]),
        (90.0, 95.0, 92.0, ["is 2.0 points above fine-tuning", "is 3.0 points above p-tuning-v2"]),
        (90.0, 89.97, 90.0, ["is level with fine-tuning", "is level with p-tuning-v2"]),
    ],
)
def test_the_lines_say_what_came_out(
    fine: float, shallow: float, deep: float, expected: list[str], tmp_path: Path
) -> None:
    scores = {"fine-tuning": [(50.0, fine)], "prompt-tuning": [(50.0, shallow)], "p-tuning-v2": [(50.0, deep)]}
    write_runs(tmp_path / "runs", scores)
    done = quickstart("runs", "runs/report.html", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    first, second, third = done.stdout.splitlines()[1:4]
    assert first.startswith("p-tuning-v2 (deep prompts, 1 % trained)")
    assert second.startswith("prompt-tuning (prompts at the input only)")
    assert [first.partition(") ")[2], second.partition(") ")[2]] == [f"{line}." for line in expected]
    assert third.startswith("That is 1 seed on made-up sentences")
    assert "runs/report.html" in done.stdout
    commands = done.stdout.replace("\\\n", "")
    assert re.search(r"ptv2 train task=classification .* method=fine-tuning,prompt-tuning,p-tuning-v2 -m\n", commands)
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_several_seeds_count_by_their_mean_and_dev_chooses_settings(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    two = {"fine-tuning": [(90.0, 80.0), (90.0, 90.0)], "prompt-tuning": [(70.0, 60.0), (70.0, 60.0)]}
    write_runs(folder, {**two, "p-tuning-v2": [(80.0, 82.0), (80.0, 84.0)]})
    longer = {"config": {"prompt": {"length": 99}}, "name": "longer-prompts-0123456789"}
    write_runs(folder, {"p-tuning-v2": [(60.0, 99.0)]}, **longer)  # better on test, which may not choose
    done = quickstart("runs", "report.html", folder=tmp_path)
    assert "is 2.0 points below fine-tuning.\n" in done.stdout
    assert "| 1 | 80.0 | 60.0 | 82.0 |\n| 2 | 90.0 | 60.0 | 84.0 |\n" in done.stdout
    assert "prompt-tuning below p-tuning-v2: 2 of 2 seeds.\n" in done.stdout
    assert "p-tuning-v2 and fine-tuning: at most 6.0 points apart.\n" in done.stdout
    assert "That is 2 seeds on made-up sentences" in done.stdout


def test_a_missing_method_is_named(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", {"fine-tuning": [(90.0, 80.0)], "prompt-tuning": [(90.0, 80.0)]})
    done = quickstart("runs", "report.html", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no finished run of p-tuning-v2 with test scores in runs/")


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_make_quickstart_trains_three_methods_and_ends_with_table_findings_and_report(tmp_path: Path) -> None:
    """The target's own commands, with a tiny backbone and three steps of each method."""
    tiny = "model=tiny trainer.max_steps=3 data.limit.train=24 data.limit.dev=8 data.limit.test=8"
    words = [f"BIN={Path(sys.executable).parent}", f"QUICKSTART_RUNS={tmp_path / 'runs'}", f"ARGS={tiny}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PTV2_CACHE": cache_folder()}
    installed = ["-o", ".venv/installed"]
    done = subprocess.run(
        ["make", *installed, "quickstart", *words],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    table, _, end = done.stdout.rpartition("p-tuning-v2 (deep prompts")
    assert [method for method in METHODS if f"  {method}  " in table] == list(METHODS)
    assert "on made-up sentences" in end
    page = tmp_path / "runs" / "report.html"
    assert str(page) in end
    assert page.is_file()
    assert len(list((tmp_path / "runs").glob("*/result.json"))) == 3
