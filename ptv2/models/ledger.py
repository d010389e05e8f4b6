"""What one training step needs, counted on tensors without contents: no weight is loaded and nothing is computed.

A step of the real model runs under torch's `FakeTensorMode`; a ledger reads every operation's shapes. So whatever
decides the cost is in it by itself: which products have no weight gradient, which layers no backward pass reaches,
what autocast copies, what gradient checkpointing drops. Attention is counted as the fused function of GPUs, which
keeps no attention weights.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from ptv2.models.attention import AttentionOutput, heads_and_scale, is_causal_here, with_prompts
from ptv2.models.build import PromptedModel, trained_by_name
from ptv2.models.linear import FrozenLinear

FUSED = "ptv2_fused"  # name of the attention function below
OPTIMIZER_VALUES = 2  # AdamW keeps two numbers a trained parameter


@dataclass(frozen=True)
class StepCost:
    """Counts of one forward and backward pass; memory in bytes, operations as 2 a multiply and add of a product."""

    parameters: int
    trained: int
    weights: int
    gradients: int
    optimizer: int
    activations: int  # what the forward pass keeps for the backward pass
    peak: int  # the most that weights, optimizer and a pass have at once
    forward: int
    backward: int

    @property
    def operations(self) -> int:
        return self.forward + self.backward


@contextmanager
def without_contents() -> Iterator[None]:
    """Where modules and tensors are made that have a shape and a type, and no memory."""
    with FakeTensorMode():
        yield


def count_step(model: PromptedModel, batch: dict[str, Tensor], *, half: bool, less: int = 0) -> StepCost:
    """Count a training step of `model` on `batch`, both made `without_contents` (and called there).

    Args:
        batch: as `PromptedModel.forward` takes it, with labels.
        half: whether the forward pass runs under autocast to a type of two bytes.
        less: bytes that quantization takes from the weights.
    """
    for module in model.modules():  # its product is for CPUs, and has other names than the ledger knows
        if type(module) is FrozenLinear:
            module.__class__ = nn.Linear  # type: ignore[assignment]
    model.train()
    tensors = [*model.parameters(), *model.buffers()]
    trained = trained_by_name(model).values()
    weights = _size(tensors) - less
    gradients = _size(trained)
    optimizer = OPTIMIZER_VALUES * gradients
    with _Ledger([*tensors, *batch.values()]) as ledger:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = model(batch)["loss_sum"]
        forward, activations = ledger.operations, ledger.level
        loss.backward()
    return StepCost(
        parameters=sum(p.numel() for p in model.parameters()),
        trained=sum(p.numel() for p in trained),
        weights=weights,
        gradients=gradients,
        optimizer=optimizer,
        activations=activations,
        peak=weights + optimizer + ledger.peak,
        forward=forward,
        backward=ledger.operations - forward,
    )


class _Ledger(TorchDispatchMode):
    """Operations of matrix products, and the bytes of all storages that are alive, as operations come by."""

    def __init__(self, known: Iterable[Tensor]) -> None:
        """Begin with nothing; storages of `known` tensors are not counted."""
        super().__init__()
        self.operations = 0
        self.level = 0
        self.peak = 0
        self._seen = {_key(tensor) for tensor in known}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.operations += formula(*args, **(kwargs or {}), out_val=out)
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self._enter(leaf)
        return out

    def _enter(self, tensor: Tensor) -> None:
        key = _key(tensor)
        if key in self._seen:
            return
        storage = tensor.untyped_storage()
        self._seen.add(key)
        self.level += storage.nbytes()
        self.peak = max(self.peak, self.level)
        weakref.finalize(storage, self._leave, key, storage.nbytes())

    def _leave(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.level -= size


def _key(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _size(tensors: Iterable[Tensor]) -> int:
    """Bytes of the different storages of `tensors`: tied weights count once."""
    return sum({_key(tensor): tensor.untyped_storage().nbytes() for tensor in tensors}.values())


def fused_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> AttentionOutput:
    """The shapes of what a GPU's fused attention makes and keeps; there is nothing in it to compute with."""
    key, value, scale = heads_and_scale(module, query, key, value, options.get("scaling"))
    causal = attention_mask is None and is_causal_here(module, options.get("is_causal"))
    if attention_mask is not None:
        if attention_mask.dtype == torch.bool:
            attention_mask = torch.zeros_like(attention_mask, dtype=query.dtype)
        attention_mask = attention_mask.expand(*query.shape[:3], key.shape[2])
    out = torch.ops.aten._scaled_dot_product_efficient_attention(
        query, key, value, attention_mask, True, options.get("dropout", 0.0), causal, scale=scale
    )[0]
    return out.transpose(1, 2).contiguous(), None


AttentionInterface.register(FUSED, with_prompts(fused_attention))
AttentionMaskInterface.register(FUSED, sdpa_mask)
