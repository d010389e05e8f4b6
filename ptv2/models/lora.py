"""LoRA: two narrow matrices beside frozen linear maps (Hu et al. 2022, https://openreview.net/forum?id=nZeVKeeFYf9).

A map `W x` becomes `W x + (alpha / rank) B A x` with `A` `[rank, in]` and `B` `[out, rank]`. The layers are PEFT's, an
extra: `pip install 'ptv2[peft]'`. `A` is drawn as PEFT draws it, but from a generator of ours; `B` begins with zeros.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import unset_fake_temporarily
from transformers.pytorch_utils import Conv1D

from ptv2.config.schema import LoraConfig, RunConfig
from ptv2.errors import ConfigError, ModelError, first_line, unknown
from ptv2.models.biases import train_biases
from ptv2.models.seeding import seeded

# Names of an attention module's query and value maps: bert's kin, most decoders, distilbert, mpnet, deberta-v2.
QUERY_VALUE = (
    ("query", "value"),
    ("q_proj", "v_proj"),
    ("q_lin", "v_lin"),
    ("q", "v"),
    ("query_proj", "value_proj"),
)
# Names of one map that gives query, key and value together: gpt2, gpt_neox, modernbert, deberta.
FUSED = ("c_attn", "query_key_value", "Wqkv", "in_proj", "qkv_proj")
LINEAR = (nn.Linear, Conv1D)
ADAPTER = "default"  # PEFT's name of the one adapter there is


def train(backbone: nn.Module, cfg: RunConfig, model_type: str, *beside: nn.Module) -> None:
    """Put LoRA beside linear maps of a frozen `backbone` and let it be trained; scores stay as they are.

    Args:
        cfg: the settings of `lora`, and the seed that draws the matrices.
        beside: modules whose biases are trained with those of the backbone (`lora.bias=all`).

    Raises:
        ConfigError: PEFT cannot be imported, or the backbone has no linear map or bias that the settings ask for.
        ModelError: PEFT refuses the backbone.
    """
    peft = import_peft("lora")
    lora, generator = cfg.lora, seeded(cfg.seed, "lora")
    names = target_names(backbone, lora, model_type)
    modules = dict(backbone.named_modules())
    settings = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=names,
        fan_in_fan_out=all(isinstance(modules[name], Conv1D) for name in names),
    )
    inject_layers(settings, backbone, "lora", model_type)
    modules = dict(backbone.named_modules())
    for name in names:
        _draw(modules[name], generator)
    if lora.bias == "all":
        train_biases(backbone, model_type, *beside, asked="lora.bias=all")
    elif lora.bias == "lora_only":
        _train_biases_of([modules[name] for name in names], model_type)


def import_peft(method: str) -> Any:
    """PEFT; raises `ConfigError`, naming the method that needs it, where it cannot be imported."""
    try:
        import peft
    except ImportError as error:
        raise ConfigError(
            f"method={method}: PEFT cannot be imported ({first_line(error)}); pip install 'ptv2[peft]'"
        ) from error
    return peft


def inject_layers(settings: Any, backbone: nn.Module, method: str, model_type: str) -> None:
    """Put PEFT's layers, which have no contents yet, around maps of `backbone`; raises `ModelError` if PEFT refuses."""
    import peft

    try:
        # On the meta device PEFT draws no numbers and moves no weights; those without contents could not be moved.
        with unset_fake_temporarily(), torch.random.fork_rng(devices=[]):  # PEFT draws what IA3 replaces by ones
            peft.inject_adapter_in_model(settings, backbone, ADAPTER, low_cpu_mem_usage=True)
    except (ValueError, TypeError, RuntimeError, NotImplementedError) as error:
        raise ModelError(
            f"method={method}: PEFT refuses these maps of a {model_type} backbone: {first_line(error)}"
        ) from error


def target_names(backbone: nn.Module, cfg: LoraConfig, model_type: str) -> list[str]:
    """Full names of the linear maps of `backbone` that `lora.targets` means, in the order of its modules.

    Raises:
        ConfigError: a name that no linear map has, or no attention of a known form.
    """
    linear = [name for name, module in backbone.named_modules() if isinstance(module, LINEAR)]
    if cfg.targets == "all-linear":
        return linear
    known = {name.rpartition(".")[2] for name in linear}
    if cfg.targets == "query-value":
        if names := maps_of_attention(backbone, QUERY_VALUE):
            return names
        raise ConfigError(
            f"lora.targets=query-value: no query and value maps are known in a {model_type} backbone; expected "
            f"all-linear, or a list of {', '.join(sorted(known))}"
        )
    for target in cfg.targets:
        if not any(_is_meant(name, target) for name in linear):
            raise ConfigError(f"lora.targets: {unknown(f'linear map of a {model_type} backbone', target, known)}")
    return [name for name in linear if any(_is_meant(name, target) for target in cfg.targets)]


def _is_meant(name: str, target: str) -> bool:
    """Whether `target` is the full name of a module, or its end from a dot on, as PEFT matches names."""
    return name == target or name.endswith(f".{target}")


def maps_of_attention(backbone: nn.Module, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Full names of two maps of each attention module, by the pair of names that it has, or of the one that is both."""
    names = []
    for prefix, module in backbone.named_modules():
        if "Attention" not in type(module).__name__:
            continue
        linear = {name for name, child in module.named_children() if isinstance(child, LINEAR)}
        pair = next((pair for pair in pairs if linear >= set(pair)), ())
        names += [f"{prefix}.{name}" for name in pair or [name for name in FUSED if name in linear]]
    return names


@torch.no_grad()
def _draw(layer: Any, generator: torch.Generator) -> None:
    """Uniform `A` within 1 / sqrt(in) (PEFT's default), zeros for `B`; in float32, where the map's weight is."""
    a, b = layer.lora_A[ADAPTER], layer.lora_B[ADAPTER]
    device = next(layer.base_layer.parameters()).device
    drawn = nn.init.kaiming_uniform_(torch.empty(a.weight.shape), a=math.sqrt(5), generator=generator)
    a.weight = nn.Parameter(drawn.to(device))
    b.weight = nn.Parameter(torch.zeros(b.weight.shape, device=device))


def _train_biases_of(layers: list[Any], model_type: str) -> None:
    """Let the biases of the maps beside which LoRA stands be trained.

    Raises:
        ConfigError: they have none.
    """
    biases = [bias for layer in layers if (bias := layer.base_layer.bias) is not None]
    if not biases:
        raise ConfigError(
            f"lora.bias=lora_only: these maps of a {model_type} backbone have no biases; expected lora.bias=none"
        )
    for bias in biases:
        bias.requires_grad_(True)
