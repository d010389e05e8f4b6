"""What several modules train on."""

from __future__ import annotations

from pathlib import Path

import pytest
from commandline import write_sentences
from tracked_runs import train_untracked


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences of two classes in files for a classification."""
    return write_sentences(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def untracked(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that no tracker saw."""
    return train_untracked(data, tmp_path_factory.mktemp("untracked"))
