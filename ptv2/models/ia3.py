"""(IA)3: a factor for each key, value and inner activation of a frozen backbone (Liu et al. 2022).

https://openreview.net/forum?id=rBCvMG-JsPd. The layers are PEFT's, an extra: `pip install 'ptv2[peft]'`. Factors begin
as ones. Where one map gives query, key and value together, all three have factors, as in PEFT.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from ptv2.config.schema import RunConfig
from ptv2.errors import ConfigError
from ptv2.models.lora import ADAPTER, LINEAR, import_peft, inject_layers, maps_of_attention

# Names of an attention module's key and value maps, in the order of `lora.QUERY_VALUE`.
KEY_VALUE = (("key", "value"), ("k_proj", "v_proj"), ("k_lin", "v_lin"), ("k", "v"), ("key_proj", "value_proj"))
# Ends of the names of the map that reads a layer's inner activations: bert's kin, albert, distilbert, opt, decoders,
# gpt_neox, gpt2, modernbert.
INNER = ("output.dense", "ffn_output", "lin2", "fc2", "down_proj", "dense_4h_to_h", "mlp.c_proj", "mlp.Wo")


def train(backbone: nn.Module, cfg: RunConfig, model_type: str, *beside: nn.Module) -> None:
    """Put factors on a frozen `backbone` and let them be trained; scores stay as they are.

    Raises:
        ConfigError: PEFT cannot be imported, or the backbone has no attention or inner map of a known form.
        ModelError: PEFT refuses the backbone.
    """
    peft = import_peft("ia3")
    attention, inner = maps_of_attention(backbone, KEY_VALUE), _inner_maps(backbone)
    if not attention or not inner:
        lacks = "key and value maps" if not attention else "second map of its feed-forward blocks"
        raise ConfigError(f"method=ia3: no {lacks} is known in a {model_type} backbone; expected another method")
    modules = dict(backbone.named_modules())
    is_conv = all(isinstance(modules[name], Conv1D) for name in attention)
    settings = peft.IA3Config(target_modules=[*attention, *inner], feedforward_modules=inner, fan_in_fan_out=is_conv)
    inject_layers(settings, backbone, "ia3", model_type)
    modules = dict(backbone.named_modules())
    for name in (*attention, *inner):
        factors = modules[name].ia3_l
        device = next(modules[name].base_layer.parameters()).device
        factors[ADAPTER] = nn.Parameter(torch.ones(factors[ADAPTER].shape, device=device))


def _inner_maps(backbone: nn.Module) -> list[str]:
    """Full names of the maps that read a layer's inner activations; none of them is inside of an attention module."""
    attention = tuple(f"{name}." for name, module in backbone.named_modules() if "Attention" in type(module).__name__)
    return [
        name
        for name, module in backbone.named_modules()
        if isinstance(module, LINEAR)
        and name.endswith(tuple(f".{end}" for end in INNER))
        and not name.startswith(attention)
    ]
