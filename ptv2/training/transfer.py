"""Batches on their way to the device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ptv2.data.mixture import HEAD
from ptv2.data.words import IGNORED

MULTIPLE = 8  # of lengths, for the tensor cores of GPUs in half precision


def send(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Copy a batch to `device`, beside the computing where that is a GPU; the number of its head stays on the CPU.

    A mask without padding is left out, so that nobody has to read it on the device to know that.
    """
    if "attention_mask" in batch and batch["attention_mask"].numpy().all():
        batch = {name: tensor for name, tensor in batch.items() if name != "attention_mask"}
    pinned = device.type == "cuda"
    return {
        name: tensor if name == HEAD else (tensor.pin_memory() if pinned else tensor).to(device, non_blocking=pinned)
        for name, tensor in batch.items()
    }


def widen(batch: dict[str, Tensor], prompt_length: int, pad_id: int) -> dict[str, Tensor]:
    """Pad a batch until prompt and text together are a multiple of `MULTIPLE` tokens; one of answers stays as it is.

    The places of answers are numbers of tokens, one behind the last of them included.
    """
    length = batch["input_ids"].shape[-1]
    more = -(prompt_length + length) % MULTIPLE
    if not more or "start_positions" in batch:
        return batch
    fill = {"input_ids": pad_id, "attention_mask": 0, "token_type_ids": 0, "labels": IGNORED}
    of_tokens = {name for name in fill if name in batch and batch[name].dim() == batch["input_ids"].dim()}
    return {
        name: functional.pad(tensor, (0, more), value=fill[name]) if name in of_tokens else tensor
        for name, tensor in batch.items()
    }
