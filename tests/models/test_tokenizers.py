"""What is added to tokenizers of decoders, on a small byte-level one made here."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from ptv2.config.schema import ModelConfig
from ptv2.data.cache import tokenizer_key
from ptv2.data.encode import encode_texts
from ptv2.models.tokenizers import complete, load_tokenizer

END = "<|endoftext|>"


def byte_level(begin: str | None = None, pad: str | None = None) -> PreTrainedTokenizerFast:
    """A tokenizer as gpt2's, that knows only bytes; `begin` is put before every text, as llama's kin do."""
    vocabulary = {END: 0, **{letter: n for n, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()), 1)}}
    for extra in {begin, pad} - {None, END}:
        vocabulary[str(extra)] = len(vocabulary)
    backend = Tokenizer(models.BPE(vocabulary, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    if begin is not None:
        backend.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", pair=f"{begin} $A $B:1", special_tokens=[(begin, vocabulary[begin])]
        )
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=END, pad_token=pad)


def test_the_end_pads_and_separates() -> None:
    tokenizer = byte_level()
    before = tokenizer_key(tokenizer)
    complete(tokenizer)
    assert tokenizer.pad_token == END
    assert tokenizer_key(tokenizer) != before, "kept encodings of the bare tokenizer are not taken for these"
    assert tokenizer.tokenize("ab") == ["a", "b"]
    assert tokenizer("ab")["input_ids"] == tokenizer.convert_tokens_to_ids(["a", "b"]), "nothing around a single text"
    pair = tokenizer("ab", "cd", return_offsets_mapping=True)
    assert tokenizer.convert_ids_to_tokens(pair["input_ids"]) == ["a", "b", END, "c", "d"]
    assert pair.sequence_ids() == [0, 0, None, 1, 1]
    assert pair["offset_mapping"] == [(0, 1), (1, 2), (0, 0), (0, 1), (1, 2)]


def test_the_separator_has_room_when_a_pair_is_cut() -> None:
    tokenizer = byte_level()
    complete(tokenizer)
    encoded = encode_texts([("x", (("abcdef", "gh"),), 0)], tokenizer, max_length=6, truncation="only_first")
    assert tokenizer.convert_ids_to_tokens(encoded.tokens.ids.tolist()) == ["a", "b", "c", END, "g", "h"]
    assert encoded.truncated == 1


def test_what_a_tokenizer_puts_around_texts_stays() -> None:
    tokenizer = byte_level(begin="<s>", pad="<pad>")
    complete(tokenizer)
    assert tokenizer.pad_token == "<pad>"
    assert tokenizer.convert_ids_to_tokens(tokenizer("a")["input_ids"]) == ["<s>", "a"]
    assert tokenizer.convert_ids_to_tokens(tokenizer("a", "b")["input_ids"]) == ["<s>", "a", END, "b"]


def test_pairs_that_are_separated_already_stay() -> None:
    tokenizer = load_tokenizer(ModelConfig(name="m", path="embedded:minilm"))
    words = tokenizer.convert_ids_to_tokens(tokenizer("a", "b")["input_ids"])
    assert words == ["[CLS]", "a", "[SEP]", "b", "[SEP]"]


@pytest.mark.parametrize("split_words", [False, True])
def test_a_saved_decoder_tokenizer_is_completed_when_loaded(tmp_path: Path, split_words: bool) -> None:
    byte_level().save_pretrained(tmp_path)
    tokenizer = load_tokenizer(ModelConfig(name="m", path=str(tmp_path)), split_words)
    assert tokenizer.pad_token == END
    words = tokenizer(["ab", "c"], is_split_into_words=True) if split_words else tokenizer("ab", "c")
    expected = ["Ġ", "a", "b", "Ġ", "c"] if split_words else ["a", "b", END, "c"]
    assert tokenizer.convert_ids_to_tokens(words["input_ids"]) == expected


def test_a_long_text_loses_its_end_whatever_the_checkpoint_cuts(tmp_path: Path) -> None:
    tokenizer = byte_level()
    tokenizer.truncation_side = "left"
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(ModelConfig(name="m", path=str(tmp_path)))
    ids = encode_texts([("x", (("abcdef", None),), 0)], loaded, 3, "longest_first").tokens.ids
    assert loaded.convert_ids_to_tokens(ids.tolist()) == ["a", "b", "c"]


def test_words_begin_with_the_mark_that_they_have_in_a_text(tmp_path: Path) -> None:
    """Gemma's makes a mark of a blank, and puts none before a text."""
    words = {word: number for number, word in enumerate(["<pad>", "<unk>", "a", "▁", "▁a", "b", "▁b"])}
    backend = Tokenizer(models.BPE(words, [("▁", "a"), ("▁", "b")], unk_token="<unk>"))
    backend.normalizer = normalizers.Replace(" ", "▁")
    backend.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>").save_pretrained(tmp_path)
    text, split = (load_tokenizer(ModelConfig(name="m", path=str(tmp_path)), given) for given in (False, True))
    assert text.convert_ids_to_tokens(text("a b a")["input_ids"]) == ["a", "▁b", "▁a"]
    read = split(["a", "b", "a"], is_split_into_words=True)
    assert split.convert_ids_to_tokens(read["input_ids"]) == ["▁a", "▁b", "▁a"]
