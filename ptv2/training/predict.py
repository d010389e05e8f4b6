"""Scores of a trained model for all examples of a split."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from ptv2.data.arrays import ranges
from ptv2.data.batches import sorted_batches
from ptv2.data.tokens import EncodedSet
from ptv2.errors import NonFiniteError
from ptv2.models.dropout import evaluating
from ptv2.training.transfer import send


def predict(
    model: nn.Module,
    data: EncodedSet,
    batch_size: int,
    accelerator: Accelerator,
    check: Callable[[], None] = lambda: None,
    named: str = "examples",
) -> np.ndarray:
    """Scores of every example, or of every token, on every process, in the order of the examples.

    Args:
        model: the bare model, not the one wrapped for several processes (their numbers of batches differ).
        batch_size: examples a forward pass on each process.
        check: called before each batch, as often on every process; may raise to stop.
        named: what the rows of `data` are, for messages.

    Returns:
        `[N, classes]` or `[N, choices]`, float32; of heads that score tokens `[tokens, outputs]` without padding.

    Raises:
        NonFiniteError: scores are NaN or infinite.
    """
    parts: list[tuple[list[int], np.ndarray, bool]] = []
    batches = sorted_batches(data.lengths, batch_size)
    with evaluating(model), torch.inference_mode(), accelerator.autocast():
        for start in range(0, len(batches), accelerator.num_processes):
            check()
            number = start + accelerator.process_index
            mine = number < len(batches)
            indices = batches[number if mine else 0]  # a process without a batch left helps to gather sharded weights
            batch = data.batch(indices)
            outputs = model(send(batch, accelerator.device))["scores"]
            of_tokens = outputs.dim() == 3  # [B, T, outputs]
            rows = outputs.float().cpu()
            if of_tokens:
                rows = rows[batch["attention_mask"] != 0]
            if mine:
                parts.append((indices, rows.numpy(), of_tokens))
    if accelerator.num_processes > 1:
        parts = gather_object(parts)
    _, rows, of_tokens = parts[0]
    starts = data.tokens.starts
    scores = np.empty((starts[-1] if of_tokens else len(data), *rows.shape[1:]), dtype=np.float32)
    for indices, rows, _ in parts:
        at = np.asarray(indices)
        scores[ranges(starts[at], starts[at + 1]) if of_tokens else at] = rows
    if damaged := sum(not np.isfinite(rows).all() for _, rows, _ in parts):
        raise NonFiniteError(
            f"the scores of {named} are not finite (NaN or infinity, in {damaged} of {len(parts)} batches)"
        )
    return scores
