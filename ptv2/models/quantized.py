"""Frozen backbones in 8 or 4 bits through bitsandbytes, an extra: `pip install ptv2[quantized]`.

Only linear maps are quantized; embeddings, norms and the pooler keep `model.dtype`, prompts and head float32.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from torch import nn
from transformers import BitsAndBytesConfig

from ptv2.config.schema import ModelConfig
from ptv2.errors import ConfigError

BITS = {"8bit": 8, "4bit": 4}


def loading_options(cfg: ModelConfig) -> dict[str, Any]:
    """What `from_pretrained` has to be told for `cfg.quantization`; nothing for `none`.

    Raises:
        ConfigError: no GPU, or bitsandbytes is not installed.
    """
    if cfg.quantization == "none":
        return {}
    if not torch.cuda.is_available():  # on a CPU, 4-bit weights have no gradient and 8-bit ones are slow
        raise ConfigError(f"model.quantization={cfg.quantization} needs a GPU; expected none, or model.dtype=bfloat16")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ConfigError(f"model.quantization={cfg.quantization} needs bitsandbytes; pip install 'ptv2[quantized]'")
    device = torch.device("cuda", torch.cuda.current_device())
    return {"quantization_config": settings(cfg), "device_map": {"": device}}


def settings(cfg: ModelConfig) -> BitsAndBytesConfig:
    """The numbers of `cfg.quantization`: LLM.int8, or NF4 with products in `model.dtype`."""
    unquantized = ["pooler"]
    if cfg.quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=unquantized)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=getattr(torch, cfg.dtype),
        llm_int8_skip_modules=unquantized,
    )


def saved_bytes(backbone: nn.Module, cfg: ModelConfig) -> int:
    """By how much quantization makes the weights of `backbone` smaller; its scales (at most a 16th) left out."""
    if cfg.quantization == "none":
        return 0
    linear = [module.weight for module in backbone.modules() if isinstance(module, nn.Linear)]
    return sum(weight.numel() * (8 * weight.element_size() - BITS[cfg.quantization]) // 8 for weight in linear)
