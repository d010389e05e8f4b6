"""Attention on the prompts, held against attention written out by hand, and watched in every model type."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tiny import FAMILY_CONFIGS, HEADS, HIDDEN, LAYERS, tiny_batch, tiny_model
from tiny_sets import LENGTHS, accelerator, texts
from torch import Tensor
from transformers import AutoModel, BertConfig

from ptv2.analysis.attention import Mass, attention_mass, watching
from ptv2.errors import ModelError
from ptv2.models.build import HeadSpec, PromptedModel

P, D = 4, HIDDEN // HEADS
Projections = Callable[[PromptedModel, int, Tensor], tuple[Tensor, Tensor]]


def measured(model: PromptedModel, batch_size: int = 4, **settings: int) -> Mass:
    data = texts(pad=model.config.pad_token_id, **settings)
    return attention_mass(model, data, batch_size, accelerator())


def of_bert(model: PromptedModel, layer: int, hidden: Tensor) -> tuple[Tensor, Tensor]:
    attention = model.backbone.encoder.layer[layer].attention.self
    return attention.query(hidden), attention.key(hidden)


def of_gpt2(model: PromptedModel, layer: int, hidden: Tensor) -> tuple[Tensor, Tensor]:
    query, key, _ = model.backbone.h[layer].attn.c_attn(hidden).chunk(3, dim=-1)
    return query, key


def inputs_of_attention(model: PromptedModel, batch: dict[str, Tensor]) -> list[Tensor]:
    """What each layer's attention gets, by hooks on the modules themselves."""
    found: list[Tensor] = []
    bert = model.family.model_type == "bert"
    modules = (
        [layer.attention.self if bert else layer.attn for layer in model.backbone.encoder.layer]
        if bert
        else [layer.attn for layer in model.backbone.h]
    )
    hooks = [
        module.register_forward_pre_hook(
            lambda _, args, kwargs: found.append((*args, *kwargs.values())[0]), with_kwargs=True
        )
        for module in modules
    ]
    with torch.no_grad():
        model(batch)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("method", ["p-tuning-v2", "prompt-tuning"])
@pytest.mark.parametrize(("family", "projections"), [("bert", of_bert), ("gpt2", of_gpt2)])
def test_against_attention_by_hand(family: str, projections: Projections, method: str) -> None:
    """Softmax by softmax, text by text, without padding."""
    model = tiny_model(family, method)
    data = texts()
    shares = torch.zeros(LAYERS, HEADS, dtype=torch.float64)
    even = 0.0
    deep = method == "p-tuning-v2"
    for row, length in enumerate(LENGTHS):
        batch = {name: tensor for name, tensor in data.batch([row]).items() if name != "labels"}
        for layer, hidden in enumerate(inputs_of_attention(model, batch)):
            query, key = (
                x.detach()[0].unflatten(-1, (HEADS, D)).transpose(0, 1) for x in projections(model, layer, hidden)
            )
            if deep:
                key = torch.cat((model.prompts.value().detach()[layer, 0], key), dim=1)
            else:
                query = query[:, P:]
            scores = query @ key.transpose(1, 2) / D**0.5  # [heads, T, P + T]
            if family == "gpt2":
                behind = torch.ones(length, P + length).triu(P + 1).bool()
                scores = scores.masked_fill(behind, float("-inf"))
            shares[layer] += scores.softmax(-1)[..., :P].sum((1, 2)).detach()
        seen = [P + (i + 1 if family == "gpt2" else length) for i in range(length)]
        even += sum(P / count for count in seen)
    mass = measured(model)
    np.testing.assert_allclose(mass.heads, shares / sum(LENGTHS), atol=1e-6)
    np.testing.assert_allclose(mass.even, even / sum(LENGTHS), atol=1e-6)


@pytest.mark.parametrize("method", ["p-tuning-v2", "prompt-tuning"])
@pytest.mark.parametrize("family", sorted(FAMILY_CONFIGS))
def test_every_type_can_be_watched_and_is_left_as_it_was(family: str, method: str) -> None:
    model = tiny_model(family, method)
    batch = tiny_batch(pad=model.config.pad_token_id)
    with torch.no_grad():
        before = model(batch)["scores"]
        with watching(model, lambda call: None):
            watched = model(batch)["scores"]
        after = model(batch)["scores"]
    torch.testing.assert_close(watched, before, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(after, before, atol=0, rtol=0)
    mass = measured(model)
    assert mass.heads.shape == (LAYERS, HEADS)
    assert (mass.heads > 0).all()
    assert (mass.heads < 1).all()
    assert len(np.unique(mass.heads.round(6))) > LAYERS  # each head has its own
    assert (mass.even > 0).all()
    assert (mass.even < 1).all()


def test_neither_batches_nor_choices_matter() -> None:
    model = tiny_model("bert")
    expected = measured(model)
    np.testing.assert_allclose(measured(model, batch_size=1).heads, expected.heads, atol=1e-6)
    choices = tiny_model("bert", spec=HeadSpec("choice", 2))
    choices.prompts = model.prompts
    np.testing.assert_allclose(measured(choices, width=2).heads, expected.heads, atol=1e-6)


def test_layers_without_a_prompt_have_no_number() -> None:
    mass = measured(tiny_model("bert", prompt={"layers": [0, 2]}))
    assert np.isnan(mass.heads).all(axis=1).tolist() == [False, True, False]
    assert np.isnan(mass.even).tolist() == [False, True, False]


@pytest.mark.parametrize("form", ["hidden", "memory"])
def test_other_forms_of_prompts(form: str) -> None:
    mass = measured(tiny_model("glm-2021", prompt={"form": form}))
    assert ((mass.heads > 0) & (mass.heads < 1)).all()


def test_attention_that_cannot_be_watched_is_refused_in_one_line() -> None:
    model = tiny_model("bert", "prompt-tuning")
    # A model that does its attention by itself, as those do whose authors never moved to the interface.
    model.backbone = AutoModel.from_config(BertConfig(**FAMILY_CONFIGS["bert"], attn_implementation="eager"))
    with pytest.raises(ModelError, match=r"does not go through .* it can be watched in: albert, bert"):
        measured(model)
