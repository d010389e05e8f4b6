"""DeBERTa's disentangled attention (v1, v2, v3) on our attention functions, so that it takes prompts.

A score of disentangled attention is `(q k + q p + p' k) / sqrt(n D)`: content with content, content with the distance's
key p, the distance's query p' with content, n terms in all. Everything but the first term is a bias for each query
and key, so it joins the additive mask, and prompt columns are put in front of it as zeros: a prompt has the scale of
the text, but no distance (as `DisentangledSelfAttention.forward` of the published P-Tuning v2 code).

Letters: B rows, H heads, T text tokens, D head size, R distances that occur in T tokens.
Sources: He et al. 2021 (DeBERTa), equation 4; transformers' modules, whose weights and names stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.deberta import modeling_deberta as v1
from transformers.models.deberta_v2 import modeling_deberta_v2 as v2

from ptv2.errors import ModelError
from ptv2.models.attention import LayerPrompts


@dataclass
class Surroundings:
    """What the layers of one forward pass share. transformers' layers hand it down as their attention mask."""

    mask: Tensor  # [B, T], 1 on text and 0 on padding
    distances: Tensor | None  # [R, hidden] embeddings; None: this model has no relative attention
    rows: Tensor | None  # [T, T] the row of `distances` for a query and a key
    prompts: LayerPrompts | None


class PromptedAttention(nn.Module):
    """Disentangled attention that takes prompts. Its subclasses say where the weights of a version are."""

    attention_name: str
    layer_idx: int
    # Made by transformers' classes; the maps of one version, then those of the other.
    dropout: Any
    num_attention_heads: int
    pos_att_type: Any
    pos_dropout: Any
    in_proj: Any
    q_bias: Tensor
    v_bias: Tensor
    pos_proj: Any
    pos_q_proj: Any
    query_proj: Any
    key_proj: Any
    value_proj: Any
    share_att_key: bool
    pos_key_proj: Any
    pos_query_proj: Any

    def forward(
        self, hidden_states: Tensor, attention_mask: Surroundings, output_attentions: bool = False, **_: Any
    ) -> tuple[Tensor, None]:
        """`[B, T, hidden]` to `[B, T, hidden]`, zero at padded queries as in the published code; no weights."""
        around = attention_mask
        # [B, H, T, D]
        query, key, value = (states.transpose(1, 2) for states in self.split(hidden_states))
        scaling = (query.shape[-1] * self.terms) ** -0.5
        unseen = (around.mask == 0)[:, None, None]
        least = torch.finfo(query.dtype).min
        bias = self._bias(query, key, around, scaling)
        if bias is None:
            scores = torch.zeros_like(unseen, dtype=query.dtype).masked_fill(unseen, least)
            bias = scores.expand(-1, -1, query.shape[2], -1)  # [B, 1, T, T]
        else:
            bias = bias.masked_fill(unseen, least)  # [B, H, T, T]
        attend = AttentionInterface()[self.attention_name]
        rate = self.dropout.p if self.training else 0.0
        options = {"prompts": around.prompts, "dropout": rate, "scaling": scaling, "is_causal": False}
        out, _weights = attend(self, query, key, value, bias, **options)
        return out.flatten(2) * around.mask[..., None].to(out.dtype), None

    def key_and_value(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """What this layer makes of hidden vectors `[..., P, hidden]`: keys and values `[..., P, H * D]`."""
        _, key, value = self.split(hidden)
        return key.flatten(-2), value.flatten(-2)

    @property
    def terms(self) -> int:
        """How many products a score is the sum of."""
        return 1 + len(self.pos_att_type)

    def split(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values `[..., T, H, D]` of hidden states `[..., T, hidden]`."""
        raise NotImplementedError

    def distance_keys(self, distances: Tensor) -> Tensor:
        """Keys `[R, hidden]` of the distances, for a layer with the term c2p."""
        raise NotImplementedError

    def distance_queries(self, distances: Tensor) -> Tensor:
        """Queries `[R, hidden]` of the distances, for a layer with the term p2c."""
        raise NotImplementedError

    def _bias(self, query: Tensor, key: Tensor, around: Surroundings, scaling: float) -> Tensor | None:
        """The terms that know the distance, `[B, H, T, T]`, scaled; None where there is no such term."""
        if around.distances is None or around.rows is None:
            return None
        distances = self.pos_dropout(around.distances)
        shape = (query.shape[0], query.shape[1], -1, -1)
        parts = []
        if "c2p" in self.pos_att_type:
            products = self._products(query * scaling, self.distance_keys(distances))
            parts.append(products.gather(-1, around.rows.expand(shape)))
        if "p2c" in self.pos_att_type:
            products = self._products(key * scaling, self.distance_queries(distances))
            parts.append(products.gather(-1, around.rows.T.expand(shape)).transpose(-1, -2))
        return sum(parts[1:], parts[0]) if parts else None

    def _products(self, states: Tensor, distances: Tensor) -> Tensor:
        """`[B, H, T, D]` times `[R, H * D]`: `[B, H, T, R]`."""
        return states @ distances.unflatten(-1, (states.shape[1], states.shape[3])).permute(1, 2, 0)


class PromptedAttentionV1(PromptedAttention, v1.DisentangledSelfAttention):
    """Keys, queries and values in one map, interleaved by head; q and v have biases, which prompts do not get."""

    def split(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        heads = (self.num_attention_heads, -1)
        query, key, value = self.in_proj(hidden).unflatten(-1, heads).chunk(3, dim=-1)
        q_bias, v_bias = (bias.view(heads).to(key.dtype) for bias in (self.q_bias, self.v_bias))  # under autocast
        return query + q_bias, key, value + v_bias

    def distance_keys(self, distances: Tensor) -> Tensor:
        return self.pos_proj(distances)

    def distance_queries(self, distances: Tensor) -> Tensor:
        return self.pos_q_proj(distances)


class PromptedAttentionV2(PromptedAttention, v2.DisentangledSelfAttention):
    """Three maps with biases, which distances may share (`share_att_key`, as in all of v3)."""

    def split(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = (
            linear(hidden).unflatten(-1, (self.num_attention_heads, -1))
            for linear in (self.query_proj, self.key_proj, self.value_proj)
        )
        return query, key, value

    def distance_keys(self, distances: Tensor) -> Tensor:
        return (self.key_proj if self.share_att_key else self.pos_key_proj)(distances)

    def distance_queries(self, distances: Tensor) -> Tensor:
        return (self.query_proj if self.share_att_key else self.pos_query_proj)(distances)


class PromptedModel:
    """The forward pass of both versions, which hands `prompts` to the layers. Its subclasses are the models."""

    embeddings: Any
    encoder: Any

    def forward(
        self,
        input_ids: Tensor | None = None,  # [B, T]
        attention_mask: Tensor | None = None,  # [B, T], 1 on text and 0 on padding
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,  # [B, T, embedding], instead of input_ids
        prompts: LayerPrompts | None = None,
        output_hidden_states: bool = False,
    ) -> BaseModelOutput:
        given = input_ids if inputs_embeds is None else inputs_embeds
        assert given is not None
        if attention_mask is None:
            attention_mask = torch.ones(given.shape[:2], dtype=torch.long, device=given.device)
        hidden = self.embeddings(
            input_ids=input_ids,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            mask=attention_mask,
            inputs_embeds=inputs_embeds,
        )
        distances, rows = distances_in_use(self.encoder, hidden)
        around = Surroundings(attention_mask, distances, rows, prompts)
        convolution = getattr(self.encoder, "conv", None)  # v2-xlarge and v2-xxlarge
        states = [hidden]
        for number, layer in enumerate(self.encoder.layer):
            before = hidden
            hidden, _ = layer(before, around)
            if number == 0 and convolution is not None:
                hidden = convolution(before, hidden, attention_mask)
            if output_hidden_states:
                states.append(hidden)
        return BaseModelOutput(last_hidden_state=hidden, hidden_states=tuple(states) if output_hidden_states else None)


class PromptedDeberta(PromptedModel, v1.DebertaModel):
    """DeBERTa (v1). Made by `use_disentangled_attention`, never directly."""


class PromptedDebertaV2(PromptedModel, v2.DebertaV2Model):
    """DeBERTa v2 and v3. Made by `use_disentangled_attention`, never directly."""


def distances_in_use(encoder: Any, hidden: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Embeddings `[R, hidden]` of the distances between the tokens of `hidden` `[B, T, hidden]`, and which is whose.

    Returns:
        With rows `[T, T]` for query and key, both None without relative attention. Distances beyond the table, and the
        buckets of v2 for far ones, are the library's own.
    """
    table = encoder.get_rel_embedding()
    if table is None:
        return None, None
    half = table.shape[0] // 2  # row `half` is distance 0
    reach = hidden.shape[1] - 1
    # Buckets are the distances themselves up to half of them, then logarithmic.
    if reach > (half // 2 if getattr(encoder, "position_buckets", -1) > 0 else half):
        reach = half
    distance = encoder.get_rel_pos(hidden)[0].to(hidden.device)  # [T, T]
    return table[half - reach : half + reach + 1], distance.clamp(-half, half - 1) + reach


def use_disentangled_attention(model: nn.Module, attention_name: str) -> None:
    """Give a DeBERTa the forward passes above; names and weights stay.

    Args:
        attention_name: which of our functions, `ptv2_sdpa` or `ptv2_eager`.

    Raises:
        ModelError: heads that talk to each other, which no published checkpoint has.
    """
    if getattr(model.config, "talking_head", False):
        raise ModelError("a deberta backbone with talking_head=true is not supported: its heads mix their scores")
    model.__class__ = PromptedDeberta if isinstance(model, v1.DebertaModel) else PromptedDebertaV2
    modules = [module for module in model.modules() if type(module) in _ATTENTION]
    for number, module in enumerate(modules):
        module.__class__ = _ATTENTION[type(module)]
        module.attention_name, module.layer_idx = attention_name, number  # type: ignore[assignment]


_ATTENTION = {
    v1.DisentangledSelfAttention: PromptedAttentionV1,
    v2.DisentangledSelfAttention: PromptedAttentionV2,
}
