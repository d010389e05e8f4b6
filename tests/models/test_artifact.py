"""What was trained goes into one file and comes back, onto the same backbone only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tiny import FAMILY_CONFIGS, run_config, tiny_batch, tiny_model

from ptv2.errors import ModelError
from ptv2.models.artifact import FILE, load_artifact, read_artifact, save_artifact
from ptv2.models.build import HeadSpec, PromptedModel, build_model

SPEC = HeadSpec("classification", 3)
SETTINGS: list[tuple[str, dict[str, Any], str]] = [
    ("p-tuning-v2", {}, "published"),
    ("p-tuning-v2", {"form": "hidden", "layers": "last-2"}, "none"),
    ("p-tuning-v2", {"reparameterization": "mlp", "mlp_hidden": 6}, "trained"),
    ("prompt-tuning", {}, "published"),
    ("prompt-tuning", {"reparameterization": "mlp", "embedding": "published"}, "trained"),
    ("fine-tuning", {}, "published"),
]


def trained(method: str, prompt: dict[str, Any], pooler: str, seed: int = 3) -> PromptedModel:
    """A model whose trained parameters are far from their initial values; the backbone is as drawn."""
    model = fresh(method, prompt, pooler, seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def fresh(
    method: str, prompt: dict[str, Any], pooler: str = "published", seed: int = 3, spec: HeadSpec = SPEC
) -> PromptedModel:
    config = {"model_type": "bert", **FAMILY_CONFIGS["bert"]}
    return build_model(run_config(config, method, prompt, seed=seed, pooler=pooler), spec).eval()


@pytest.mark.parametrize(("method", "prompt", "pooler"), SETTINGS)
def test_round_trip(tmp_path: Path, method: str, prompt: dict[str, Any], pooler: str) -> None:
    model = trained(method, prompt, pooler)
    batch = tiny_batch()
    scores = model(batch)["scores"]
    save_artifact(model, tmp_path, {"labels": ["no", "yes", "perhaps"], "task": "t"})
    again = fresh(method, prompt, pooler)
    assert (again(batch)["scores"] - scores).abs().max() > 1e-3
    assert load_artifact(again, tmp_path) == {"labels": ["no", "yes", "perhaps"], "task": "t"}
    torch.testing.assert_close(again(batch)["scores"], scores, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("method", "prompt", "pooler"), SETTINGS)
def test_it_holds_what_was_trained_and_no_more(
    tmp_path: Path, method: str, prompt: dict[str, Any], pooler: str
) -> None:
    model = trained(method, prompt, pooler)
    save_artifact(model, tmp_path, {})
    with safe_open(tmp_path / FILE, framework="pt") as file:
        names = set(file.keys())
    if method == "fine-tuning":
        assert names == {name for name, _ in model.named_parameters()}
        return
    expected = {"prompts.prompt", "head.linear.weight", "head.linear.bias"}
    if pooler != "none":  # trained, or random and needed
        expected |= {"pooler.dense.weight", "pooler.dense.bias"}
    assert names == expected
    header = read_artifact(tmp_path)
    assert header["backbone"]["sha256"] == model.identity.sha256
    assert header["method"] == method
    assert header["prompt"]["shape"] == list(model.prompts.shape)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: fresh("p-tuning-v2", {}, seed=4), "another backbone: sha256 is"),
        (
            lambda: tiny_model("electra"),
            "another backbone: name is config:bert in the artifact and config:electra here",
        ),
        (lambda: fresh("prompt-tuning", {}), "another method: p-tuning-v2 in the artifact and prompt-tuning here"),
        (lambda: fresh("p-tuning-v2", {"length": 5}), r"another prompt: shape is \[3, 2, 2, 4, 8\]"),
        (lambda: fresh("p-tuning-v2", {"positions": "unshifted"}), "another prompt: positions is shifted"),
        (lambda: fresh("p-tuning-v2", {}, spec=HeadSpec("classification", 2)), "another head: num_labels is 3"),
        (lambda: fresh("p-tuning-v2", {}, pooler="none"), "another pooler: True in the artifact and False here"),
    ],
)
def test_another_model_is_refused(tmp_path: Path, other: Any, message: str) -> None:
    save_artifact(fresh("p-tuning-v2", {}), tmp_path, {})
    model = other()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ModelError, match=message):
        load_artifact(model, tmp_path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("damage", ["missing", "torn", "foreign"])
def test_a_file_that_is_no_artifact(tmp_path: Path, damage: str) -> None:
    model = fresh("p-tuning-v2", {})
    save_artifact(model, tmp_path, {})
    path = tmp_path / FILE
    if damage == "missing":
        path.unlink()
    elif damage == "torn":
        path.write_bytes(path.read_bytes()[:200])
    else:
        save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="no such artifact" if damage == "missing" else "not an artifact of ptv2"):
        load_artifact(model, tmp_path)
