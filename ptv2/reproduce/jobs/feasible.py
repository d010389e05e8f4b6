"""Why a run cannot be made on this machine: too little memory, nothing from the hub, or no language model.

Memory is compared with bounds; where these do not decide, it is counted as `ptv2 plan` counts it. The hub is asked
once, without a download.
"""

from __future__ import annotations

import fnmatch
import json
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from huggingface_hub import constants

from ptv2.config.methods import METHODS
from ptv2.config.schema import ModelConfig, RunConfig
from ptv2.config.task_schema import HubSource
from ptv2.errors import ModelError, Ptv2Error
from ptv2.gpus import visible_gpus, visible_memory
from ptv2.hub.reach import why_unreachable
from ptv2.models.checkpoints import resolve
from ptv2.models.families import NO_DEEP_PROMPTS
from ptv2.variables import quieten_transformers

GIB = 2**30
# Bytes for the framework and other processes, which a plan does not count.
OTHERS = 1.5 * GIB
# Bytes that a layer stores for its backward pass in float32, at most: per token and hidden unit, and per pair of tokens
# and head (Korthikanti et al. 2022 count 34 and 5 in half precision; fused attention stores nothing per pair).
PER_UNIT, PER_PAIR = 80, 12


@dataclass(frozen=True)
class BackboneSizes:
    """The sizes of a transformer that determine its memory."""

    layers: int
    hidden: int
    heads: int
    intermediate: int
    vocabulary: int

    @property
    def parameters(self) -> int:
        """About how many: embeddings, four matrices of each attention and two of each feed-forward part."""
        return self.vocabulary * self.hidden + self.layers * self.hidden * (4 * self.hidden + 2 * self.intermediate)


def why_hopeless(config: RunConfig, workers: int = 1) -> str | None:
    """Why a run cannot fit beside others, however small its batches; None if it might.

    Args:
        workers: how many runs share the memory of this machine.
    """
    have, where = share(config.trainer.device, workers)
    sizes = sizes_of(config)
    if sizes is None or (least := bounds(config, sizes)[0]) <= have:
        return None
    return _too_large(f"at least {least / GIB:.1f}", have, where)


def why_too_large(config: RunConfig, workers: int = 1) -> str | None:
    """Why a run does not fit into its share of the memory of this machine; None if it does, or if that is not known."""
    have, where = share(config.trainer.device, workers)
    sizes = sizes_of(config)
    if sizes is not None and bounds(config, sizes)[1] <= have:
        return None
    from ptv2.reproduce.jobs.cost import pass_cost

    with suppress(Ptv2Error):  # where it cannot be counted, training will say why
        if (peak := pass_cost(config).peak) > have:
            return _too_large(f"{peak / GIB:.1f}", have, where)
    return None


def bounds(config: RunConfig, sizes: BackboneSizes) -> tuple[float, float]:
    """The bytes that a run takes at least and at most, by its backbone's sizes."""
    bytes_each = 2 if config.model.dtype == "bfloat16" else 4
    weights = sizes.parameters * bytes_each
    method = METHODS[config.method]
    tuned = method.backbone == "all"
    least = 4.0 * weights if tuned else float(weights)  # per parameter also a gradient and two numbers of AdamW
    if config.model.quantization != "none":
        least /= 4
    rows = -(-config.trainer.batch_size // config.trainer.accumulation) * max(1, len(config.task.choices))
    tokens = config.task.max_length + (0 if method.prompts is None else config.prompt.length)
    of_layer = rows * tokens * (PER_UNIT * sizes.hidden + PER_PAIR * sizes.heads * tokens)
    return least, 1.2 * (4.0 * weights if tuned else 1.5 * weights) + sizes.layers * of_layer


@cache
def available(device: str) -> tuple[float, str]:
    """The bytes that a run may take, and where: in the smallest GPU, else in the machine or the container."""
    if device == "auto" and (sizes := visible_memory()):
        return min(sizes) * 2**20 - OTHERS, "this GPU"
    total = psutil.virtual_memory().total
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text(encoding="utf-8").strip()).isdigit():
        total = min(total, int(text))
    return total - OTHERS, "this machine"


def share(device: str, workers: int) -> tuple[float, str]:
    """The bytes that each of so many runs at a time may take, and of what; every GPU takes its part of them."""
    have, where = available(device)
    together = -(-workers // max(1, len(visible_gpus()))) if where == "this GPU" else workers
    return have / together, where if together == 1 else f"each of {together} runs at a time on {where}"


def _too_large(need: str, have: float, where: str) -> str:
    whole = have + OTHERS if where.startswith("this") else have  # a share is of what the runs may take
    return f"too large: needs {need} GiB, {where} has {whole / GIB:.{0 if whole >= 10 * GIB else 1}f}"


def why_no_prompts(config: RunConfig) -> str | None:
    """Why a backbone cannot take prompts at its layers; None if it can, or if only its download or a run would tell."""
    model_type = str(_settings_of(config).get("model_type"))
    instead = NO_DEEP_PROMPTS.get(model_type)
    return None if instead is None else f"a {model_type} backbone has no keys and values for prompts ({instead})"


def _settings_of(config: RunConfig) -> dict[str, Any]:
    """A backbone's own settings, from its configuration file or `conf/model`; empty if neither has them."""
    tree: dict[str, Any] = dict(config.model.config)
    if not tree and (config.model.path.startswith("embedded:") or Path(config.model.path).is_dir()):
        with suppress(OSError, ValueError, Ptv2Error):
            return dict(json.loads((resolve(config.model)[0] / "config.json").read_text(encoding="utf-8")))
    return tree


def sizes_of(config: RunConfig) -> BackboneSizes | None:
    """The backbone's sizes, from its configuration file or `conf/model`; None if neither has them."""
    tree = _settings_of(config)
    try:
        hidden = int(tree["hidden_size"])
        return BackboneSizes(
            layers=int(tree["num_hidden_layers"]),
            hidden=hidden,
            heads=int(tree["num_attention_heads"]),
            intermediate=int(tree.get("intermediate_size", 4 * hidden)),
            vocabulary=int(tree["vocab_size"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def why_no_weights(model: ModelConfig) -> str | None:
    """Why a backbone's weights cannot be had; None if they can, or if only the hub would tell."""
    if model.path == "config:" or model.path.startswith("embedded:") or Path(model.path).is_dir():
        return None
    if _cached("models", model.path, model.revision, ["*.safetensors"]):
        return None
    return (why := why_unreachable()) and f"no weights: {model.path} is not in the cache, and {why}"


def why_no_hub_data(source: HubSource) -> str | None:
    """Why a data set of the hub cannot be had; None if it can, or if only the hub would tell."""
    if _cached("datasets", source.repository, source.revision, list(source.files.values())):
        return None
    return (why := why_unreachable()) and f"no data: {source.repository} is not in the cache, and {why}"


def _cached(kind: str, repository: str, revision: str | None, patterns: list[str]) -> bool:
    """Whether the hub's cache has a file for each pattern at a revision."""
    folder = Path(constants.HF_HUB_CACHE) / f"{kind}--{repository.replace('/', '--')}"
    name = revision or "main"
    ref = folder / "refs" / name
    commit = ref.read_text(encoding="utf-8").strip() if ref.is_file() else name
    snapshot = folder / "snapshots" / commit
    files = [path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*") if path.is_file()]
    return all(fnmatch.filter(files, pattern) for pattern in patterns)


def why_no_language_model(config: RunConfig) -> str | None:
    """Why the run's backbone cannot predict label words; None if it can, or if only its download would tell."""
    return _why_not_loaded(config.model.model_dump_json()) if config.head.kind == "verbalizer" else None


@cache
def _why_not_loaded(config: str) -> str | None:
    """Why a language model cannot be loaded; `config` is a `ModelConfig` as JSON."""
    model = ModelConfig.model_validate_json(config)
    if not (model.path.startswith("embedded:") or Path(model.path).is_dir()):
        return None
    from ptv2.models.backbones import load_backbone

    quieten_transformers()  # which would print a report before our one line
    try:
        load_backbone(model, seed=0, language_model=True)
    except ModelError as error:
        return f"no LM head: {error}"
    return None
