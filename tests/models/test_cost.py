"""What `ptv2 plan` counts, against the cost model by hand, against real models, and against the allocator."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from script_files import load_script
from tiny import run_config

from ptv2.config.compose import compose
from ptv2.models.build import HeadSpec, build_model, describe
from ptv2.models.configs import random_config
from ptv2.models.ledger import StepCost, count_step, without_contents
from ptv2.models.outline import find_config, outline

B, T, P, WIDTH, INNER, LAYERS, LABELS = 2, 16, 4, 64, 256, 4, 3
BERT: dict[str, Any] = {
    "model_type": "bert",
    "vocab_size": 100,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "intermediate_size": INNER,
    "max_position_embeddings": 64,
}
LAYER = 4 * WIDTH**2 + 2 * WIDTH * INNER  # weights of a layer's products
METHODS = ("fine-tuning", "lora", "prompt-tuning", "p-tuning-v2")


def step_cost(
    method: str, *, prompt: dict[str, Any] | None = None, rows: int = B, half: bool = False, **model: Any
) -> StepCost:
    config = run_config(BERT, method, {"length": P, **(prompt or {})}, pooler="none", **model)
    with without_contents():
        made = outline(config, HeadSpec("classification", LABELS), random_config(config.model))
        return count_step(made, batch(rows), half=half)


def batch(rows: int, length: int = T) -> dict[str, torch.Tensor]:
    ids = torch.full((rows, length), 7)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.zeros(rows, dtype=torch.long)}


@pytest.mark.parametrize("method", METHODS)
def test_parameters_are_those_of_the_real_model(method: str) -> None:
    real = describe(build_model(run_config(BERT, method, {"length": P}, pooler="none"), HeadSpec("classification", 3)))
    counted = step_cost(method)
    assert (counted.trained, counted.parameters) == (real["trained"], real["total"])
    assert counted.gradients == 4 * counted.trained
    assert counted.optimizer == 8 * counted.trained


def products(tokens: int, layers: int = LAYERS) -> int:
    """Operations of the maps of `layers` layers over all tokens: 2 n t."""
    return 2 * LAYER * layers * tokens


def attention(queries: int, keys: int) -> int:
    """Operations of one of the two products of one layer's attention."""
    return 2 * B * queries * keys * WIDTH


HEAD = 2 * B * WIDTH * LABELS


def test_fine_tuning_costs_6_n_t() -> None:
    cost = step_cost("fine-tuning")
    t = B * T
    assert cost.forward == products(t) + LAYERS * 2 * attention(T, T) + HEAD
    # fused attention computes its weights again, so its backward pass has 5 products
    assert cost.backward == 2 * products(t) + LAYERS * 5 * attention(T, T) + 2 * HEAD


@pytest.mark.parametrize(("layers", "first"), [("all", 0), ("last-3", 1), ("last-1", 3), ([1, 3], 1)])
def test_deep_prompts_cost_2_n_t_and_2_n_t_from_the_first_prompted_layer_on(layers: Any, first: int) -> None:
    cost = step_cost("p-tuning-v2", prompt={"layers": layers})
    t = B * T
    lengths = [
        T + P if layers == "all" or i in {"last-3": (1, 2, 3), "last-1": (3,)}.get(str(layers), (1, 3)) else T
        for i in range(LAYERS)
    ]
    assert cost.forward == products(t) + sum(2 * attention(T, length) for length in lengths) + HEAD
    own = 2 * 3 * WIDTH**2 * t  # no gradient goes into queries, keys and values of the first prompted layer
    reached = products(t, LAYERS - first) - own
    assert cost.backward == reached + sum(5 * attention(T, length) for length in lengths[first:]) + 2 * HEAD


def test_lora_costs_4_n_t_and_its_own_products() -> None:
    cost = step_cost("lora")
    t = B * T
    narrow = 2 * 8 * WIDTH * t  # operations of A or B beside one map, at rank 8
    assert cost.forward == products(t) + LAYERS * (2 * attention(T, T) + 4 * narrow) + HEAD
    # A and B have gradients of weights and of inputs, but for the inputs of the first layer, which need none there.
    first = 3 * 2 * WIDTH**2 * t + 2 * narrow
    assert cost.backward == products(t) - first + LAYERS * (5 * attention(T, T) + 8 * narrow) + 2 * HEAD


def test_shallow_prompts_cost_4_n_of_text_and_prompt() -> None:
    cost = step_cost("prompt-tuning")
    t = B * (T + P)
    assert cost.forward == products(t) + LAYERS * 2 * attention(T + P, T + P) + HEAD
    assert cost.backward == products(t) + LAYERS * 5 * attention(T + P, T + P) + 2 * HEAD


@pytest.mark.parametrize("method", METHODS)
def test_memory_is_what_the_allocator_sees(method: str) -> None:
    """Peak of forward and backward pass of the real model on a CPU, with attention that is the same there."""
    rows = 16
    counted = step_cost(method, rows=rows, attention="eager")
    config = run_config(BERT, method, {"length": P}, pooler="none", attention="eager")
    model = build_model(config, HeadSpec("classification", LABELS)).train()
    inputs = batch(rows)

    def step() -> None:
        model(inputs)["loss_sum"].backward()

    measured = load_script("benchmarks/step_time.py").peak(step, torch.device("cpu"))
    planned = counted.peak - counted.weights - counted.optimizer
    assert planned == pytest.approx(measured, rel=0.1)
    assert counted.activations < planned


def test_what_saves_memory_is_seen() -> None:
    usual = step_cost("p-tuning-v2", rows=64)
    assert step_cost("fine-tuning", rows=64).activations > usual.activations
    checkpointed = step_cost("p-tuning-v2", rows=64, gradient_checkpointing=True)
    assert checkpointed.activations < 0.3 * usual.activations
    assert checkpointed.forward + checkpointed.backward > usual.operations
    assert step_cost("p-tuning-v2", rows=64, prompt={"layers": "last-1"}).activations < 0.4 * usual.activations
    narrow = step_cost("p-tuning-v2", rows=64, dtype="bfloat16")
    assert narrow.weights < 0.55 * usual.weights
    assert narrow.activations < 0.6 * usual.activations
    assert step_cost("p-tuning-v2", rows=64, half=True).activations < 0.8 * usual.activations


@pytest.mark.parametrize("kind", ["choice", "tagging", "span"])
def test_every_kind_of_head_is_counted(kind: Any) -> None:
    config = run_config(BERT, "p-tuning-v2", {"length": P})
    with without_contents():
        made = outline(config, HeadSpec(kind, 2), random_config(config.model))
        inputs = batch(B)
        if kind == "choice":
            inputs |= {name: inputs[name][:, None].expand(B, 2, T) for name in ("input_ids", "attention_mask")}
        elif kind == "tagging":
            inputs["labels"] = torch.zeros_like(inputs["input_ids"])
        else:
            inputs |= {"start_positions": inputs["labels"], "end_positions": inputs["labels"]}
        cost = count_step(made, inputs, half=False)
    texts = 2 * B if kind == "choice" else B
    assert cost.forward > 2 * LAYER * LAYERS * texts * T


# Parameters of the published backbones, as transformers counts them (encoders with pooler); glm: as its authors do.
PUBLISHED = {
    "bert-base-cased": 108_310_272,
    "bert-base-uncased": 109_482_240,
    "bert-large-cased": 333_579_264,
    "bert-large-uncased": 335_141_888,
    "roberta-base": 124_645_632,
    "roberta-large": 355_359_744,
    "deberta-base": 138_601_728,
    "deberta-v3-base": 183_831_552,
    "deberta-v3-large": 434_012_160,
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "glm-xlarge": 1_920_122_880,
    "glm-xxlarge": 9_880_682_496,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_sizes_in_conf_are_the_published_ones(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.hf_hub_download", unreachable)
    config = compose([f"model={name}", "method=fine-tuning"])
    shape, origin = find_config(config.model)
    assert "conf/model" in origin
    with without_contents():
        model = outline(config, HeadSpec("classification", 2), shape)
    counted = sum(p.numel() for p in model.backbone.parameters())
    if model.pooler is not None and not name.startswith(("glm", "deberta")):
        counted += sum(p.numel() for p in model.pooler.parameters())
    assert counted == PUBLISHED[name]


def unreachable(*_: Any, **__: Any) -> str:
    raise OSError("offline")
