"""Runs made by earlier versions are still found: the hashes of `pinned_runs.tsv`, computed at 771ac9f, never change.

A line that must change, because a number changed, is changed by hand; CHANGELOG.md says how earlier runs are found.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ptv2.config.compose import compose
from ptv2.config.identity import run_hash, shared_hash
from ptv2.config.multitask import shared_parts

PINNED = Path(__file__).with_name("pinned_runs.tsv").read_text(encoding="utf-8").splitlines()


def test_there_are_enough_of_them() -> None:
    assert len(PINNED) == len(set(PINNED)) >= 60


@pytest.mark.parametrize("line", PINNED, ids=lambda line: line.replace("\t", " "))
def test_a_configuration_keeps_its_hash(line: str) -> None:
    known, _, overrides = line.partition("\t")
    config = compose(overrides.split())
    shared = None
    if config.multitask is not None:
        shared = shared_hash(config, dict.fromkeys(shared_parts(config), "data"), "model")
    assert run_hash(config, "data", "model", shared) == known
