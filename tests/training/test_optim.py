"""20 steps of the published trainers, with both AdamW; groups and schedules."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from published import Case
from tiny import tiny_model

from ptv2.config.schema import OptimConfig
from ptv2.models.build import trainable_parameters
from ptv2.training.optim import TransformersAdamW, build_optimizer, learning_rate_factor

SCHEDULES = {"optim_bert_seqcls": "linear", "optim_bert_tokcls_expdecay": "exponential"}


def train(case: Case, cfg: OptimConfig) -> dict[str, list[float]]:
    """The published loop in our parts: losses, rates and gradient norms of 20 steps."""
    model = case.model.train()
    steps, per_epoch = case.about["steps"], case.about["batches"]
    parameters = [p for group in trainable_parameters(model).values() for p in group.values()]
    optimizer = build_optimizer(model, cfg)
    log: dict[str, list[float]] = {"loss": [], "learning_rate": [], "grad_norm_before_clipping": []}
    inputs = {key: case.of("steps.")[key] for key in ("input_ids", "attention_mask", "token_type_ids", "labels")}
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = cfg.lr * learning_rate_factor(cfg, step, steps, per_epoch)
        output = model({key: tensor[step % per_epoch] for key, tensor in inputs.items()})
        loss = output["loss_sum"] / output["count"]
        optimizer.zero_grad()
        loss.backward()
        log["loss"].append(loss.item())
        log["learning_rate"].append(optimizer.param_groups[0]["lr"])
        log["grad_norm_before_clipping"].append(torch.nn.utils.clip_grad_norm_(parameters, 1.0).item())
        optimizer.step()
    return log


@pytest.mark.parametrize("adamw", ["transformers-4", "torch"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_twenty_published_steps(name: str, adamw: str) -> None:
    case = Case(name)
    frozen = {key: p.clone() for key, p in case.published().items() if not p.requires_grad}
    log = train(case, OptimConfig.model_validate({"lr": 5e-3, "adamw": adamw, "schedule": SCHEDULES[name]}))
    suffix = "" if adamw == "transformers-4" else "_torch_adamw"
    expected = case.of("steps.")
    torch.testing.assert_close(torch.tensor(log["loss"]), expected[f"loss{suffix}"], atol=2e-5, rtol=0)
    torch.testing.assert_close(torch.tensor(log["learning_rate"]), expected["learning_rate"], atol=1e-8, rtol=0)
    if not suffix:
        norms = torch.tensor(log["grad_norm_before_clipping"])
        torch.testing.assert_close(norms, expected["grad_norm_before_clipping"], atol=1e-4, rtol=0)
    final = case.of(f"steps.final{suffix}.")
    published = case.published()
    assert len(final) == 3
    for key, tensor in final.items():
        torch.testing.assert_close(published[key].data, case.arranged(key, tensor), atol=2e-5, rtol=0, msg=key)
    for key, before in frozen.items():
        assert torch.equal(published[key], before), f"{key} moved"


def test_groups_have_their_own_rates_and_biases_do_not_decay() -> None:
    model = tiny_model("bert", "fine-tuning")
    cfg = OptimConfig(lr=1e-3, head_lr=2e-3, backbone_lr=3e-3, weight_decay=0.1)
    groups = build_optimizer(model, cfg).param_groups
    assert {group["name"]: group["lr"] for group in groups} == {"head": 2e-3, "backbone": 3e-3}
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert len(decays) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        assert decays[id(parameter)] == (0.0 if name.endswith("bias") or "LayerNorm" in name else 0.1), name


def test_a_prompt_rate_reaches_the_prompt_only() -> None:
    model = tiny_model("bert")
    groups = build_optimizer(model, OptimConfig(lr=1e-3, prompt_lr=5e-2, adamw="transformers-4")).param_groups
    assert {group["name"]: group["lr"] for group in groups} == {"prompt": 5e-2, "head": 1e-3}


def test_first_step_by_hand() -> None:
    """Step 1: m = 0.1 g, v = 0.001 g^2; size lr sqrt(0.001) / 0.1; decay comes last."""
    parameter = torch.nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    optimizer = TransformersAdamW([parameter], lr=0.1, eps=1e-2, weight_decay=0.5)
    parameter.grad = torch.tensor([3.0], dtype=torch.float64)
    optimizer.step()
    moved = 2.0 - 0.1 * (0.001**0.5 / 0.1) * 0.3 / (0.001**0.5 * 3.0 + 1e-2)
    assert parameter.item() == pytest.approx(moved * (1 - 0.1 * 0.5), rel=1e-9)


@pytest.mark.parametrize(
    ("settings", "factors"),
    [
        ({"schedule": "linear"}, [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]),
        ({"schedule": "linear", "warmup": 0.2}, [0.0, 0.5, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]),
        ({"schedule": "exponential", "decay": 0.5}, [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25]),
        ({"schedule": "constant", "warmup": 0.1}, [0, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        ({"schedule": "constant", "warmup": 0.31}, [0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1]),  # of a started step all
    ],
)
def test_learning_rate_factor(settings: dict[str, Any], factors: list[float]) -> None:
    cfg = OptimConfig.model_validate({"lr": 1.0, **settings})
    assert [learning_rate_factor(cfg, step, 10, 4) for step in range(10)] == pytest.approx(factors)
