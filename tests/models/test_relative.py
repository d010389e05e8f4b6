"""MPNet with our attention against the library's own."""

from __future__ import annotations

import pytest
import torch
from tiny import FAMILY_CONFIGS, enlarge, run_config, tiny_batch
from transformers import MPNetConfig, MPNetModel

from ptv2.models.build import HeadSpec, build_model
from ptv2.models.relative import PromptedMPNet


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_without_prompts_it_is_the_librarys_mpnet(attention: str) -> None:
    """With a bias of relative positions that matters; prompts are held against attention by hand in test_attention."""
    config = {"model_type": "mpnet", **FAMILY_CONFIGS["mpnet"]}
    model = build_model(run_config(config, "fine-tuning", attention=attention), HeadSpec("tagging", 3)).eval()
    enlarge(model)
    assert isinstance(model.backbone, PromptedMPNet)
    theirs = MPNetModel(MPNetConfig(**FAMILY_CONFIGS["mpnet"]), add_pooling_layer=False).eval()
    theirs.load_state_dict(model.backbone.state_dict())  # the same names
    batch = tiny_batch(pad=1)
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    expected = theirs(**inputs).last_hidden_state
    torch.testing.assert_close(model.backbone(**inputs).last_hidden_state, expected, atol=1e-5, rtol=0)
    torch.nn.init.zeros_(theirs.encoder.relative_attention_bias.weight)
    assert (theirs(**inputs).last_hidden_state - expected).abs().max() > 1e-2
