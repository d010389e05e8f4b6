"""Types without a row: what a tiny forward pass tells of them before anything is trained."""

from __future__ import annotations

from typing import Any

import pytest
from tiny import FAMILY_CONFIGS, run_config

from ptv2.config.schema import ModelConfig
from ptv2.errors import ModelError
from ptv2.models.backbones import Backbone, load_backbone
from ptv2.models.build import HeadSpec, build_model

CODEGEN = {"vocab_size": 60, "n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4, "n_positions": 40, "n_ctx": 40}


def load(model_type: str, **settings: Any) -> Backbone:
    config = {"model_type": model_type, **(settings or FAMILY_CONFIGS["bert"])}
    return load_backbone(ModelConfig(name="m", path="config:", config=config), seed=1)


def test_a_causal_model_that_does_not_say_so_is_read_at_its_last_token() -> None:
    assert load("clip_text_model").family.causal


def test_attention_that_is_approximated_is_not_causal() -> None:
    assert not load("mra").family.causal


@pytest.mark.parametrize(("model_type", "noted"), [("convbert", True), ("fnet", True), ("nomic_bert", False)])
def test_a_model_that_reads_padding_is_noted(model_type: str, noted: bool, caplog: pytest.LogCaptureFixture) -> None:
    load(model_type)
    assert (f"{model_type} as backbone: padding changes what it makes of a text" in caplog.text) == noted


def test_a_model_that_fails_at_a_text_is_refused() -> None:
    with pytest.raises(ModelError, match=r"a layoutlm backbone cannot read a text here \(.*\); expected another backb"):
        load("layoutlm")


@pytest.mark.parametrize("model_type", ["ibert", "clip_text_model"])
def test_a_model_that_takes_no_prompt_before_its_input_is_refused(model_type: str) -> None:
    cfg = run_config({"model_type": model_type, **FAMILY_CONFIGS["bert"]}, "prompt-tuning", hidden_dropout=None)
    with pytest.raises(ModelError, match="a prompt cannot stand before its input; expected method=fine-tuning"):
        build_model(cfg, HeadSpec("classification", 2))


def test_a_configuration_without_a_padding_token() -> None:
    assert load("codegen", **CODEGEN, eos_token_id=3).config.pad_token_id == 3
