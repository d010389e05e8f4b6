"""What stands for a backbone in a run's identity, known before it is loaded or fetched."""

from __future__ import annotations

import json
from pathlib import Path

from ptv2.config.schema import ModelConfig
from ptv2.models.checkpoints import hash_weights, resolve


def fingerprint(cfg: ModelConfig) -> str:
    """The weights' hash of an embedded or local backbone, id and revision of one from the hub, or the configuration.

    Raises:
        ModelError: a local folder without weights.
    """
    if cfg.path == "config:":
        return "random " + json.dumps(dict(cfg.config), sort_keys=True)
    if cfg.sha256 is not None:
        return cfg.sha256
    if cfg.path.startswith("embedded:") or Path(cfg.path).is_dir():
        folder, _ = resolve(cfg)
        return hash_weights(folder, cfg.path)
    return f"{cfg.path}@{cfg.revision or 'main'}"
