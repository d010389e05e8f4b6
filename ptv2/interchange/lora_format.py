"""LoRA or (IA)3 of a model by PEFT's names: what stands in an adapter's two files besides the head.

Letters: r rank.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import (
    MODEL_FOR_QUESTION_ANSWERING_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
)
from transformers.pytorch_utils import Conv1D

from ptv2.interchange.peft_adapter import IA3, LORA, SEQUENCE, SPAN, TOKENS
from ptv2.models.build import PromptedModel, trainable_parameters
from ptv2.models.lora import ADAPTER

CLASSES: dict[str, Any] = {
    SEQUENCE: MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    TOKENS: MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
    SPAN: MODEL_FOR_QUESTION_ANSWERING_MAPPING,
}


def lora_config(model: PromptedModel) -> dict[str, Any]:
    """What adapter_config.json says of LoRA."""
    assert model.lora is not None
    layers = {name: module for name, module in model.backbone.named_modules() if hasattr(module, "lora_A")}
    names = list(layers)
    if model.lora["targets"] == "query-value":  # no head has a map of such a name
        names = sorted({name.rpartition(".")[2] for name in names})
    alpha = float(model.lora["alpha"])
    return {
        "bias": model.lora["bias"],
        "fan_in_fan_out": all(isinstance(module.base_layer, Conv1D) for module in layers.values()),
        "init_lora_weights": True,
        "lora_alpha": int(alpha) if alpha.is_integer() else alpha,
        "lora_dropout": model.lora["dropout"],
        "peft_type": LORA,
        "r": model.lora["rank"],
        "target_modules": names,
    }


def ia3_config(model: PromptedModel) -> dict[str, Any]:
    """What adapter_config.json says of (IA)3."""
    layers: dict[str, Any] = {name: part for name, part in model.backbone.named_modules() if hasattr(part, "ia3_l")}
    return {
        "fan_in_fan_out": all(module.is_target_conv_1d_layer for module in layers.values()),
        "feedforward_modules": [name for name, module in layers.items() if module.is_feedforward],
        "init_ia3_weights": True,
        "peft_type": IA3,
        "target_modules": list(layers),
    }


def tuned_tensors(model: PromptedModel, task_type: str) -> dict[str, Tensor]:
    """What is trained in the backbone, by its names in the class for `task_type`.

    Of LoRA the matrices, `[r, in]` and `[out, r]`, and biases; of (IA)3 the factors, `[out, 1]` or `[1, in]`.
    """
    prefix = CLASSES[task_type][type(model.config)].base_model_prefix
    trained = trainable_parameters(model)["backbone"]
    return {
        name.replace("backbone.", f"{prefix}.", 1).replace(f".{ADAPTER}", ""): tensor
        for name, tensor in trained.items()
    }
