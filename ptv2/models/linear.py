"""Linear maps whose weights are frozen: in fp32, on a CPU with AVX-512, through oneDNN, as torch does in bf16 already.

torch's fp32 `linear` calls MKL. Frozen weights need no gradient of their own, so both products of a training step,
`x W^T` and its gradient `g W`, can be oneDNN's. With AVX-512 that takes 7 % off a step, with AVX2 nothing
(`results/step_time.md`, made by `benchmarks/step_time.py`). On all other processors torch's own product stays.
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
    """`x W^T + b` with a gradient for x only: x `[..., in]`, W `[out, in]`, b `[out]` or None."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        product = _product(x, weight, bias)
        return torch.ops.aten._unsafe_view(product, product.shape)  # a view could not be changed in place, as some do

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        return _product(gradient, weight.t(), None), None, None


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x.contiguous(), weight, bias, "none", [], "")


def use_frozen_linear(module: nn.Module) -> None:
    """Give every frozen `nn.Linear` below `module` the product of oneDNN where it is faster; names and weights stay."""
    if not is_faster():
        return
    for layer in module.modules():
        # exactly nn.Linear: a subclass (quantized, parametrized) has a product of its own
        if type(layer) is nn.Linear and not any(p.requires_grad for p in layer.parameters()):
            layer.__class__ = FrozenLinear


def is_faster() -> bool:
    """Whether torch has oneDNN's product here, and uses AVX-512 (which an environment variable can forbid)."""
    has_product = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return has_product and torch.backends.cpu.get_cpu_capability() == "AVX512"
