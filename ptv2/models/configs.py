"""A model's configuration: from a folder or from settings, with the dropouts that a run asks for."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub.errors import StrictDataclassError
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
    MODEL_MAPPING,
    AutoConfig,
    PreTrainedConfig,
)

from ptv2.config.schema import ModelConfig
from ptv2.errors import ConfigError, ModelError, first_line, shorten, unknown
from ptv2.models.checkpoints import ENCODER_DECODER
from ptv2.models.foreign import naming_fault, read_object
from ptv2.models.glm import published_config
from ptv2.models.gpu_attention import REGISTERED, registered_name

HIDDEN_DROPOUTS = (
    "hidden_dropout_prob",
    "dropout",
    "hidden_dropout",
    "embedding_dropout",
    "mlp_dropout",
    "resid_pdrop",
    "embd_pdrop",
)
ATTENTION_DROPOUTS = ("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop")
# What transformers raises for settings that no model can be made of.
NO_BACKBONE = (ValueError, TypeError, KeyError, RuntimeError, AssertionError, StrictDataclassError)


def read_config(folder: Path, cfg: ModelConfig) -> PreTrainedConfig:
    """The configuration in `folder`, with the dropouts of `cfg`.

    Raises `ModelError` when it is missing or of no known type, of an encoder-decoder, or has no such dropout.
    """
    with naming_fault(f"{cfg.path}: cannot be loaded as a backbone"):
        if (folder / "config.json").is_file():
            read_object(folder / "config.json")
        config = published_config(folder) or AutoConfig.from_pretrained(folder, trust_remote_code=cfg.trust_remote_code)
        return _fit(config, cfg)


def random_config(cfg: ModelConfig) -> PreTrainedConfig:
    """The configuration that `cfg.config` spells out; `ConfigError` when it is none."""
    settings = dict(cfg.config)
    model_type = str(settings.pop("model_type", "(none)"))
    if model_type not in CONFIG_MAPPING:
        raise ConfigError(unknown("model.config.model_type", model_type, CONFIG_MAPPING.keys()))
    try:
        config = AutoConfig.for_model(model_type, **settings)
    except NO_BACKBONE as error:
        raise no_backbone(model_type, error) from error
    return _fit(config, cfg)


def no_backbone(model_type: str, error: BaseException) -> ConfigError:
    """The error for settings of `model.config` that make no model."""
    return ConfigError(f"model.config: no {model_type} backbone can be made of it: {first_line(error)}")


def attention_name(config: PreTrainedConfig, cfg: ModelConfig) -> str:
    """Our attention function, or for types that do not route attention the library's own (fine-tuning still works).

    Types whose attention torch's fused function cannot compute (gemma 2, gpt-oss) get the explicit one.

    Raises:
        ModelError: `cfg.attention` is a kernel of GPUs that this type does not take.
    """
    known = MODEL_MAPPING.get(type(config), None)
    routes = known is None or getattr(known, "_supports_attention_backend", False)
    if cfg.attention in REGISTERED:
        name = registered_name(config, cfg.attention, known, routes=routes)
        if cfg.attention == "flex_attention" and any(getattr(config, rate, 0) for rate in ATTENTION_DROPOUTS):
            raise ModelError(
                "model.attention=flex_attention knows no dropout of attention; expected model.attention_dropout=0 too"
            )
        return name
    if not routes:
        return "eager"
    return f"ptv2_{cfg.attention}" if getattr(known, "_supports_sdpa", True) else "ptv2_eager"


def is_causal_type(config: PreTrainedConfig) -> bool:
    """Whether transformers has language models of this type that write on, and none that fill gaps."""
    writes = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING and type(config) not in MODEL_FOR_MASKED_LM_MAPPING
    return writes and getattr(config, "is_decoder", True)  # bert-generation is told by this which of both it is


def output_width(config: PreTrainedConfig) -> int:
    """The size of the last hidden states, which opt-350m projects back to the width of its embeddings."""
    return getattr(config, "word_embed_proj_dim", config.hidden_size)


def _reads_texts(config: PreTrainedConfig) -> bool:
    """Whether a configuration is that of one model that reads tokens: not of images or sounds, nor of several parts."""
    return hasattr(config, "hidden_size") and _main_input(config) == "input_ids"


def _main_input(config: PreTrainedConfig) -> str:
    """What a model of this type reads; code of its own repository says nothing of it here."""
    return str(getattr(MODEL_MAPPING.get(type(config), None), "main_input_name", "input_ids"))


def _fit(config: PreTrainedConfig, cfg: ModelConfig) -> PreTrainedConfig:
    """`config` with the dropout rates that `cfg` asks for, under the names that this family gives them.

    What it says of the form of outputs is undone: the folder of a checkpoint keeps what its maker's script asked for.
    """
    config.return_dict, config.output_hidden_states, config.output_attentions = True, False, False
    for name in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"):
        if (size := getattr(config, name, 1)) is not None and (not isinstance(size, int) or size < 1):
            raise ModelError(f"{cfg.name}: {name} is {shorten(str(size))} in its configuration; expected 1 or more")
    both = type(config) in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING  # also where a folder has the encoder alone (T5)
    if both or getattr(config, "is_encoder_decoder", False):
        raise ModelError(f"{cfg.name}: {config.model_type} {ENCODER_DECODER}")
    if not _reads_texts(config):
        raise ModelError(
            f"{cfg.name}: {config.model_type} is no model of texts alone; "
            "expected an encoder or a decoder of texts as backbone"
        )
    if (positions := str(getattr(config, "position_embedding_type", None))).startswith("relative_key"):
        raise ModelError(
            f"{cfg.name}: position_embedding_type={positions} in its config.json, which transformers no longer "
            "computes: its positions would be read as absolute ones; expected another backbone"
        )
    if getattr(config, "is_decoder", False) and type(config) in MODEL_FOR_MASKED_LM_MAPPING:
        raise ModelError(
            f"{cfg.name}: is_decoder=true in its config.json: the first token, at which a {config.model_type} is read, "
            "would see no other; expected is_decoder=false"
        )
    for option, rate, names in (
        ("hidden_dropout", cfg.hidden_dropout, HIDDEN_DROPOUTS),
        ("attention_dropout", cfg.attention_dropout, ATTENTION_DROPOUTS),
    ):
        if rate is None:
            continue
        present = [name for name in names if hasattr(config, name)]
        if not present:
            raise ModelError(f"model.{option}={rate}: a {config.model_type} backbone has no such dropout; leave it out")
        for name in present:
            setattr(config, name, rate)
    return config
