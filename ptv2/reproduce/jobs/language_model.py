"""Whether a checkpoint can be asked for label words."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ptv2.config.schema import ModelConfig, RunConfig
from ptv2.errors import ModelError


def why_no_language_model(config: RunConfig) -> str | None:
    """Why the run's backbone cannot fill label words in; none if it can, or if only its download would tell."""
    return _look(config.model.model_dump_json()) if config.head.kind == "verbalizer" else None


@cache
def _look(config: str) -> str | None:
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
