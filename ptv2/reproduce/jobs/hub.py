"""Whether what a run needs from the hub is here or can be had, asked once and without a download."""

from __future__ import annotations

import fnmatch
import socket
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub import constants

from ptv2.config.schema import HubSource, ModelConfig

PATIENCE = 3.0  # seconds


def why_no_weights(model: ModelConfig) -> str | None:
    """Why a backbone's weights are not to be had; none if they are, or may be."""
    if model.path == "config:" or model.path.startswith("embedded:") or Path(model.path).is_dir():
        return None
    if _cached("models", model.path, model.revision, ["*.safetensors"]):
        return None
    if said := _why_no_hub():
        return f"no weights: {model.path} is not in the cache, and {said}"
    return None


def why_no_hub_data(source: HubSource) -> str | None:
    """Why a data set of the hub is not to be had; none if it is, or may be."""
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
    """Why the hub cannot be asked, tried once: none if something answers at its address."""
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    address = urlsplit(constants.ENDPOINT)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname or "", port), PATIENCE).close()
    except OSError:
        return "the hub is not reachable"
    return None
