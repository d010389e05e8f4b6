"""scripts/trials.py: the tables of results/defaults.md are what it prints of the comparison beside them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_of_defaults_has_the_tables_of_its_command() -> None:
    comparison = "results/compare-sick-sst2-conll04-minilm.json"
    command = [sys.executable, "scripts/trials.py", comparison]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    page = (ROOT / "results" / "defaults.md").read_text(encoding="utf-8")
    assert f"python scripts/trials.py {comparison}" in page
    assert done.stdout.count("### ") == 6
    assert done.stdout in page
