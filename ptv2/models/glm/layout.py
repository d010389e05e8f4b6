"""Where the tokens of a GLM stand and which of them see each other.

Letters: B rows, T tokens, S keys.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedConfig


def block_positions(
    config: PreTrainedConfig, attention_mask: Tensor, input_ids: Tensor | None, shift: int = 0
) -> Tensor:
    """Position and block position of each token.

    A context counts 0, 1, ... and has block position 0. Everything from `<|startofpiece|>` on is the piece: it stands
    at the position of the context's last mask token (without one, of the context's last token) and counts its blocks
    1, 2, ... Padding, on whichever side, has 0 and 0.

    Args:
        attention_mask: `[B, T]`, 1 at tokens, 0 at padding.
        input_ids: `[B, T]`; None: all of it is context.
        shift: added to the position of every token.

    Returns:
        `[B, 2, T]`.
    """
    real = attention_mask != 0
    position = (real.cumsum(-1) - 1).clamp(min=0)
    if input_ids is None:
        return torch.stack(((position + shift) * real, torch.zeros_like(position)), dim=1)
    piece = ((input_ids == config.sop_token_id) & real).cumsum(-1).bool() & real
    context = real & ~piece
    mask_ids = torch.tensor(config.mask_token_ids, device=input_ids.device)
    masks = torch.isin(input_ids, mask_ids) & context
    blank = position.masked_fill(~masks, -1).amax(-1, keepdim=True)  # [B, 1]
    last = position.masked_fill(~context, 0).amax(-1, keepdim=True)
    position = torch.where(piece, torch.where(blank < 0, last, blank), position)
    return torch.stack(((position + shift) * real, piece.cumsum(-1) * piece), dim=1)


def visible(attention_mask: Tensor, block: Tensor) -> Tensor:
    """Boolean `[B, 1, T, T]`: every token sees the context, and of the piece what is not behind itself.

    Args:
        attention_mask: `[B, T]`, 1 at tokens, 0 at padding, which nothing sees.
        block: `[B, T]`, block positions; 0 is context.
    """
    length = block.shape[-1]
    before = torch.ones(length, length, dtype=torch.bool, device=block.device).tril()
    return (((block == 0)[:, None] | before) & (attention_mask != 0)[:, None])[:, None]
