"""Words in windows: against the tokenizer's own joint encoding, and by what must hold of every window."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE, WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, ByteLevel
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from transformers import GPT2Tokenizer, PreTrainedTokenizerFast, Qwen2Tokenizer, RobertaTokenizer

from ptv2.config.schema import ModelConfig
from ptv2.data.joining import joined
from ptv2.data.words import IGNORED, TaggedSet, encode_words, mark_word_starts
from ptv2.errors import DataError
from ptv2.models.tokenizers import load_tokenizer

LETTERS = "abcdefgh"
TEXT = ["the cat sat on the mat", "the cat's hat is on the bat's mat", "a dead bee faced a deaf hag"]
NOTHING = "\u200b"  # a word of which BERT's normalizer leaves nothing


def bert() -> PreTrainedTokenizerFast:
    """A word of n letters has n pieces, so that lengths can be read off."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    backend = Tokenizer(WordPiece({token: n for n, token in enumerate(vocabulary)}, unk_token="[UNK]"))
    backend.normalizer = BertNormalizer()
    backend.pre_tokenizer = BertPreTokenizer()
    backend.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_max_length=12,
    )  # fmt: skip


def byte_level(kind: type, *, for_words: bool = True) -> PreTrainedTokenizerFast:
    """A tokenizer of class `kind` over merges learnt from TEXT."""
    backend = Tokenizer(BPE())
    backend.pre_tokenizer = ByteLevel(add_prefix_space=True)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>"]
    trainer = BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=ByteLevel.alphabet())
    backend.train_from_iterator(TEXT, trainer)
    learnt = json.loads(backend.to_str())["model"]
    tokenizer = kind(vocab=learnt["vocab"], merges=[tuple(pair) for pair in learnt["merges"]])
    if for_words:
        mark_word_starts(tokenizer)
    return tokenizer


BERT = bert()
ROBERTA = byte_level(RobertaTokenizer)
GPT2 = byte_level(GPT2Tokenizer)
TOKENIZERS = {"bert": BERT, "roberta": ROBERTA, "gpt2": GPT2}


def rows(found: TaggedSet, values: np.ndarray) -> list[list[int]]:
    """One value a token, by window."""
    return [row.tolist() for row in np.split(values, found.tokens.starts[1:-1])] if len(found) else []


def joint(tokenizer: PreTrainedTokenizerFast, words: list[str]) -> tuple[list[int], list[int]]:
    """The pieces of all words together, and the number of the word that each is of."""
    if not words:  # not an empty batch
        return [], []
    encoded = tokenizer(words, is_split_into_words=True, add_special_tokens=False)
    return encoded["input_ids"], encoded.word_ids()


def window_begin(words: list[int], numbers: list[int], head: int) -> int:
    """The piece of the sentence that a window begins with, told from the first word scored in it."""
    i, word = next((i, word) for i, word in enumerate(words) if word >= 0)
    return numbers.index(word) - (i - head)


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("suffix", [[], ["[SEP]", "sat"], ["</s>", "sat"]])
def test_uncut_sentences_are_the_joint_encoding(name: str, suffix: list[str]) -> None:
    tokenizer = TOKENIZERS[name]
    sentences = [text.split() for text in TEXT]
    tags = [list(range(10, 10 + len(words))) for words in sentences]
    found = encode_words(sentences, tags, tokenizer, 200, 5, [suffix] * 3)
    assert found.owners.tolist() == [0, 1, 2]
    for n, words in enumerate(sentences):
        expected = tokenizer([*words, *suffix], is_split_into_words=True)
        numbers = [-1 if word is None or word >= len(words) else word for word in expected.word_ids()]
        first = [-1 if word in numbers[:i] else word for i, word in enumerate(numbers)]
        assert rows(found, found.tokens.ids)[n] == expected["input_ids"]
        assert rows(found, found.words)[n] == first
        assert rows(found, found.labels)[n] == [IGNORED if word < 0 else 10 + word for word in first]
        if "token_type_ids" in expected:
            assert rows(found, found.tokens.types)[n] == expected["token_type_ids"] == [0] * len(first)


def test_the_published_suffix_is_a_separator_for_bert_and_text_for_roberta() -> None:
    found = encode_words([["a", "bad"]], None, BERT, 20, 0, [["[SEP]", "bad"]])
    assert BERT.convert_ids_to_tokens(found.tokens.ids) == [
        "[CLS]",
        "a",
        "b",
        "##a",
        "##d",
        "[SEP]",
        "b",
        "##a",
        "##d",
        "[SEP]",
    ]
    assert found.words.tolist() == [-1, 0, 1, -1, -1, -1, -1, -1, -1, -1]
    assert found.labels is None
    found = encode_words([["the", "cat"]], None, ROBERTA, 20, 0, [["[SEP]", "cat"]])
    pieces = ROBERTA.convert_ids_to_tokens(found.tokens.ids)
    assert pieces == ["<s>", "Ġthe", "Ġcat", "Ġ", "[", "S", "E", "P", "]", "Ġcat", "</s>"]
    assert found.words.tolist() == [-1, 0, 1, *[-1] * 8]


def test_windows_by_hand() -> None:
    # 10 words of one piece; 6 places beside [CLS], [SEP], two of them for the suffix: windows of 4, sharing 2
    words = [LETTERS[n % 8] for n in range(10)]
    found = encode_words([words], [list(range(10))], BERT, 8, 2, [["[SEP]", "h"]])
    assert BERT.batch_decode(rows(found, found.tokens.ids)) == [
        "[CLS] a b c d [SEP] h [SEP]", "[CLS] c d e f [SEP] h [SEP]",
        "[CLS] e f g h [SEP] h [SEP]", "[CLS] g h a b [SEP] h [SEP]",
    ]  # fmt: skip
    # of the words 2 and 3, which both of the first two windows hold, the second shows more around word 3
    n = -1
    assert rows(found, found.words) == [
        [n, 0, 1, 2, n, n, n, n], [n, n, 3, 4, n, n, n, n], [n, n, 5, 6, n, n, n, n], [n, n, 7, 8, 9, n, n, n],
    ]  # fmt: skip
    assert found.owners.tolist() == [0, 0, 0, 0]
    assert found.truncated == 0


def test_a_word_longer_than_a_window_is_scored_at_its_first_piece() -> None:
    found = encode_words([["a", "b" * 11, "c"]], [[5, 6, 7]], BERT, 6, 1)
    assert sorted(found.words[found.words >= 0].tolist()) == [0, 1, 2]
    first = {BERT.convert_ids_to_tokens(int(token)) for token in found.tokens.ids[found.words == 1]}
    assert first == {"b"}
    assert found.tokens.longest <= 6


def test_words_without_pieces_and_empty_sentences_are_scored_nowhere() -> None:
    sentences = [[], [NOTHING], ["a", NOTHING, "b"], [NOTHING, "c"]]
    found = encode_words(sentences, [[], [1], [2, 3, 4], [5, 6]], BERT, 20, 0)
    assert found.owners.tolist() == [2, 3]
    assert rows(found, found.words) == [[-1, 0, 2, -1], [-1, 1, -1]]
    assert rows(found, found.labels) == [[IGNORED, 2, 4, IGNORED], [IGNORED, 6, IGNORED]]
    for none in ([], [[]]):
        assert len(encode_words(none, None, BERT, 20, 0)) == 0


@settings(max_examples=60, deadline=None)
@given(
    sentences=st.lists(st.lists(st.text(LETTERS, min_size=1, max_size=9) | st.just(NOTHING), max_size=25), max_size=5),
    suffix=st.lists(st.sampled_from(["[SEP]", "abc", "b"]), max_size=2),
    room=st.integers(1, 30),
    stride=st.integers(0, 12),
    name=st.sampled_from(sorted(TOKENIZERS)),
)
def test_every_word_is_scored_once_within_its_own_pieces(
    sentences: list[list[str]], suffix: list[str], room: int, stride: int, name: str
) -> None:
    tokenizer = TOKENIZERS[name]
    head, end = ([], []) if name == "gpt2" else ([tokenizer.cls_token_id], [tokenizer.sep_token_id])
    tail = [*joint(tokenizer, suffix)[0], *end]
    tags = [[7 * n + w for w in range(len(words))] for n, words in enumerate(sentences)]
    found = encode_words(sentences, tags, tokenizer, len(head) + room + len(tail), stride, [suffix] * len(sentences))
    seen: list[tuple[int, int]] = []
    columns = (found.tokens.ids, found.words, found.labels)
    for row, (ids, words, labels) in enumerate(zip(*(rows(found, column) for column in columns), strict=True)):
        sentence = int(found.owners[row])
        pieces, numbers = joint(tokenizer, sentences[sentence])
        assert ids[: len(head)] == head
        assert ids[len(ids) - len(tail) :] == tail
        assert len(ids) <= len(head) + room + len(tail)
        left = window_begin(words, numbers, len(head))
        right = left + len(ids) - len(head) - len(tail)
        assert ids[len(head) : len(ids) - len(tail)] == pieces[left:right]
        for i, word in enumerate(words):
            assert labels[i] == (tags[sentence][word] if word >= 0 else IGNORED)
            if word >= 0:
                seen.append((sentence, word))
                assert numbers.index(word) == left + i - len(head)
        assert found.targets([row]) == sum(word >= 0 for word in words)
        if len(pieces) <= room:
            assert (left, right) == (0, len(pieces))
        elif max(np.bincount(numbers)) <= room:  # windows end where words do
            assert {left, right} <= {0, len(pieces), *(numbers.index(word) for word in numbers)}
    expected = [(n, word) for n, words in enumerate(sentences) for word in dict.fromkeys(joint(tokenizer, words)[1])]
    assert sorted(seen) == expected


def test_each_word_goes_where_its_nearest_edge_is_farthest() -> None:
    sentence = [LETTERS[n % 8] * (1 + n % 3) for n in range(40)]
    found = encode_words([sentence], None, BERT, 22, 12)
    numbers = joint(BERT, sentence)[1]
    begins = [window_begin(words, numbers, 1) for words in rows(found, found.words)]
    spans = [(begin, begin + int(length) - 2) for begin, length in zip(begins, found.lengths, strict=True)]
    assert len(spans) > 3
    for row, words in enumerate(rows(found, found.words)):
        for word in filter(lambda word: word >= 0, words):
            place = numbers.index(word)
            contexts = [min(place - left, right - 1 - place) for left, right in spans]  # negative outside
            assert row == contexts.index(max(contexts))
    assert all(10 <= before[1] - after[0] <= 12 for before, after in pairwise(spans))


def test_parts_change_nothing() -> None:
    sentences = [[], ["a"], ["b", "cd"] * 9, [NOTHING], ["efg"], ["h", "ab"]]
    tags = [[n] * len(words) for n, words in enumerate(sentences)]
    suffixes = [["[SEP]", words[0]] if words else [] for words in sentences]
    whole = encode_words(sentences, tags, BERT, 14, 4, suffixes)
    slices = [slice(start, start + 2) for start in range(0, 6, 2)]
    parts = joined((encode_words(sentences[s], tags[s], BERT, 14, 4, suffixes[s]), 2) for s in slices)
    assert len(set(whole.owners.tolist())) == 4 < len(whole)
    for name in ("words", "labels", "owners"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))
    for name in ("ids", "types", "starts"):
        np.testing.assert_array_equal(getattr(whole.tokens, name), getattr(parts.tokens, name))


def test_a_batch_pads_and_ignores_padding() -> None:
    found = encode_words([["ab"], ["c", "d", "e"]], [[1], [2, 3, 4]], BERT, 20, 0)
    batch = found.batch([1, 0])
    n = IGNORED
    assert batch["labels"].tolist() == [[n, 2, 3, 4, n], [n, 1, n, n, n]]
    assert batch["attention_mask"].tolist() == [[1] * 5, [1, 1, 1, 1, 0]]
    assert batch["input_ids"].tolist() == BERT(
        [["c", "d", "e"], ["ab"]], is_split_into_words=True, padding=True
    )["input_ids"]  # fmt: skip
    assert batch["labels"].dtype == torch.int64
    assert found.targets([0, 1]) == 4
    assert found.lengths.tolist() == [4, 5]
    assert "labels" not in encode_words([["a"]], None, BERT, 20, 0).batch([0])
    assert "token_type_ids" not in encode_words([["a"]], None, ROBERTA, 20, 0).batch([0])


def test_a_wrong_number_of_tags_names_the_sentence() -> None:
    with pytest.raises(DataError, match=r"^sentence 2: 1 tags, expected one for each of its 2 words$"):
        encode_words([["a"], ["b", "c"]], [[0], [0]], BERT, 20, 0)
    with pytest.raises(DataError, match=r"^train\.txt:7: 1 tags"):
        encode_words([["a"], ["b", "c"]], [[0], [0]], BERT, 20, 0, ids=["train.txt:3", "train.txt:7"])


def test_a_suffix_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(DataError, match=r"^sentence 2: .* take 8 tokens, and task\.max_length=8 leaves none"):
        encode_words([["a"], ["b"]], None, BERT, 8, 0, [["[SEP]"], ["[SEP]", "abcde"]])
    assert len(encode_words([["a"], ["b"]], None, BERT, 9, 0, [["[SEP]"], ["[SEP]", "abcde"]])) == 2


@pytest.mark.parametrize("kind", [RobertaTokenizer, GPT2Tokenizer, Qwen2Tokenizer])
def test_words_of_a_byte_level_tokenizer_are_those_of_running_text(kind: type) -> None:
    tokenizer = byte_level(kind)
    for text in TEXT:
        words = tokenizer(text.split(), is_split_into_words=True, add_special_tokens=False)["input_ids"]
        running = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert words == running
        assert tokenizer.convert_ids_to_tokens(words)[0] in ("Ġthe", "Ġa")


@pytest.mark.parametrize("kind", [RobertaTokenizer, PreTrainedTokenizerFast])
def test_a_tokenizer_is_loaded_for_running_text_or_for_words(kind: type, tmp_path: Path) -> None:
    """The plain class, as modernbert has it, takes no notice of `add_prefix_space`."""
    model = ModelConfig(name="local", path=str(tmp_path))
    if kind is RobertaTokenizer:
        byte_level(kind, for_words=False).save_pretrained(tmp_path)
    else:
        backend = byte_level(RobertaTokenizer, for_words=False).backend_tokenizer
        PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>").save_pretrained(tmp_path)
    words = ["the", "cat"]
    running, split = load_tokenizer(model), load_tokenizer(model, split_words=True)
    assert running(words, is_split_into_words=True).tokens() == ["<s>", "the", "cat", "</s>"]
    assert split(words, is_split_into_words=True).tokens() == ["<s>", "Ġthe", "Ġcat", "</s>"]
    assert running("the cat").tokens() == ["<s>", "the", "Ġcat", "</s>"]


def test_other_tokenizers_are_left_as_they_are() -> None:
    tokenizer = bert()
    before = tokenizer.backend_tokenizer.to_str()
    mark_word_starts(tokenizer)
    assert tokenizer.backend_tokenizer.to_str() == before
