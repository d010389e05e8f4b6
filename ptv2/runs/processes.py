"""Which of a training's processes this is, by the variables that `accelerate launch` and `torchrun` set."""

from __future__ import annotations

import os


def is_main_process() -> bool:
    """Whether this is the one of several processes of a training that speaks and writes."""
    return os.environ.get("RANK", "0") == "0"


def is_alone() -> bool:
    """Whether no other process trains the same run."""
    return os.environ.get("WORLD_SIZE", "1") == "1"
