"""(IA)3 through PEFT: what it trains and computes, on every type of backbone."""

from __future__ import annotations

import pytest
import torch
from tiny import FAMILY_CONFIGS, LAYERS, gradients, mean_loss, run_config, tiny_batch, tiny_model
from transformers.pytorch_utils import Conv1D

from ptv2.errors import ConfigError
from ptv2.models.build import HeadSpec, PromptedModel, build_model, trainable_parameters

SPEC = HeadSpec("classification", 3)
FAMILIES = sorted(FAMILY_CONFIGS)


def new_model(family: str, method: str = "ia3", **settings: str) -> PromptedModel:
    """A model as a run begins with it."""
    config = {"model_type": family, **FAMILY_CONFIGS[family]}
    return build_model(run_config(config, method, hidden_dropout=None, **settings), SPEC).eval()


@pytest.mark.parametrize("family", FAMILIES)
def test_factors_and_the_head_alone_are_trained(family: str) -> None:
    """Of keys and values, or the one map that gives them, and of inner activations; albert's layers share theirs."""
    model = new_model(family)
    mean_loss(model.train(), tiny_batch()).backward()
    groups = trainable_parameters(model)
    assert gradients(model).keys() == {name for group in groups.values() for name in group}
    assert groups.keys() == {"head", "backbone"}
    assert all(name.endswith(".ia3_l.default") for name in groups["backbone"])
    fused = family in ("deberta", "gpt2", "gpt_neox", "modernbert")
    assert len(groups["backbone"]) == (2 if fused else 3) * (1 if family == "albert" else LAYERS)


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_begin_as_those_of_the_plain_backbone(family: str) -> None:
    plain = new_model(family, "head-only")(tiny_batch())["scores"]
    torch.testing.assert_close(new_model(family)(tiny_batch())["scores"], plain, rtol=0, atol=1e-8)


@pytest.mark.parametrize("family", FAMILIES)
def test_merged_weights_compute_the_same(family: str) -> None:
    """Factors in the rows or columns of the plain backbone's weights, put there without PEFT."""
    model, plain = tiny_model(family, "ia3", SPEC), tiny_model(family, "head-only", SPEC)
    tensors = dict(model.named_parameters())
    with torch.no_grad():
        for name, parameter in plain.named_parameters():
            prefix, _, leaf = name.rpartition(".")
            if name in tensors:
                parameter.copy_(tensors[name])
                continue
            factors = tensors[f"{prefix}.ia3_l.default"]  # [out, 1], or [1, in] of inner activations
            value = tensors[f"{prefix}.base_layer.{leaf}"]
            if leaf == "weight":
                value = value * (factors.T if isinstance(plain.get_submodule(prefix), Conv1D) else factors)
            elif factors.shape[1] == 1:
                value = value * factors[:, 0]
            parameter.copy_(value)
    expected = plain(tiny_batch())["scores"]
    torch.testing.assert_close(model(tiny_batch())["scores"], expected, rtol=1e-3, atol=2e-5)
    assert not torch.allclose(tiny_model(family, "head-only", SPEC)(tiny_batch())["scores"], expected, atol=1e-2)


def test_nothing_is_drawn() -> None:
    states = []
    for method in ("head-only", "ia3"):
        torch.manual_seed(7)
        new_model("bert", method)
        states.append(torch.random.get_rng_state())
    assert torch.equal(*states)


def test_a_frozen_backbone_may_be_in_half_precision() -> None:
    model = new_model("bert", dtype="bfloat16")
    assert {p.dtype for p in trainable_parameters(model)["backbone"].values()} == {torch.float32}
    mean_loss(model, tiny_batch()).backward()
    assert gradients(model).keys() == {name for group in trainable_parameters(model).values() for name in group}


def test_a_backbone_without_attention_is_refused() -> None:
    config = {"model_type": "fnet", "vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 1}
    config |= {"intermediate_size": 32, "max_position_embeddings": 40}
    with pytest.raises(ConfigError, match="method=ia3: no key and value maps is known in a fnet backbone; expected"):
        build_model(run_config(config, "ia3", attention_dropout=None), SPEC)
