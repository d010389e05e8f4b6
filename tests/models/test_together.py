"""One pass for several models: every kind of positions and prompts gives the states and gradients of each alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from device_reads import Reads
from one_device import ELSEWHERE, OneDevice
from tiny import FAMILY_CONFIGS, LAYERS, NO_HIDDEN_DROPOUT, VOCABULARY, enlarge, run_config
from torch import Tensor

from ptv2.models.attention import LayerPrompts
from ptv2.models.backbones import load_backbone, with_pooler_of
from ptv2.models.build import HeadSpec, PromptedModel, build_model
from ptv2.models.families import FAMILIES, family_of
from ptv2.models.together import JointPass, JointPrompts, Rows, why_alone

TOGETHER = [name for name in FAMILY_CONFIGS if why_alone(family_of(name)) is None]
HEAD = HeadSpec("classification", 3)
# Settings of each of three models; what one of them trains differs in length from the others.
LENGTHS = (3, 7, 3)


class Alone:
    """Hands every pass to the backbone at once, and keeps what was handed in."""

    def __init__(self, model: PromptedModel) -> None:
        self.model = model
        self.rows: Rows
        self.states: Tensor

    def forward(self, inputs: dict[str, Any], prompts: LayerPrompts | None) -> Tensor:
        self.rows = Rows(inputs, prompts)
        options = {} if prompts is None else {"prompts": prompts}
        self.states = self.model.backbone(**inputs, **options).last_hidden_state
        return self.states

    def backward(self) -> None:
        """Nothing waits."""


def models(family: str, method: str, prompt: dict[str, Any]) -> list[PromptedModel]:
    sizes = {**FAMILY_CONFIGS[family], "model_type": family}
    options = {"hidden_dropout": None} if family in NO_HIDDEN_DROPOUT else {}
    backbone = load_backbone(run_config(sizes, **options).model, 3)
    built = []
    for seed, length in enumerate(LENGTHS):
        config = run_config(sizes, method, {**prompt, "length": length}, seed=seed, **options)
        built.append(model := build_model(config, HEAD, backbone=with_pooler_of(backbone, seed)))
        enlarge(model)
        if model.prompts is not None:
            model.prompts.init_normal(0.5, torch.Generator().manual_seed(seed))
    return [model.train() for model in built]


def batch(rows: int, tokens: int, padded: bool, pad_id: int) -> dict[str, Tensor]:
    ids = torch.randint(5, VOCABULARY, (rows, tokens), generator=torch.Generator().manual_seed(tokens))
    if not padded:
        return {"input_ids": ids}
    mask = torch.ones_like(ids)
    mask[0, 3:] = 0
    return {"input_ids": ids.masked_fill(mask == 0, pad_id), "attention_mask": mask}


def gradients(model: PromptedModel) -> list[Tensor]:
    found = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    return found


def check(built: list[PromptedModel], batches: list[dict[str, Tensor]]) -> None:
    pad_id = built[0].config.pad_token_id
    alone, handed, weights = [], [], []
    for model, inputs in zip(built, batches, strict=True):
        model.together = catcher = Alone(model)
        model(inputs)
        weights.append(torch.randn(catcher.states.shape, generator=torch.Generator().manual_seed(1)))
        if "attention_mask" in inputs:  # what stands at padding means nothing
            first = weights[-1].shape[1] - inputs["input_ids"].shape[1]
            weights[-1][:, first:] *= inputs["attention_mask"][..., None]
        if catcher.states.requires_grad:
            (catcher.states * weights[-1]).sum().backward()
        alone.append((catcher.states.detach(), gradients(model)))
        model(inputs)
        handed.append(catcher.rows)
    with Reads() as read:
        done = JointPass(built[0].backbone, handed, pad_id)
        for states, weight in zip(done.hidden, weights, strict=True):
            states.grad = weight
        done.backward()
    draws = LAYERS if built[0].config.model_type == "opt" else 0  # transformers 5.20: whether to drop a layer
    assert read.count in (0, draws), "the host waited for the device"
    for model, states, weight, (expected, of_prompts) in zip(built, done.hidden, weights, alone, strict=True):
        torch.testing.assert_close(states * (weight != 0), expected * (weight != 0), rtol=1e-4, atol=2e-5)
        found = gradients(model)
        assert len(found) == len(of_prompts) == (model.prompts is not None)
        for one, other in zip(found, of_prompts, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("method", ["p-tuning-v2", "prompt-tuning", "head-only"])
@pytest.mark.parametrize("family", TOGETHER)
def test_states_and_gradients_are_those_of_each_alone(family: str, method: str, padded: bool) -> None:
    built = models(family, method, {})
    pad_id = built[0].config.pad_token_id
    check(built, [batch(2, 6, False, pad_id), batch(3, 9, padded, pad_id), batch(1, 6, padded, pad_id)])


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("family", ["bert", "albert", "roberta", "llama"])
def test_hidden_prompts(family: str, padded: bool) -> None:
    built = models(family, "p-tuning-v2", {"form": "hidden", "layers": "last-2"})
    pad_id = built[0].config.pad_token_id
    check(built, [batch(2, 8, False, pad_id), batch(3, 8, padded, pad_id), batch(1, 8, False, pad_id)])


@pytest.mark.parametrize("family", TOGETHER)
def test_texts_of_one_length_need_no_mask(family: str) -> None:
    """Only the columns that a prompt does not have are masked, in layers with and without a mask of their own."""
    built = models(family, "p-tuning-v2", {})
    check(built, [batch(rows, 8, False, built[0].config.pad_token_id) for rows in (2, 3, 1)])


@pytest.mark.parametrize("method", ["p-tuning-v2", "prompt-tuning"])
def test_choices(method: str) -> None:
    """Rows of a multiple choice are texts with each of its choices."""
    built = models("roberta", method, {})
    batches = [batch(4, 6, False, 1), batch(2, 9, False, 1), batch(4, 6, False, 1)]
    check(built, [{"input_ids": one["input_ids"].unflatten(0, (-1, 2))} for one in batches])


def test_text_embedded_twice_as_published() -> None:
    built = models("roberta", "prompt-tuning", {"embedding": "published"})
    check(built, [batch(2, 6, False, 1), batch(3, 9, True, 1), batch(1, 6, False, 1)])


def test_prompts_drop_out_by_their_own_rate() -> None:
    """The one with rate 0 loses nothing while another loses nearly all."""
    values = torch.ones(2, 2, 1, 4, 3)
    halves = [LayerPrompts({0: values[:, 0]}, dropout=0.0), LayerPrompts({0: values[:, 1]}, dropout=0.99)]

    class Layer(torch.nn.Module):
        layer_idx = 0

    pair = JointPrompts.of(halves, [2, 5]).take(Layer(), torch.zeros(7, 1, 6, 3))
    assert pair is not None
    assert pair[0].shape == (7, 1, 4, 3)
    assert (pair[0][:2] == 1).all()
    assert (pair[0][2:] == 0).float().mean() > 0.8


def test_adapters_of_ours_stay_alone() -> None:
    reasons = {name: why_alone(family) for name, family in FAMILIES.items()}
    assert {name for name, reason in reasons.items() if reason} == {"deberta", "deberta-v2", "glm-2021", "mpnet"}
    assert "qwen9 numbers positions" in str(why_alone(family_of("qwen9")))


class Caught(Exception):  # noqa: N818 - it is none
    """What a model handed to the backbone of all."""


class Catch:
    """Keeps what is handed in, and stops there."""

    def forward(self, inputs: dict[str, Any], prompts: LayerPrompts | None) -> Tensor:
        raise Caught(Rows(inputs, prompts))

    def backward(self) -> None:
        """Nothing waits."""


METHODS: list[tuple[str, dict[str, Any]]] = [
    ("p-tuning-v2", {"init": "vocabulary"}),
    ("p-tuning-v2", {"init": "normal", "reparameterization": "mlp"}),
    ("prompt-tuning", {"init": "vocabulary"}),
    ("head-only", {}),
]
# Deep prompts from tokens need a map for keys and one for values.
ON_GPU = [
    (family, *case) for family in TOGETHER for case in METHODS if case != METHODS[0] or not FAMILIES[family].fused
]


@pytest.mark.parametrize(("family", "method", "prompt"), ON_GPU)
def test_the_second_model_is_built_on_a_backbone_that_is_on_the_gpu(
    family: str, method: str, prompt: dict[str, Any]
) -> None:
    """The first one has put it there before; nothing then mixes the GPU and the CPU."""
    sizes = {**FAMILY_CONFIGS[family], "model_type": family}
    options = {"hidden_dropout": None} if family in NO_HIDDEN_DROPOUT else {}
    backbone = load_backbone(run_config(sizes, **options).model, 3)
    backbone.model.to(ELSEWHERE)
    handed = []
    with OneDevice():
        for seed, length in enumerate(LENGTHS):
            config = run_config(sizes, method, {**prompt, "length": length}, seed=seed, **options)
            model = build_model(config, HEAD, backbone=with_pooler_of(backbone, seed)).to(ELSEWHERE).train()
            model.together = Catch()
            inputs = batch(2 + seed, 6 + seed, bool(seed), model.config.pad_token_id)
            with pytest.raises(Caught) as caught:
                model({name: tensor.to(ELSEWHERE) for name, tensor in inputs.items()})
            handed.append(caught.value.args[0])
        done = JointPass(model.backbone, handed, model.config.pad_token_id)
        for states in done.hidden:
            states.grad = torch.empty_like(states)
        done.backward()
    assert {states.device for states in done.hidden} == {ELSEWHERE}
