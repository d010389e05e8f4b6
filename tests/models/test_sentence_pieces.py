"""Folders whose tokenizer is a SentencePiece file alone: read as SentencePiece reads it, or refused."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaConfig, LlamaTokenizer, MistralConfig

from ptv2.config.schema import ModelConfig
from ptv2.errors import ModelError
from ptv2.models.tokenizers import load_tokenizer

sentencepiece = pytest.importorskip("sentencepiece", reason="needs the extra sentencepiece")
pytest.importorskip("google.protobuf", reason="needs the extra sentencepiece")
TEXTS = ["the river was warm", "a garden was cold", "the house and the letter"]


@pytest.fixture(scope="module")
def pieces() -> bytes:
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 20),
        model_writer=written,
        vocab_size=320,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return written.getvalue()


def write(folder: Path, config: Any, pieces: bytes) -> ModelConfig:
    config.save_pretrained(folder)
    (folder / "tokenizer.model").write_bytes(pieces)
    about = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(about), encoding="utf-8")
    return ModelConfig(name="m", path=str(folder))


def test_llama_reads_as_sentencepiece_does(pieces: bytes, tmp_path: Path) -> None:
    original = sentencepiece.SentencePieceProcessor(model_proto=pieces)
    tokenizer = load_tokenizer(write(tmp_path, LlamaConfig(), pieces))
    for text in TEXTS:
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == original.encode(text)


def test_pieces_that_are_read_otherwise_are_refused_with_what_mends_it(pieces: bytes, tmp_path: Path) -> None:
    """transformers reads LlamaTokenizer in a folder of Mistral without the mark of the first word."""
    cfg = write(tmp_path, MistralConfig(), pieces)
    with pytest.raises(
        ModelError, match=r"transformers reads tokenizer\.model otherwise than SentencePiece does"
    ) as no:
        load_tokenizer(cfg)
    assert "expected ▁the ▁" in str(no.value)
    assert "transformers.LlamaTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)" in str(no.value)
    LlamaTokenizer.from_pretrained(tmp_path).save_pretrained(tmp_path)
    original = sentencepiece.SentencePieceProcessor(model_proto=pieces)
    assert load_tokenizer(cfg)("the river", add_special_tokens=False)["input_ids"] == original.encode("the river")
