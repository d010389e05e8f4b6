"""The first cases of each campaign of `make torture`, with a seed of their own."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from torture.__main__ import CAMPAIGNS
from torture.frame import Campaign, attempts

CASES = {"mutations": 8, "damage": 2, "kills": 2, "limits": 3, "together": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where campaigns keep what they share."""
    return tmp_path_factory.mktemp("torture")


@pytest.mark.parametrize("kind", CAMPAIGNS, ids=lambda kind: kind.name)
def test_the_first_cases_end_as_they_should(kind: type[Campaign], folder: Path) -> None:
    tried = list(attempts(kind(), 0, range(CASES[kind.name]), folder, time.monotonic() + 600))
    assert [(number, trial.about, trial.faults) for number, trial in tried if trial.faults] == []
    assert len(tried) == CASES[kind.name]
