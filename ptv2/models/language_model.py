"""The part of a language model that is not its backbone: from hidden states to logits over the vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from ptv2.data.cloze import Reading
from ptv2.errors import ModelError, first_line
from ptv2.models.configs import output_width
from ptv2.models.dropout import evaluating
from ptv2.models.families import family_of


class LanguageModelHead(nn.Module):
    """Hidden states `[B, K, hidden]` to logits `[B, K, vocabulary]`.

    The language model itself runs, with a stand-in for its backbone, so that whatever its class does to logits is done.
    Weights that it shares with the backbone (the word embeddings, mostly) stay shared.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        setattr(model, model.base_model_prefix, _GivenStates(model.base_model))
        self.model = model

    def forward(self, hidden: Tensor) -> Tensor:
        return self.model(inputs_embeds=hidden).logits


class _GivenStates(nn.Module):
    """Stands where a language model has its backbone, and answers with the states that it is given."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self._backbone = (backbone,)  # in a tuple it is no part of this module

    @property
    def decoder(self) -> nn.Module:
        """What opt calls in place of its backbone."""
        return self

    @property
    def embeddings(self) -> Any:
        """Where deberta looks up its word embeddings."""
        return self._backbone[0].embeddings

    def forward(
        self, input_ids: Tensor | None = None, inputs_embeds: Tensor | None = None, **_: Any
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        return _Output(last_hidden_state=inputs_embeds)


class _Output(BaseModelOutputWithPastAndCrossAttentions):
    """Has nothing but states, and says None to whatever else language models hand on: caches, routers."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


def take_apart(model: PreTrainedModel) -> tuple[nn.Module, LanguageModelHead]:
    """The backbone of a language model, and the rest of it.

    Raises:
        ModelError: the rest does not work on given states.
    """
    backbone, head = model.base_model, LanguageModelHead(model)
    states = torch.zeros(1, 1, output_width(model.config), dtype=model.dtype, device=model.device)
    try:
        with evaluating(model), torch.no_grad():
            head(states)
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"head.kind=verbalizer: the language model of {model.config.model_type} does not take hidden states "
            f"({first_line(error)}); use linear"
        ) from error
    return backbone, head


def reading_of(config: PreTrainedConfig) -> Reading:
    """How a language model of this configuration is asked for a word.

    Raises:
        ModelError: transformers has no language model of this type.
    """
    family = family_of(config.model_type)
    if family.positions == "blocks":
        return "piece"
    if type(config) in MODEL_FOR_MASKED_LM_MAPPING and not family.causal:
        return "mask"
    if type(config) in MODEL_FOR_CAUSAL_LM_MAPPING:
        return "next"
    raise ModelError(
        f"head.kind=verbalizer: transformers has no language model on a {config.model_type} backbone; use linear"
    )


def fit_head(config: PreTrainedConfig, folder: Path) -> None:
    """Give deberta the language-model head that the weights in `folder` have: as released, or transformers' own."""
    if family_of(config.model_type).adapter != "disentangled":
        return
    for file in folder.glob("model*.safetensors"):
        with safe_open(file, framework="pt") as stored:
            if any(name.startswith("lm_predictions.") for name in stored.keys()):  # noqa: SIM118 - no mapping
                config.legacy = False


def auto_class(config: PreTrainedConfig, *, language_model: bool) -> Any:
    """The class of transformers that loads `config` as a backbone, or as a whole language model."""
    if not language_model:
        return AutoModel
    return AutoModelForCausalLM if reading_of(config) == "next" else AutoModelForMaskedLM
