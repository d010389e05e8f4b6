"""How a backbone numbers positions, and how long a text may be beside a prompt."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from transformers import PreTrainedConfig

from ptv2.models.families import Family
from ptv2.models.glm import block_positions

Positions = Literal["shifted", "unshifted"]


def position_ids(
    family: Family, config: PreTrainedConfig, attention_mask: Tensor, shift: int, input_ids: Tensor | None = None
) -> Tensor | None:
    """Position of each token of `attention_mask` `[B, T]`, moved by `shift`; None leaves it to the model.

    `padding` families number real tokens from `pad_id + 1 + shift` and leave padding at `pad_id`, as published; `real`
    families from `shift`, with padding at the position of a neighbour, as it is never looked at;
    `blocks` families need the `input_ids` `[B, T]` too and get `[B, 2, T]`.
    """
    if family.positions == "own":
        return None
    if family.positions == "blocks":
        return block_positions(config, attention_mask, input_ids, shift)
    if family.positions == "arange":
        return torch.arange(shift, shift + attention_mask.shape[1], device=attention_mask.device)[None]
    real = (attention_mask != 0).long()
    if family.positions == "real":
        return (real.cumsum(-1) - 1).clamp(min=0) + shift
    return (real.cumsum(-1) + shift) * real + config.pad_token_id


def max_text_length(
    config: PreTrainedConfig, family: Family, prompt_length: int, positions: Positions, *, shallow: bool = False
) -> int | None:
    """The longest text, in tokens, that fits the position table beside a prompt; None: there is no such table.

    `shallow` prompts are part of the sequence, so they take positions in every family.
    """
    table = getattr(config, "max_position_embeddings", None)
    # deberta as released has distances only, and the furthest stand for those beyond
    if table is None or table <= 0 or not getattr(config, "position_biased_input", True):
        return None
    if family.positions == "padding":
        table -= config.pad_token_id + 1
    shifted = shallow or (positions == "shifted" and family.positions != "own")
    return table - (prompt_length if shifted else 0)
