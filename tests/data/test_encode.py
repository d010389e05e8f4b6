"""Encoded sets against the tokenizer's own padding and truncation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pairs import gpt2_like
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from ptv2.data.encode import Segments, TextItem, TextSet, encode_texts
from ptv2.data.joining import joined
from ptv2.errors import DataError

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = [f"w{n}" for n in range(30)]


def make_tokenizer(*, types: bool = True, pad: str = "[PAD]") -> PreTrainedTokenizerFast:
    """Words at spaces, [CLS] and [SEP] around them as BERT does it."""
    backend = Tokenizer(WordLevel({word: n for n, word in enumerate(SPECIAL + WORDS)}, unk_token="[UNK]"))
    backend.pre_tokenizer = WhitespaceSplit()
    backend.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = ["input_ids", "attention_mask"] + (["token_type_ids"] if types else [])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=pad,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_input_names=names,
    )


TOKENIZER = make_tokenizer()


def example(*sequences: Segments, label: int | None = 0) -> TextItem:
    return "", tuple(sequences), label


def words(number: int, start: int = 0) -> str:
    return " ".join(WORDS[(start + n) % len(WORDS)] for n in range(number))


def same_as_the_tokenizer(
    found: TextSet, examples: list[TextItem], indices: list[int], tokenizer: PreTrainedTokenizerFast, **rule: object
) -> None:
    pairs = [pair for n in indices for pair in examples[n][1]]
    seconds = None if pairs[0][1] is None else [second for _, second in pairs]
    expected = tokenizer([first for first, _ in pairs], seconds, padding=True, return_tensors="pt", **rule)
    batch = found.batch(indices)
    shape = (len(indices), -1) if found.width == 1 else (len(indices), found.width, expected["input_ids"].shape[-1])
    assert set(batch) == set(tokenizer.model_input_names) | {"labels"}
    for name in tokenizer.model_input_names:
        assert torch.equal(batch[name], expected[name].reshape(shape)), name
    assert batch["labels"].tolist() == [examples[n][2] for n in indices]
    assert all(tensor.dtype == torch.int64 for tensor in batch.values())


TEXT = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 3), st.booleans(), st.booleans(), st.sampled_from(["longest_first", "only_second"]))
def test_a_batch_is_what_the_tokenizer_pads(
    data: st.DataObject, width: int, pair: bool, types: bool, truncation: str
) -> None:
    first = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)  # short enough for only_second
    segments = st.tuples(first, TEXT if pair else st.none())
    one = st.tuples(*[segments] * width)
    examples = [example(*s, label=n % 3) for n, s in enumerate(data.draw(st.lists(one, min_size=1, max_size=6)))]
    tokenizer = TOKENIZER if types else make_tokenizer(types=False)
    found = encode_texts(examples, tokenizer, 10, truncation)
    assert len(found) == len(examples)
    indices = data.draw(st.lists(st.sampled_from(range(len(examples))), min_size=1, max_size=8))
    rule = {"truncation": truncation if pair else True, "max_length": 10}
    same_as_the_tokenizer(found, examples, indices, tokenizer, **rule)
    everything = found.batch(range(len(examples)))["attention_mask"].reshape(len(examples), -1)
    assert found.tokens.longest == everything.reshape(len(examples) * width, -1).sum(dim=1).max()


def test_padding_is_the_tokenizers_own_number() -> None:
    tokenizer = make_tokenizer(pad="w29")
    examples = [example((words(1), None)), example((words(4), None))]
    batch = encode_texts(examples, tokenizer, 10, "longest_first").batch([0, 1])
    assert batch["input_ids"][0].tolist() == [2, 4, 3, *[tokenizer.pad_token_id] * 3]
    assert batch["attention_mask"][0].tolist() == [1, 1, 1, 0, 0, 0]


def test_padding_reaches_to_the_longest_of_the_batch_only() -> None:
    found = encode_texts([example((words(n), None)) for n in (1, 9, 3)], TOKENIZER, 20, "longest_first")
    assert found.lengths.tolist() == [3, 11, 5]
    assert found.tokens.longest == 11
    assert found.batch([0, 2])["input_ids"].shape == (2, 5)


def test_truncated_examples_are_counted() -> None:
    """Room for 8 words in one text, for 7 in a pair; of two choices one cut is enough."""
    single = [example((words(n), None)) for n in (7, 8, 9, 30)]
    assert encode_texts(single, TOKENIZER, 10, "longest_first").truncated == 2
    pairs = [example((words(3), words(n))) for n in (3, 4, 5, 30)]
    assert encode_texts(pairs, TOKENIZER, 10, "longest_first").truncated == 2
    choices = [example((words(3), words(n)), (words(3), words(m))) for n, m in ((4, 4), (4, 5), (9, 9))]
    assert encode_texts(choices, TOKENIZER, 10, "longest_first").truncated == 2


@pytest.mark.parametrize(
    ("truncation", "kept"), [("longest_first", (3, 4)), ("only_first", (1, 6)), ("only_second", (6, 1))]
)
def test_the_rule_of_truncation_is_the_tasks(truncation: str, kept: tuple[int, int]) -> None:
    batch = encode_texts([example((words(6), words(6, start=10)))], TOKENIZER, 10, truncation).batch([0])
    seconds = int(batch["token_type_ids"].sum()) - 1  # its [SEP]
    assert (10 - 3 - seconds, seconds) == kept


@pytest.mark.parametrize("truncation", ["only_first", "only_second"])
def test_a_pair_that_the_rule_cannot_shorten_enough(truncation: str) -> None:
    with pytest.raises(DataError, match=rf"^examples 3 to 3: .*task\.max_length=10 .*task\.truncation={truncation}"):
        encode_texts([("3", ((words(20), words(20)),), 0)], TOKENIZER, 10, truncation)


@pytest.mark.parametrize(("second", "least"), [(None, 3), (words(3), 5)])
def test_each_text_needs_room_for_a_token(second: str | None, least: int) -> None:
    item = example((words(3), second))
    assert encode_texts([item], TOKENIZER, least, "longest_first").tokens.longest == least
    with pytest.raises(DataError, match=rf"^task\.max_length={least - 1} is too short: .*; raise it$"):
        encode_texts([item], TOKENIZER, least - 1, "longest_first")


def test_no_labels_for_prediction() -> None:
    found = encode_texts([example((words(2), None), label=None)], TOKENIZER, 10, "longest_first")
    assert found.labels is None
    assert "labels" not in found.batch([0])


def test_parts_join_to_the_whole() -> None:
    examples = [example((words(n % 7, n), words(n % 5)), (words(n % 7, n), words(n % 3)), label=n) for n in range(23)]
    whole = encode_texts(examples, TOKENIZER, 9, "longest_first")
    parts = [examples[start : start + 4] for start in range(0, 23, 4)]
    pieces = joined((encode_texts(part, TOKENIZER, 9, "longest_first"), len(part)) for part in parts)
    for name in ("ids", "types", "starts"):
        assert np.array_equal(getattr(whole.tokens, name), getattr(pieces.tokens, name)), name
    assert np.array_equal(whole.labels, pieces.labels)
    assert whole.truncated == pieces.truncated > 0
    assert whole.targets([0, 1, 2]) == 3


def test_a_text_without_tokens_is_its_end_token() -> None:
    """Of a decoder's tokenizer that adds none; a row without tokens cannot be read."""
    tokenizer = gpt2_like()
    tokenizer.pad_token, tokenizer.eos_token = "<pad>", "</s>"
    found = encode_texts([example(("", None)), example(("a b", None))], tokenizer, 8, "longest_first")
    batch = found.batch([0])
    assert batch["input_ids"].tolist() == [[tokenizer.eos_token_id]]
    assert batch["attention_mask"].tolist() == [[1]]
