"""Batches on their way to the device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ptv2.data.mixture import HEAD
from ptv2.data.words import IGNORED

MULTIPLE = 8  # of lengths, for the tensor cores of GPUs in half precision


def send(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Copy a batch to `device`, to a GPU while it computes; the number of its head stays on the CPU.

    A mask without padding is left out: to find that out on the device would mean to wait for it.
    """
    if "attention_mask" in batch and batch["attention_mask"].numpy().all():
        batch = {name: tensor for name, tensor in batch.items() if name != "attention_mask"}
    pinned = device.type == "cuda"
    return {
        name: tensor if name == HEAD else (tensor.pin_memory() if pinned else tensor).to(device, non_blocking=pinned)
        for name, tensor in batch.items()
    }


def widen(batch: dict[str, Tensor], prompt_length: int, pad_id: int, longest: int | None) -> dict[str, Tensor]:
    """Pad a batch until prompt and text together are a multiple of `MULTIPLE` tokens.

    A batch of questions stays as it is, since its targets may be the number behind the last token.

    Args:
        longest: the longest text that fits beside the prompt; None: no limit. No batch becomes longer.
    """
    length = batch["input_ids"].shape[-1]
    more = -(prompt_length + length) % MULTIPLE
    too_long = longest is not None and length + more > longest
    if not more or too_long or "start_positions" in batch:
        return batch
    fill = {"input_ids": pad_id, "attention_mask": 0, "token_type_ids": 0, "labels": IGNORED}
    of_tokens = {name for name in fill if name in batch and batch[name].dim() == batch["input_ids"].dim()}
    return {
        name: functional.pad(tensor, (0, more), value=fill[name]) if name in of_tokens else tensor
        for name, tensor in batch.items()
    }
