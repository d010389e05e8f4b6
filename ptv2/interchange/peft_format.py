"""Prompts, LoRA or (IA)3, and the head, of a model as an adapter of PEFT, and back.

PEFT puts deep prompts ("prefix tuning") into the cache of a transformers model, shallow ones ("prompt tuning") before
its input embeddings; pooler and head are those of transformers' class for the kind of task. So only what these classes
compute can be written: `ptv2.models.families` says for each model type where they keep it, and everything else is
refused with its reason. Written from the source of PEFT 0.21.2 and compared with it in
`tests/models/test_peft_format.py`.

Letters: L layers, P prompt length, H key/value heads, D head size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ptv2.errors import ModelError, quote
from ptv2.interchange.lora_format import ia3_config, lora_config, tuned_tensors
from ptv2.interchange.peft_adapter import EMBEDDINGS, PREFIX, PROMPT, SEQUENCE, SPAN, TOKENS, Adapter
from ptv2.models.attention import LayerPrompts
from ptv2.models.build import PromptedModel
from ptv2.models.dropout import evaluating
from ptv2.models.families import FAMILIES, HeadLayout
from ptv2.models.heads import Head
from ptv2.models.prompts import DeepPrompts, ShallowPrompts

PEFT_VERSION = "0.21.2"
_ROOT = "base_model."  # in front of the name of every module that PEFT saves whole beside prompts
_WHILE_TRAINING = {"modules_to_save", "original_module"}
_TUNED = "base_model.model."  # in front of every name where PEFT put layers of its own into the model


def to_peft(
    model: PromptedModel,
    base: str,
    revision: str | None = None,
    extra: dict[str, Any] | None = None,
    *,
    positions_at_call: bool = False,
) -> Adapter:
    """What was trained of `model` as an adapter on the checkpoint `base`.

    An MLP is folded away, and so are hidden vectors: the layers' frozen projections of them are keys and values.

    Args:
        extra: goes into the header, beside head and positions.
        positions_at_call: whoever calls the adapter passes `position_ids` less P (see `prompt.positions=unshifted`).

    Raises:
        ModelError: PEFT has no way to compute what the model computes.
    """
    _refuse(model, positions_at_call)
    task_type, parts = _head_parts(model)
    header = {
        "method": model.method.name,
        "kind": model.spec.kind,
        "num_labels": model.spec.num_labels,
        "positions": model.positions,
        "backbone": model.identity_record(),
        **(extra or {}),
    }
    if model.prompts is None:
        config = ia3_config(model) if model.lora is None else lora_config(model)
        header |= {"targets": model.lora["targets"]} if model.lora is not None else {}
        tensors = {_TUNED + name: tensor for name, tensor in (tuned_tensors(model, task_type) | parts).items()}
    else:
        deep = isinstance(model.prompts, DeepPrompts)
        prompt = _flat(_keys_and_values(model)) if deep else model.prompts.value()
        config = _prompt_config(model, prompt)
        tensors = {EMBEDDINGS: prompt, **{_ROOT + name: tensor for name, tensor in parts.items()}}
    copies = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    return Adapter(
        {**config, **_common_config(task_type, parts), "base_model_name_or_path": base, "revision": revision},
        copies,
        header,
    )


def load_adapter(model: PromptedModel, adapter: Adapter) -> None:
    """Put what an adapter has trained on a model that was built for it (`settings_of`).

    Raises:
        ModelError: the adapter has parts that the model has not, or lacks some, or they have other shapes.
    """
    task_type, parts = _head_parts(model)
    if adapter.task_type == SEQUENCE and model.family.causal:  # one map on the last token, without bias
        parts = {"score.weight": parts[next(name for name in parts if name.endswith(".weight"))]}
        assert isinstance(model.head, Head)  # of these kinds every head is
        with torch.no_grad():
            model.head.linear.bias.zero_()
    elif adapter.task_type == SPAN != task_type:
        raise ModelError("PEFT drops token_type_ids and position_ids for QUESTION_ANS, and this model uses them")
    elif adapter.task_type != task_type:
        raise ModelError(f"the adapter is for {adapter.task_type}, and a head of kind {model.spec.kind} is {task_type}")
    root = _TUNED if model.prompts is None else _ROOT
    given = {name.removeprefix(root): tensor for name, tensor in adapter.tensors.items() if name != EMBEDDINGS}
    # With bias=all, PEFT also writes the head's biases by the names that they have while it trains.
    given = {name: tensor for name, tensor in given.items() if not _WHILE_TRAINING & set(name.split("."))}
    if model.prompts is None:
        tuned = tuned_tensors(model, adapter.task_type)
        _fold_pooler(model, adapter, given)
        # PEFT leaves out biases that it trains in some ways, and loads such an adapter with those of the backbone.
        left_out = {name for name in tuned if name.endswith("bias")} | {
            n for n, p in parts.items() if not p.requires_grad
        }
        parts = {name: tensor for name, tensor in (parts | tuned).items() if name in given or name not in left_out}
    _check_fit(model, parts, given)
    with torch.no_grad():
        if model.prompts is not None:
            _load_prompt(model, adapter)
        for name, tensor in parts.items():
            tensor.copy_(given[name])


def _fold_pooler(model: PromptedModel, adapter: Adapter, given: dict[str, Tensor]) -> None:
    """Replace LoRA beside the checkpoint's pooler, which we have as a whole, by the pooler that it makes."""
    pooler = _layout(model).pooler or ""
    a, b = given.pop(f"{pooler}.lora_A.weight", None), given.pop(f"{pooler}.lora_B.weight", None)
    if model.pooler is None or a is None or b is None:
        return
    config = adapter.config
    scale = config["lora_alpha"] / (config["r"] ** 0.5 if config.get("use_rslora") else config["r"])
    for name, parameter in _named(pooler, model.pooler.dense).items():
        given.setdefault(name, parameter.detach() + (scale * b @ a if name.endswith("weight") else 0))


def _load_prompt(model: PromptedModel, adapter: Adapter) -> None:
    """Copy an adapter's prompt; raises `ModelError` if it was made for another backbone."""
    prompt = model.prompts.prompt if model.prompts is not None else None
    assert prompt is not None  # settings_of asks for no MLP
    values = adapter.tensors[EMBEDDINGS]
    if values.numel() != prompt.numel():
        want = (adapter.length, prompt.numel() // adapter.length)
        raise ModelError(
            f"the adapter's prompt is {tuple(values.shape)}, this backbone takes {want}: another backbone?"
        )
    expected = _prompt_config(model, values)
    for key in ("num_layers", "token_dim"):  # tensors of as many numbers may be laid out for another backbone
        if adapter.deep and (other := adapter.config.get(key)) not in (None, expected[key]):
            raise ModelError(f"the adapter has {key} {quote(other)}, this backbone {expected[key]}: another backbone?")
    prompt.copy_(_unflat(values, prompt.shape) if adapter.deep else values)


def _check_fit(model: PromptedModel, parts: dict[str, Tensor], given: dict[str, Tensor]) -> None:
    """Raise `ModelError` unless the adapter's modules are those of the model, in their shapes."""
    if given.keys() != parts.keys():
        lacking, odd = sorted(parts.keys() - given.keys()), sorted(given.keys() - parts.keys())
        differences = [f"lacks {', '.join(lacking)}"] if lacking else []
        differences += (
            [f"has {', '.join(odd)}, for which a {model.family.model_type} model has no place"] if odd else []
        )
        raise ModelError(f"the adapter {' and '.join(differences)}")
    for name, tensor in parts.items():
        if given[name].shape != tensor.shape:
            raise ModelError(
                f"the adapter's {name} is {tuple(given[name].shape)}, this task and backbone have {tuple(tensor.shape)}"
            )


def _common_config(task_type: str, parts: dict[str, Tensor]) -> dict[str, Any]:
    """What adapter_config.json says of every adapter; `parts` is the head by PEFT's names."""
    modules = {re.sub(r"(\.dense|\.out_proj)?\.(weight|bias)$", "", name).rpartition(".")[2] for name in parts}
    return {
        "auto_mapping": None,
        "inference_mode": True,
        "modules_to_save": sorted(modules),
        "peft_version": PEFT_VERSION,
        "task_type": task_type,
    }


def _prompt_config(model: PromptedModel, prompt: Tensor) -> dict[str, Any]:
    """What adapter_config.json says of a prompt `[P, N]`."""
    config, deep = model.config, isinstance(model.prompts, DeepPrompts)
    kv_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return {
        "num_attention_heads": kv_heads if deep else config.num_attention_heads,
        "num_layers": config.num_hidden_layers,
        "num_transformer_submodules": 1,
        "num_virtual_tokens": prompt.shape[0],
        "peft_type": PREFIX if deep else PROMPT,
        "token_dim": prompt.shape[1] // (2 * config.num_hidden_layers) if deep else prompt.shape[1],
        **({"prefix_projection": False} if deep else {"prompt_tuning_init": "RANDOM"}),
    }


def _refuse(model: PromptedModel, positions_at_call: bool) -> None:
    """Raise `ModelError` for what PEFT cannot express."""
    model_type, prompts = model.family.model_type, model.prompts
    if not model.method.exported:
        raise ModelError(
            f"PEFT: method {model.method.name} has neither prompts nor layers of PEFT; only these can be exported"
        )
    if isinstance(prompts, DeepPrompts):
        if not _layout(model).deep:
            raise ModelError(f"PEFT hands deep prompts over in a cache, which transformers' {model_type} does not take")
        if len(prompts.layers) != model.config.num_hidden_layers:
            raise ModelError(
                f"PEFT puts prompts into all {model.config.num_hidden_layers} layers, this model has them in "
                f"{len(prompts.layers)}: a prompt of zeros is not no prompt"
            )
        if not (model.positions == "shifted" or positions_at_call):
            raise ModelError(
                "PEFT begins texts at position P, this model at 0 (prompt.positions=unshifted); with "
                "--position-ids-at-call the adapter is written, and every call must pass position_ids less P"
            )
    elif model.embedding == "published":
        raise ModelError("PEFT embeds a text once, this model twice (prompt.embedding=published)")


def _head_parts(model: PromptedModel) -> tuple[str, dict[str, Tensor]]:
    """The task type of the class of transformers that has this head, and our parameters by that class's names."""
    kind, layout, model_type = model.spec.kind, _layout(model), model.family.model_type
    if kind not in ("classification", "choice", "tagging", "span"):
        raise ModelError(f"PEFT has no class for a head of kind {kind}")
    assert isinstance(model.head, Head)  # of these kinds every head is
    plain = model.positions == "shifted" and getattr(model.config, "type_vocab_size", 0) <= 1
    if kind == "span" and plain and layout.span:
        return SPAN, _named("qa_outputs", model.head.linear)
    # Otherwise the class for tokens has start and end as two labels: PEFT's own for questions drops what it is given of
    # token_type_ids and position_ids (`PeftModelForQuestionAnswering.forward`).
    if model.pooler is None:  # tagging, start and end, or the class for tokens read at one token
        if layout.tokens is None:
            raise ModelError(f"transformers has no class for tokens of {model_type}, which this head would need")
        return TOKENS, _named(layout.tokens, model.head.linear)
    if isinstance(model.prompts, ShallowPrompts):
        raise ModelError(
            "PEFT reads the pooler at the first prompt, this model at the text's first token; "
            "a run with model.pooler=none can be exported"
        )
    if layout.pooler is None or layout.pooled is None:
        raise ModelError(
            f"transformers' class for sequences of {model_type} has another pooler than this model; "
            "a run with model.pooler=none can be exported"
        )
    parts = _named(layout.pooled, model.head.linear)
    in_base = not layout.pooler.startswith("classifier") and model.pooler_origin == "checkpoint"
    if not in_base or any(parameter.requires_grad for parameter in model.pooler.parameters()):
        parts |= _named(layout.pooler, model.pooler.dense)
    return SEQUENCE, parts


def _layout(model: PromptedModel) -> HeadLayout:
    if model.family.layout is None:
        known = [name for name, family in FAMILIES.items() if family.layout is not None]
        raise ModelError(f"PEFT: {model.family.model_type} was not compared with it; known: {', '.join(known)}")
    return model.family.layout


def _named(name: str, linear: nn.Linear) -> dict[str, Tensor]:
    return {f"{name}.{kind}": parameter for kind, parameter in linear.named_parameters()}


@dataclass
class _Recorder(LayerPrompts):
    """Prompts that remember what each layer was given."""

    given: dict[int, Tensor] = field(default_factory=dict)

    def take(self, module: nn.Module, key: Tensor) -> tuple[Tensor, Tensor] | None:
        pair = super().take(module, key)
        if pair is not None:
            layer = next(iter(self.taken - self.given.keys()))
            self.given[layer] = torch.stack((pair[0][0], pair[1][0]))  # [2, H, P, D]
        return pair


@torch.no_grad()
def _keys_and_values(model: PromptedModel) -> Tensor:
    """The prompts of all layers as keys and values `[L, 2, H, P, D]`; hidden vectors are projected by one pass."""
    assert isinstance(model.prompts, DeepPrompts)
    value = model.prompts.value()
    if model.prompts.form == "key-value":
        return value
    recorder = _Recorder(dict(zip(model.prompts.layers, value.unbind(0), strict=True)), form="hidden")
    ids = torch.zeros(1, 2, dtype=torch.long, device=value.device)
    with evaluating(model.backbone):
        model.backbone(input_ids=ids, attention_mask=torch.ones_like(ids), prompts=recorder)
    return torch.stack([recorder.given[layer] for layer in model.prompts.layers])


def _flat(values: Tensor) -> Tensor:
    """`[L, 2, H, P, D]` as PEFT keeps it: `[P, L * 2 * H * D]`."""
    return values.permute(3, 0, 1, 2, 4).flatten(1)


def _unflat(rows: Tensor, shape: torch.Size) -> Tensor:
    """The inverse of `_flat`, for the prompt's `shape`."""
    layers, two, heads, length, head_dim = shape
    return rows.view(length, layers, two, heads, head_dim).permute(1, 2, 3, 0, 4)
