"""The one place where a prompt enters: attention functions that put prompts before a layer's keys and values.

transformers routes attention through `AttentionInterface`, and a keyword given to a model's `forward` reaches the
registered function. So `model(..., prompts=LayerPrompts(...))` is all that a backbone needs; nothing is patched, and
nothing but a layer number is stored on a module.

Letters: B rows, T text tokens, P prompt length, H key/value heads, D head size, L prompted layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import eager_mask, sdpa_mask

from ptv2.errors import ModelError
from ptv2.models.dropout import additive, attention_with_dropout
from ptv2.models.dropout import dropout as drop

AttentionOutput = tuple[Tensor, Tensor | None]
AttentionFunction = Callable[..., AttentionOutput]
Form = Literal["key-value", "hidden", "memory"]
# Puts P columns that everybody sees before those of a layer's mask: from mask, query and P to a mask.
Extension = Callable[[Any, Tensor, int], Any]

# Names of the linear maps from hidden states to keys and values: bert's kin, most decoders, distilbert, mpnet.
PROJECTIONS = (("key", "value"), ("k_proj", "v_proj"), ("k_lin", "v_lin"), ("k", "v"))
# Keywords that change the scores in ways the explicit softmax below does not know.
_UNKNOWN = ("position_bias",)
# Keywords that the softmax below knows and torch's fused attention does not.
_EXPLICIT = ("softcap", "s_aux")


@dataclass
class LayerPrompts:
    """The prompts of one forward pass, on their way to the layers. Make a new one for every pass.

    `layers` maps a layer's number to keys and values `[2, H, P, D]` (or one for each row, `[2, B, H, P, D]`), or, with
    form `hidden`, to hidden vectors `[P, hidden]` (or `[B, P, hidden]`) that the layer's own key and value maps
    project; with form `memory` these pass the norm before attention first, as the layer's text does. `dropout` is the
    rate applied to keys and values, element by element and anew for each row. With `count_calls` the n-th attention
    call is layer n (albert, where one module serves all layers).
    """

    layers: Mapping[int, Tensor]
    form: Form = "key-value"
    dropout: float = 0.0
    count_calls: bool = False
    taken: set[int] = field(default_factory=set)  # layers that consumed their prompt
    _calls: int = 0
    _mask_source: Tensor | None = None
    _mask: Tensor | None = None
    _extended: list[tuple[Any, Any]] = field(default_factory=list)  # masks, and what was made of them

    def take(self, module: nn.Module, key: Tensor) -> tuple[Tensor, Tensor] | None:
        """Keys and values `[B, H, P, D]` for the layer of `module`, in the dtype of `key`; None: it has no prompt."""
        layer = self._layer_of(module)
        values = self.layers.get(layer)
        if values is None:
            return None
        self.taken.add(layer)
        if self.form == "key-value":
            prompt_key, prompt_value = values.unbind(0)
        else:
            prompt_key, prompt_value = project(module, values.to(key.dtype), key.shape, norm=self.form == "memory")
        return self._per_row(prompt_key, key), self._per_row(prompt_value, key)

    def extend_mask(self, mask: Tensor | None, query: Tensor, key_length: int, prompt_length: int) -> Tensor | None:
        """`mask` `[B, 1, T, T]` with `prompt_length` visible columns in front, as an additive mask.

        Layers share one mask, so the last one made is kept. A mask that does not depend on the query stays one row.
        """
        if mask is None:
            return None
        if self._mask is None or self._mask_source is not mask or self._mask.shape[-1] != prompt_length + key_length:
            row = mask[..., :1, :] if mask.stride(-2) == 0 else mask
            if row.dtype == torch.bool:
                row = torch.zeros_like(row, dtype=query.dtype).masked_fill(~row, float("-inf"))
            self._mask = functional.pad(row[..., :key_length], (prompt_length, 0))
            self._mask_source = mask
        return self._mask.expand(-1, -1, query.shape[2], -1)

    def extend_once(self, mask: Any, query: Tensor, prompt_length: int, extend: Extension) -> Any:
        """`mask` extended by `extend`, once for all layers that share it; None stays None."""
        if mask is None:
            return None
        for source, extended in self._extended:
            if source is mask:
                return extended
        self._extended.append((mask, extend(mask, query, prompt_length)))
        return self._extended[-1][1]

    def _layer_of(self, module: nn.Module) -> int:
        if self.count_calls:
            self._calls += 1
            return self._calls - 1
        layer = getattr(module, "layer_idx", None)
        if layer is None:
            raise ModelError(
                f"{type(module).__name__} stands in none of the backbone's layers, so it is unknown which prompt is "
                "its own; use method=prompt-tuning, or another backbone"
            )
        return layer

    def _per_row(self, prompt: Tensor, key: Tensor) -> Tensor:
        """`prompt` `[H, P, D]` or `[B, H, P, D]` as `[B, H, P, D]`, with its dropout."""
        prompt = prompt.to(key.dtype).expand(key.shape[0], -1, -1, -1)
        return drop(prompt, self.dropout)


def projections(module: nn.Module) -> tuple[nn.Module, nn.Module] | None:
    """The key and value maps of an attention module; None where they are fused or followed by a norm of their own."""
    if hasattr(module, "k_norm"):
        return None
    for key, value in PROJECTIONS:
        if isinstance(getattr(module, key, None), nn.Module) and isinstance(getattr(module, value, None), nn.Module):
            return getattr(module, key), getattr(module, value)
    return None


def key_and_value(module: nn.Module, hidden: Tensor) -> tuple[Tensor, Tensor] | None:
    """Keys and values `[..., H * D]` of hidden vectors `[..., hidden]` by the maps of `module` itself.

    Attention modules of our own have a method of this name. None where `projections` finds no maps.
    """
    maps = getattr(module, "key_and_value", None)
    if maps is not None:
        return maps(hidden)
    pair = projections(module)
    return None if pair is None else (pair[0](hidden), pair[1](hidden))


def project(module: nn.Module, hidden: Tensor, key_shape: torch.Size, norm: bool = False) -> tuple[Tensor, Tensor]:
    """Hidden vectors `[..., P, hidden]` to keys and values `[..., H, P, D]` by the maps (and `norm`) of `module`."""
    if norm:
        if not isinstance(getattr(module, "norm", None), nn.LayerNorm):
            raise ModelError(
                f"prompt.form=memory needs attention with the norm inside, as in glm-2021; {type(module).__name__} has "
                "none; use prompt.form=key-value or hidden"
            )
        hidden = module.norm(hidden)  # type: ignore[operator]
    pair = key_and_value(module, hidden)
    if pair is None:
        raise ModelError(
            f"prompt.form=hidden needs separate key and value projections, which {type(module).__name__} has not; "
            "use prompt.form=key-value"
        )
    heads, head_dim = key_shape[1], key_shape[3]
    key, value = (states.unflatten(-1, (heads, head_dim)).transpose(-3, -2) for states in pair)
    return key, value


def with_prompts(stock: AttentionFunction, extend: Extension | None = None) -> AttentionFunction:
    """`stock` attention that takes the keyword `prompts`; without it, or in a layer without one, it is `stock`.

    Args:
        extend: for masks of another kind than `[B, 1, T, T]`; `stock` then sees to causality.
    """

    def attention(
        module: nn.Module,
        query: Tensor,  # [B, heads, T, D]
        key: Tensor,  # [B, H, T, D]
        value: Tensor,
        attention_mask: Tensor | None,
        prompts: LayerPrompts | None = None,
        is_causal: bool | None = None,
        **options: Any,
    ) -> AttentionOutput:
        pair = prompts.take(module, key) if prompts is not None else None
        if prompts is None or pair is None:
            return stock(module, query, key, value, attention_mask, is_causal=is_causal, **options)
        prompt_length, key_length = pair[0].shape[2], key.shape[2]
        if extend is not None:
            mask = prompts.extend_once(attention_mask, query, prompt_length, extend)
        else:
            mask = hide_later(attention_mask, module, query, key, is_causal)
            mask, is_causal = prompts.extend_mask(mask, query, key_length, prompt_length), False
        key, value = torch.cat((pair[0], key), dim=2), torch.cat((pair[1], value), dim=2)  # [B, H, P + T, D]
        return stock(module, query, key, value, mask, is_causal=is_causal, **options)

    return attention


def is_causal_here(module: nn.Module, is_causal: bool | None) -> bool:
    """Whether a token sees only earlier ones: as the call says, or else as the module does."""
    return getattr(module, "is_causal", True) if is_causal is None else is_causal


def hide_later(
    mask: Tensor | None, module: nn.Module, query: Tensor, key: Tensor, is_causal: bool | None
) -> Tensor | None:
    """`mask`; without one, in causal attention, a boolean one `[1, 1, T, keys]`: the last query sees every key."""
    if mask is not None or not is_causal_here(module, is_causal):
        return mask
    ones = torch.ones(1, 1, query.shape[2], key.shape[2], dtype=torch.bool, device=query.device)
    return ones.tril(key.shape[2] - query.shape[2])


def heads_and_scale(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, scaling: float | None = None
) -> tuple[Tensor, Tensor, float]:
    """Keys and values with a head for each head of `query`, and the factor on scores, 1 / sqrt(D) if none is given."""
    groups = getattr(module, "num_key_value_groups", 1)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return repeat_kv(key, groups), repeat_kv(value, groups), scale


def sdpa_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> AttentionOutput:
    """The library's function for torch's fused attention, which on a CPU knows no dropout: ours there.

    Where scores are changed in a way that it does not know, attention is written out; transformers 5.20 would leave
    the change out without a word.

    Args:
        options: as models hand them over: `dropout`, `scaling`, `is_causal`, and what changes scores.
    """
    is_causal, dropout = options.get("is_causal"), options.get("dropout", 0.0)
    if any(options.get(name) is not None for name in _EXPLICIT):
        mask = additive(hide_later(attention_mask, module, query, key, is_causal), query.dtype)
        return eager_attention(module, query, key, value, mask, **options)
    unknown = any(options.get(name) is not None for name in _UNKNOWN)
    if dropout == 0.0 or query.device.type != "cpu" or unknown or torch.compiler.is_compiling():
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    mask = hide_later(attention_mask, module, query, key, is_causal)
    key, value, scale = heads_and_scale(module, query, key, value, options.get("scaling"))
    return attention_with_dropout(query, key, value, mask, scale, dropout).transpose(1, 2).contiguous(), None


def eager_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, Tensor]:
    """Attention written out: softmax(q k / sqrt(D) + mask) v. Returns `[B, T, heads, D]` and the weights.

    With `softcap` (gemma 2) scores stay within plus and minus that number; `s_aux` (gpt-oss) is a score for each head
    that takes its share of the softmax and gives nothing. Causality is in the mask here, as `eager_mask` always makes
    one, so `is_causal` has nothing left to say.

    Args:
        options: see `sdpa_attention`.
    """
    if used := [name for name in _UNKNOWN if options.get(name) is not None]:
        raise ModelError(f"{type(module).__name__} uses {', '.join(used)}, which no attention function of ptv2 knows")
    key, value, scale = heads_and_scale(module, query, key, value, options.get("scaling"))
    scores = query @ key.transpose(2, 3) * scale
    if (cap := options.get("softcap")) is not None:
        scores = cap * torch.tanh(scores / cap)
    if attention_mask is not None:
        scores = scores + attention_mask[..., : key.shape[2]]
    if (sink := options.get("s_aux")) is not None:
        scores = torch.cat((scores, sink.to(scores.dtype).view(1, -1, 1, 1).expand(*scores.shape[:3], 1)), dim=-1)
    exact = torch.promote_types(scores.dtype, torch.float32)  # a softmax in half precision loses small weights
    weights = functional.softmax(scores, dim=-1, dtype=exact).to(query.dtype)
    weights = weights[..., : key.shape[2]]
    if module.training:
        weights = drop(weights, options.get("dropout", 0.0))
    return (weights @ value).transpose(1, 2).contiguous(), weights


def without_reading(mask_function: Callable[..., Any]) -> Callable[..., Any]:
    """The library's `mask_function` without the question whether there is padding, whose answer the device would owe.

    Whoever made the batch knows, and gives no mask where there is none (`PromptedModel.forward`).
    """

    def make(*sizes: Any, attention_mask: Tensor | None = None, **options: Any) -> Any:
        if attention_mask is not None:
            options |= {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
        return mask_function(*sizes, attention_mask=attention_mask, **options)

    return make


AttentionInterface.register("ptv2_sdpa", with_prompts(sdpa_attention))
AttentionInterface.register("ptv2_eager", with_prompts(eager_attention))
AttentionMaskInterface.register("ptv2_sdpa", without_reading(sdpa_mask))
AttentionMaskInterface.register("ptv2_eager", without_reading(eager_mask))
