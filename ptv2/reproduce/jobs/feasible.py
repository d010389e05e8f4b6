"""Why a run cannot be made on this machine: too little memory, nothing to be had from the hub, or no language model.

Memory is judged by bounds where they settle it, else counted as `ptv2 plan` does. The hub is asked once,
without a download.
"""

from __future__ import annotations

import fnmatch
import json
import shutil
import socket
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from huggingface_hub import constants

from ptv2.config.methods import METHODS
from ptv2.config.schema import HubSource, ModelConfig, RunConfig
from ptv2.errors import ModelError, Ptv2Error
from ptv2.models.checkpoints import resolve

GIB = 2**30
PATIENCE = 3.0  # seconds that the hub has to answer
# The framework itself and what else runs; a plan counts neither.
OTHERS = 1.5 * GIB
# Bytes that a layer keeps for its backward pass in float32, at most: per token and hidden unit, and per pair of tokens
# and head (Korthikanti et al. 2022 count 34 and 5 in half precision; fused attention keeps nothing of the latter).
PER_UNIT, PER_PAIR = 80, 12


@dataclass(frozen=True)
class Shape:
    """The sizes of a transformer that decide its memory."""

    layers: int
    hidden: int
    heads: int
    intermediate: int
    vocabulary: int

    @property
    def parameters(self) -> int:
        """About how many: embeddings, four products of attention and two of each feed-forward part."""
        return self.vocabulary * self.hidden + self.layers * self.hidden * (4 * self.hidden + 2 * self.intermediate)


def why_hopeless(config: RunConfig) -> str | None:
    """Why a run cannot fit into the memory of this machine whatever its batches are; None if it might."""
    have, where = available(config.trainer.device)
    shape = _shape(config)
    if shape is None or (least := bounds(config, shape)[0]) <= have:
        return None
    return _said(least, have, where, "at least ")


def why_too_large(config: RunConfig) -> str | None:
    """Why a run does not fit into the memory of this machine; None if it does, or if that cannot be told."""
    have, where = available(config.trainer.device)
    shape = _shape(config)
    if shape is not None and bounds(config, shape)[1] <= have:
        return None
    need = _counted(config)
    return _said(need, have, where, "") if need is not None and need > have else None


def bounds(config: RunConfig, shape: Shape) -> tuple[float, float]:
    """Bytes that a run takes at least and at most, by its backbone's sizes."""
    bytes_each = 2 if config.model.dtype == "bfloat16" else 4
    weights = shape.parameters * bytes_each
    method = METHODS[config.method]
    tuned = method.backbone == "all"
    least = 4.0 * weights if tuned else float(weights)  # gradients and two numbers of AdamW a parameter
    if config.model.quantization != "none":
        least /= 4
    rows = -(-config.trainer.batch_size // config.trainer.accumulation) * max(1, len(config.task.choices))
    tokens = config.task.max_length + (0 if method.prompts is None else config.prompt.length)
    a_layer = rows * tokens * (PER_UNIT * shape.hidden + PER_PAIR * shape.heads * tokens)
    return least, 1.2 * (4.0 * weights if tuned else 1.5 * weights) + shape.layers * a_layer


@cache
def available(device: str) -> tuple[float, str]:
    """Bytes that a run may take, and of what: the first GPU's memory, else the machine's or the container's."""
    if device == "auto" and (tool := shutil.which("nvidia-smi")):
        asked = [tool, "--query-gpu=memory.total", "--format=csv,noheader,nounits", "--id=0"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=30)
        if done.returncode == 0 and done.stdout.strip().isdigit():
            return int(done.stdout) * 2**20 - OTHERS, "this GPU"
    total = psutil.virtual_memory().total
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text(encoding="utf-8").strip()).isdigit():
        total = min(total, int(text))
    return total - OTHERS, "this machine"


def _said(need: float, have: float, where: str, least: str) -> str:
    return f"too large: needs {least}{need / GIB:.1f} GiB, {where} has {(have + OTHERS) / GIB:.0f}"


def _shape(config: RunConfig) -> Shape | None:
    """The backbone's sizes as its configuration file or `conf/model` gives them; None if neither does."""
    tree: dict[str, Any] = dict(config.model.config)
    if not tree and (config.model.path.startswith("embedded:") or Path(config.model.path).is_dir()):
        try:
            tree = json.loads((resolve(config.model)[0] / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, Ptv2Error):
            return None
    try:
        hidden = int(tree["hidden_size"])
        return Shape(
            layers=int(tree["num_hidden_layers"]),
            hidden=hidden,
            heads=int(tree["num_attention_heads"]),
            intermediate=int(tree.get("intermediate_size", 4 * hidden)),
            vocabulary=int(tree["vocab_size"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _counted(config: RunConfig) -> float | None:
    """The peak that `ptv2 plan` counts; None where it refuses, since training will say why."""
    from ptv2.reproduce.jobs.cost import pass_cost

    try:
        return float(pass_cost(config).peak)
    except Ptv2Error:
        return None


def why_no_weights(model: ModelConfig) -> str | None:
    """Why a backbone's weights are not to be had; None if they are, or may be."""
    if model.path == "config:" or model.path.startswith("embedded:") or Path(model.path).is_dir():
        return None
    if _cached("models", model.path, model.revision, ["*.safetensors"]):
        return None
    if said := _why_no_hub():
        return f"no weights: {model.path} is not in the cache, and {said}"
    return None


def why_no_hub_data(source: HubSource) -> str | None:
    """Why a data set of the hub is not to be had; None if it is, or may be."""
    if _cached("datasets", source.repository, source.revision, list(source.files.values())):
        return None
    if said := _why_no_hub():
        return f"no data: {source.repository} is not in the cache, and {said}"
    return None


def _cached(kind: str, repository: str, revision: str | None, patterns: list[str]) -> bool:
    """Whether the cache holds a file for each pattern at that revision."""
    folder = Path(constants.HF_HUB_CACHE) / f"{kind}--{repository.replace('/', '--')}"
    name = revision or "main"
    named = folder / "refs" / name
    commit = named.read_text(encoding="utf-8").strip() if named.is_file() else name
    snapshot = folder / "snapshots" / commit
    there = [path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*") if path.is_file()]
    return all(fnmatch.filter(there, pattern) for pattern in patterns)


@cache
def _why_no_hub() -> str | None:
    """Why the hub cannot be asked, tried once: None if something answers at its address."""
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    address = urlsplit(constants.ENDPOINT)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname or "", port), PATIENCE).close()
    except OSError:
        return "the hub is not reachable"
    return None


def why_no_language_model(config: RunConfig) -> str | None:
    """Why the run's backbone cannot fill label words in; None if it can, or if only its download would tell."""
    return _why_not_loaded(config.model.model_dump_json()) if config.head.kind == "verbalizer" else None


@cache
def _why_not_loaded(config: str) -> str | None:
    """What loading says.

    Args:
        config: a `ModelConfig` as JSON.
    """
    model = ModelConfig.model_validate_json(config)
    if not (model.path.startswith("embedded:") or Path(model.path).is_dir()):
        return None
    from transformers.utils import logging

    from ptv2.models.backbones import load_backbone

    logging.set_verbosity_error()  # a report on missing weights would stand before the one line that says so
    logging.disable_progress_bar()
    try:
        load_backbone(model, seed=0, language_model=True)
    except ModelError as error:
        return f"no LM head: {error}"
    return None
