"""Linear maps whose weights are frozen: on a CPU in fp32 through oneDNN, the library that torch takes for bf16 already.

torch's fp32 `linear` calls MKL, which is slower than oneDNN on processors of other makers than Intel (by a third on an
AMD EPYC; `benchmarks/step_time.py`). Frozen weights need no gradient of their own, so both products of a step, `x W^T`
and its gradient `g W`, are such calls.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class FrozenLinear(nn.Linear):
    """`nn.Linear` without gradients of weight and bias. Made by `use_frozen_linear`, never directly."""

    def forward(self, input: Tensor) -> Tensor:
        plain = (
            input.device.type != "cpu"
            or input.dtype != torch.float32
            or self.weight.dtype != torch.float32
            or self.weight.requires_grad
            or torch.is_autocast_enabled("cpu")
            or torch.compiler.is_compiling()
        )
        return super().forward(input) if plain else _FrozenProduct.apply(input, self.weight, self.bias)


class _FrozenProduct(torch.autograd.Function):
    """`x W^T + b` with a gradient for x only: x `[..., in]`, W `[out, in]`, b `[out]` or none."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        return _product(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        return _product(gradient, weight.t(), None), None, None


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x.contiguous(), weight, bias, "none", [], "")


def use_frozen_linear(module: nn.Module) -> None:
    """Give every frozen `nn.Linear` below `module` the faster product, where torch has it; names and weights stay."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return
    for part in module.modules():
        # exactly nn.Linear: a subclass (quantized, parametrized) has a product of its own
        if type(part) is nn.Linear and not any(p.requires_grad for p in part.parameters()):
            part.__class__ = FrozenLinear
