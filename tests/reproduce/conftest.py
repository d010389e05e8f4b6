"""What the tests of figures share."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from figure_runs import SMALL

from ptv2.config.compose import compose
from ptv2.reproduce.jobs import list_jobs as listing
from ptv2.reproduce.options import Options


@pytest.fixture
def composed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal words are composed once: most of the time here would go into Hydra."""
    known = cache(lambda words, config_dir: compose(list(words), config_dir))
    monkeypatch.setattr(listing, "compose", lambda words, config_dir: known(tuple(words), config_dir))


@pytest.fixture
def options(tmp_path: Path, composed_once: None) -> Options:
    """A figure of the tiny backbone on the made-up task, from the runs that there are."""
    return Options(
        figure="depth",
        task="mini-inference",
        model="tiny",
        seeds=(1, 2, 3),
        out=str(tmp_path / "runs"),
        results=tmp_path / "results",
        overrides=SMALL,
        collect=True,
    )
