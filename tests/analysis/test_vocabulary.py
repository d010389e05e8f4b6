"""Which tokens prompts resemble: one that is planted is found, in every kind of layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import HEADS, HIDDEN, LAYERS, VOCABULARY, tiny_model

from ptv2.analysis.vocabulary import Nearest, nearest_tokens
from ptv2.models.build import PromptedModel
from ptv2.models.prompts import Shape, vocabulary_prompts

D = HIDDEN // HEADS
TOKEN, PROMPT, LAYER = 37, 2, 1
AROUND = ((6,), (7, 8))
TEXT = torch.tensor([6, TOKEN, 7, 8])
SHAPE = Shape(LAYERS, HIDDEN, HEADS, D, HIDDEN)
Found = dict[tuple[int | None, str], Nearest]


def search(model: PromptedModel, count: int = 3) -> Found:
    untrained = 0.02 * torch.randn(model.prompts.value().shape, generator=torch.Generator().manual_seed(9))
    done: list[int] = []
    found = nearest_tokens(model, untrained, AROUND, seed=1, count=count, done=done.append)
    assert sum(done) == VOCABULARY
    return {(one.layer, one.kind): one for one in found}


def expect_planted(found: Found, layer: int | None, part: str) -> None:
    one = found[layer, part]
    assert one.tokens[PROMPT, 0] == TOKEN
    assert one.cosines[PROMPT, 0] == pytest.approx(1, abs=1e-5)
    for other in found.values():
        near = np.delete(other.cosines[:, 0], PROMPT) if other is one else other.cosines[:, 0]
        assert (near < 0.99).all()
        assert (other.random < 0.99).all()
        assert (np.diff(other.cosines, axis=1) <= 0).all()


@pytest.mark.parametrize("family", ["bert", "albert", "roberta", "mpnet", "deberta", "deberta-v2", "glm-2021", "opt"])
@pytest.mark.parametrize("part", [0, 1])
def test_a_planted_key_or_value_is_found(family: str, part: int) -> None:
    """Its token's, as `prompt.init=vocabulary` computes it: by hooks on the projections."""
    model = tiny_model(family)
    planted = vocabulary_prompts(model.backbone, SHAPE, TEXT, (LAYER,), "key-value")  # [1, 2, H, T, D]
    with torch.no_grad():
        model.prompts.prompt[LAYER, part, :, PROMPT] = 5 * planted[0, part, :, 1]
    found = search(model)
    assert list(found) == [(layer, name) for layer in range(LAYERS) for name in ("key", "value")]
    expect_planted(found, LAYER, ("key", "value")[part])


def test_a_planted_key_is_found_where_projections_are_fused() -> None:
    model = tiny_model("gpt2")
    seen: list[torch.Tensor] = []
    hook = model.backbone.h[LAYER].attn.c_attn.register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.no_grad():
        model.backbone(input_ids=TEXT[None])
        hook.remove()
        key = seen[0].chunk(3, dim=-1)[1][0, 1].view(HEADS, D)
        model.prompts.prompt[LAYER, 0, :, PROMPT] = key
    expect_planted(search(model), LAYER, "key")


def test_keys_are_compared_as_they_are_rotated() -> None:
    model = tiny_model("llama")
    with torch.no_grad():
        layer = model.backbone.layers[0]
        states = layer.input_layernorm(model.backbone.embed_tokens(torch.tensor([TOKEN])))
        key = layer.self_attn.k_proj(states)[0]
        cos, sin = (part[0, 0] for part in model.backbone.rotary_emb(states, torch.tensor([[1]])))  # at position 1
        rotated = key * cos + torch.cat((-key[D // 2 :], key[: D // 2])) * sin
        model.prompts.prompt[0, 0, 0, PROMPT] = rotated
    expect_planted(search(model), 0, "key")


def test_hidden_prompts_are_compared_as_the_layer_projects_them() -> None:
    model = tiny_model("bert", prompt={"form": "hidden"})
    with torch.no_grad():
        embedded = model.backbone.embeddings(TEXT[None])[0, 1]
        model.prompts.prompt[0, PROMPT] = embedded
    found = search(model)
    for part in ("key", "value"):
        assert found[0, part].tokens[PROMPT, 0] == TOKEN
        assert found[0, part].cosines[PROMPT, 0] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("family", ["bert", "electra", "llama"])
def test_shallow_prompts_are_compared_with_embeddings(family: str) -> None:
    model = tiny_model(family, "prompt-tuning")
    weight = model.backbone.get_input_embeddings().weight.detach()
    with torch.no_grad():
        model.prompts.prompt[PROMPT] = 0.1 * weight[TOKEN]
    found = search(model, count=5)
    assert list(found) == [(None, "embedding")]
    expect_planted(found, None, "embedding")
    one = found[None, "embedding"]
    units = torch.nn.functional.normalize(weight, dim=-1)
    prompt = torch.nn.functional.normalize(model.prompts.value().detach(), dim=-1)
    best = (prompt @ units.T).topk(5)
    np.testing.assert_array_equal(one.tokens, best.indices)
    np.testing.assert_allclose(one.cosines, best.values, atol=1e-5)
    mean = torch.nn.functional.normalize(weight.mean(0), dim=0)
    np.testing.assert_allclose(one.common, prompt @ mean, atol=1e-5)
    apart = (units @ units.T).fill_diagonal_(-1).amax(1)  # every token's nearest other one
    assert all(np.isclose(apart, value, atol=1e-5).any() for value in one.between)


def test_only_layers_with_prompts_are_compared() -> None:
    assert [layer for layer, _ in search(tiny_model("bert", prompt={"layers": [0, 2]}))] == [0, 0, 2, 2]
