"""What large backbones need: weights in bfloat16, checkpoints in several files, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import FAMILY_CONFIGS, NO_HIDDEN_DROPOUT, enlarge, gradients, mean_loss, run_config, tiny_batch
from transformers import BertConfig, BertModel

from ptv2.config.compose import compose
from ptv2.config.identity import run_hash
from ptv2.config.schema import ModelConfig, RunConfig
from ptv2.errors import ConfigError, ModelError
from ptv2.models.backbones import load_backbone
from ptv2.models.build import HeadSpec, PromptedModel, build_model
from ptv2.models.quantized import saved_bytes, settings
from ptv2.training.shard import held_bytes

BERT: dict[str, Any] = {"model_type": "bert", **FAMILY_CONFIGS["bert"]}


def model_of(family: str, dtype: str, **choices: Any) -> PromptedModel:
    """The same weights in either type."""
    config = {"model_type": family, **FAMILY_CONFIGS[family]}
    if family in NO_HIDDEN_DROPOUT:
        choices.setdefault("hidden_dropout", None)
    model = build_model(run_config(config, dtype=dtype, **choices), HeadSpec("classification", 3))
    enlarge(model)
    return model.eval()


@pytest.mark.parametrize("family", FAMILY_CONFIGS)
def test_a_backbone_in_bfloat16(family: str) -> None:
    narrow = model_of(family, "bfloat16")
    assert {p.dtype for p in narrow.backbone.parameters()} == {torch.bfloat16}
    trained = [p for group in narrow.trainable_parameters().values() for p in group.values()]
    assert {p.dtype for p in trained} == {torch.float32}
    wide = model_of(family, "float32")
    wide.load_state_dict(narrow.state_dict())  # the same numbers, products in float32
    batch = tiny_batch(pad=wide.config.pad_token_id or 0)
    for model in (narrow, wide):
        mean_loss(model, batch).backward()
    scores = [model(batch)["scores"].detach() for model in (narrow, wide)]
    assert scores[0].dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(*(s.flatten() for s in scores), dim=0) > 0.99
    for name, gradient in gradients(narrow).items():
        other = gradients(wide)[name]
        assert torch.nn.functional.cosine_similarity(gradient.flatten(), other.flatten(), dim=0) > 0.95, name


@pytest.mark.parametrize(
    ("method", "prompt", "choices"),
    [
        ("prompt-tuning", {}, {}),
        ("p-tuning-v2", {"form": "hidden"}, {}),
        ("p-tuning-v2", {"reparameterization": "mlp"}, {"attention": "eager"}),
        ("p-tuning-v2", {"init": "vocabulary"}, {"gradient_checkpointing": True}),
        ("p-tuning-v2", {}, {"pooler": "trained"}),
        ("p-tuning-v2", {}, {"pooler": "none"}),
    ],
)
def test_every_prompt_on_a_backbone_in_bfloat16(method: str, prompt: dict[str, Any], choices: dict[str, Any]) -> None:
    config = run_config(BERT, method, prompt, dtype="bfloat16", **choices)
    model = build_model(config, HeadSpec("classification", 3)).train()
    before = {name: p.detach().clone() for name, p in model.backbone.named_parameters()}
    mean_loss(model, tiny_batch()).backward()
    found = gradients(model)
    assert found.keys() == {name for group in model.trainable_parameters().values() for name in group}
    assert all(g.dtype == torch.float32 and g.isfinite().all() and g.any() for g in found.values())
    assert all(torch.equal(p, before[name]) for name, p in model.backbone.named_parameters())


def test_bfloat16_halves_the_weights() -> None:
    wide = load_backbone(ModelConfig(name="m", path="config:", config=BERT), seed=1)
    narrow = load_backbone(ModelConfig(name="m", path="config:", config=BERT, dtype="bfloat16"), seed=1)
    assert held_bytes(narrow.model) * 2 == held_bytes(wide.model)
    assert narrow.identity == wide.identity, "the same weights, whatever they are kept in"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("whole"), "1GB")


def save(folder: Path, size: str) -> Path:
    torch.manual_seed(0)
    BertModel(BertConfig(**FAMILY_CONFIGS["bert"])).save_pretrained(folder, max_shard_size=size)
    return folder


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_checkpoint_in_several_files(whole: Path, tmp_path: Path, dtype: Any) -> None:
    parts = save(tmp_path, "8KB")
    assert len(list(parts.glob("model-*.safetensors"))) > 2
    assert not (parts / "model.safetensors").exists()
    one, several = (
        load_backbone(ModelConfig(name="m", path=str(path), dtype=dtype), seed=1) for path in (whole, parts)
    )
    assert several.pooler_origin == "checkpoint"
    states = one.model.state_dict()
    assert states.keys() == several.model.state_dict().keys()
    assert all(torch.equal(states[name], tensor) for name, tensor in several.model.state_dict().items())
    assert {tensor.dtype for tensor in states.values() if tensor.is_floating_point()} == {getattr(torch, dtype)}


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    parts = save(tmp_path, "8KB")
    gone = sorted(parts.glob("model-*.safetensors"))[1]
    gone.unlink()
    with pytest.raises(ModelError, match=f"names {gone.name}, which is not there"):
        load_backbone(ModelConfig(name="m", path=str(parts)), seed=1)


def test_fine_tuning_in_bfloat16_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.dtype=bfloat16: fine-tuning .* expected float32"):
        build_model(run_config(BERT, "fine-tuning", dtype="bfloat16"), HeadSpec("classification", 2))


def test_quantization_without_a_gpu_is_refused(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = ModelConfig(name="m", path=str(whole), quantization="8bit")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"model\.quantization=8bit needs a GPU"):
        load_backbone(cfg, seed=1)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs bitsandbytes; pip install 'ptv2\[quantized\]'"):
        load_backbone(cfg, seed=1)


def test_what_quantization_does_not_go_with(whole: Path) -> None:
    with pytest.raises(ConfigError, match="random weights are not quantized"):
        compose(["model=tiny", "model.quantization=4bit"])
    words = [f"model.path={whole}", "model.quantization=4bit", "method=fine-tuning"]
    with pytest.raises(ConfigError, match="fine-tuning cannot train it"):
        build_model(compose(words), HeadSpec("classification", 2))


def test_the_numbers_of_quantization() -> None:
    backbone = load_backbone(ModelConfig(name="m", path="config:", config=BERT), seed=1).model
    linear = sum(part.weight.numel() for part in backbone.modules() if isinstance(part, torch.nn.Linear))
    eight, four = (ModelConfig(name="m", path="p", quantization=q) for q in ("8bit", "4bit"))
    assert saved_bytes(backbone, eight) == 3 * linear
    assert saved_bytes(backbone, four) == 3.5 * linear
    assert settings(eight).load_in_8bit
    assert settings(four).load_in_4bit
    assert settings(four).bnb_4bit_compute_dtype == torch.float32


def digest(*words: str) -> str:
    config: RunConfig = compose(["task=boolq", *words])
    return run_hash(config, "data", "model")


def test_what_changes_numbers_changes_the_name_of_a_run() -> None:
    usual = digest("model=roberta-large")
    assert digest("model=roberta-large", "model.dtype=bfloat16") != usual
    assert digest("model=roberta-large", "model.quantization=8bit") != usual
    assert digest("model=roberta-large", "trainer.shard=true") == usual
    assert digest("model=roberta-large", "model.config.vocab_size=7") == usual, "only plan reads it"
    assert digest("model=tiny", "model.config.hidden_size=64") != digest("model=tiny")


def test_another_model_has_not_the_sizes_of_the_named_one() -> None:
    assert compose(["model=roberta-large"]).model.config
    assert compose(["model=roberta-large", "model.path=someone/other"]).model.config == {}
    assert compose(["model=tiny", "model.path=config:"]).model.config
