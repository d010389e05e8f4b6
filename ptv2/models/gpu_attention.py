"""Attention by the kernels of a GPU, with prompts: FlashAttention 2, and torch's flex attention.

Both are computed by the library's own functions. On a CPU torch's fused attention takes their place: prompts are
verified there before the model goes to its GPU, and what a GPU has trained may be evaluated there.

Letters: B rows, T text tokens, P prompt length, H key/value heads, D head size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention.flex_attention import BlockMask, create_block_mask
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedConfig
from transformers.integrations.flex_attention import flex_attention_forward
from transformers.masking_utils import flash_attention_mask, flex_attention_mask
from transformers.modeling_flash_attention_utils import _flash_attention_forward, lazy_import_flash_attention

from ptv2.config.schema import Attention
from ptv2.errors import ConfigError, ModelError, first_line
from ptv2.models.attention import AttentionFunction, AttentionOutput, is_causal_here, sdpa_attention, with_prompts
from ptv2.models.families import FAMILIES

# transformers takes every name that has `flash` in it for that of a package.
REGISTERED: dict[str, str] = {"flash_attention_2": "ptv2_fa2", "flex_attention": "ptv2_flex"}
FLAGS = {"flash_attention_2": "_supports_flash_attn", "flex_attention": "_supports_flex_attn"}  # of a model's class
LARGEST_HEAD, SMALLEST_HEAD = 256, 16  # of flash_attention_2 and of flex_attention
OLDEST_GPU = (8, 0)  # compute capability from which FlashAttention 2 has kernels: Ampere
_KNOWN_TO_FLASH = ("sliding_window", "softcap", "deterministic")
_UNKNOWN_TO_FLASH = ("position_bias", "s_aux")


def flash_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> AttentionOutput:
    """FlashAttention 2 with a mask of the keys, `[B, P + T]`; None: no padding. Returns `[B, T, heads, D]`.

    Causal queries count their keys from the end, so all of them see prompts in front. Padding is taken out of the
    queries by the mask's last T columns. What it gives for padding is 0.

    Args:
        options: as models hand them over. Positions are not passed on: in one row transformers would look in them for
            several texts.
    """
    if used := [name for name in _UNKNOWN_TO_FLASH if options.get(name) is not None]:
        raise ModelError(
            f"model.attention=flash_attention_2 does not know {', '.join(used)}, which "
            f"{type(module).__name__} uses; expected sdpa or eager"
        )
    query_length = query.shape[2]
    settings: dict[str, Any] = {name: options.get(name) for name in _KNOWN_TO_FLASH}
    settings |= {"dropout": options.get("dropout", 0.0), "softmax_scale": options.get("scaling")}
    device, weight = query.device.type, next(module.parameters())
    half = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
    causal = is_causal_here(module, options.get("is_causal"))
    query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
    out = _flash_attention_forward(
        query,
        key,
        value,
        attention_mask,
        query_length,
        causal,
        target_dtype=half if half.is_floating_point else None,  # of states that a norm made float32
        attn_implementation="flash_attention_2",
        **settings,
    )
    return out, None


def flex_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **options: Any
) -> AttentionOutput:
    """The library's flex attention, which knows of causality only what its mask, a `BlockMask`, says."""
    if attention_mask is None and is_causal_here(module, options.get("is_causal")):
        raise ModelError(
            f"model.attention=flex_attention: {type(module).__name__} makes no mask for it; expected sdpa or eager"
        )
    return flex_attention_forward(module, query, key, value, attention_mask, **options)


def show_keys(mask: Tensor, query: Tensor, prompt_length: int) -> Tensor:
    """A mask of keys `[B, T]` with the prompt in front."""
    return functional.pad(mask, (prompt_length, 0), value=True)


def show_blocks(mask: BlockMask, query: Tensor, prompt_length: int) -> BlockMask:
    """A block mask for T queries and T keys as one for P + T keys, of which every query sees the first P."""
    of_text = mask.mask_mod

    def of_both(row: Tensor, head: Tensor, position: Tensor, key: Tensor) -> Tensor:
        return (key < prompt_length) | of_text(row, head, position, (key - prompt_length).clamp(min=0))

    rows, keys = query.shape[0], prompt_length + mask.shape[-1]
    return create_block_mask(of_both, rows, None, query.shape[2], keys, device=str(query.device))


def whole(stock: AttentionFunction) -> AttentionFunction:
    """`stock`, which refuses windows over a prompt: flash would count the prompt's tokens as near or far."""

    def attention(module: nn.Module, query: Tensor, key: Tensor, *rest: Any, **options: Any) -> AttentionOutput:
        if options.get("sliding_window") is not None and key.shape[2] != query.shape[2]:
            raise ModelError(
                "model.attention=flash_attention_2 cannot show prompts at layers to every token where a token sees "
                "only those near it; expected sdpa, flex_attention or eager"
            )
        return stock(module, query, key, *rest, **options)

    return attention


def on_gpu(kernel: AttentionFunction, stand_in: AttentionFunction) -> AttentionFunction:
    """`kernel`, and on a CPU `stand_in`."""

    def attention(module: nn.Module, query: Tensor, *rest: Any, **options: Any) -> AttentionOutput:
        return (stand_in if query.device.type == "cpu" else kernel)(module, query, *rest, **options)

    return attention


def mask_on_gpu(of_kernel: Callable[..., Any]) -> Callable[..., Any]:
    """The mask that goes with `on_gpu`."""

    def make(*sizes: Any, device: torch.device | str = "cpu", **options: Any) -> Any:
        on_cpu = torch.device(device).type == "cpu"
        make_mask = AttentionMaskInterface()["ptv2_sdpa"] if on_cpu else of_kernel
        return make_mask(*sizes, device=device, **options)

    return make


def registered_name(config: PreTrainedConfig, attention: Attention, model_class: Any, *, routes: bool) -> str:
    """The name of the attention function for `attention`, one of `REGISTERED`.

    A finished run whose kernel is not here goes by torch's fused attention: training without it was refused before.

    Args:
        model_class: transformers' class for `config`; None: unknown.
        routes: whether its attention goes through AttentionInterface.

    Raises:
        ModelError: this backbone does not take it.
    """
    if reason := _why_not(config, attention, model_class, routes=routes):
        raise ModelError(f"model.attention={attention}: {reason}; expected sdpa or eager")
    if attention == "flash_attention_2" and _fault_of_flash() is not None:
        return "ptv2_sdpa"
    return REGISTERED[attention]


def check_gpu(attention: Attention, device: torch.device) -> None:
    """Raise `ConfigError` unless `attention` can be trained on `device`."""
    if attention not in REGISTERED:
        return
    if device.type != "cuda":
        raise ConfigError(f"model.attention={attention} trains on a GPU only (here: {device.type}); expected sdpa")
    if attention == "flash_attention_2" and (fault := _fault_of_flash()) is not None:
        raise ConfigError(f"model.attention={attention}: {fault}; expected sdpa")


def _why_not(config: PreTrainedConfig, attention: Attention, model_class: Any, *, routes: bool) -> str | None:
    """Why a backbone does not take `attention`; None: it does."""
    model_type = config.model_type
    if model_type in FAMILIES and not FAMILIES[model_type].kernels:
        return f"ptv2 computes attention of {model_type} by its own code, and the kernel does not know that"
    if not routes:
        return f"attention of {model_type} does not go through transformers' AttentionInterface"
    other = getattr(model_class, "_compatible_flash_implementations", None) and attention == "flash_attention_2"
    if other or not getattr(model_class, FLAGS[attention], False):
        return f"transformers does not offer it for {model_type}"
    heads = getattr(config, "num_attention_heads", 1)
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    if attention == "flash_attention_2" and size > LARGEST_HEAD:
        return f"it has no kernel for heads of size {size} (at most {LARGEST_HEAD})"
    if attention == "flex_attention" and size < SMALLEST_HEAD:
        return f"it has no kernel for heads of size {size} (at least {SMALLEST_HEAD})"
    return None


def _fault_of_flash() -> str | None:
    """Why FlashAttention 2 cannot compute here, by its package or through `kernels`; None: it can."""
    if not torch.cuda.is_available():
        return "there is no GPU"
    if (capability := torch.cuda.get_device_capability()) < OLDEST_GPU:
        here, least = (".".join(map(str, pair)) for pair in (capability, OLDEST_GPU))
        return f"it needs a GPU of compute capability {least}, and this one has {here}"
    try:
        lazy_import_flash_attention("flash_attention_2")
    except (ImportError, ValueError, OSError, RuntimeError) as error:
        return f"neither flash-attn nor kernels (transformers[kernels]) gives it: {first_line(error)}"
    return None


AttentionInterface.register(
    REGISTERED["flash_attention_2"],
    on_gpu(with_prompts(whole(flash_attention), show_keys), with_prompts(whole(sdpa_attention))),
)
AttentionInterface.register(
    REGISTERED["flex_attention"], on_gpu(with_prompts(flex_attention, show_blocks), with_prompts(sdpa_attention))
)
AttentionMaskInterface.register(REGISTERED["flash_attention_2"], mask_on_gpu(flash_attention_mask))
AttentionMaskInterface.register(REGISTERED["flex_attention"], mask_on_gpu(flex_attention_mask))
