"""Run configurations and tiny random backbones for tests: nothing is loaded from anywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ptv2.config.schema import RunConfig
from ptv2.models.build import HeadSpec, PromptedModel, build_model

VOCABULARY, HIDDEN, HEADS, LAYERS, POSITIONS = 60, 16, 2, 3, 40

# What transformers calls the sizes, by model type; every family of ptv2.models.families that takes prompts.
# A type without dropout of hidden states is in NO_HIDDEN_DROPOUT.
BERT_LIKE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": 32,
    "max_position_embeddings": POSITIONS,
}
SPECIAL: dict[str, Any] = {
    "pad_token_id": 1,
    "bos_token_id": 2,
    "eos_token_id": 2,
    "cls_token_id": 3,
    "sep_token_id": 4,
}
ROBERTA_LIKE: dict[str, Any] = {**BERT_LIKE, "pad_token_id": 1, "type_vocab_size": 1}
FAMILY_CONFIGS: dict[str, dict[str, Any]] = {
    "bert": BERT_LIKE,
    "ernie": BERT_LIKE,
    "roberta": ROBERTA_LIKE,
    "xlm-roberta": ROBERTA_LIKE,
    "xlm-roberta-xl": ROBERTA_LIKE,
    "camembert": ROBERTA_LIKE,
    "roberta-prelayernorm": ROBERTA_LIKE,
    "data2vec-text": ROBERTA_LIKE,
    "electra": {**BERT_LIKE, "embedding_size": 8},
    "albert": {**BERT_LIKE, "embedding_size": 8},
    "distilbert": {
        "vocab_size": VOCABULARY,
        "dim": HIDDEN,
        "n_layers": LAYERS,
        "n_heads": HEADS,
        "hidden_dim": 32,
        "max_position_embeddings": POSITIONS,
    },
    "mpnet": ROBERTA_LIKE,
    "glm-2021": {
        **{key: size for key, size in BERT_LIKE.items() if key != "intermediate_size"},
        "pad_token_id": 0,
        "eos_token_id": 0,
        "sop_token_id": 1,
        "eop_token_id": 2,
        "cls_token_id": 3,
        "mask_token_ids": [4],
    },
    "deberta": {**BERT_LIKE, "relative_attention": True, "pos_att_type": "c2p|p2c", "type_vocab_size": 2},
    "deberta-v2": {
        **BERT_LIKE,
        "relative_attention": True,
        "pos_att_type": "c2p|p2c",
        "type_vocab_size": 0,
        "share_att_key": True,
        "position_buckets": 8,
        "norm_rel_ebd": "layer_norm",
        "conv_kernel_size": 3,
        "conv_act": "gelu",
    },
    "modernbert": {**BERT_LIKE, "local_attention": 6, "global_attn_every_n_layers": 2, **SPECIAL},
    "eurobert": {**BERT_LIKE, "num_key_value_heads": HEADS, "head_dim": HIDDEN // HEADS, **SPECIAL},
    "gpt2": {
        "vocab_size": VOCABULARY,
        "n_embd": HIDDEN,
        "n_layer": LAYERS,
        "n_head": HEADS,
        "n_positions": POSITIONS,
        "bos_token_id": 2,
        "eos_token_id": 2,
    },
    "gpt_neox": {**BERT_LIKE, "bos_token_id": 2, "eos_token_id": 2},
    "opt": {
        **BERT_LIKE,
        "ffn_dim": 32,
        "word_embed_proj_dim": 12,
        **SPECIAL,
    },
    "llama": {**BERT_LIKE, "num_key_value_heads": 1, "bos_token_id": 1, "eos_token_id": 2},
    "qwen3": {**BERT_LIKE, "num_key_value_heads": 1, "head_dim": 6, "bos_token_id": 1, "eos_token_id": 2},
}
NO_HIDDEN_DROPOUT = {"eurobert", "llama", "qwen3"}


def run_config(
    model: dict[str, Any] | None = None,
    method: str = "p-tuning-v2",
    prompt: dict[str, Any] | None = None,
    seed: int = 3,
    head: dict[str, Any] | None = None,
    lora: dict[str, Any] | None = None,
    **model_settings: Any,
) -> RunConfig:
    """A run on a random backbone of configuration `model` (with `model_type`), every dropout 0."""
    off = {"hidden_dropout": 0.0, "attention_dropout": 0.0}
    return RunConfig.model_validate(
        {
            "task": {"name": "t", "shape": "classify", "source": "mini", "sources": {"mini": "t"}, "text": ["text"]},
            "data": {"source": "mini"},
            "model": {"name": "tiny", "path": "config:", "config": model or {}, **off, **model_settings},
            "method": method,
            "prompt": {"length": 4, "dropout": 0.0, **(prompt or {})},
            "head": {"dropout": 0.0, **(head or {})},
            "lora": lora or {},
            "optim": {"lr": 0.01},
            "trainer": {},
            "seed": seed,
        }
    )


def tiny_model(
    family: str, method: str = "p-tuning-v2", spec: HeadSpec | None = None, prompt: Any = None, **settings: Any
) -> PromptedModel:
    """A tiny model of `family` with weights large enough that each of them matters, in evaluation mode."""
    config = {"model_type": family, **FAMILY_CONFIGS[family]}
    if family in NO_HIDDEN_DROPOUT:
        settings.setdefault("hidden_dropout", None)
    model = build_model(run_config(config, method, prompt, **settings), spec or HeadSpec("classification", 3))
    enlarge(model)
    return model.eval()


def enlarge(model: PromptedModel, std: float = 0.3) -> None:
    """Fill every parameter with N(0, std) (layer norms around 1), so that biases and prompts matter."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.empty_like(parameter).normal_(0.0, std, generator=generator))
            if "norm" in name.lower() and name.endswith("weight"):
                parameter.add_(1.0)


def mean_loss(model: Callable[..., Any], batch: dict[str, Tensor]) -> Tensor:
    """The mean loss of one batch."""
    output = model(batch)
    return output["loss_sum"] / output["count"]


def gradients(model: PromptedModel) -> dict[str, Tensor]:
    """Gradients by parameter, of those that have one."""
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def tiny_batch(rows: int = 3, length: int = 9, pad: int = 0, choices: int | None = None) -> dict[str, Tensor]:
    """A batch with rows of different lengths; token ids stay clear of padding."""
    generator = torch.Generator().manual_seed(1)
    shape = (rows, length) if choices is None else (rows, choices, length)
    ids = torch.randint(5, VOCABULARY, shape, generator=generator)
    mask = torch.ones_like(ids)
    for row in range(rows):
        mask[row, ..., length - 2 * row :] = 0 if row else 1
    ids = torch.where(mask == 1, ids, pad)
    labels = torch.arange(rows) % (3 if choices is None else choices)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}
