"""Several heads on one backbone: a batch trains its own head and the prompts, and a run can begin where they ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import VOCABULARY, enlarge, gradients, mean_loss, run_config, tiny_batch, tiny_model
from torch import Tensor

from ptv2.errors import ModelError
from ptv2.models.artifact import load_start, read_artifact, save_artifact
from ptv2.models.build import HeadSpec, PromptedModel, build_model, describe, trainable_parameters

SPECS = {
    "texts": HeadSpec("classification", 3),
    "tags": HeadSpec("tagging", 5),
    "questions": HeadSpec("span", 2),
    "choices": HeadSpec("choice", 1),
}
HEADS = list(SPECS)


def several(prompt: dict[str, Any] | None = None, **settings: Any) -> PromptedModel:
    return tiny_model("bert", spec=HeadSpec.of_tasks(SPECS), prompt=prompt, **settings)


def batch_of(task: str) -> dict[str, Tensor]:
    batch = tiny_batch(choices=2 if task == "choices" else None)
    if task == "tags":
        batch["labels"] = torch.where(batch["attention_mask"] == 1, batch["input_ids"] % 5, -100)
    if task == "questions":
        batch.pop("labels")
        batch |= {"start_positions": torch.tensor([1, 2, 0]), "end_positions": torch.tensor([3, 2, 1])}
    return {**batch, "head": torch.tensor(HEADS.index(task))}


@pytest.mark.parametrize("task", HEADS)
def test_a_batch_reaches_its_own_head_and_the_prompts(task: str) -> None:
    model = several()
    mean_loss(model, batch_of(task)).backward()
    own = f"head.heads.{HEADS.index(task)}.linear"
    assert gradients(model).keys() == {"prompts.prompt", f"{own}.weight", f"{own}.bias"}
    assert all(gradient.abs().sum() > 0 for gradient in gradients(model).values())


@pytest.mark.parametrize("task", HEADS)
def test_each_head_is_the_head_of_a_model_with_it_alone(task: str) -> None:
    """Scores and loss are those of an ordinary model with the same prompts and that head, whatever other heads are."""
    model = several()
    alone = tiny_model("bert", spec=SPECS[task])
    with torch.no_grad():
        alone.prompts.prompt.copy_(model.prompts.prompt)  # type: ignore[union-attr,arg-type]
        alone.head.load_state_dict(model.head.heads[HEADS.index(task)].state_dict())  # type: ignore[union-attr]
        for name, parameter in alone.backbone.named_parameters():
            parameter.copy_(dict(model.backbone.named_parameters())[name])
        if alone.pooler is not None:
            alone.pooler.load_state_dict(model.pooler.state_dict())  # type: ignore[union-attr]
    batch = batch_of(task)
    ours, theirs = model(batch), alone({name: tensor for name, tensor in batch.items() if name != "head"})
    for key in ("scores", "loss_sum", "count"):
        assert torch.equal(ours[key], theirs[key])


def test_what_is_trained_is_counted() -> None:
    model = several()
    outputs = sum(head.linear.out_features for head in model.head.heads)  # type: ignore[union-attr,operator]
    assert outputs == 3 + 5 + 2 + 1
    assert describe(model)["groups"] == {"prompt": model.prompts.prompt.numel(), "head": outputs * (16 + 1)}  # type: ignore[union-attr]


def test_heads_start_apart() -> None:
    specs = {"a": HeadSpec("tagging", 4), "b": HeadSpec("tagging", 4)}
    model = build_model(run_config({"model_type": "bert", "vocab_size": VOCABULARY}), HeadSpec.of_tasks(specs))
    first, second = (head.linear.weight for head in model.head.heads)  # type: ignore[union-attr]
    assert not torch.equal(first, second)


@pytest.mark.parametrize("reparameterization", ["none", "mlp"])
@pytest.mark.parametrize("task", HEADS)
def test_a_run_begins_where_they_ended(task: str, reparameterization: str, tmp_path: Path) -> None:
    """With the same scores, and an MLP that is trained on and not folded."""
    prompt = {"reparameterization": reparameterization, "mlp_hidden": 6}
    model = several(prompt)
    save_artifact(model, tmp_path, {"tasks": "all"}, to_go_on=True)
    alone = tiny_model("bert", spec=SPECS[task], prompt=prompt)  # the same backbone: `enlarge` draws by a fixed seed
    alone.backbone.load_state_dict(model.backbone.state_dict())
    if alone.pooler is not None:
        alone.pooler.load_state_dict(model.pooler.state_dict())  # type: ignore[union-attr]
    before = {name for group in trainable_parameters(alone).values() for name in group}
    assert load_start(alone, tmp_path, task) == {"tasks": "all"}
    assert {name for group in trainable_parameters(alone).values() for name in group} == before
    assert any(name.startswith("prompts.encoder.") for name in before) == (reparameterization == "mlp")
    batch = batch_of(task)
    expected = model(batch)["scores"]
    batch.pop("head")
    assert torch.equal(alone(batch)["scores"], expected)


def test_an_artifact_that_does_not_fit(tmp_path: Path) -> None:
    save_artifact(several(), tmp_path, {}, to_go_on=True)
    assert read_artifact(tmp_path)["head"]["several"]["tags"] == {"kind": "tagging", "num_labels": 5}
    with pytest.raises(ModelError, match="another head: None in the artifact"):
        load_start(tiny_model("bert", spec=SPECS["tags"]), tmp_path, "others")
    with pytest.raises(ModelError, match="another head: num_labels is 5 in the artifact and 4 here"):
        load_start(tiny_model("bert", spec=HeadSpec("tagging", 4)), tmp_path, "tags")
    with pytest.raises(ModelError, match="another prompt: shape is"):
        load_start(tiny_model("bert", spec=SPECS["tags"], prompt={"length": 7}), tmp_path, "tags")
    alone = tmp_path / "alone"
    save_artifact(tiny_model("bert", spec=SPECS["tags"]), alone, {})
    with pytest.raises(ModelError, match="another head"):
        load_start(tiny_model("bert", spec=SPECS["tags"]), alone, "tags")
    enlarged = tiny_model("bert", spec=SPECS["tags"])
    enlarge(enlarged, std=0.1)
    load_start(enlarged, tmp_path, "tags")
