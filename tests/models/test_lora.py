"""LoRA through PEFT: what it trains, what it computes, and what it refuses, on every type of backbone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from commandline import finish, python, write_sentences
from pydantic import ValidationError
from tiny import FAMILY_CONFIGS, HIDDEN, LAYERS, gradients, mean_loss, run_config, tiny_batch, tiny_model
from transformers.pytorch_utils import Conv1D

from ptv2.errors import ConfigError, ModelError
from ptv2.models.artifact import load_artifact, save_artifact
from ptv2.models.build import HeadSpec, PromptedModel, build_model, trainable_parameters

SPEC = HeadSpec("classification", 3)
FAMILIES = sorted(FAMILY_CONFIGS)
TARGETS = ["query-value", "all-linear"]


def lora_model(family: str, **lora: Any) -> PromptedModel:
    """A tiny model with large weights; skipped, with PEFT's own words, where PEFT refuses the type."""
    try:
        return tiny_model(family, "lora", SPEC, lora=lora)
    except ModelError as error:
        pytest.skip(str(error))


def new_model(family: str = "bert", seed: int = 3, **lora: Any) -> PromptedModel:
    """A model as a run begins with it."""
    config = {"model_type": family, **FAMILY_CONFIGS[family]}
    return build_model(run_config(config, "lora", seed=seed, lora=lora, hidden_dropout=None), SPEC).eval()


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_matrices_and_the_head_are_trained(family: str, targets: str) -> None:
    model = lora_model(family, targets=targets)
    mean_loss(model.train(), tiny_batch()).backward()
    groups = trainable_parameters(model)
    trained = {name for group in groups.values() for name in group}
    assert gradients(model).keys() == trained
    assert groups.keys() == {"head", "backbone"}
    assert all(".lora_A." in name or ".lora_B." in name for name in groups["backbone"])


@pytest.mark.parametrize("family", FAMILIES)
def test_every_layer_has_it(family: str) -> None:
    """Beside query and value, or the one map that gives them; albert's layers share theirs."""
    model = lora_model(family)
    maps = len(trainable_parameters(model)["backbone"]) // 2
    fused = family in ("deberta", "gpt2", "gpt_neox", "modernbert")
    assert maps == (1 if fused else 2) * (1 if family == "albert" else LAYERS)


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_begin_as_those_of_the_plain_backbone(family: str) -> None:
    """B is zero at first."""
    config = {"model_type": family, **FAMILY_CONFIGS[family]}
    plain = build_model(run_config(config, "head-only", hidden_dropout=None), SPEC).eval()
    torch.testing.assert_close(
        new_model(family)(tiny_batch())["scores"], plain(tiny_batch())["scores"], rtol=0, atol=1e-8
    )


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("family", FAMILIES)
def test_merged_weights_compute_the_same(family: str, targets: str) -> None:
    """W + (alpha / rank) B A in the plain backbone, put together here without PEFT."""
    model = lora_model(family, targets=targets, rank=4, alpha=3.0)
    plain = tiny_model(family, "head-only", SPEC)
    tensors = dict(model.named_parameters())
    changed = 0
    with torch.no_grad():
        for name, parameter in plain.named_parameters():
            prefix, _, leaf = name.rpartition(".")
            if name in tensors:
                parameter.copy_(tensors[name])
                continue
            parameter.copy_(tensors[f"{prefix}.base_layer.{leaf}"])
            if leaf == "weight":
                product = tensors[f"{prefix}.lora_B.default.weight"] @ tensors[f"{prefix}.lora_A.default.weight"]
                stored = product.T if isinstance(plain.get_submodule(prefix), Conv1D) else product
                parameter.add_(stored, alpha=3.0 / 4)
                changed += 1
    assert changed == len(trainable_parameters(model)["backbone"]) // 2
    expected = plain(tiny_batch())["scores"]
    torch.testing.assert_close(model(tiny_batch())["scores"], expected, rtol=1e-3, atol=2e-5)
    assert not torch.allclose(tiny_model(family, "head-only", SPEC)(tiny_batch())["scores"], expected, atol=1e-2)


def test_what_is_drawn_is_repeatable_and_disturbs_nothing_else() -> None:
    states = []
    for method in ("head-only", "lora"):
        torch.manual_seed(7)
        build_model(run_config({"model_type": "bert", **FAMILY_CONFIGS["bert"]}, method), SPEC)
        states.append(torch.random.get_rng_state())
    assert torch.equal(*states)
    first, again, other = new_model(), new_model(), new_model(seed=4)
    a = "backbone.encoder.layer.0.attention.self.query.lora_A.default.weight"
    drawn = [dict(model.named_parameters())[a] for model in (first, again, other)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    bound = 1 / math.sqrt(HIDDEN)
    assert 0.8 * bound < float(drawn[0].detach().abs().max()) <= bound


def test_names_of_maps_are_theirs_or_ends_of_theirs() -> None:
    def targeted(targets: list[str]) -> set[str]:
        names = trainable_parameters(new_model(targets=targets))["backbone"]
        return {name.partition(".lora_")[0].removeprefix("backbone.encoder.layer.") for name in names}

    assert targeted(["key"]) == {f"{i}.attention.self.key" for i in range(LAYERS)}
    assert targeted(["output.dense", "encoder.layer.1.attention.self.key"]) == {
        *(f"{i}.output.dense" for i in range(LAYERS)),
        *(f"{i}.attention.output.dense" for i in range(LAYERS)),
        "1.attention.self.key",
    }
    with pytest.raises(ConfigError, match=r"lora\.targets: unknown linear map of a bert backbone 'querry'; did you"):
        new_model(targets=["key", "querry"])


def test_biases_are_trained_on_demand() -> None:
    def biases(bias: str) -> set[str]:
        return {name for name in trainable_parameters(new_model(bias=bias))["backbone"] if name.endswith("bias")}

    assert biases("none") == set()
    of_targets = {
        f"backbone.encoder.layer.{i}.attention.self.{name}.base_layer.bias"
        for i in range(LAYERS)
        for name in ("query", "value")
    }
    assert biases("lora_only") == of_targets
    everything = biases("all")
    assert of_targets < everything
    assert "backbone.embeddings.LayerNorm.bias" in everything


@pytest.mark.parametrize(
    ("bias", "error", "message"),
    [
        ("lora_only", ConfigError, r"lora\.bias=lora_only: these maps of a llama backbone have no biases; expected"),
        ("all", ModelError, r"lora\.bias=all trains biases, and a llama backbone has none; expected"),
    ],
)
def test_biases_that_a_backbone_has_not(bias: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        new_model("llama", bias=bias)


def test_a_backbone_without_attention_needs_names() -> None:
    config = {"model_type": "fnet", "vocab_size": 60, "hidden_size": HIDDEN, "num_hidden_layers": 1}
    config |= {"intermediate_size": 32, "max_position_embeddings": 40}
    with pytest.raises(ConfigError, match=r"no query and value maps are known in a fnet backbone; expected all-linear"):
        build_model(run_config(config, "lora", attention_dropout=None), SPEC)


def test_a_frozen_backbone_may_be_in_half_precision() -> None:
    config = {"model_type": "bert", **FAMILY_CONFIGS["bert"]}
    model = build_model(run_config(config, "lora", dtype="bfloat16"), SPEC)
    assert model.backbone.dtype == torch.bfloat16
    assert {p.dtype for p in trainable_parameters(model)["backbone"].values()} == {torch.float32}
    mean_loss(model, tiny_batch()).backward()
    assert gradients(model).keys() == {name for group in trainable_parameters(model).values() for name in group}
    with pytest.raises(ConfigError, match=r"model\.dtype=bfloat16: lora\.bias=all would lose small updates"):
        build_model(run_config(config, "lora", lora={"bias": "all"}, dtype="bfloat16"), SPEC)


def test_checkpointed_gradients_are_the_same() -> None:
    found = []
    for checkpointing in (False, True):
        model = tiny_model("bert", "lora", SPEC, gradient_checkpointing=checkpointing).train()
        mean_loss(model, tiny_batch()).backward()
        found.append(gradients(model))
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, msg=name)


def test_dropout_is_before_a() -> None:
    model = new_model(dropout=0.5, targets=["query"])
    layer = model.backbone.get_submodule("encoder.layer.0.attention.self.query")
    with torch.no_grad():
        layer.lora_B["default"].weight.fill_(1.0)  # type: ignore[index,union-attr]
    given = torch.ones(1, 1000, HIDDEN)
    assert torch.equal(layer(given), layer(given))
    assert layer.train()(given)[0].std(0).max() > 0


def test_an_artifact_has_no_weights_of_the_backbone_and_fits_its_settings_alone(tmp_path: Path) -> None:
    model = tiny_model("bert", "lora", SPEC, lora={"rank": 4})
    save_artifact(model, tmp_path, {})
    other = new_model(rank=4)
    for name, tensor in model.state_dict().items():  # the backbone's own weights, which the artifact has not
        if "lora_" not in name:
            other.state_dict()[name].copy_(tensor)
    load_artifact(other, tmp_path)
    assert torch.equal(other(tiny_batch())["scores"], model(tiny_batch())["scores"])
    with pytest.raises(ModelError, match=r"belongs to another lora: alpha is 16\.0 in the artifact and 1\.0 here"):
        load_artifact(new_model(rank=4, alpha=1.0), tmp_path)


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        ({"rank": 0}, "greater than 0"),
        ({"rank": 10**9}, "less than or equal to 16384"),
        ({"alpha": 0}, "greater than 0"),
        ({"dropout": 1}, "less than 1"),
        ({"targets": "query"}, "'query-value' or 'all-linear'"),
        ({"targets": []}, "at least 1 item"),
        ({"bias": "some"}, "'none', 'all' or 'lora_only'"),
    ],
)
def test_settings_are_checked(lora: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        run_config({"model_type": "bert", **FAMILY_CONFIGS["bert"]}, "lora", lora=lora)


WITHOUT_PEFT = """
import sys
sys.modules["peft"] = None
from ptv2.cli import main
code = main(sys.argv[1:])
print("torch" in sys.modules)
sys.exit(code)
"""


@pytest.mark.parametrize("command", ["train", "plan"])
def test_peft_is_an_extra(command: str, tmp_path: Path) -> None:
    data = write_sentences(tmp_path / "data")
    words = ["task=classification", "model=tiny", "method=lora", f"data.dir={data}"]
    words += [f"out={tmp_path / 'runs'}"] if command == "train" else []
    done = finish(python("-c", WITHOUT_PEFT, command, *words))
    assert (done.code, done.error) == (2, "method=lora needs PEFT; pip install 'ptv2[peft]'")
    assert done.out.split() == ["False"]
    assert not (tmp_path / "runs").exists()
