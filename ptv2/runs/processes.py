"""Which of a training's processes this is, by the variables that `accelerate launch` and `torchrun` set."""

from __future__ import annotations

import os

STARTED_BY = "PTV2_STARTED_BY"  # the id of the process that the user started; jobs of a sweep may run in others


def note_start() -> None:
    """Make this process the one that the user started."""
    os.environ[STARTED_BY] = str(os.getpid())


def is_started_by_user() -> bool:
    """Whether this process may draw into the terminal."""
    return os.environ.get(STARTED_BY, str(os.getpid())) == str(os.getpid())


def is_main_process() -> bool:
    """Whether this is the one of several processes of a training that speaks and writes."""
    return os.environ.get("RANK", "0") == "0"


def is_alone() -> bool:
    """Whether no other process trains the same run."""
    return os.environ.get("WORLD_SIZE", "1") == "1"
