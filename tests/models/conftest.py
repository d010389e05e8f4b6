"""Checkpoints that several modules try adapters of PEFT on."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint of each model type, with weights large enough that all of them matter."""
    import torch
    from peft_models import LAYOUTS
    from tiny import FAMILY_CONFIGS, enlarge
    from transformers import AutoConfig, AutoModel

    root = tmp_path_factory.mktemp("bases")
    for family in LAYOUTS:
        torch.manual_seed(1)
        model = AutoModel.from_config(AutoConfig.for_model(family, **FAMILY_CONFIGS[family]))
        enlarge(model)
        model.save_pretrained(root / family)
    return {family: root / family for family in LAYOUTS}
