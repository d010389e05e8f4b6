"""Layer choice, the two forms, the MLP and its folding, and initialisation."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tiny import (
    FAMILY_CONFIGS,
    HEADS,
    HIDDEN,
    LAYERS,
    NO_HIDDEN_DROPOUT,
    gradients,
    mean_loss,
    run_config,
    tiny_batch,
    tiny_model,
)

from ptv2.errors import ConfigError, ModelError
from ptv2.models.attention import projections
from ptv2.models.build import HeadSpec, build_model
from ptv2.models.families import FAMILIES
from ptv2.models.prompts import DeepPrompts, ShallowPrompts, choose_layers

SPEC = HeadSpec("classification", 3)
BERT = {"model_type": "bert", **FAMILY_CONFIGS["bert"]}
# deberta has its own test in test_disentangled.py
SEPARATE_MAPS = sorted(n for n in FAMILY_CONFIGS if not FAMILIES[n].fused and FAMILIES[n].adapter != "disentangled")
NORM_FIRST = {  # where the layer's norm comes before its key and value maps
    "eurobert": "layers.{}.input_layernorm",
    "glm-2021": "layers.{}.attention.norm",
    "llama": "layers.{}.input_layernorm",
    "opt": "decoder.layers.{}.self_attn_layer_norm",
    "roberta-prelayernorm": "encoder.layer.{}.attention.LayerNorm",
    "xlm-roberta-xl": "encoder.layer.{}.attention.self_attn_layer_norm",
}


@pytest.mark.parametrize(
    ("spec", "layers"),
    [
        ("all", (0, 1, 2, 3)),
        ("first-1", (0,)),
        ("first-4", (0, 1, 2, 3)),
        ("last-3", (1, 2, 3)),
        ([3, 1], (1, 3)),
        ([0], (0,)),
    ],
)
def test_choose_layers(spec: Any, layers: tuple[int, ...]) -> None:
    assert choose_layers(spec, 4) == layers


@pytest.mark.parametrize("spec", ["last-0", "first-5", "middle-2", "last", "", [], [4], [-1], [1, 1]])
def test_layers_that_are_not_there(spec: Any) -> None:
    with pytest.raises(ConfigError, match=r"prompt\.layers=.*first-k, last-k .* or a list of layers from 0 to 3"):
        choose_layers(spec, 4)


@pytest.mark.parametrize("layers", ["last-1", "first-2", [0, 2]])
@pytest.mark.parametrize("form", ["key-value", "hidden"])
def test_a_layer_left_out_is_a_layer_without_a_prompt(form: str, layers: Any) -> None:
    """Leaving layers out gives what a prompt whose columns no query sees would give there."""
    full = tiny_model("bert", prompt={"form": form})
    part = tiny_model("bert", prompt={"form": form, "layers": layers})
    assert isinstance(full.prompts, DeepPrompts)
    assert isinstance(part.prompts, DeepPrompts)
    chosen = part.prompts.layers
    assert part.prompts.value().shape[0] == len(chosen) < LAYERS
    batch = tiny_batch()
    values = full.prompts.value().detach()
    with torch.no_grad():
        for parameter, other in zip(part.parameters(), full.parameters(), strict=True):
            if parameter.shape == other.shape:
                parameter.copy_(other)
        part.prompts.prompt.copy_(values[list(chosen)])
    kept = full.prompts.forward

    def without(count_calls: bool) -> Any:
        made = kept(count_calls)
        made.layers = {layer: made.layers[layer] for layer in chosen}
        return made

    everything = full(batch)["scores"]
    full.prompts.forward = without  # type: ignore[method-assign]
    torch.testing.assert_close(part(batch)["scores"], full(batch)["scores"])
    assert (everything - full(batch)["scores"]).abs().max() > 1e-3


@pytest.mark.parametrize("reparameterization", ["none", "mlp"])
@pytest.mark.parametrize("form", ["key-value", "hidden"])
def test_number_of_trained_parameters(form: str, reparameterization: str) -> None:
    settings = {"form": form, "length": 7, "layers": "last-2", "reparameterization": reparameterization}
    model = build_model(run_config(BERT, prompt={**settings, "mlp_hidden": 5}), SPEC)
    assert model.prompts is not None
    count = sum(parameter.numel() for parameter in model.prompts.parameters())
    width = 2 * HIDDEN * (2 if form == "key-value" else 1)  # of 2 layers, keys and values
    expected = 7 * width
    if reparameterization == "mlp":
        expected = 7 * HIDDEN + (HIDDEN + 1) * 5 + (5 + 1) * width
    assert count == expected


@pytest.mark.parametrize("form", ["key-value", "hidden"])
@pytest.mark.parametrize("method", ["p-tuning-v2", "prompt-tuning"])
def test_folding_the_mlp_changes_nothing(method: str, form: str) -> None:
    model = tiny_model("electra", method, prompt={"form": form, "reparameterization": "mlp", "mlp_hidden": 6})
    batch = tiny_batch()
    before = model(batch)["scores"]
    prompts = model.prompts
    assert prompts is not None
    assert prompts.encoder is not None
    prompts.fold()
    assert [name for name, _ in prompts.named_parameters()] == ["prompt"]
    torch.testing.assert_close(model(batch)["scores"], before, atol=1e-6, rtol=0)
    mean_loss(model, batch).backward()
    assert "prompts.prompt" in gradients(model)


def test_published_initialisation() -> None:
    settings = {"reparameterization": "mlp", "length": 100, "mlp_hidden": 50}
    prompts = build_model(run_config(BERT, prompt=settings), SPEC).prompts
    assert prompts is not None
    for name, parameter in prompts.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        else:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.1)
            assert parameter.mean().item() == pytest.approx(0.0, abs=0.002)
    flat = build_model(run_config(BERT, prompt={"init_std": 0.5, "length": 100}), SPEC).prompts
    assert flat is not None
    assert flat.value().std().item() == pytest.approx(0.5, rel=0.05)


def test_the_seed_decides_and_a_longer_prompt_does_not_change_the_head() -> None:
    one, same, longer = (build_model(run_config(BERT, prompt={"length": n}), SPEC) for n in (4, 4, 5))
    other = build_model(run_config(BERT, seed=4), SPEC)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, same.state_dict()[name]), name
    assert torch.equal(one.head.linear.weight, longer.head.linear.weight)
    assert not torch.equal(one.head.linear.weight, other.head.linear.weight)
    assert not torch.equal(one.prompts.prompt, other.prompts.prompt)  # type: ignore[union-attr]


@pytest.mark.parametrize("form", ["key-value", "hidden"])
@pytest.mark.parametrize("family", SEPARATE_MAPS)
def test_vocabulary_prompts_act_like_their_text(family: str, form: str) -> None:
    """At the first prompted layer the prompt is what the tokens' own keys and values are there."""
    config = {"model_type": family, **FAMILY_CONFIGS[family]}
    tokens = torch.tensor([9, 17, 33, 41])
    rate: dict[str, Any] = {"hidden_dropout": None} if family in NO_HIDDEN_DROPOUT else {}
    cfg = run_config(config, prompt={"init": "vocabulary", "form": form, "layers": [0, 2]}, **rate)
    model = build_model(cfg, SPEC, init_token_ids=tokens)
    assert isinstance(model.prompts, DeepPrompts)
    with torch.no_grad():
        out = model.backbone(input_ids=tokens[None], output_hidden_states=True)
    seen = [m for m in model.backbone.modules() if projections(m)]
    modules = [seen[0], seen[-1]]
    for number, layer in enumerate((0, 2)):
        value = model.prompts.value()[number]
        hidden = out.hidden_states[layer][0]
        if family in NORM_FIRST:
            hidden = model.backbone.get_submodule(NORM_FIRST[family].format(layer))(hidden)
        expected = hidden
        if form == "key-value":
            pair = projections(modules[number])
            assert pair is not None
            split = (4, -1, HIDDEN // HEADS)  # fewer heads than queries have in llama
            expected = torch.stack([linear(hidden).view(split).transpose(0, 1) for linear in pair])
        torch.testing.assert_close(value.detach(), expected.detach(), atol=1e-6, rtol=0)


def test_vocabulary_prompts_of_shallow_prompts_are_word_embeddings() -> None:
    tokens = torch.tensor([9, 17, 33, 41])
    model = build_model(run_config(BERT, "prompt-tuning", {"init": "vocabulary"}), SPEC, init_token_ids=tokens)
    assert isinstance(model.prompts, ShallowPrompts)
    embeddings = model.backbone.get_input_embeddings().weight[tokens]  # type: ignore[operator]
    assert torch.equal(model.prompts.value(), embeddings)
    drawn = build_model(run_config(BERT, "prompt-tuning", {"init": "vocabulary"}), SPEC)
    same = build_model(run_config(BERT, "prompt-tuning", {"init": "vocabulary"}), SPEC)
    assert torch.equal(drawn.prompts.value(), same.prompts.value())  # type: ignore[union-attr]


@pytest.mark.parametrize("method", ["p-tuning-v2", "prompt-tuning"])
def test_vocabulary_and_mlp_do_not_go_together(method: str) -> None:
    with pytest.raises(ConfigError, match=r"prompt\.init=vocabulary.*choose prompt\.init=normal"):
        build_model(run_config(BERT, method, {"init": "vocabulary", "reparameterization": "mlp"}), SPEC)


def test_a_wrong_number_of_initial_tokens_is_said() -> None:
    with pytest.raises(ModelError, match=r"\(3, 2, 2, 9, 8\), expected \(3, 2, 2, 4, 8\)"):
        build_model(run_config(BERT, prompt={"init": "vocabulary"}), SPEC, init_token_ids=torch.arange(9))


def test_hidden_vectors_go_through_the_layers_own_maps() -> None:
    """A hidden prompt equals the key-value prompt made of it by hand."""
    hidden = tiny_model("bert", prompt={"form": "hidden"})
    flat = tiny_model("bert")
    assert isinstance(hidden.prompts, DeepPrompts)
    assert math.prod(hidden.prompts.shape) * 2 == math.prod(flat.prompts.shape)  # type: ignore[union-attr]
    with torch.no_grad():
        for name, parameter in flat.named_parameters():
            if not name.startswith("prompts."):
                parameter.copy_(hidden.get_parameter(name))
        for layer, vectors in enumerate(hidden.prompts.value()):
            attention = hidden.backbone.encoder.layer[layer].attention.self  # type: ignore[union-attr,index]
            for which, linear in enumerate((attention.key, attention.value)):
                rows = vectors @ linear.weight.T + linear.bias
                flat.prompts.prompt[layer, which] = rows.view(4, HEADS, -1).transpose(0, 1)  # type: ignore[union-attr,index]
    batch = tiny_batch()
    torch.testing.assert_close(flat(batch)["scores"], hidden(batch)["scores"], atol=1e-6, rtol=0)
