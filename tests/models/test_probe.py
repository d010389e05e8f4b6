"""Types without a row: what a tiny forward pass tells of them before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import FAMILY_CONFIGS, enlarge, run_config, tiny_batch
from transformers import LongformerConfig, LongformerModel, XLNetConfig, XLNetModel

from ptv2.config.schema import ModelConfig
from ptv2.errors import ModelError
from ptv2.models.backbones import Backbone, load_backbone
from ptv2.models.build import HeadSpec, PromptedModel, build_model

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


def reads(folder: Path, method: str = "fine-tuning") -> PromptedModel:
    cfg = run_config(FAMILY_CONFIGS["bert"], method, hidden_dropout=None, attention_dropout=None)
    cfg = cfg.model_copy(update={"model": ModelConfig(name="m", path=str(folder), pooler="none")})
    model = build_model(cfg, HeadSpec("classification", 3)).eval()
    enlarge(model)
    return model


@torch.no_grad()
def test_xlnet_is_read_at_its_last_token(tmp_path: Path) -> None:
    """Where its tokenizer puts <cls>; its class for sequences reads there too (summary_type "last")."""
    XLNetModel(XLNetConfig(vocab_size=60, d_model=16, n_layer=2, n_head=2, d_inner=32)).save_pretrained(tmp_path)
    model, batch = reads(tmp_path), tiny_batch(rows=3, length=9)
    batch["attention_mask"][0, 6:] = 0
    last = batch["attention_mask"].sum(1) - 1
    states = model.backbone(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    expected = model.head(states[torch.arange(3), last])
    torch.testing.assert_close(model(batch)["scores"], expected)


@torch.no_grad()
def test_the_first_token_of_longformer_sees_the_whole_text(tmp_path: Path) -> None:
    """As in transformers' LongformerForSequenceClassification."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = LongformerConfig(vocab_size=60, attention_window=4, max_position_embeddings=80, pad_token_id=0, **sizes)
    LongformerModel(config, add_pooling_layer=False).save_pretrained(tmp_path)
    model, batch = reads(tmp_path), tiny_batch(rows=2, length=30)
    ids, mask = batch["input_ids"], batch["attention_mask"]
    marked = torch.zeros_like(ids)
    marked[:, 0] = 1
    states = model.backbone(input_ids=ids, attention_mask=mask, global_attention_mask=marked).last_hidden_state
    torch.testing.assert_close(model(batch)["scores"], model.head(states[:, 0]))
    far = {**batch, "input_ids": ids.index_fill(1, torch.tensor([29]), 7)}
    for method in ("fine-tuning", "prompt-tuning"):
        model = reads(tmp_path, method)
        assert not torch.equal(model(batch)["scores"], model(far)["scores"]), (
            "two layers of windows of 4 would not reach so far"
        )
