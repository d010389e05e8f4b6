"""A model's shape without its weights, and the cost of one training pass counted on it.

The shape is that of `config.json` alone, or of the sizes that `conf/model` knows.

Outlines are made and used inside `ptv2.models.ledger.without_contents`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from transformers import PreTrainedConfig

from ptv2.config.schema import HALF, ModelConfig, RunConfig
from ptv2.data.cloze import LabelWords
from ptv2.data.mixture import HEAD
from ptv2.errors import NetworkError, Ptv2Error
from ptv2.hub.reach import why_unreachable
from ptv2.models.backbones import Identity, load_backbone
from ptv2.models.build import HeadSpec, PromptedModel, build_model
from ptv2.models.checkpoints import fetch_config, is_config_cached, is_on_hub, resolve
from ptv2.models.configs import attention_name, random_config, read_config
from ptv2.models.gpu_attention import REGISTERED
from ptv2.models.heads import HeadKind
from ptv2.models.language_model import auto_class
from ptv2.models.ledger import FUSED, StepCost, count_step, without_contents
from ptv2.models.quantized import saved_bytes


def find_config(cfg: ModelConfig) -> tuple[PreTrainedConfig, str]:
    """The configuration of `cfg`'s backbone, and in words where it comes from. Of a hub model nothing else is fetched.

    Where the hub is not reachable, the sizes in conf/model take its place without a wait.

    Raises:
        ModelError, NetworkError, DiskFullError: it is not to be had, see `ptv2.hub.fetch.fetching`.
    """
    if cfg.path == "config:":
        return random_config(cfg), "model.config"
    if not is_on_hub(cfg):
        return read_config(resolve(cfg)[0], cfg), f"{cfg.path}, config.json"
    try:
        if cfg.config and not is_config_cached(cfg) and (why := why_unreachable()):
            raise NetworkError(why)
        folder = fetch_config(cfg.path, cfg.revision)
    except Ptv2Error:
        if cfg.config:
            return random_config(cfg), f"what conf/model says of {cfg.path}: its config.json is not to be had here"
        raise
    return read_config(folder, cfg), f"{cfg.path}, config.json"


def outline(cfg: RunConfig, head: HeadSpec, config: PreTrainedConfig) -> PromptedModel:
    """The model of `cfg` with a backbone of shape `config`.

    Raises:
        ConfigError: settings that do not go together or do not fit the backbone.
        ModelError: the backbone does not take prompts.
    """
    name = attention_name(config, cfg.model)
    language_model = head.kind == "verbalizer"
    model = auto_class(config, language_model=language_model).from_config(
        config,
        attn_implementation=FUSED if name in ("ptv2_sdpa", *REGISTERED.values()) else name,
        dtype=getattr(torch, cfg.model.dtype),
        trust_remote_code=cfg.model.trust_remote_code,
    )
    given = (model, Identity(cfg.model.path, None, ""), True)
    backbone = load_backbone(cfg.model, cfg.seed, given, language_model)
    drawn = cfg.model_copy(update={"prompt": cfg.prompt.model_copy(update={"init": "normal"})})
    return build_model(drawn, head, backbone=backbone)


def pass_rows(config: RunConfig) -> int:
    """The examples of one forward and backward pass of one process."""
    return math.ceil(config.trainer.batch_size / config.trainer.accumulation)


def count_pass(
    config: RunConfig, head: HeadKind, labels: int, rows: int, length: int, shape: PreTrainedConfig
) -> StepCost:
    """Count one pass over `rows` texts of `length` tokens with a backbone of shape `shape`.

    Raises:
        Ptv2Error: the run would be refused too.
    """
    words = LabelWords.stand_in(labels) if head == "verbalizer" else None
    return count_task(config, HeadSpec(head, labels, words), shape, (head, rows, length))


def count_task(
    config: RunConfig, heads: HeadSpec, shape: PreTrainedConfig, texts: tuple[HeadKind, int, int], number: int = 0
) -> StepCost:
    """Count one pass.

    Args:
        texts: the head that reads them, how many they are, and tokens of each.
        number: of that head, where there are several.
    """
    head, rows, length = texts
    half = config.trainer.precision in HALF
    with without_contents():
        model = outline(config, heads, shape)
        model.check_length(length)
        less = saved_bytes(model.backbone, config.model)
        batch = {**_batch(head, rows, len(config.task.choices), length), HEAD: torch.tensor(number)}
        return count_step(model, batch, half=half, less=less)


def _batch(head: str, rows: int, choices: int, length: int) -> dict[str, Tensor]:
    """Inputs and labels of one pass, as the data would give them."""

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.long)

    shape = (rows, choices, length) if head == "choice" else (rows, length)
    batch = {"input_ids": zeros(*shape), "attention_mask": torch.ones(shape, dtype=torch.long)}
    if head == "span":
        return {**batch, "start_positions": zeros(rows), "end_positions": zeros(rows)}
    return {**batch, "labels": zeros(*shape) if head == "tagging" else zeros(rows)}
