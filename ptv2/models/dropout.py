"""Dropout on a CPU with one byte a mask element, drawn four at a time, and attention whose dropout keeps nothing else.

torch's own keeps its mask in the input's dtype and draws it element by element; its attention, with dropout, also keeps
the weights before and after it. Here attention weights are computed again on the way back. On other devices torch's own
are used: they have masks of one byte and fused attention.

Letters: B rows, H heads, T queries, S keys, D head size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

BITS = 1 << 16  # random numbers of 16 bits decide; a rate is met to 1/65536


def keep_mask(shape: torch.Size, rate: float) -> Tensor:
    """Booleans of `shape`, true with probability `1 - rate`, from torch's CPU generator."""
    count = math.prod(shape)
    words = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    return (words.view(torch.int16)[:count] >= round(rate * BITS) - BITS // 2).view(shape)


def dropout(values: Tensor, rate: float) -> Tensor:
    """Zero each element with probability `rate` and scale the others by `1 / (1 - rate)`."""
    if rate == 0.0:
        return values
    if values.device.type != "cpu" or torch.compiler.is_compiling():
        return functional.dropout(values, rate)
    return _Masked.apply(values, keep_mask(values.shape, rate), 1.0 / (1.0 - rate))


class Dropout(nn.Dropout):
    """`nn.Dropout` with the mask above. Made by `use_compact_dropout`."""

    def forward(self, input: Tensor) -> Tensor:
        return dropout(input, self.p) if self.training else input


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch dropout off while the context is open."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def use_compact_dropout(module: nn.Module) -> None:
    """Give every `nn.Dropout` below `module` the smaller mask."""
    for layer in module.modules():
        if type(layer) is nn.Dropout and not layer.inplace and layer.p < 1.0:
            layer.__class__ = Dropout


def attention_with_dropout(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float, rate: float
) -> Tensor:
    """`dropout(softmax(scaling q k^T + mask)) v` on a CPU.

    Args:
        query: `[B, H, T, D]`; `key` and `value`: `[B, H, S, D]`. Where autocast leaves them with several dtypes, as
            after rotations in float32, its own is taken.
        mask: additive, `[B or 1, 1 or H, T or 1, S]`, or boolean (true: visible).

    Returns:
        `[B, H, T, D]`.
    """
    if not query.dtype == key.dtype == value.dtype:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else query.dtype
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    with torch.autocast("cpu", enabled=False):
        return _Attention.apply(query, key, value, additive(mask, query.dtype), scaling, rate)


def additive(mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """What to add to scores for a mask that is true where a key is seen; other masks are added as they are."""
    if mask is None or mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, torch.finfo(dtype).min)


class _Masked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, keep: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(keep)
        ctx.scale = scale
        return (values * keep).mul_(scale)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (keep,) = ctx.saved_tensors
        return (gradient * keep).mul_(ctx.scale), None, None


class _Attention(torch.autograd.Function):
    """Keeps query, key, value, mask and which weights were dropped."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float, rate: float
    ) -> Tensor:
        weights = _weights(query, key, mask, scaling)
        keep = keep_mask(weights.shape, rate)
        ctx.save_for_backward(query, key, value, mask, keep)
        ctx.scaling, ctx.rescale = scaling, 1.0 / (1.0 - rate)
        return (weights.mul_(keep) @ value).mul_(ctx.rescale)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None, None, None]:
        query, key, value, mask, keep = ctx.saved_tensors
        gradient = gradient * ctx.rescale
        weights = _weights(query, key, mask, ctx.scaling)  # [B, H, T, S]
        of_weights = (gradient @ value.transpose(-1, -2)).mul_(keep)
        exact = torch.promote_types(weights.dtype, torch.float32)
        of_scores = torch._softmax_backward_data(of_weights.to(exact), weights.to(exact), -1, exact).to(query.dtype)
        of_value = weights.mul_(keep).transpose(-1, -2) @ gradient
        # a mask with a relative-position bias in it (deberta, mpnet) has a gradient of its own
        of_mask = of_scores.sum_to_size(mask.shape).to(mask.dtype) if ctx.needs_input_grad[3] else None
        of_query = (of_scores @ key).mul_(ctx.scaling)
        of_key = (of_scores.transpose(-1, -2) @ query).mul_(ctx.scaling)
        return of_query, of_key, of_value, of_mask, None, None


def _weights(query: Tensor, key: Tensor, mask: Tensor | None, scaling: float) -> Tensor:
    """`softmax(scaling q k^T + mask)` `[B, H, T, S]`, the softmax in float32 at least."""
    scores = (query * scaling) @ key.transpose(-1, -2)
    if mask is not None:
        scores += mask
    return functional.softmax(scores, dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(query.dtype)
