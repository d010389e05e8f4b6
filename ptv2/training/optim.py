"""Optimizer and schedule: parameter groups with rates of their own, two kinds of AdamW, pure learning-rate factors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Protocol, overload

import torch
from torch import Tensor, nn

from ptv2.config.schema import OptimConfig


class Trainable(Protocol):
    """A model that says what of it is trained: `prompt`, `head` and `backbone`, each parameters by name."""

    def trainable_parameters(self) -> dict[str, dict[str, nn.Parameter]]: ...


class TransformersAdamW(torch.optim.Optimizer):
    """AdamW as transformers 4 had it, and the published runs used it: eps is added before the bias correction.

    `torch.optim.AdamW` divides by `sqrt(v / (1 - b2^t)) + eps`, this one by `(sqrt(v) + eps) / sqrt(1 - b2^t)`, so
    parameters with small gradients move less in early steps. Weight decay is decoupled and comes after the update.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            by_step: dict[float, list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_step.setdefault(self._next_step(parameter), []).append(parameter)
            for step, parameters in by_step.items():
                self._update(parameters, step, group)
        return loss

    def _next_step(self, parameter: nn.Parameter) -> float:
        """Count a step of one parameter; the count is a number, which no device has to be asked for."""
        state = self.state[parameter]
        if not state:
            state["step"] = 0.0
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] = float(state["step"]) + 1  # a tensor when it comes from a saved state
        return state["step"]

    def _update(self, parameters: list[Tensor], step: float, group: dict[str, Any]) -> None:
        """Update parameters that have made as many steps, all of them in each operation."""
        first, second = group["betas"]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        means: list[Tensor] = [self.state[parameter]["exp_avg"] for parameter in parameters]
        squares: list[Tensor] = [self.state[parameter]["exp_avg_sq"] for parameter in parameters]
        torch._foreach_mul_(means, first)
        torch._foreach_add_(means, gradients, alpha=1 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - second)
        denominators = list(torch._foreach_sqrt(squares))
        torch._foreach_add_(denominators, group["eps"])
        size = group["lr"] * math.sqrt(1 - second**step) / (1 - first**step)
        torch._foreach_addcdiv_(parameters, means, denominators, value=-size)
        if group["weight_decay"] > 0:
            torch._foreach_add_(parameters, parameters, alpha=-group["lr"] * group["weight_decay"])


def build_optimizer(model: Trainable, cfg: OptimConfig) -> torch.optim.Optimizer:
    """The AdamW of `cfg` over what `model` trains, a learning rate for each group.

    Biases and the weights of layer norms (parameters of one dimension) do not decay.
    """
    rates = {"prompt": cfg.prompt_lr, "head": cfg.head_lr, "backbone": cfg.backbone_lr}
    groups = []
    devices = set()
    for name, parameters in model.trainable_parameters().items():
        lr = cfg.lr if rates[name] is None else rates[name]
        for decays in (True, False):
            chosen = [parameter for parameter in parameters.values() if (parameter.ndim > 1) == decays]
            devices |= {parameter.device.type for parameter in chosen}
            if chosen:
                decay = cfg.weight_decay if decays else 0.0
                groups.append({"params": chosen, "lr": lr, "weight_decay": decay, "name": name})
    if cfg.adamw == "transformers-4":
        return TransformersAdamW(groups, lr=cfg.lr, betas=cfg.betas, eps=cfg.eps)
    # Left to itself on a CPU, torch goes over the weights once for every operation: many times slower for a backbone.
    # On a GPU, fp16's scaler needs no answer of the device then.
    fused = True if devices in ({"cpu"}, {"cuda"}) else None  # None: as torch chooses
    return torch.optim.AdamW(groups, lr=cfg.lr, betas=cfg.betas, eps=cfg.eps, fused=fused)


def learning_rate_factor(cfg: OptimConfig, step: int, total_steps: int, steps_per_epoch: int) -> float:
    """Factor on the learning rate in step `step` (from 0) of `total_steps`.

    Warm-up rises linearly from 0 over its share of all steps. `linear` then falls to 0 at the end, `exponential` is
    `decay` to the power of the epoch (constant within an epoch), `constant` stays.
    """
    warmup = math.ceil(cfg.warmup * total_steps)
    if step < warmup:
        return step / warmup
    if cfg.schedule == "linear":
        return max(0.0, (total_steps - step) / (total_steps - warmup))
    if cfg.schedule == "exponential":
        return cfg.decay ** (step // steps_per_epoch)
    return 1.0
