"""Methods, heads and poolers: what is trained, what stays, what the scores are read from."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny import (
    FAMILY_CONFIGS,
    HIDDEN,
    NO_HIDDEN_DROPOUT,
    POSITIONS,
    gradients,
    mean_loss,
    run_config,
    tiny_batch,
    tiny_model,
)
from torch.nn import functional

from ptv2.config.schema import OptimConfig
from ptv2.errors import ModelError
from ptv2.models.build import HeadSpec, build_model, describe, trainable_parameters
from ptv2.training.optim import build_optimizer

METHODS = ["fine-tuning", "lora", "prompt-tuning", "p-tuning-v2"]
SPECS = [HeadSpec("classification", 3), HeadSpec("choice", 2), HeadSpec("tagging", 5), HeadSpec("span", 2)]
POOLED = HeadSpec("classification", 3)


def labelled(spec: HeadSpec, pad: int = 0) -> dict[str, torch.Tensor]:
    """A batch with the labels that the head of `spec` learns."""
    batch = tiny_batch(pad=pad, choices=2 if spec.kind == "choice" else None)
    if spec.kind == "tagging":
        batch["labels"] = torch.where(batch["attention_mask"] == 1, batch["input_ids"] % 5, -100)
    if spec.kind == "span":
        del batch["labels"]
        batch |= {"start_positions": torch.tensor([1, 2, 0]), "end_positions": torch.tensor([3, 2, 4])}
    return batch


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
@pytest.mark.parametrize("family", sorted(FAMILY_CONFIGS))
def test_a_step_moves_what_is_trained_and_nothing_else(family: str, spec: HeadSpec, method: str) -> None:
    model = tiny_model(family, method, spec).train()
    batch = labelled(spec, model.config.pad_token_id)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trained = {name for group in trainable_parameters(model).values() for name in group}
    optimizer = build_optimizer(model, OptimConfig(lr=0.1))
    mean_loss(model, batch).backward()
    assert set(gradients(model)) == trained, "each trained parameter gets a gradient, in every process"
    largest = {name: float(gradient.abs().max()) for name, gradient in gradients(model).items()}
    optimizer.step()
    for name, tensor in model.state_dict().items():
        if name not in trained:
            assert torch.equal(tensor, before[name]), f"{name} is frozen and moved"
    moved = {name for name in trained if not torch.equal(model.state_dict()[name], before[name])}
    # Where a bias shifts all choices or all keys alike, its gradient is zero up to rounding, and it may stay.
    rounding = {name for name in trained if name.endswith("bias") and largest[name] < 1e-6 * max(largest.values())}
    assert trained - moved <= rounding
    assert sum(len(state) > 0 for state in optimizer.state.values()) == len(trained)


@pytest.mark.parametrize(
    ("method", "pooler", "owner"),
    [
        ("fine-tuning", "published", "backbone"),
        ("fine-tuning", "trained", "backbone"),
        ("fine-tuning", "none", None),
        ("p-tuning-v2", "published", None),
        ("p-tuning-v2", "trained", "head"),
        ("prompt-tuning", "trained", "head"),
        ("prompt-tuning", "none", None),
    ],
)
def test_who_trains_the_pooler(method: str, pooler: str, owner: str | None) -> None:
    model = tiny_model("bert", method, pooler=pooler)
    groups = trainable_parameters(model)
    assert set(groups) == {"head", "backbone" if method == "fine-tuning" else "prompt"}
    owners = {name for name, group in groups.items() for parameter in group if parameter.startswith("pooler.")}
    assert owners == ({owner} if owner else set())
    assert (model.pooler is None) == (pooler == "none")
    assert model.has_random_frozen_pooler == ((method, pooler) == ("p-tuning-v2", "published"))


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
def test_methods_share_head_and_pooler(spec: HeadSpec) -> None:
    models = [build_model(run_config({"model_type": "bert", **FAMILY_CONFIGS["bert"]}, m), spec) for m in METHODS]
    shared = [n for n, _ in models[0].named_parameters() if n.startswith(("head.", "pooler."))]
    assert len(shared) == (4 if spec.kind in ("classification", "choice") else 2)
    for model in models[1:]:
        for name in shared:
            assert torch.equal(model.get_parameter(name), models[0].get_parameter(name))
    assert not models[0].head.linear.bias.any()
    assert models[0].head.linear.weight.std().item() == pytest.approx(0.02, rel=0.5)


def test_losses_by_hand() -> None:
    batch = labelled(SPECS[0])
    out = tiny_model("bert")(batch)
    assert out["scores"].shape == (3, 3)
    torch.testing.assert_close(out["loss_sum"] / out["count"], functional.cross_entropy(out["scores"], batch["labels"]))

    batch = labelled(SPECS[1])
    out = tiny_model("bert", spec=SPECS[1])(batch)
    assert out["scores"].shape == (3, 2)
    torch.testing.assert_close(out["loss_sum"] / out["count"], functional.cross_entropy(out["scores"], batch["labels"]))

    batch = labelled(SPECS[2])
    batch["labels"] = batch["labels"].clamp(min=0)  # a label on padding does not count either
    batch["labels"][0, :2] = -100
    out = tiny_model("bert", spec=SPECS[2])(batch)
    real = (batch["attention_mask"] == 1) & (batch["labels"] != -100)
    assert out["scores"].shape == (3, 9, 5)
    assert out["count"] == real.sum() == 9 + 7 + 5 - 2
    expected = functional.cross_entropy(out["scores"][real], batch["labels"][real])
    torch.testing.assert_close(out["loss_sum"] / out["count"], expected)

    batch = labelled(SPECS[3])
    batch["start_positions"][1] = batch["end_positions"][1] = 12  # beyond the window: ignored
    out = tiny_model("bert", spec=SPECS[3])(batch)
    assert out["scores"].shape == (3, 9, 2)
    assert out["count"] == 2
    padding = batch["attention_mask"][..., None] == 0
    starts, ends = out["scores"].masked_fill(padding, -torch.inf).unbind(-1)
    rows = [0, 2]
    expected = (
        functional.cross_entropy(starts[rows], batch["start_positions"][rows])
        + functional.cross_entropy(ends[rows], batch["end_positions"][rows])
    ) / 2
    torch.testing.assert_close(out["loss_sum"] / out["count"], expected)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
def test_the_loss_of_a_batch_is_that_of_its_parts(spec: HeadSpec) -> None:
    model = tiny_model("bert", spec=spec)
    batch = labelled(spec)
    whole = model(batch)
    parts = [model({key: tensor[i : i + 1] for key, tensor in batch.items()}) for i in range(3)]
    for key in ("loss_sum", "count"):
        torch.testing.assert_close(sum(part[key] for part in parts), whole[key], atol=1e-5, rtol=0)
    unlabelled = {key: batch[key] for key in ("input_ids", "attention_mask")}
    assert set(model(unlabelled)) == {"scores"}


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
def test_padding_changes_no_loss(spec: HeadSpec) -> None:
    model = tiny_model("bert", spec=spec)
    batch = labelled(spec)
    row = {key: tensor[2:] for key, tensor in batch.items()}  # 5 tokens and padding
    by_token = {key for key, tensor in row.items() if tensor.shape[-1] == 9}
    short = {key: tensor[..., :5] if key in by_token else tensor for key, tensor in row.items()}
    alone = model({key: tensor for key, tensor in short.items() if key != "attention_mask"})
    padded = model(row)
    torch.testing.assert_close(padded["loss_sum"], alone["loss_sum"], atol=1e-6, rtol=0)
    assert torch.equal(padded["count"], alone["count"])


def test_the_published_span_loss_counts_padding() -> None:
    model = tiny_model("bert", spec=SPECS[3], head={"span_padding": "published"})
    batch = labelled(SPECS[3])
    out = model(batch)
    starts, ends = out["scores"].unbind(-1)
    expected = functional.cross_entropy(starts, batch["start_positions"], reduction="sum")
    expected += functional.cross_entropy(ends, batch["end_positions"], reduction="sum")
    torch.testing.assert_close(out["loss_sum"], expected / 2)


def test_choices_are_scored_as_texts_of_their_own() -> None:
    model = tiny_model("bert", spec=SPECS[1])
    batch = labelled(SPECS[1])
    scores = model(batch)["scores"]
    for choice in range(2):
        alone = model({key: batch[key][:, choice : choice + 1] for key in ("input_ids", "attention_mask")})
        torch.testing.assert_close(alone["scores"][:, 0], scores[:, choice], atol=1e-6, rtol=0)


@pytest.mark.parametrize("family", ["roberta", "distilbert"])
def test_token_types_that_a_backbone_has_not_are_left_out(family: str) -> None:
    model = tiny_model(family)
    batch = tiny_batch(pad=model.config.pad_token_id)
    types = {**batch, "token_type_ids": torch.ones_like(batch["input_ids"])}
    assert torch.equal(model(types)["scores"], model(batch)["scores"])
    bert = tiny_model("bert")
    assert not torch.equal(bert(types)["scores"], bert(batch)["scores"])


@pytest.mark.parametrize("family", sorted(FAMILY_CONFIGS))
def test_shallow_prompts_are_tokens_before_the_text(family: str) -> None:
    """With word embeddings of real tokens as prompt, the scores are those of the longer text."""
    tokens = torch.tensor([9, 17, 33, 41])
    config = {"model_type": family, **FAMILY_CONFIGS[family]}
    rates = {"hidden_dropout": None} if family in NO_HIDDEN_DROPOUT else {}
    cfg = run_config(config, "prompt-tuning", {"init": "vocabulary"}, **rates)
    model = build_model(cfg, HeadSpec("tagging", 5), init_token_ids=tokens).eval()
    batch = tiny_batch(pad=model.config.pad_token_id)
    scores = model({key: batch[key] for key in ("input_ids", "attention_mask")})["scores"]
    longer = {
        "input_ids": torch.cat((tokens.expand(3, -1), batch["input_ids"]), dim=1),
        "attention_mask": torch.cat((torch.ones(3, 4, dtype=torch.long), batch["attention_mask"]), dim=1),
    }
    model.prompts, model.prompt_length = None, 0
    torch.testing.assert_close(scores, model(longer)["scores"][:, 4:], atol=1e-5, rtol=0)


def test_dropout_is_active_in_training_only() -> None:
    for place in ({"prompt": {"dropout": 0.5}}, {"hidden_dropout": 0.5}, {"attention_dropout": 0.5}):
        settings: dict[str, Any] = place
        model = tiny_model("distilbert", **settings)
        batch = tiny_batch()
        assert torch.equal(model(batch)["scores"], model(batch)["scores"])
        model.train()
        assert not torch.equal(model(batch)["scores"], model(batch)["scores"]), place


@pytest.mark.parametrize(
    ("family", "method", "positions", "longest"),
    [
        ("bert", "p-tuning-v2", "shifted", POSITIONS - 4),
        ("bert", "p-tuning-v2", "unshifted", POSITIONS),
        ("bert", "prompt-tuning", "shifted", POSITIONS - 4),
        ("bert", "fine-tuning", "shifted", POSITIONS),
        ("roberta", "p-tuning-v2", "shifted", POSITIONS - 4 - 2),
        ("roberta", "prompt-tuning", "shifted", POSITIONS - 4 - 2),
        ("roberta", "fine-tuning", "shifted", POSITIONS - 2),
        ("gpt2", "p-tuning-v2", "shifted", POSITIONS - 4),
        ("gpt2", "prompt-tuning", "shifted", POSITIONS - 4),
    ],
)
def test_the_longest_text_that_fits(family: str, method: str, positions: str, longest: int) -> None:
    model = tiny_model(family, method, prompt={"positions": positions})
    assert model.max_text_length == longest
    model.check_length(longest)
    model({"input_ids": torch.full((1, longest), 7)})
    with pytest.raises(ModelError, match=rf"{longest + 1} tokens .* longest text that fits is {longest} tokens"):
        model.check_length(longest + 1)
    with pytest.raises((IndexError, RuntimeError)):
        model({"input_ids": torch.full((1, longest + 1), 7)})


@pytest.mark.parametrize(("method", "taken"), [("prompt-tuning", 4), ("fine-tuning", 0)])
def test_shallow_prompts_take_positions_in_backbones_that_number_their_own(method: str, taken: int) -> None:
    sizes = {name: size for name, size in FAMILY_CONFIGS["bert"].items() if "head" not in name}
    cfg = run_config({"model_type": "fnet", **sizes}, method, hidden_dropout=None, attention_dropout=None)
    model = build_model(cfg, POOLED)
    assert model.family.positions == "own"
    longest = POSITIONS - taken
    assert model.max_text_length == longest
    model({"input_ids": torch.full((1, longest), 7)})
    with pytest.raises(ModelError, match=f"the longest text that fits is {longest} tokens"):
        model.check_length(longest + 1)


def test_a_prompt_longer_than_all_positions() -> None:
    told = rf"; no text fits beside this prompt; the longest prompt beside this text is {POSITIONS - 1} tokens \("
    with pytest.raises(ModelError, match=told):
        tiny_model("bert", prompt={"length": POSITIONS}).check_length(1)
    with pytest.raises(ModelError, match=r"; no text fits beside this prompt$"):
        tiny_model("bert", prompt={"length": POSITIONS}).check_length(POSITIONS)


@pytest.mark.parametrize("method", ["p-tuning-v2", "prompt-tuning"])
@pytest.mark.parametrize("family", ["mamba", "fnet"])
def test_backbones_without_attention_take_shallow_prompts_only(family: str, method: str) -> None:
    config = {
        "model_type": family,
        **{name: size for name, size in FAMILY_CONFIGS["bert"].items() if "head" not in name},
    }
    cfg = run_config(config, method, hidden_dropout=None, attention_dropout=None)
    if method == "p-tuning-v2":
        with pytest.raises(ModelError, match=rf"a {family} backbone has no keys and values .*method=prompt-tuning"):
            build_model(cfg, POOLED)
        return
    model = build_model(cfg, POOLED)
    assert model.family.causal == (family == "mamba"), "so a text is read at its last token"
    mean_loss(model, tiny_batch()).backward()
    assert set(gradients(model)) == {"prompts.prompt", "head.linear.weight", "head.linear.bias"}


def test_layers_that_have_attention_are_named() -> None:
    config = {**FAMILY_CONFIGS["llama"], "model_type": "lfm2", "full_attn_idxs": [1]}
    settings = {"hidden_dropout": None, "attention_dropout": None}
    with pytest.raises(
        ModelError, match=r"lfm2 as backbone: 1 of 3 layers took.*expected prompt\.layers=\[1\], or method="
    ):
        build_model(run_config(config, **settings), POOLED)
    model = build_model(run_config(config, prompt={"layers": [1]}, **settings), POOLED)
    mean_loss(model, tiny_batch()).backward()
    assert gradients(model)["prompts.prompt"].abs().max() > 0


def test_a_backbone_without_word_embeddings_is_fine_tuned_only() -> None:
    config = {**FAMILY_CONFIGS["bert"], "model_type": "canine"}
    with pytest.raises(ModelError, match=r"canine backbone has no table of word embeddings .*method=fine-tuning"):
        build_model(run_config(config), POOLED)


@pytest.mark.parametrize("family", ["megatron-bert"])
def test_backbones_that_ignore_prompts_are_refused_but_can_be_fine_tuned(family: str) -> None:
    config = {"model_type": family, **FAMILY_CONFIGS["bert"]}
    with pytest.raises(
        ModelError,
        match=f"{family} as backbone: 0 of 3 layers took their prompts;.*expected another backbone, or method=",
    ):
        build_model(run_config(config), POOLED)
    model = build_model(run_config(config, "fine-tuning"), POOLED)
    mean_loss(model, tiny_batch(pad=model.config.pad_token_id)).backward()
    assert set(gradients(model)) == {name for name, _ in model.named_parameters()}


def test_an_unknown_family_is_taken_when_every_layer_consumes_its_prompt() -> None:
    config = {**FAMILY_CONFIGS["bert"], "model_type": "mistral", "num_key_value_heads": 1, "head_dim": 6}
    model = build_model(run_config(config, hidden_dropout=None), POOLED)
    assert model.prompts is not None
    assert model.prompts.shape == (3, 2, 1, 4, 6), "grouped-query heads have fewer keys and values"
    mean_loss(model, tiny_batch()).backward()
    assert model.prompts.prompt is not None
    assert model.prompts.prompt.grad is not None


def test_describe_counts_by_formula() -> None:
    model = tiny_model("bert", prompt={"length": 7, "layers": "first-2"}, pooler="trained")
    told = describe(model)
    prompt, head, pooler = 2 * 2 * HIDDEN * 7, HIDDEN * 3 + 3, HIDDEN * HIDDEN + HIDDEN
    assert told["groups"] == {"prompt": prompt, "head": head + pooler}
    assert told["trained"] == prompt + head + pooler
    assert told["total"] == sum(p.numel() for p in model.parameters())
    assert told["percent"] == pytest.approx(100 * told["trained"] / told["total"], abs=1e-4)
    assert told["layers"] == [0, 1]
    assert told["pooler"] == "random"
    everything = describe(tiny_model("bert", "fine-tuning"))
    assert everything["trained"] == everything["total"]
    assert everything["layers"] == []


def test_every_token_needs_an_embedding() -> None:
    model = tiny_model("bert")
    rows = model.backbone.get_input_embeddings().num_embeddings  # type: ignore[operator]
    model.check_ids(rows - 1)
    with pytest.raises(ModelError, match=f"token number {rows}, the backbone has embeddings for 0 to {rows - 1}:"):
        model.check_ids(rows)
