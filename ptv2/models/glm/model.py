"""The layers of a GLM: pre-norm transformer, two position tables, tied logits.

Letters: B rows, T tokens, S keys, H heads, D head size.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel, initialization
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils.output_capturing import capture_outputs

from ptv2.models.attention import eager_attention
from ptv2.models.dropout import additive
from ptv2.models.glm.config import Glm2021Config
from ptv2.models.glm.layout import block_positions, visible


class Glm2021Attention(nn.Module):
    """`dense(attention(norm(x)))`, through transformers' AttentionInterface."""

    is_causal = False  # the mask says what is seen

    def __init__(self, config: Glm2021Config, layer_idx: int) -> None:
        super().__init__()
        size = config.hidden_size
        self.config = config
        self.layer_idx = layer_idx
        self.heads = config.num_attention_heads
        self.rate = config.attention_dropout
        self.norm = nn.LayerNorm(size, config.layer_norm_eps)
        self.query, self.key, self.value = (nn.Linear(size, size) for _ in range(3))
        self.dense = nn.Linear(size, size)
        self.dropout = nn.Dropout(config.hidden_dropout)

    def forward(self, hidden: Tensor, attention_mask: Tensor, **options: Any) -> Tensor:
        """`[B, T, hidden]` to the same; `options` (the prompts among them) go to the attention function."""
        normed = self.norm(hidden)
        split = (linear(normed).unflatten(-1, (self.heads, -1)) for linear in (self.query, self.key, self.value))
        query, key, value = (states.transpose(1, 2) for states in split)  # [B, H, T, D]
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention)
        rate = self.rate if self.training else 0.0
        scaling = query.shape[-1] ** -0.5
        out, _ = attend(self, query, key, value, attention_mask, dropout=rate, scaling=scaling, **options)
        return self.dropout(self.dense(out.flatten(2)))


class Glm2021MLP(nn.Module):
    """`dense_4h_to_h(gelu(dense_h_to_4h(norm(x))))`, the tanh form of GELU."""

    def __init__(self, config: Glm2021Config) -> None:
        super().__init__()
        size = config.hidden_size
        self.norm = nn.LayerNorm(size, config.layer_norm_eps)
        self.dense_h_to_4h = nn.Linear(size, 4 * size)
        self.dense_4h_to_h = nn.Linear(4 * size, size)
        self.dropout = nn.Dropout(config.hidden_dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        wide = functional.gelu(self.dense_h_to_4h(self.norm(hidden)), approximate="tanh")
        return self.dropout(self.dense_4h_to_h(wide))


class Glm2021Layer(GradientCheckpointingLayer):
    """Attention and a feed-forward part, each after its norm and added to what came in."""

    def __init__(self, config: Glm2021Config, layer_idx: int) -> None:
        super().__init__()
        self.attention = Glm2021Attention(config, layer_idx)
        self.mlp = Glm2021MLP(config)

    def forward(self, hidden: Tensor, attention_mask: Tensor, **options: Any) -> Tensor:
        hidden = hidden + self.attention(hidden, attention_mask, **options)
        return hidden + self.mlp(hidden)


class Glm2021PreTrainedModel(PreTrainedModel):
    """What transformers asks of a model's classes."""

    config_class = Glm2021Config
    base_model_prefix = "glm"
    supports_gradient_checkpointing = True
    _no_split_modules = ["Glm2021Layer"]  # noqa: RUF012 - as transformers has it
    _supports_sdpa = True
    _supports_attention_backend = True
    _can_record_outputs = {"hidden_states": Glm2021Layer}  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """N(0, initializer_range), smaller by sqrt(2 layers) where a layer adds to the residual stream."""
        super()._init_weights(module)
        std = self.config.initializer_range / math.sqrt(2 * self.config.num_hidden_layers)
        if isinstance(module, Glm2021Attention):
            initialization.normal_(module.dense.weight, mean=0.0, std=std)
        elif isinstance(module, Glm2021MLP):
            initialization.normal_(module.dense_4h_to_h.weight, mean=0.0, std=std)


class Glm2021Model(Glm2021PreTrainedModel):
    """Embeddings, layers and the final norm."""

    def __init__(self, config: Glm2021Config) -> None:
        super().__init__(config)
        size, table = config.hidden_size, config.max_position_embeddings
        self.word_embeddings = nn.Embedding(config.vocab_size, size)
        self.position_table = nn.Embedding(table, size)
        self.block_table = nn.Embedding(table, size)
        self.dropout = nn.Dropout(config.embedding_dropout)
        self.layers = nn.ModuleList([Glm2021Layer(config, number) for number in range(config.num_hidden_layers)])
        self.final_layernorm = nn.LayerNorm(size, config.layer_norm_eps)
        self.post_init()

    @capture_outputs
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **options: Any,
    ) -> BaseModelOutput:
        """Hidden states after the final norm.

        Args:
            input_ids: `[B, T]`, or `inputs_embeds` `[B, T, hidden]` in their place.
            attention_mask: `[B, T]`, 1 at tokens and 0 at padding, the rest from `position_ids`; or, in full,
                `[B, 1, T, S]`, not 0 where a token may look, beside memory in front of the tokens if S > T.
            position_ids: `[B, 2, T]`, position and block position; None: those of `block_positions`.
            options: for the attention function, `prompts` among them; `output_hidden_states` is known too.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("expected one of input_ids and inputs_embeds")
        words = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        real = (
            attention_mask
            if attention_mask is not None and attention_mask.dim() == 2
            else words.new_ones(words.shape[:2])
        )
        if position_ids is None:
            position_ids = block_positions(self.config, real, input_ids)
        position, block = position_ids.unbind(-2)
        hidden = self.dropout(words + self.position_table(position) + self.block_table(block))
        seen = attention_mask != 0 if attention_mask is not None and attention_mask.dim() == 4 else visible(real, block)
        mask = self._attention_mask(seen, hidden.dtype)
        for layer in self.layers:
            hidden = layer(hidden, mask, **options)
        return BaseModelOutput(last_hidden_state=self.final_layernorm(hidden))

    def get_input_embeddings(self) -> nn.Embedding:
        return self.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.word_embeddings = value  # type: ignore[assignment]

    def _attention_mask(self, seen: Tensor, dtype: torch.dtype) -> Tensor | None:
        """`seen` as the attention function wants it: written out it adds the mask, others take booleans."""
        if not self.config._attn_implementation.endswith("eager"):
            return seen
        return additive(seen, dtype)


class Glm2021ForMaskedLM(Glm2021PreTrainedModel):
    """Logits over the vocabulary at every place: hidden states times the word embeddings, without bias."""

    _tied_weights_keys = {"lm_head.weight": "glm.word_embeddings.weight"}  # noqa: RUF012 - as transformers has it

    def __init__(self, config: Glm2021Config) -> None:
        super().__init__(config)
        self.glm = Glm2021Model(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, **inputs: Any) -> MaskedLMOutput:
        """See `Glm2021Model.forward`."""
        return MaskedLMOutput(logits=self.lm_head(self.glm(**inputs).last_hidden_state))

    def get_output_embeddings(self) -> nn.Linear:
        return self.lm_head

    def set_output_embeddings(self, value: nn.Linear) -> None:
        self.lm_head = value
