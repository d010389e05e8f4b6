"""How much of the attention goes to the prompts, by layer and head.

Meanwhile the backbone computes its attention explicitly, by a function registered as those of `ptv2.models.attention`
are. The listener is passed along with the prompts, and only one layer's weights exist at a time.

Letters: B rows, T text tokens, P prompt length, S keys (P + T), H key/value heads, D head size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from ptv2.analysis.passes import Batch, Done, hooked, nothing, passes
from ptv2.data.tokens import EncodedSet
from ptv2.errors import ModelError
from ptv2.models.attention import AttentionOutput, LayerPrompts, eager_attention, with_prompts
from ptv2.models.build import PromptedModel
from ptv2.models.families import FAMILIES

if TYPE_CHECKING:
    from accelerate import Accelerator

# Backbones that make their own masks look for the ending `eager`, whose masks are added to the scores.
NAME = "ptv2_watched_eager"
BUDGET = 2**26  # attention weights of one layer that are in memory at once


@dataclass(frozen=True)
class Call:
    """One call of a layer's attention. Keys and values begin with those of the prompt."""

    layer: int
    key: Tensor  # [B, H, S, D]
    value: Tensor
    mask: Tensor | None  # [B or 1, heads or 1, T, S], added to the scores
    weights: Tensor  # [B, heads, T, S]


@dataclass
class Watched(LayerPrompts):
    """The prompts of one pass, with a listener that gets every attention call, in the order of layers."""

    see: Callable[[Call], None] = lambda call: None
    seen: int = 0


@dataclass(frozen=True)
class Mass:
    """Shares of attention, 0 to 1; means over the tokens of the text. NaN in layers without a prompt."""

    heads: np.ndarray  # [layers, heads]
    even: np.ndarray  # [layers]; of a head that looks at everything it sees equally


def watched_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    prompts: Watched,
    **options: Any,
) -> AttentionOutput:
    """Eager attention with prompts that hands each call to `prompts.see`."""

    def stock(
        module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **rest: Any
    ) -> AttentionOutput:
        out, weights = eager_attention(module, query, key, value, mask, **rest)
        prompts.see(Call(prompts.seen, key, value, mask, weights))
        prompts.seen += 1
        return out, None  # so that the weights are freed here

    return with_prompts(stock)(module, query, key, value, attention_mask, prompts=prompts, **options)


@contextmanager
def watching(model: PromptedModel, see: Callable[[Call], None]) -> Iterator[None]:
    """Call `see` with each layer's attention, pass by pass, while the context is open.

    Raises:
        ModelError: a backbone whose attention cannot be watched.
    """
    backbone: Any = model.backbone
    implementation = backbone.config._attn_implementation
    adapted: list[Any] = [module for module in backbone.modules() if hasattr(module, "attention_name")]
    names = [module.attention_name for module in adapted]
    layers = backbone.config.num_hidden_layers
    refusal = ModelError(
        f"attention of a {model.family.model_type} backbone does not go through transformers' AttentionInterface; "
        f"it can be watched in: {', '.join(FAMILIES)}"
    )
    if not implementation.startswith("ptv2_") and not adapted:
        raise refusal
    last: list[Watched] = []

    def before(_: nn.Module, args: tuple[Any, ...], inputs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        given = inputs.get("prompts") or LayerPrompts({}, count_calls=model.family.shared_layers)
        watched = Watched(given.layers, given.form, given.dropout, given.count_calls, see=see)
        last[:] = [watched]
        return args, {**inputs, "prompts": watched}

    def after(*_: Any) -> None:
        if last[0].seen != layers:
            raise refusal

    try:
        if not adapted:
            backbone.set_attn_implementation(NAME)
        for module in adapted:
            module.attention_name = NAME
        with hooked(backbone, before, after):
            yield
    finally:
        if not adapted:
            backbone.set_attn_implementation(implementation)
        for module, name in zip(adapted, names, strict=True):
            module.attention_name = name


def attention_mass(
    model: PromptedModel, data: EncodedSet, batch_size: int, accelerator: Accelerator, done: Done = nothing
) -> Mass:
    """Measure the share of attention that each head gives to the prompt, as a mean over all tokens of all texts.

    The attention of padding and of shallow prompts is not counted.

    Raises:
        ModelError: see `watching`.
    """
    sums: dict[int, Tensor] = {}  # [heads]
    alike: dict[int, Tensor] = {}
    tokens = 0
    text = torch.zeros(0)

    def see(call: Call) -> None:
        queries, keys = call.weights.shape[-2:]
        first = queries - text.shape[1]  # shallow prompts are queries too
        columns = first or keys - queries
        if not columns:
            return
        mass = call.weights[:, :, first:, :columns].sum(-1, dtype=torch.float32)  # [B, heads, T]
        share = _even(call, first, columns)  # [B or 1, T or 1]
        sums[call.layer] = sums.get(call.layer, 0) + (mass * text[:, None]).sum((0, 2)).double()
        alike[call.layer] = alike.get(call.layer, 0) + (share * text).sum().double()

    def step(_: list[int], batch: Batch) -> None:
        nonlocal text, tokens
        text = (batch["attention_mask"].flatten(0, -2) != 0).float()  # [B, T]
        tokens += int(text.sum())
        model(batch)

    with watching(model, see):
        passes(model, data, range(len(data)), _fitting(model, data, batch_size), accelerator, step, done)
    config = model.config
    heads = np.full((config.num_hidden_layers, config.num_attention_heads), np.nan)
    even = np.full(config.num_hidden_layers, np.nan)
    for layer, total in sums.items():
        heads[layer] = total.cpu().numpy() / tokens
        even[layer] = float(alike[layer]) / tokens
    return Mass(heads, even)


def _even(call: Call, first: int, columns: int) -> Tensor:
    """The prompt's share of the keys that a query may see, `[B or 1, T or 1]`."""
    mask, keys = call.mask, call.weights.shape[-1]
    if mask is None:
        return call.weights.new_full((1, 1), columns / keys, dtype=torch.float32)
    seen = mask[:, 0, first:, :keys] > torch.finfo(mask.dtype).min / 2  # all heads see the same
    return seen[..., :columns].sum(-1) / seen.sum(-1).clamp(min=1)


def _fitting(model: PromptedModel, data: EncodedSet, batch_size: int) -> int:
    """The rows of a batch whose attention weights fit `BUDGET`; at least one."""
    text = data.tokens.longest + model.prompt_length
    sequences = len(data.tokens) // max(1, len(data))
    return max(1, min(batch_size, BUDGET // (model.config.num_attention_heads * text**2 * sequences)))


AttentionInterface.register(NAME, watched_attention)
AttentionMaskInterface.register(NAME, eager_mask)
