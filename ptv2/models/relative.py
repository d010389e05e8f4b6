"""MPNet, whose learned bias for relative positions keeps it out of transformers' AttentionInterface.

The bias joins the additive mask, and the sum goes through our attention functions. Prompt columns are put in front of
it as zeros: a prompt stands at no distance from any token.

Letters: B rows, H heads, T text tokens, D head size.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface, MPNetModel
from transformers.modeling_outputs import BaseModelOutput

from ptv2.models.attention import LayerPrompts
from ptv2.models.dropout import additive


class PromptedMPNet(MPNetModel):
    """`MPNetModel` that takes the keyword `prompts`. Made by `use_relative_attention`, never directly."""

    attention_name: str

    def forward(
        self,
        input_ids: Tensor | None = None,  # [B, T]
        attention_mask: Tensor | None = None,  # [B, T]
        position_ids: Tensor | None = None,  # [B or 1, T]
        inputs_embeds: Tensor | None = None,  # [B, T, H * D]
        prompts: LayerPrompts | None = None,
        output_hidden_states: bool = False,
        **_: Any,
    ) -> BaseModelOutput:
        hidden = self.embeddings(input_ids=input_ids, position_ids=position_ids, inputs_embeds=inputs_embeds)
        bias = self.encoder.compute_position_bias(hidden)  # [B, H, T, T]
        if attention_mask is not None:
            bias = bias + additive(attention_mask[:, None, None] != 0, bias.dtype)
        states = [hidden]
        layer: Any
        for layer in self.encoder.layer:
            block = layer.attention
            attended = self._attend(block.attn, hidden, bias, prompts)
            attended = block.LayerNorm(block.dropout(attended) + hidden)
            hidden = layer.output(layer.intermediate(attended), attended)
            if output_hidden_states:
                states.append(hidden)
        return BaseModelOutput(last_hidden_state=hidden, hidden_states=tuple(states) if output_hidden_states else None)

    def _attend(self, attention: Any, hidden: Tensor, bias: Tensor, prompts: LayerPrompts | None) -> Tensor:
        split = (attention.num_attention_heads, attention.attention_head_size)
        query, key, value = (
            linear(hidden).unflatten(-1, split).transpose(1, 2) for linear in (attention.q, attention.k, attention.v)
        )  # [B, H, T, D]
        rate = attention.dropout.p if self.training else 0.0
        function = AttentionInterface()[self.attention_name]
        mask = bias.to(query.dtype)
        attended, _ = function(attention, query, key, value, mask, prompts=prompts, dropout=rate, is_causal=False)
        return attention.o(attended.flatten(-2))


def use_relative_attention(model: nn.Module, attention_name: str) -> None:
    """Give an MPNet the forward above; names and weights stay.

    Args:
        attention_name: which of our functions, `ptv2_sdpa` or `ptv2_eager`.
    """
    model.__class__ = PromptedMPNet
    model.attention_name = attention_name  # type: ignore[assignment]
