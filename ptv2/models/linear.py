"""Linear maps whose weights are frozen: on a CPU in fp32 through oneDNN, the library that torch takes for bf16 already.

torch's fp32 `linear` calls MKL, which is slower than oneDNN on processors of other makers than Intel. Frozen weights
need no gradient of their own, so both products of a step, `x W^T` and its gradient `g W`, are such calls. oneDNN is
slow on a transposed view with AVX2, so each weight that the backward pass reads is also kept transposed.
`benchmarks/step_time.py` compares with stock torch on each instruction set; `results/step_time.md` has the numbers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class FrozenLinear(nn.Linear):
    """`nn.Linear` without gradients of weight and bias. Made by `use_frozen_linear`, never directly."""

    # The weight that a transposed copy was made of, by address and version, and the copy `[in, out]`; see `transposed`.
    _transposed: tuple[int, int, Tensor] | None = None
    # False where a weight is here only while it is used (a sharded backbone): a copy would undo the sharding.
    keeps_transposed = True

    def forward(self, input: Tensor) -> Tensor:
        plain = (
            input.device.type != "cpu"
            or input.dtype != torch.float32
            or self.weight.dtype != torch.float32
            or self.weight.requires_grad
            or torch.is_autocast_enabled("cpu")
            or torch.compiler.is_compiling()
        )
        return super().forward(input) if plain else _FrozenProduct.apply(input, self)

    def transposed(self) -> Tensor:
        """The weight transposed `[in, out]`, made at the first backward pass and again if the weight has changed.

        It is no parameter and no buffer: it is not saved, counted or moved, and costs as many bytes as the weight.
        """
        weight = self.weight
        if not self.keeps_transposed:
            return weight.t()
        made_of = (weight.data_ptr(), weight._version)
        if self._transposed is None or self._transposed[:2] != made_of:
            self._transposed = (*made_of, weight.detach().t().contiguous())
        return self._transposed[2]


class _FrozenProduct(torch.autograd.Function):
    """`x W^T + b` with a gradient for x only: x `[..., in]`, W `[out, in]`, b `[out]` or None."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, module: FrozenLinear) -> Tensor:
        ctx.module = module
        return _product(x, module.weight, module.bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _product(gradient, ctx.module.transposed(), None), None


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
