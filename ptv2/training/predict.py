"""Scores of a trained model for all examples of a split."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from ptv2.data.batches import sorted_batches
from ptv2.data.encode import EncodedSet


def predict(
    model: nn.Module,
    data: EncodedSet,
    batch_size: int,
    accelerator: Accelerator,
    check: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Scores of every example, on every process, in the order of the examples.

    Args:
        model: the bare model, not the one wrapped for several processes (their numbers of batches differ).
        batch_size: examples a forward pass on each process.
        check: called before each batch, as often on every process; may raise to stop.

    Returns:
        `[N, classes]` or `[N, choices]`, float32.
    """
    was_training = model.training
    model.eval()
    parts: list[tuple[list[int], np.ndarray]] = []
    batches = sorted_batches(data.lengths, batch_size)
    with torch.inference_mode(), accelerator.autocast():
        for start in range(0, len(batches), accelerator.num_processes):
            check()
            if start + accelerator.process_index >= len(batches):
                break
            indices = batches[start + accelerator.process_index]
            batch = {name: tensor.to(accelerator.device) for name, tensor in data.batch(indices).items()}
            parts.append((indices, model(batch)["scores"].float().cpu().numpy()))
    model.train(was_training)
    if accelerator.num_processes > 1:
        parts = gather_object(parts)
    scores = np.empty((len(data), *parts[0][1].shape[1:]), dtype=np.float32)
    for indices, rows in parts:
        scores[indices] = rows
    return scores
