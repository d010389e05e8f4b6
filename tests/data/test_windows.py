"""Windows over long contexts: nothing of a context is lost, and every answer that a window holds can be read back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pairs import bert_like, gpt2_like, roberta_like
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from ptv2.data.joining import joined
from ptv2.data.windows import SpanSet, encode_questions
from ptv2.errors import DataError

TOKENIZERS = {
    "bert": bert_like(),
    "roberta": roberta_like(),
    "roberta-prefix": roberta_like(prefix_space=True),
    "gpt2": gpt2_like(),
}
NULL = {"bert": "[CLS]", "roberta": "<s>", "roberta-prefix": "<s>"}
QUESTION = "Who sold the loaves?"
CONTEXT = "The baker of Lund sold  nineteen loaves in March 😀, and Zoë's café sold none."


def encode(
    name: str,
    contexts: list[str],
    answers: list[tuple[int, int] | None] | None = None,
    questions: list[str] | None = None,
    max_length: int = 30,
    stride: int = 6,
) -> SpanSet:
    questions = questions or [QUESTION] * len(contexts)
    ids = [f"q{n}" for n in range(len(contexts))]
    return encode_questions(questions, contexts, answers, TOKENIZERS[name], max_length, stride, ids)


def answer_of(data: SpanSet, window: int) -> tuple[int, int] | None:
    """Characters of the window's answer, from the offsets of its first and last token."""
    assert data.start_positions is not None
    assert data.end_positions is not None
    start, end = int(data.start_positions[window]), int(data.end_positions[window])
    if start == end == data.null_positions[window]:
        return None
    first = data.tokens.starts[window]
    assert first + end < data.tokens.starts[window + 1]
    return int(data.offsets[first + start, 0]), int(data.offsets[first + end, 1])


def context_tokens(name: str, context: str) -> np.ndarray:
    """Character spans of the tokens of a context alone."""
    encoded = TOKENIZERS[name](context, add_special_tokens=False, return_offsets_mapping=True)
    return np.array(encoded["offset_mapping"], dtype=int).reshape(-1, 2)


def covering(spans: np.ndarray, begin: int, end: int) -> np.ndarray:
    """Numbers of the tokens that share a character with begin ... end, asked character by character."""
    return np.array([n for n, (a, b) in enumerate(spans) if set(range(a, b)) & set(range(begin, end))])


ALPHABET = st.sampled_from(
    [*"abe nT,.", "  ", " the ", "sold", "é", "ë", "e\u0301", "😀", "€", "\u200b", "\n", "\u00a0"]
)
CONTEXTS = st.lists(ALPHABET, min_size=1, max_size=60).map("".join)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(TOKENIZERS)), CONTEXTS, st.data())
def test_every_answer_that_a_window_holds_reads_back(name: str, context: str, data: st.DataObject) -> None:
    """The answer's characters come back, widened to whole tokens; an answer of at most stride + 1 tokens always has a
    window that holds it."""
    begin = data.draw(st.integers(0, len(context) - 1))
    end = data.draw(st.integers(begin + 1, len(context)))
    stride = data.draw(st.integers(0, 12))
    question = TOKENIZERS[name]("sold", add_special_tokens=False)["input_ids"]
    special = TOKENIZERS[name].num_special_tokens_to_add(pair=True)
    room = data.draw(st.integers(stride + 1, stride + 20))
    max_length = len(question) + special + room
    found = encode(name, [context], [(begin, end)], ["sold"], max_length, stride)
    spans = context_tokens(name, context)
    read = [span for window in range(len(found)) if (span := answer_of(found, window)) is not None]
    visible = context[begin:end].strip()
    begin += len(context[begin:end]) - len(context[begin:end].lstrip())
    end = begin + len(visible)
    tokens = covering(spans, begin, end)
    if not len(tokens):
        return
    expected = spans[tokens[0], 0], spans[tokens[-1], 1]
    for span in read:  # blanks: some tokenizers give the first token of a later window the one before it
        assert context[slice(*span)].strip() == context[slice(*expected)].strip()
        assert span[1] == expected[1]
    assert found.truncated == (not read)
    if tokens[-1] - tokens[0] < stride + 1:
        assert read


@pytest.mark.parametrize("name", sorted(TOKENIZERS))
def test_windows_hold_the_whole_context_and_what_the_tokenizer_makes(name: str) -> None:
    tokenizer, stride, max_length = TOKENIZERS[name], 5, 34
    contexts = [CONTEXT, "Short.", CONTEXT * 3]
    found = encode(name, contexts, max_length=max_length, stride=stride)
    question = tokenizer(QUESTION, add_special_tokens=False)["input_ids"]
    room = max_length - len(question) - tokenizer.num_special_tokens_to_add(pair=True)
    for n, context in enumerate(contexts):
        ids = tokenizer(context, add_special_tokens=False)["input_ids"]
        spans = context_tokens(name, context)
        rows = np.flatnonzero(found.owners == n)
        assert len(rows) == max(1, -(-(len(ids) - stride) // (room - stride)))
        for k, row in enumerate(rows):
            part = slice(k * (room - stride), k * (room - stride) + room)
            own = slice(found.tokens.starts[row], found.tokens.starts[row + 1])
            inside = found.offsets[own, 0] >= 0
            assert found.tokens.ids[own][inside].tolist() == ids[part]
            visible = spans[part, 1] > spans[part, 0]  # a token of a blank alone may have no characters, at either end
            texts = [context[i:j].strip() for i, j in found.offsets[own][inside][visible]]
            assert texts == [context[i:j].strip() for i, j in spans[part][visible]]
            assert found.offsets[own][inside][visible, 1].tolist() == spans[part][visible, 1].tolist()
            assert found.offsets[own][~inside].tolist() == [[-1, -1]] * int((~inside).sum())
            whole = tokenizer(QUESTION, context, truncation="only_second", max_length=max_length)
            if k == 0:
                assert found.tokens.ids[own].tolist() == whole["input_ids"]
    assert found.lengths.max() <= max_length
    assert len(found) == len(found.owners) == len(found.tokens)


def test_windows_are_framed_as_a_pair() -> None:
    for name, frame in {
        "bert": (["[CLS]"], ["[SEP]"], ["[SEP]"]),
        "roberta": (["<s>"], ["</s>"] * 2, ["</s>"]),
    }.items():
        found = encode(name, [CONTEXT * 2], max_length=40)
        assert len(found) > 2
        for row in range(len(found)):
            own = slice(found.tokens.starts[row], found.tokens.starts[row + 1])
            pieces = TOKENIZERS[name].convert_ids_to_tokens(found.tokens.ids[own])
            inside = found.offsets[own, 0] >= 0
            before = pieces[: int(inside.argmax())]
            assert before[:1] == frame[0]
            assert before[-len(frame[1]) :] == frame[1]
            assert [p for p, one in zip(pieces, inside, strict=True) if not one][len(before) :] == frame[2]


@pytest.mark.parametrize("name", sorted(TOKENIZERS))
@pytest.mark.parametrize(
    "text", ["baker", "Lund", "nineteen", "nineteen loaves in March", "😀", "Zoë", "café", "The", "none.", "none"]
)
def test_words_after_one_blank_or_two_or_none(name: str, text: str) -> None:
    """The published rule gives answers such as the emoji an end before their start with byte-level tokens."""
    begin = CONTEXT.index(text)
    found = encode(name, [CONTEXT], [(begin, begin + len(text))], max_length=200)
    assert found.truncated == 0
    span = answer_of(found, 0)
    assert span is not None
    assert CONTEXT[slice(*span)].strip() == text


def test_blanks_at_the_edges_of_an_answer_do_not_matter() -> None:
    begin = CONTEXT.index("nineteen")
    for name in TOKENIZERS:
        tight = encode(name, [CONTEXT], [(begin, begin + 8)], max_length=200)
        loose = encode(name, [CONTEXT], [(begin - 2, begin + 9)], max_length=200)
        assert answer_of(tight, 0) == answer_of(loose, 0)


def test_characters_that_the_tokenizer_drops_at_the_edges_of_the_context() -> None:
    """A zero-width space before the first token and after the last: no window begins or ends there."""
    context = "\u200bsold none\u200b"
    for span in ((0, 5), (6, len(context)), (0, len(context))):
        found = encode("bert", [context], [span], max_length=200)
        assert found.truncated == 0
        read = answer_of(found, 0)
        assert read is not None
        assert context[slice(*read)] == context[slice(*span)].strip("\u200b")


@pytest.mark.parametrize("name", sorted(TOKENIZERS))
def test_no_answer_is_the_cls_token_or_the_first(name: str) -> None:
    found = encode(name, [CONTEXT * 2, CONTEXT], [None, (0, 3)])
    assert found.start_positions is not None
    assert found.end_positions is not None
    first = found.owners == 0
    assert first.sum() > 2
    nulls = found.tokens.ids[found.tokens.starts[:-1] + found.null_positions]
    assert found.null_positions.tolist() == [0] * len(found)
    if name in NULL:
        assert set(TOKENIZERS[name].convert_ids_to_tokens(nulls)) == {NULL[name]}
    assert found.start_positions[first].tolist() == found.end_positions[first].tolist() == [0] * int(first.sum())
    assert found.truncated == 0
    rest = [answer_of(found, row) for row in np.flatnonzero(~first)]
    assert rest[0] == (0, 3)
    assert rest[1:] == [None] * (len(rest) - 1)


def test_cls_at_the_end() -> None:
    """As XLNet has it."""
    tokenizer = bert_like()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A [SEP] [CLS]", pair="$A [SEP] $B:1 [SEP]:1 [CLS]:2", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    found = encode_questions([QUESTION], [CONTEXT * 2], [None], tokenizer, 30, 6, ["q"])
    assert found.null_positions.tolist() == (found.lengths - 1).tolist()
    assert found.start_positions is not None
    assert found.start_positions.tolist() == found.null_positions.tolist()


def test_an_answer_longer_than_every_window_is_counted() -> None:
    contexts = [CONTEXT, CONTEXT, CONTEXT]
    found = encode("bert", contexts, [(0, len(CONTEXT)), (4, 9), None])
    assert found.truncated == 1
    assert all(answer_of(found, row) is None for row in np.flatnonzero(found.owners == 0))


def test_leading_blanks_of_questions_go() -> None:
    for name in TOKENIZERS:
        blanks = encode(name, [CONTEXT], questions=["  \t " + QUESTION], max_length=200)
        assert blanks.tokens.ids.tolist() == encode(name, [CONTEXT], max_length=200).tokens.ids.tolist()


@pytest.mark.parametrize("name", sorted(TOKENIZERS))
def test_a_batch_is_what_the_tokenizer_pads(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    contexts = [CONTEXT, "Short.", CONTEXT[:20]]
    answers = [(0, 3), None, (4, 9)]
    found = encode(name, contexts, answers, max_length=200)
    batch = found.batch([2, 1])
    names = {"input_ids", "attention_mask"} | ({"token_type_ids"} if name == "bert" else set())
    assert set(batch) == names | {"start_positions", "end_positions"}
    if tokenizer.pad_token is None:
        expected = [tokenizer(QUESTION, contexts[n])["input_ids"] for n in (2, 1)]
        kept = batch["attention_mask"].bool()
        assert [row[mask].tolist() for row, mask in zip(batch["input_ids"], kept, strict=True)] == expected
    else:
        padded = tokenizer([QUESTION] * 2, [contexts[2], contexts[1]], padding=True, return_tensors="pt")
        for key in names:
            assert torch.equal(batch[key], padded[key]), key
    assert found.start_positions is not None
    assert batch["start_positions"].tolist() == found.start_positions[[2, 1]].tolist()
    assert batch["end_positions"].dtype == torch.int64
    assert found.targets([2, 1]) == 2
    unlabelled = encode(name, contexts, max_length=200)
    assert set(unlabelled.batch([0])) == names
    assert unlabelled.truncated == 0


def test_parts_do_not_show() -> None:
    contexts = [CONTEXT * (n % 3) + "end" for n in range(11)]
    answers = [(0, 3) if n % 4 else None for n in range(11)]
    whole = encode("roberta", contexts, answers)
    parts = [slice(start, start + 3) for start in range(0, 11, 3)]
    pieces = joined((encode("roberta", contexts[part], answers[part]), len(contexts[part])) for part in parts)
    assert np.array_equal(whole.tokens.ids, pieces.tokens.ids)
    assert np.array_equal(whole.tokens.starts, pieces.tokens.starts)
    for name in ("owners", "offsets", "null_positions", "start_positions", "end_positions"):
        assert np.array_equal(getattr(whole, name), getattr(pieces, name)), name
    assert pieces.owners.tolist() == sorted(pieces.owners)
    assert set(pieces.owners) == set(range(11))


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_a_question_that_leaves_no_room_is_named(name: str) -> None:
    questions = ["Who?", "Who sold the loaves that winter? " * 3]
    message = (
        r"^question q1: its \d+ tokens leave 0 of task\.max_length=30 .* task\.extraction\.stride=6; "
        r"raise task\.max_length"
    )
    with pytest.raises(DataError, match=message):
        encode(name, [CONTEXT, CONTEXT], questions=questions)
    with pytest.raises(DataError, match=r"^question q1: "):
        encode(name, ["a", ""], questions=questions)


def test_room_of_no_more_than_the_stride_serves_short_contexts_only() -> None:
    tokenizer: PreTrainedTokenizerFast = TOKENIZERS["bert"]
    question = len(tokenizer(QUESTION, add_special_tokens=False)["input_ids"])
    context = "sold sold sold sold sold"
    room = len(tokenizer(context, add_special_tokens=False)["input_ids"])
    assert len(encode("bert", [context], max_length=question + 3 + room, stride=room)) == 1
    with pytest.raises(DataError, match=f"leave {room} of .*more than task.extraction.stride={room};"):
        encode("bert", [context + " sold"], max_length=question + 3 + room, stride=room)
    assert len(encode("bert", [context + " sold"], max_length=question + 3 + room, stride=room - 1)) > 1
