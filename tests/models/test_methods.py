"""What each method trains, on every type of backbone."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from tiny import FAMILY_CONFIGS, gradients, mean_loss, run_config, tiny_batch, tiny_model

from ptv2.config.methods import METHODS
from ptv2.config.schema import RunConfig
from ptv2.errors import ConfigError, ModelError
from ptv2.models.build import HeadSpec, PromptedModel, build_model, trainable_parameters

SINGLE = [name for name, method in METHODS.items() if not method.several_tasks]
NO_BIASES = {"eurobert", "llama", "modernbert", "qwen3"}
SPECS = [HeadSpec("classification", 3), HeadSpec("tagging", 3)]


def is_bias(name: str) -> bool:
    return name.endswith("bias")


def step(model: PromptedModel, spec: HeadSpec) -> None:
    """One step of gradient descent on what has a gradient, in training mode."""
    batch = tiny_batch()
    if spec.kind == "tagging":
        batch["labels"] = batch["input_ids"] % 3
    loss = mean_loss(model.train(), batch)
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
@pytest.mark.parametrize("family", sorted(set(FAMILY_CONFIGS) - NO_BIASES))
def test_bitfit_moves_biases_and_the_head_alone(family: str, spec: HeadSpec) -> None:
    model = tiny_model(family, "bitfit", spec)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    step(model, spec)
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    backbone = {name for name in moved if name.startswith("backbone.")}
    assert backbone, "some bias moves"
    assert all(is_bias(name) for name in backbone)
    trained = trainable_parameters(model)
    assert trained["backbone"].keys() == {name for name in before if name.startswith("backbone.") and is_bias(name)}
    assert moved <= {name for group in trained.values() for name in group}
    assert any(name.startswith("head.") for name in moved)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
@pytest.mark.parametrize("family", sorted(FAMILY_CONFIGS))
def test_head_only_moves_the_head_alone(family: str, spec: HeadSpec) -> None:
    model = tiny_model(family, "head-only", spec)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    step(model, spec)
    assert list(trainable_parameters(model)) == ["head"]
    assert gradients(model).keys() == trainable_parameters(model)["head"].keys()
    for name, parameter in model.named_parameters():
        if name.startswith("backbone."):
            assert torch.equal(parameter, before[name]), name
    assert any(not torch.equal(p, before[name]) for name, p in model.named_parameters() if name.startswith("head."))


@pytest.mark.parametrize("family", sorted(NO_BIASES))
def test_a_backbone_without_biases(family: str) -> None:
    with pytest.raises(ModelError, match=f"^method=bitfit trains biases, and a {family} backbone has none; expected"):
        tiny_model(family, "bitfit")


@pytest.mark.parametrize("method", SINGLE)
def test_all_methods_begin_with_the_same_head(method: str) -> None:
    """The comparison is of methods: what is drawn at random does not depend on them."""
    head = {n: p for n, p in tiny_model("bert", method).named_parameters() if n.startswith("head.")}
    same = {n: p for n, p in tiny_model("bert", "fine-tuning").named_parameters() if n.startswith("head.")}
    model = build_model(run_config({"model_type": "bert", **FAMILY_CONFIGS["bert"]}, method), SPECS[0])
    other = build_model(run_config({"model_type": "bert", **FAMILY_CONFIGS["bert"]}, "fine-tuning"), SPECS[0])
    assert head.keys() == same.keys()
    drawn = {name.replace(".base_layer.", "."): parameter for name, parameter in model.named_parameters()}
    for name, parameter in other.named_parameters():
        assert torch.equal(parameter, drawn[name]), name


@pytest.mark.parametrize("method", ["bitfit", "head-only"])
def test_scores_begin_as_those_of_fine_tuning(method: str) -> None:
    """Nothing stands before the text: the pass is the plain model's."""
    batch = tiny_batch()
    expected = tiny_model("roberta", "fine-tuning")(batch)["scores"]
    assert torch.equal(tiny_model("roberta", method)(batch)["scores"], expected)


def test_half_precision_weights_take_no_small_updates() -> None:
    config = {"model_type": "bert", **FAMILY_CONFIGS["bert"]}
    with pytest.raises(ConfigError, match=r"model\.dtype=bfloat16: bitfit would lose small updates"):
        build_model(run_config(config, "bitfit", dtype="bfloat16"), SPECS[0])
    assert build_model(run_config(config, "head-only", dtype="bfloat16"), SPECS[0]).backbone.dtype == torch.bfloat16


def test_a_verbalizer_leaves_nothing_to_train_but_the_backbone() -> None:
    """The language model's head belongs to the backbone: its biases are trained with bitfit, and nothing is without."""
    task = {"name": "t", "shape": "classify", "source": "mini", "sources": {"mini": "t"}, "text": ["text"]}
    words = {"text": ["{text} {mask}"], "words": {"a": ["good"], "b": ["bad"]}}
    whole = run_config({"model_type": "bert", **FAMILY_CONFIGS["bert"]}, "bitfit").model_dump(mode="json")
    whole |= {"task": {**task, "verbalizer": words}, "head": {"kind": "verbalizer"}}
    assert RunConfig.model_validate(whole).head.kind == "verbalizer"
    with pytest.raises(ValueError, match=r"method=head-only trains nothing else; expected head\.kind=linear"):
        RunConfig.model_validate({**whole, "method": "head-only"})


def test_an_unknown_method_is_refused_with_the_list() -> None:
    tree = run_config({"model_type": "bert", **FAMILY_CONFIGS["bert"]}).model_dump(mode="json")
    with pytest.raises(ValidationError, match=r"unknown method 'bitfitt'; did you mean bitfit\? known: bitfit, fine"):
        RunConfig.model_validate({**tree, "method": "bitfitt"})
