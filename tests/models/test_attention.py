"""Prompts at the layers against attention written out by hand, and under everything that wraps a forward pass."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import (
    FAMILY_CONFIGS,
    LAYERS,
    NO_HIDDEN_DROPOUT,
    enlarge,
    gradients,
    mean_loss,
    run_config,
    tiny_batch,
    tiny_model,
)
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask, sdpa_mask

from ptv2.errors import ModelError
from ptv2.models.attention import LayerPrompts, eager_attention, projections, with_prompts
from ptv2.models.build import HeadSpec, build_model
from ptv2.models.families import FAMILIES
from ptv2.models.prompts import DeepPrompts
from ptv2.training.transfer import send

FAMILY_NAMES = sorted(FAMILY_CONFIGS)
# Families whose attention is one of our registered functions, so that a test can put its own in their place.
REGISTERED = [name for name in FAMILY_NAMES if FAMILIES[name].adapter in (None, "relative")]
B, T, P, H, D = 2, 5, 3, 4, 8


def by_hand(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, prompt: Tensor) -> Tensor:
    """softmax over prompt and text of q k / sqrt(D), in float64; `prompt` `[2, B, H, P, D]`; returns `[B, T, H, D]`.

    `mask` is boolean, or (a relative bias) is added to the scores of the text.
    """
    query, key, value, prompt = (tensor.double() for tensor in (query, key, value, prompt))
    groups = query.shape[1] // key.shape[1]
    keys, values = (
        torch.cat((p, x), dim=2).repeat_interleave(groups, dim=1) for p, x in ((prompt[0], key), (prompt[1], value))
    )
    scores = torch.einsum("bhtd,bhsd->bhts", query, keys) / query.shape[-1] ** 0.5
    if mask is not None and mask.dtype != torch.bool:
        scores[..., prompt.shape[3] :] += mask
    elif mask is not None:
        visible = torch.ones(*mask.shape[:-1], prompt.shape[3], dtype=torch.bool)
        scores = scores.masked_fill(~torch.cat((visible, mask), dim=-1), float("-inf"))
    return torch.einsum("bhts,bhsd->bthd", scores.exp() / scores.exp().sum(-1, keepdim=True), values)


class Layer(nn.Module):
    """As much of an attention module as the functions ask for."""

    def __init__(self, causal: bool = False, groups: int = 1) -> None:
        super().__init__()
        self.layer_idx, self.is_causal, self.num_key_value_groups = 1, causal, groups


def tensors(kv_heads: int = H, length: int = T) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    shapes = (B, H, length, D), (B, kv_heads, length, D), (B, kv_heads, length, D), (2, B, kv_heads, P, D)
    return tuple(torch.randn(shape) for shape in shapes)  # type: ignore[return-value]


def attend(name: str, layer: nn.Module, *inputs: Any, **options: Any) -> Tensor:
    return AttentionInterface()[f"ptv2_{name}"](layer, *inputs, **options)[0]


@pytest.mark.parametrize("name", ["sdpa", "eager"])
@pytest.mark.parametrize("per_row", [True, False])
@pytest.mark.parametrize("kind", ["none", "bool", "float", "one row"])
@pytest.mark.parametrize("kv_heads", [H, 2])
def test_against_attention_by_hand(name: str, per_row: bool, kind: str, kv_heads: int) -> None:
    query, key, value, prompt = tensors(kv_heads)
    if not per_row:
        prompt = prompt[:, :1]
    allowed = torch.rand(B, 1, T, T) > 0.4
    if kind == "one row":  # what transformers makes of padding: every query sees the same
        allowed = allowed[:, :, :1].expand(-1, -1, T, -1)
    mask: Tensor | None = None
    if kind != "none":
        mask = allowed
        if kind == "float" or name == "eager":
            mask = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)
    prompts = LayerPrompts({1: prompt if per_row else prompt[:, 0]})
    output = attend(name, Layer(groups=H // kv_heads), query, key, value, mask, prompts=prompts)
    expected = by_hand(query, key, value, allowed if kind != "none" else None, prompt.expand(-1, B, -1, -1, -1))
    torch.testing.assert_close(output.double(), expected, atol=1e-6, rtol=0)
    assert prompts.taken == {1}


@pytest.mark.parametrize("name", ["sdpa", "eager"])
def test_a_causal_layer_without_a_mask_stays_causal(name: str) -> None:
    query, key, value, prompt = tensors()
    output = attend(name, Layer(causal=True), query, key, value, None, prompts=LayerPrompts({1: prompt}))
    causal = torch.ones(1, 1, T, T, dtype=torch.bool).tril()
    torch.testing.assert_close(output.double(), by_hand(query, key, value, causal, prompt), atol=1e-6, rtol=0)


def test_without_a_prompt_it_is_the_stock_function() -> None:
    query, key, value, prompt = tensors()
    for prompts in (None, LayerPrompts({0: prompt})):
        stock = with_prompts(eager_attention)(Layer(), query, key, value, None, prompts=prompts)
        assert torch.equal(stock[0], eager_attention(Layer(), query, key, value, None)[0])
    assert stock[1] is not None, "eager returns the weights"


def test_prompt_dropout_is_drawn_for_each_row() -> None:
    key = tensors()[1]
    pair = LayerPrompts({1: torch.ones(2, H, 50, D)}, dropout=0.5).take(Layer(), key)
    assert pair is not None
    for tensor in pair:
        assert set(tensor.unique().tolist()) == {0.0, 2.0}
        assert tensor.mean().item() == pytest.approx(1.0, abs=0.1)
        assert not torch.equal(tensor[0], tensor[1])
    assert not torch.equal(*pair)


def test_a_module_without_a_layer_number_is_named() -> None:
    query, key, value, prompt = tensors()
    with pytest.raises(ModelError, match="Linear stands in none of the backbone's layers"):
        attend("sdpa", nn.Linear(1, 1), query, key, value, None, prompts=LayerPrompts({0: prompt}))


# Whole backbones


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(
    ("family", "form"),
    [(name, form) for name in REGISTERED for form in ("key-value", "hidden")[: 1 if FAMILIES[name].fused else 2]],
)
def test_a_backbone_equals_the_one_by_hand(family: str, attention: str, form: str) -> None:
    """Against an attention function of our own that counts its calls and knows the prompts, in float64."""
    model = tiny_model(family, prompt={"form": form}, attention=attention).double()
    batch = tiny_batch(pad=model.config.pad_token_id)
    output = model(batch)["scores"]
    assert isinstance(model.prompts, DeepPrompts)
    values = model.prompts.value().detach()
    calls: list[int] = []

    def hand(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, **options: Any) -> Any:
        prompt = values[len(calls)]
        if form == "hidden":
            pair = projections(module)
            assert pair is not None
            split = (4, key.shape[1], key.shape[3])
            prompt = torch.stack([linear(prompt).view(split).transpose(0, 1) for linear in pair])
        calls.append(1)
        if options.get("scaling") is not None:  # opt has scaled its queries already
            query = query * options["scaling"] * query.shape[3] ** 0.5
        expanded = prompt[:, None].expand(-1, query.shape[0], -1, -1, -1)
        return by_hand(query, key, value, mask, expanded), None

    AttentionInterface.register("by_hand", hand)
    AttentionMaskInterface.register("by_hand", sdpa_mask)
    if FAMILIES[family].adapter == "relative":
        model.backbone.attention_name = "by_hand"  # type: ignore[assignment]
    else:
        model.backbone.set_attn_implementation("by_hand")  # type: ignore[operator]
    expected = model(batch)["scores"]
    assert len(calls) == LAYERS
    # Positions, token types and layer norm are the model's on both sides; scores are float32 at the end.
    torch.testing.assert_close(output, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("family", ["gemma2", "gpt_oss"])
def test_attention_that_is_more_than_a_softmax_equals_the_librarys(family: str) -> None:
    """Scores kept within bounds (gemma 2), and a score that gives nothing (gpt-oss): no fused function knows these."""
    library = importlib.import_module(f"transformers.models.{family}.modeling_{family}")
    config = {
        **FAMILY_CONFIGS["llama"],
        "model_type": family,
        "head_dim": 8,
        "num_key_value_heads": 1,
        "sliding_window": 6,
        "attn_logit_softcapping": 0.5,
        "query_pre_attn_scalar": 8,
        "num_local_experts": 2,
        "num_experts_per_tok": 2,
    }
    model = build_model(run_config(config, hidden_dropout=None), HeadSpec("classification", 3)).eval()
    enlarge(model)
    output = model(tiny_batch())["scores"]
    assert isinstance(model.prompts, DeepPrompts)
    values, calls = model.prompts.value().detach(), []

    def hand(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, **options: Any) -> Any:
        prompt = values[len(calls)][:, None].expand(-1, query.shape[0], -1, -1, -1)
        calls.append(1)
        key, value = (torch.cat(pair, dim=2) for pair in zip(prompt, (key, value), strict=True))
        mask = functional.pad(mask, (prompt.shape[3], 0))
        return library.eager_attention_forward(module, query, key, value, mask, **options)

    AttentionInterface.register("by_hand", hand)
    AttentionMaskInterface.register("by_hand", eager_mask)
    model.backbone.set_attn_implementation("by_hand")  # type: ignore[operator]
    torch.testing.assert_close(output, model(tiny_batch())["scores"], atol=1e-5, rtol=1e-5)
    assert len(calls) == LAYERS


# What wraps a forward pass


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", [name for name in FAMILY_NAMES if FAMILIES[name].checkpointing])
def test_gradient_checkpointing_gives_the_same_gradients(family: str, attention: str) -> None:
    found = []
    for checkpointing in (False, True):
        model = tiny_model(
            family,
            prompt={"layers": "last-2", "dropout": 0.3},
            attention=attention,
            gradient_checkpointing=checkpointing,
            hidden_dropout=None if family in NO_HIDDEN_DROPOUT else 0.1,
        ).train()
        torch.manual_seed(1)
        mean_loss(model, tiny_batch(pad=model.config.pad_token_id)).backward()
        found.append(gradients(model))
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, atol=1e-6, rtol=0, msg=name)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_no_backward_below_the_first_prompted_layer(family: str, checkpointing: bool) -> None:
    model = tiny_model(family, prompt={"layers": "last-1"}, gradient_checkpointing=checkpointing).train()
    inputs: list[bool] = []
    for module in model.backbone.modules():
        pair = projections(module)
        if pair is not None:
            pair[0].register_forward_hook(lambda _, given, __: inputs.append(given[0].requires_grad))
    model(tiny_batch(pad=model.config.pad_token_id))
    assert inputs == [False] * LAYERS, "the last layer's own input is below its prompt too"


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_autocast_comes_close(family: str, attention: str) -> None:
    model = tiny_model(family, prompt={"dropout": 0.1}, attention=attention)
    batch = tiny_batch(pad=model.config.pad_token_id)
    exact = mean_loss(model, batch)
    with torch.autocast("cpu", torch.bfloat16):
        loss = mean_loss(model.train(), batch)
        assert loss.dtype == torch.float32
    loss.backward()
    assert all(tensor.dtype == torch.float32 and tensor.isfinite().all() for tensor in gradients(model).values())
    with torch.autocast("cpu", torch.bfloat16):
        assert mean_loss(model.eval(), batch).item() == pytest.approx(exact.item(), rel=0.1, abs=0.1)


@pytest.mark.parametrize("family", ["roberta", "albert"])
def test_a_step_is_one_graph_with_the_same_gradients(family: str) -> None:
    """Traced by torch.compile without a break, and run as it is: generated code is the slow test below."""
    model = tiny_model(family, prompt={"layers": [1, 2]}).train()
    batch = tiny_batch(pad=model.config.pad_token_id)
    mean_loss(model, batch).backward()
    expected = gradients(model)
    model.zero_grad()
    whole = torch.__version__ >= "2.7"  # 2.6 breaks it in transformers' own wrapper of the model, and goes on in pieces
    mean_loss(torch.compile(model, fullgraph=whole, backend="eager"), batch).backward()
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients(model)[name], gradient, atol=1e-5, rtol=0, msg=name)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile on a CPU needs a C++ compiler")
def test_compiled_code_gives_the_same_gradients() -> None:
    model = tiny_model("bert", prompt={"layers": [1, 2]}).train()
    batch = tiny_batch()
    mean_loss(model, batch).backward()
    expected = gradients(model)
    model.zero_grad()
    mean_loss(torch.compile(model, dynamic=True), batch).backward()
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients(model)[name], gradient, atol=1e-5, rtol=0, msg=name)


def test_distributed_data_parallel_gives_the_same_gradients(tmp_path: Path) -> None:
    model = tiny_model("bert")
    batch = tiny_batch()
    mean_loss(model, batch).backward()
    expected = gradients(model)
    model.zero_grad()
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        mean_loss(nn.parallel.DistributedDataParallel(model), batch).backward()
    finally:
        torch.distributed.destroy_process_group()
    assert gradients(model).keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients(model)[name], gradient, atol=1e-6, rtol=0, msg=name)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_the_mask_is_extended_once_a_pass(family: str, padded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in every layer: layers share it. An encoder without padding has none."""
    model = tiny_model(family)
    batch = tiny_batch(pad=model.config.pad_token_id or 0)
    if not padded:
        batch["attention_mask"] = torch.ones_like(batch["attention_mask"])
        batch = send(batch, torch.device("cpu"))
    made = []
    original = LayerPrompts.extend_mask

    def extend(prompts: LayerPrompts, *inputs: Any) -> Any:
        result = original(prompts, *inputs)
        made.append(None if result is None else prompts._mask)
        return result

    monkeypatch.setattr(LayerPrompts, "extend_mask", extend)
    model(batch)
    assert len(made) == LAYERS > 1
    assert all(mask is made[0] for mask in made)
    assert (made[0] is None) == (family == "bert" and not padded)
