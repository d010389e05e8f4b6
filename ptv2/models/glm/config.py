"""Sizes and special tokens of a GLM, and how the published configuration names them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from ptv2.errors import ModelError
from ptv2.models.foreign import read_object

# Ours: theirs. `config.json` of the hub says model_type "glm", the name that transformers gave to a later model.
_PUBLISHED = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_attention_heads",
    "embedding_dropout": "embedding_dropout_prob",
    "hidden_dropout": "output_dropout_prob",
    "attention_dropout": "attention_dropout_prob",
    "initializer_range": "initializer_range",
}
_TOKENS = ("pad_token_id", "eos_token_id", "cls_token_id", "sop_token_id", "eop_token_id", "mask_token_ids")
_NEEDED = ("vocab_size", "hidden_size", "num_layers", "num_attention_heads", "max_sequence_length")


@strict
class Glm2021Config(PreTrainedConfig):
    """A GLM; the defaults are the published 2B model.

    `max_position_embeddings` counts the rows of both position tables, one more than the published
    `max_sequence_length`. `mask_token_ids` are [MASK], [gMASK] and [sMASK].
    """

    model_type = "glm-2021"

    vocab_size: int = 50304
    hidden_size: int = 2048
    num_hidden_layers: int = 36
    num_attention_heads: int = 32
    max_position_embeddings: int = 1025
    embedding_dropout: float = 0.1
    hidden_dropout: float = 0.1
    attention_dropout: float = 0.1
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02
    pad_token_id: int | None = 50256
    eos_token_id: int | list[int] | None = 50256
    cls_token_id: int = 50259
    sop_token_id: int = 50257
    eop_token_id: int = 50258
    mask_token_ids: tuple[int, ...] | list[int] = (50260, 50263, 50264)
    tie_word_embeddings: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(f"hidden_size={self.hidden_size} is no multiple of num_attention_heads")


def published_config(folder: Path) -> Glm2021Config | None:
    """The configuration in `folder` if it is a published GLM's (`config.json` with model_type glm and its own keys).

    Its special tokens are those of the English models unless it names others.

    Raises `ModelError` where it is one of a kind that is not built here, or lacks a size.
    """
    file = folder / "config.json"
    settings = read_object(file) if file.is_file() else {}
    if settings.get("model_type") != "glm" or "max_sequence_length" not in settings:
        return None
    if missing := [name for name in _NEEDED if name not in settings]:
        raise ModelError(f"{file}: a GLM of 2021 without {', '.join(missing)}")
    for name, built in (("relative_encoding", False), ("block_position_encoding", True), ("attention_scale", 1.0)):
        if settings.get(name, built) != built:
            raise ModelError(f"{file}: {name}={settings[name]}; only {built} is built, as in glm-2b and glm-10b")
    known = {ours: settings[theirs] for ours, theirs in _PUBLISHED.items() if theirs in settings}
    known |= {name: settings[name] for name in _TOKENS if name in settings}
    config = Glm2021Config(max_position_embeddings=settings["max_sequence_length"] + 1, **known)
    if config.vocab_size <= max(config.sop_token_id, *config.mask_token_ids):
        raise ModelError(f"{file}: a vocabulary of {config.vocab_size}; only that of the English models is known")
    return config
