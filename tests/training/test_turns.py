"""Jobs in turns on a CPU: a pass that fails, and a job that ends at once, change nothing for the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from ptv2.training.together import Group, current_member

TOO_LONG = 7  # tokens for which the memory does not suffice
Log = list[tuple[int, Any]]


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(4, 4).requires_grad_(False)

    def forward(self, inputs_embeds: Tensor, attention_mask: None) -> SimpleNamespace:
        if inputs_embeds.shape[1] == TOO_LONG:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return SimpleNamespace(last_hidden_state=torch.dropout(self.map(inputs_embeds), 0.5, True))


def job(number: int, lengths: Sequence[int], backbone: Backbone, log: Log) -> Callable[[], None]:
    """A training with a step for each of `lengths`; without any it was finished before."""

    def run() -> None:
        member = current_member()
        assert member is not None
        if not lengths:
            return
        model: Any = SimpleNamespace(backbone=backbone, config=SimpleNamespace(pad_token_id=0), together=None)
        torch.manual_seed(number)
        member.join(model, SimpleNamespace(device=torch.device("cpu"), autocast=nullcontext))
        prompt = nn.Parameter(torch.ones(1, 1, 4))
        for length in lengths:
            try:
                inputs = {"inputs_embeds": prompt.expand(2, length, 4), "attention_mask": None}
                model.together.forward(inputs, None).sum().backward()
                model.together.backward()
                assert prompt.grad is not None
                log.append((number, prompt.grad.sum().item()))
                prompt.grad = None
            except RuntimeError as error:
                log.append((number, str(error)))

    return run


def test_each_job_has_the_numbers_and_errors_that_it_has_alone() -> None:
    torch.manual_seed(0)
    backbone = Backbone()
    jobs = {1: [3, TOO_LONG, 3], 2: [], 3: [3, 5, 3, 3], 4: [TOO_LONG, TOO_LONG, 2]}
    together: Log = []
    Group(print).run([job(number, lengths, backbone, together) for number, lengths in jobs.items()])
    assert len(together) == sum(map(len, jobs.values()))
    assert [number for number, _ in together[:4]] == [1, 3, 4, 1]  # in turns
    for number, lengths in jobs.items():
        alone: Log = []
        Group(print).run([job(number, lengths, backbone, alone)])
        assert [one for one in together if one[0] == number] == alone
