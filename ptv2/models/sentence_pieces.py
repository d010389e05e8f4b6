"""Tokenizers that come as a SentencePiece file alone: see that it can be read, and that it is read right."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedTokenizerBase
from transformers.utils import is_protobuf_available, is_sentencepiece_available

from ptv2.errors import ModelError, quote

_EXAMPLE = "the river and the house"  # lower-case letters, which no tokenizer changes before it splits a text


def check_readable(folder: Path, path: str) -> None:
    """Name the extra that such a tokenizer needs: transformers asks for another package.

    Raises:
        ModelError: the extra is not installed.
    """
    readable = is_sentencepiece_available() and is_protobuf_available()
    if not readable and _file(folder) is not None:
        raise ModelError(
            f"{path}: its tokenizer is a SentencePiece file; pip install 'ptv2[sentencepiece]', or give a folder with "
            "tokenizer.json (model.path)"
        )


def check_read_right(tokenizer: PreTrainedTokenizerBase, folder: Path, path: str) -> None:
    """Compare the pieces of a text with those that SentencePiece itself makes of it.

    transformers reads such a file without the rules of its class where it does not know that class for a model type,
    as for LlamaTokenizer in a folder of Mistral: words then lose the mark of their start, and the model meets pieces
    that it hardly knows.

    Raises:
        ModelError: they differ.
    """
    file = _file(folder)
    if file is None:
        return
    from sentencepiece import SentencePieceProcessor

    try:
        original = SentencePieceProcessor(model_file=str(file))
    except (OSError, RuntimeError):  # another program's format
        return
    if original.unk_id() in original.encode(_EXAMPLE):  # another script
        return
    expected = original.encode(_EXAMPLE, out_type=str)
    pieces = tokenizer.convert_ids_to_tokens(tokenizer(_EXAMPLE, add_special_tokens=False)["input_ids"])
    if pieces != expected:
        raise ModelError(
            f"{path}: transformers reads {file.name} otherwise than SentencePiece does: {quote(_EXAMPLE)} becomes "
            f"{' '.join(pieces)}, expected {' '.join(expected)}; write its tokenizer.json with the class that it has, "
            "as transformers.LlamaTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
        )


def _file(folder: Path) -> Path | None:
    """The SentencePiece file that is all there is; None: there is a tokenizer.json, or neither."""
    if (folder / "tokenizer.json").is_file():
        return None
    return next(iter(sorted(folder.glob("*.model"))), None)
