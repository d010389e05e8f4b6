"""The scripts that print tables of a study: those of results/defaults.md are what they print."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_page_of_defaults_has_the_tables_of_its_command() -> None:
    comparison = "results/compare-sick-sst2-conll04-minilm.json"
    command = [sys.executable, "scripts/trials.py", comparison]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    page = (ROOT / "results" / "defaults.md").read_text(encoding="utf-8")
    assert f"python scripts/trials.py {comparison}" in page
    assert done.stdout.count("### ") == 6
    assert done.stdout in page


@pytest.mark.parametrize(("figure", "more"), [("batches", []), ("changes", []), ("epochs", ["up_ewt"])])
def test_the_page_of_defaults_has_the_table_of_its_figures(figure: str, more: list[str]) -> None:
    files = [f"results/figures/{figure}-{task}-minilm.csv" for task in ("sick", "sst2", "conll04", *more)]
    command = [sys.executable, "scripts/changes.py", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    page = (ROOT / "results" / "defaults.md").read_text(encoding="utf-8")
    assert " ".join(["python", *command[1:]]) in page.replace(" \\\n     ", "")
    assert done.stdout in page


def test_trials_that_two_digits_do_not_tell_apart_have_rows_of_their_own(tmp_path: Path) -> None:
    rates = {0.0121: 70.0, 0.0124: 80.0, 0.02: 75.0}
    trials = [{"settings": {"optim.lr": rate}, "state": "complete", "dev": dev} for rate, dev in rates.items()]
    found = tmp_path / "compare.json"
    found.write_text(json.dumps({"searches": [{"task": "rte", "method": "lora", "trials": trials}]}), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "scripts/trials.py", str(found)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()[4:]]
    assert rows == [
        ["optim.lr 0.0121", "70.0", "70.0"],
        ["optim.lr 0.0124", "80.0", "80.0"],
        ["lr 0.02", "75.0", "75.0"],
    ]


def test_changes_of_several_tasks_are_one_table(tmp_path: Path) -> None:
    head = "task,model,split,metric,series,x,seed,value,trained,trained_percent,run"
    for task, scores in {"sick": (70, 72, 74), "rte": (50, 60, 57)}.items():
        marks = [("p-tuning-v2", "nothing"), ("p-tuning-v2", "batch 8"), ("p-tuning-v2", "batch 8")]
        rows = [
            f"{task},m,dev,f1,{a},{x},{i},{s},1,1,r" for i, ((a, x), s) in enumerate(zip(marks, scores, strict=True))
        ]
        level = [f"{task},m,dev,f1,fine-tuning,,1,80,1,1,r"] if task == "sick" else []
        (tmp_path / f"{task}.csv").write_text("\n".join([head, *level, *rows]) + "\n", encoding="utf-8")
    command = [sys.executable, "scripts/changes.py", str(tmp_path / "sick.csv"), str(tmp_path / "rte.csv")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()[2:]]
    assert rows == [
        ["nothing", "70.0", "50.0", "60.0", ""],
        ["batch 8", "73.0", "58.5", "65.8", "+5.8"],
        ["fine-tuning", "80.0", "", "", ""],
    ]


def test_values_of_two_series_are_rows_of_their_own(tmp_path: Path) -> None:
    lines = [
        "task,model,split,metric,series,x,seed,value,trained,trained_percent,run",
        *(
            f"sick,m,dev,f1,{series},{x},1,{score},1,1,r"
            for series, x, score in (("a", 10, 70), ("a", 20, 72), ("b", 10, 75))
        ),
    ]
    (tmp_path / "sick.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [sys.executable, "scripts/changes.py", str(tmp_path / "sick.csv")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    names = [line.strip("|").split("|")[0].strip() for line in done.stdout.splitlines()[2:]]
    assert names == ["a, 10", "a, 20", "b, 10"]
