"""MPNet: without prompts the library's own, with prompts an independent computation."""

from __future__ import annotations

import math

import pytest
import torch
from tiny import FAMILY_CONFIGS, enlarge, run_config, tiny_batch
from torch import Tensor
from torch.nn import functional
from transformers import MPNetConfig, MPNetModel

from ptv2.models.build import HeadSpec, PromptedModel, build_model
from ptv2.models.prompts import DeepPrompts
from ptv2.models.relative import PromptedMPNet

SPECS = [HeadSpec("classification", 3), HeadSpec("choice", 2), HeadSpec("tagging", 5), HeadSpec("span", 2)]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_without_prompts_it_is_the_librarys_mpnet(attention: str) -> None:
    """With a bias of relative positions that matters; prompts are held against attention by hand in test_attention."""
    config = {"model_type": "mpnet", **FAMILY_CONFIGS["mpnet"]}
    model = build_model(run_config(config, "fine-tuning", attention=attention), HeadSpec("tagging", 3)).eval()
    enlarge(model)
    assert isinstance(model.backbone, PromptedMPNet)
    theirs = MPNetModel(MPNetConfig(**FAMILY_CONFIGS["mpnet"]), add_pooling_layer=False).eval()
    theirs.load_state_dict(model.backbone.state_dict())  # the same names
    batch = tiny_batch(pad=1)
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    expected = theirs(**inputs).last_hidden_state
    torch.testing.assert_close(model.backbone(**inputs).last_hidden_state, expected, atol=1e-5, rtol=0)
    torch.nn.init.zeros_(theirs.encoder.relative_attention_bias.weight)
    assert (theirs(**inputs).last_hidden_state - expected).abs().max() > 1e-2


def position_bucket(distance: int, buckets: int = 32, furthest: int = 128) -> int:
    """The row of MPNet's table for key minus query (Song et al. 2020; T5's buckets, one number at a time)."""
    half = buckets // 2
    row = half if distance > 0 else 0
    far = abs(distance)
    near = half // 2
    if far < near:
        return row + far
    step = int(math.log(far / near) / math.log(furthest / near) * (half - near))
    return row + min(near + step, half - 1)


def hidden_by_hand(model: PromptedModel, batch: dict[str, Tensor]) -> Tensor:
    """MPNet's hidden states `[B, T, hidden]` in float64 from its weights, with prompts before keys and values."""
    assert isinstance(model.prompts, DeepPrompts)
    weights = {name: tensor.double() for name, tensor in model.backbone.state_dict().items()}
    prompt = model.prompts.prompt.double()  # [layers, 2, heads, P, D]
    layers, _, heads, length, size = prompt.shape
    ids, mask = batch["input_ids"], batch["attention_mask"]

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x: Tensor, name: str) -> Tensor:
        return functional.layer_norm(
            x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], model.config.layer_norm_eps
        )

    first = model.config.pad_token_id + 1 + length  # prompts shift the text, as in the published code
    positions = torch.where(mask == 1, mask.cumsum(-1) - 1 + first, model.config.pad_token_id)
    table = "embeddings.word_embeddings.weight", "embeddings.position_embeddings.weight"
    hidden = norm(weights[table[0]][ids] + weights[table[1]][positions], "embeddings.LayerNorm")
    steps = range(ids.shape[1])
    rows = torch.tensor([[position_bucket(key - query) for key in steps] for query in steps])
    bias = weights["encoder.relative_attention_bias.weight"][rows].permute(2, 0, 1)  # [heads, T, T]
    bias = bias + torch.where(mask == 1, 0.0, -math.inf)[:, None, None, :]  # [B, heads, T, T]
    bias = torch.cat((torch.zeros(*bias.shape[:-1], length), bias), dim=-1)  # 0 on the prompt's columns
    for layer in range(layers):
        at = f"encoder.layer.{layer}"
        query, key, value = (linear(hidden, f"{at}.attention.attn.{x}").unflatten(-1, (heads, size)) for x in "qkv")
        keys, values = (
            torch.cat((prompt[layer, part].transpose(0, 1).expand(len(ids), -1, -1, -1), text), dim=1)
            for part, text in ((0, key), (1, value))
        )
        scores = torch.einsum("bqhd,bkhd->bhqk", query, keys) / size**0.5 + bias
        attended = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), values).flatten(-2)
        hidden = norm(linear(attended, f"{at}.attention.attn.o") + hidden, f"{at}.attention.LayerNorm")
        inner = functional.gelu(linear(hidden, f"{at}.intermediate.dense"))
        hidden = norm(linear(inner, f"{at}.output.dense") + hidden, f"{at}.output.LayerNorm")
    return hidden


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
def test_scores_with_prompts_equal_an_independent_computation(spec: HeadSpec, attention: str) -> None:
    """From the weights alone: no class of the library and none of ours; far distances too."""
    config = {"model_type": "mpnet", **FAMILY_CONFIGS["mpnet"]}
    model = build_model(run_config(config, "p-tuning-v2", attention=attention, pooler="none"), spec).eval()
    enlarge(model)
    batch = tiny_batch(rows=3, length=30, pad=1, choices=2 if spec.kind == "choice" else None)
    flat = {name: batch[name].flatten(0, -2) for name in ("input_ids", "attention_mask")}
    hidden = hidden_by_hand(model, flat)
    if spec.kind in ("classification", "choice"):
        hidden = hidden[:, 0]
    linear = model.head.linear
    expected = hidden @ linear.weight.double().T + linear.bias.double()
    scores = model({name: batch[name] for name in ("input_ids", "attention_mask")})["scores"].double()
    real = flat["attention_mask"] == 1
    if spec.kind in ("tagging", "span"):
        expected, scores = expected[real], scores[real]
    torch.testing.assert_close(scores.reshape(expected.shape), expected, atol=2e-5, rtol=1e-5)
