"""Tell which process of a training this is, by the variables that `accelerate launch` and `torchrun` set."""

from __future__ import annotations

import os

STARTED_BY = "PTV2_STARTED_BY"  # the id of the process that the user started; jobs of a sweep may have their own


def note_start() -> None:
    """Note that the user started this process."""
    os.environ[STARTED_BY] = str(os.getpid())


def is_started_by_user() -> bool:
    """Whether this process may draw into the terminal."""
    return os.environ.get(STARTED_BY, str(os.getpid())) == str(os.getpid())


def is_main_process() -> bool:
    """Whether this is the process of a training that prints and writes files."""
    return os.environ.get("RANK", "0") == "0"


def is_alone() -> bool:
    """Whether no other process trains the same run."""
    return os.environ.get("WORLD_SIZE", "1") == "1"
