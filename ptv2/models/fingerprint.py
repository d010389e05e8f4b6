"""What stands for a backbone in a run's identity, known before it is loaded or fetched."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ptv2.config.schema import ModelConfig
from ptv2.models.checkpoints import hash_file, hash_weights, is_on_hub, resolve
from ptv2.models.foreign import read_object, refuse_lfs_pointer

# What a folder's tokenizer is made from: always, and where there is no tokenizer.json.
_TOKENIZER = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_VOCABULARY = ("vocab*", "*vocab.json", "merges.txt", "*.model", "*.tiktoken")
_WITHOUT_EFFECT = ("transformers_version", "_name_or_path", "dtype", "torch_dtype")  # in config.json


def fingerprint(cfg: ModelConfig) -> str:
    """The hashes of a local backbone's files, or what else says which backbone it is.

    Instead of them: the hash of the weights where `cfg.sha256` gives it, id and revision of a backbone on the hub, the
    configuration of one with random weights.

    Raises:
        ModelError: a local folder without weights, or whose config.json is damaged.
    """
    if cfg.path == "config:":
        return "random " + json.dumps(dict(cfg.config), sort_keys=True)
    if cfg.sha256 is not None:
        return cfg.sha256
    if is_on_hub(cfg):
        return f"{cfg.path}@{cfg.revision or 'main'}"
    folder, _ = resolve(cfg)
    return join_hashes(hash_weights(folder, cfg.path), hash_config(cfg, folder))


def join_hashes(weights: str, config: str | None) -> str:
    """The fingerprint of a backbone whose weights, and whose config.json and tokenizer, have these hashes."""
    return weights if config is None else f"{weights} {config}"


def hash_config(cfg: ModelConfig, folder: Path) -> str | None:
    """SHA-256 over config.json and the tokenizer's files, and over the folder's own code where that may run.

    Returns:
        None where something else says which files these are: a commit of the hub, a known hash (`cfg.sha256`).

    Raises:
        ModelError: config.json is damaged.
    """
    if cfg.sha256 is not None or is_on_hub(cfg):
        return None
    patterns = [*_TOKENIZER, *(["tokenizer.json"] if (folder / "tokenizer.json").is_file() else _VOCABULARY)]
    if cfg.trust_remote_code:
        patterns.append("*.py")
    files = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    digest = hashlib.sha256()
    if (folder / "config.json").is_file():
        known = {key: value for key, value in read_object(folder / "config.json").items() if key not in _WITHOUT_EFFECT}
        digest.update(json.dumps(known, sort_keys=True).encode())
    for path in sorted(files):
        refuse_lfs_pointer(path)
        digest.update(f"\0{path.name}\0{hash_file(path)}".encode())
    return digest.hexdigest()
