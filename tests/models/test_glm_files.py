"""GLM of 2021 from files: published configuration, weight names and tokenizer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from published_glm import TOKENS, Case
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoModelForMaskedLM

from ptv2.config.schema import ModelConfig
from ptv2.errors import ModelError
from ptv2.models.backbones import load_backbone
from ptv2.models.glm import published_config
from ptv2.models.tokenizers import load_tokenizer

SCRIPT = Path(__file__).parents[2] / "scripts" / "convert_weights.py"
SPECIAL = ["<|startofpiece|>", "<|endofpiece|>", "[CLS]", "[MASK]", "[SEP]", "[UNK]", "[gMASK]", "[sMASK]"]


def settings(case: Case) -> dict[str, Any]:
    """`config.json` as the hub's port writes it, with the toy tokenizer's numbers."""
    given = case.about["config"]
    return {**given, **TOKENS, "model_type": "glm", "initializer_range": 0.02, "mask_token_ids": [114]}


def write_checkpoint(case: Case, folder: Path, prefix: str = "", extra: dict[str, torch.Tensor] | None = None) -> None:
    (folder / "config.json").write_text(json.dumps(settings(case)))
    state = {f"{prefix}{name}": tensor.contiguous() for name, tensor in case.of("state.").items()}
    save_file({**state, **(extra or {})}, folder / "model.safetensors", {"format": "pt"})


def check_values(case: Case, folder: Path) -> None:
    backbone = load_backbone(ModelConfig(name="glm", path=str(folder)), seed=0)
    case.model.backbone = backbone.model.eval()
    hidden = case.language_model()
    torch.testing.assert_close(case.logits(hidden), case.expected["logits"], atol=2e-5, rtol=0)


@pytest.mark.parametrize("prefix", ["", "glm."])
def test_published_names_load(prefix: str, tmp_path: Path) -> None:
    """With and without the head models' prefix; a left-over classification head (a public report on 2B) is ignored."""
    case = Case("glm_lm_sep")
    write_checkpoint(case, tmp_path, prefix, {"dense.weight": torch.zeros(24, 24), "out_proj.bias": torch.zeros(1)})
    check_values(case, tmp_path)


def test_the_language_model_loads_ties_and_saves_published_names(tmp_path: Path) -> None:
    case = Case("glm_lm_sep")
    write_checkpoint(case, tmp_path)
    model = AutoModelForMaskedLM.from_pretrained(tmp_path, config=published_config(tmp_path))
    assert model.lm_head.weight is model.glm.word_embeddings.weight
    model.save_pretrained(tmp_path / "again")
    assert set(load_file(tmp_path / "again" / "model.safetensors")) == {f"glm.{name}" for name in case.of("state.")}


def test_a_checkpoint_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    case = Case("glm_lm_sep")
    del case.tensors["state.transformer.layers.1.attention.query_key_value.bias"]
    write_checkpoint(case, tmp_path)
    with pytest.raises(ModelError, match=r"lacks weights .*layers\.1\.attention"):
        load_backbone(ModelConfig(name="glm", path=str(tmp_path)), seed=0)


def test_pickled_weights_are_refused_until_converted(tmp_path: Path) -> None:
    case = Case("glm_lm_sep")
    source, target = tmp_path / "download", tmp_path / "converted"
    source.mkdir()
    (source / "config.json").write_text(json.dumps(settings(case)))
    torch.save(case.of("state."), source / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        load_backbone(ModelConfig(name="glm", path=str(source)), seed=0)
    subprocess.run([sys.executable, SCRIPT, source, target], check=True, capture_output=True)
    check_values(case, target)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"relative_encoding": True}, "relative_encoding"),
        ({"block_position_encoding": False}, "block_position_encoding"),
        ({"num_layers": None}, "num_layers"),
        ({"sop_token_id": 50257}, "vocabulary"),
    ],
)
def test_other_kinds_of_glm_are_refused(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    given = {**settings(Case("glm_lm_sep")), **change}
    (tmp_path / "config.json").write_text(json.dumps({k: v for k, v in given.items() if v is not None}))
    with pytest.raises(ModelError, match=said):
        published_config(tmp_path)


def test_later_glms_keep_their_class(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "glm", "num_hidden_layers": 2}))
    assert published_config(tmp_path) is None


@pytest.fixture
def tokenizer_folder(tmp_path: Path) -> Path:
    """A byte-level BPE of 300 tokens, in the files that the hub's GLM repositories have."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=299, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(["is the owl awake by day", "the harbour is open"], trainer)
    backend.model.save(str(tmp_path))
    vocabulary = json.loads((tmp_path / "vocab.json").read_text())
    (tmp_path / "vocab.json").write_text(json.dumps({**vocabulary, "<|endoftext|>": len(vocabulary)}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GLMGPT2Tokenizer"}))
    return tmp_path


def test_the_tokenizer_is_read_without_remote_code(tokenizer_folder: Path) -> None:
    tokenizer = load_tokenizer(ModelConfig(name="glm", path=str(tokenizer_folder)))
    first = tokenizer.convert_tokens_to_ids("<|endoftext|>") + 1
    assert tokenizer.convert_tokens_to_ids(SPECIAL) == list(range(first, first + 8))
    assert (tokenizer.pad_token, tokenizer.eos_token, tokenizer.mask_token) == (
        "<|endoftext|>",
        "<|endoftext|>",
        "[MASK]",
    )

    def tokens(*texts: str) -> list[str]:
        return tokenizer.convert_ids_to_tokens(tokenizer(*texts)["input_ids"])

    assert tokens("the owl") == ["[CLS]", *tokenizer.tokenize("the owl"), "<|endoftext|>"]
    pair = ["[CLS]", *tokenizer.tokenize("the owl"), "[SEP]", *tokenizer.tokenize("by day"), "<|endoftext|>"]
    assert tokens("the owl", "by day") == pair
    masked = tokens("the [MASK].")
    assert masked == tokens("the[MASK].") == ["[CLS]", *tokenizer.tokenize("the"), "[MASK]", ".", "<|endoftext|>"]
    assert (
        tokenizer.decode(tokenizer("is the owl awake?")["input_ids"], skip_special_tokens=True) == "is the owl awake?"
    )


def test_the_checkpoint_numbers_its_tokens(tokenizer_folder: Path) -> None:
    first = len(json.loads((tokenizer_folder / "vocab.json").read_text()))
    numbers = {token: first + number for number, token in enumerate(reversed(SPECIAL))}
    (tokenizer_folder / "added_tokens.json").write_text(json.dumps(numbers))
    tokenizer = load_tokenizer(ModelConfig(name="glm", path=str(tokenizer_folder)))
    assert tokenizer.convert_tokens_to_ids("[sMASK]") == first
    (tokenizer_folder / "added_tokens.json").write_text(json.dumps({**numbers, "<|startofpiece|>": first + 20}))
    with pytest.raises(ModelError, match=r"<\|startofpiece\|> has number"):
        load_tokenizer(ModelConfig(name="glm", path=str(tokenizer_folder)))
    (tokenizer_folder / "added_tokens.json").write_text(json.dumps({"[CLS]": first}))
    with pytest.raises(ModelError, match=r"lacks <\|startofpiece\|>"):
        load_tokenizer(ModelConfig(name="glm", path=str(tokenizer_folder)))


def test_a_tokenizer_without_its_files_is_refused(tokenizer_folder: Path) -> None:
    (tokenizer_folder / "merges.txt").unlink()
    with pytest.raises(ModelError, match=r"merges\.txt"):
        load_tokenizer(ModelConfig(name="glm", path=str(tokenizer_folder)))
