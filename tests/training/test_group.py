"""Trainings over one backbone whose joint pass fails."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny_model
from trainers import make_trainer

from ptv2.training import together
from ptv2.training.together import Group, current_member


def test_a_failed_pass_is_gone_before_two_smaller_ones_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an error still holds would leave the smaller passes no room, and every job would fail."""
    failed: list[weakref.ref[torch.Tensor]] = []
    left: list[bool] = []

    class Small(together.JointPass):
        def __init__(self, backbone: torch.nn.Module, handed: Any, pad_id: int) -> None:
            super().__init__(backbone, handed, pad_id)
            if len(handed) > 1:
                failed.append(weakref.ref(self._whole))
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(together, "SEPARATE", frozenset())
    monkeypatch.setattr(together, "JointPass", Small)
    monkeypatch.setattr(together, "empty_cache", lambda: left.append(failed[-1]() is not None))
    steps: list[int] = []

    def train(number: int) -> None:
        trainer = make_trainer(tmp_path / str(number), model=tiny_model("bert", "p-tuning-v2"), max_steps=2)
        member = current_member()
        assert member is not None
        member.join(trainer.model, trainer.accelerator)
        steps.append(trainer.fit().step)

    Group(print).run([lambda number=number: train(number) for number in range(3)])  # type: ignore[misc]
    assert steps == [2, 2, 2]
    assert len(left) == 4  # in each step one pass of all three, and one of the last two
    assert not any(left)
