"""Runs that the tests of the page look at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from records import result
from report_pages import write


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Runs of two methods and three seeds on dev and test, one of a second task with two test sets, four unfinished."""
    runs = tmp_path / "runs"
    for method, start in (("fine-tuning", 80.0), ("p-tuning-v2", 78.5)):
        for seed in (1, 2, 3):
            write(runs, result(method, seed, start + seed * seed, test=start - seed))
    brown = result("prompt-tuning", 1, 60.25, test=61.5, config={"task": {"name": "roles"}})
    parts = {"dev": {"A0": {"f1": 33.3, "support": 12}}}
    brown = replace(brown, task="roles", name="roles-tiny-prompt-tuning-0", tests={"test-brown": {"accuracy": 44.125}})
    write(runs, replace(brown, parts=parts, notes=["12 texts were cut"]))
    write(runs, None, "made-tiny-p-tuning-v2-failed", state="failed", message="TrainingError: loss is nan at step 7")
    write(runs, None, "made-tiny-p-tuning-v2-stopped", state="interrupted", message="stopped at step 20 of 30")
    write(runs, None, "made-tiny-p-tuning-v2-killed", state="running")
    torn = write(runs, None, "made-tiny-p-tuning-v2-torn")
    (torn / "result.json").write_text("{")
    return runs
