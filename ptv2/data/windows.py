"""Questions with their contexts as token sequences: a long context becomes overlapping windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from ptv2.data.batches import to_tensors
from ptv2.data.tokens import TokenRows, Tokens
from ptv2.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

CharSpan = tuple[int, int]  # characters of a context, the end exclusive


@dataclass(frozen=True)
class SpanSet(TokenRows):
    """Windows over questions with their contexts, each a row; the windows of one question follow each other."""

    tokens: Tokens
    owners: np.ndarray  # [windows] int64: number of the question
    offsets: np.ndarray  # [tokens, 2] int32: characters of the context; -1 -1 at question and special tokens
    null_positions: np.ndarray  # [windows] int64: the token that stands for "no answer here"
    start_positions: np.ndarray | None  # [windows] int64: first token of the answer, counted from the window's first
    end_positions: np.ndarray | None  # [windows] int64: last token of the answer
    truncated: int  # questions whose answer is whole in none of its windows

    def targets(self, indices: Sequence[int]) -> float:
        """Count the losses that these windows sum: start and end of one window are one loss."""
        return float(len(indices))

    def batch(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """Collate windows, padded to the longest of them.

        Returns:
            `input_ids`, `attention_mask`, perhaps `token_type_ids`: `[B, T]`; `start_positions` and `end_positions`
            `[B]` where the answers are known.
        """
        rows = list(indices)
        arrays = self.tokens.padded(rows)
        if self.start_positions is not None and self.end_positions is not None:
            arrays["start_positions"] = self.start_positions[rows]
            arrays["end_positions"] = self.end_positions[rows]
        return to_tensors(arrays)


def encode_questions(
    questions: Sequence[str],
    contexts: Sequence[str],
    answers: Sequence[CharSpan | None] | None,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    stride: int,
    ids: Sequence[str],
) -> SpanSet:
    """Tokenize questions, each followed by as much of its context as fits; only the context is cut.

    The target of a window is the stretch of tokens that share a character with the answer. Where the answer is not
    whole in the window, or there is none, start and end are the token for "no answer": [CLS], or the first token where
    the tokenizer has no [CLS].

    Args:
        contexts: one per question.
        answers: the answer's characters in the context, one per question (None: it has no answer); or None: not known.
        max_length: tokens of a window at most, special tokens included.
        stride: tokens of the context that a window shares with the one before.
        ids: the questions' names, for messages.

    Raises:
        DataError: a question so long that the windows cannot go on through its context.
    """
    asked = [question.lstrip() for question in questions]
    _check_room(asked, contexts, tokenizer, max_length, stride, ids)
    encoded = tokenizer(
        asked,
        list(contexts),
        truncation="only_second",
        max_length=max_length,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_attention_mask=False,
    )
    windows = _span_set(encoded, tokenizer)
    return windows if answers is None else _with_answers(windows, contexts, answers)


def _check_room(
    questions: Sequence[str],
    contexts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    stride: int,
    ids: Sequence[str],
) -> None:
    """Refuse questions that leave no room for the context; the tokenizer itself would name none, or panic."""
    special = tokenizer.num_special_tokens_to_add(pair=True)
    counts = [len(row) for row in tokenizer(list(questions), add_special_tokens=False, verbose=False)["input_ids"]]
    for count, context, name in zip(counts, contexts, ids, strict=True):
        room = max_length - special - count
        if room > stride:
            continue
        if len(tokenizer(context, add_special_tokens=False, verbose=False)["input_ids"]) > room:
            raise DataError(
                f"question {name}: its {count} tokens leave {max(room, 0)} of task.max_length={max_length} for the "
                f"context, which is longer and needs more than task.extraction.stride={stride}; raise "
                "task.max_length, lower task.extraction.stride or shorten the question"
            )


def _span_set(encoded: Any, tokenizer: PreTrainedTokenizerBase) -> SpanSet:
    """The tokenizer's lists as arrays, without answers."""
    tokens = Tokens.from_lists(encoded["input_ids"], encoded.get("token_type_ids"), tokenizer.pad_token_id)
    pairs = chain.from_iterable(encoded["offset_mapping"])
    characters = np.fromiter(chain.from_iterable(pairs), np.int32).reshape(-1, 2)
    sides = [np.array(window.sequence_ids, dtype=np.float32) for window in encoded.encodings]  # nan at special tokens
    characters[np.concatenate(sides) != 1] = -1
    owners = np.asarray(encoded["overflow_to_sample_mapping"], dtype=np.int64)
    return SpanSet(tokens, owners, characters, _null_positions(tokens, tokenizer.cls_token_id), None, None, 0)


def _null_positions(tokens: Tokens, cls_id: int | None) -> np.ndarray:
    """Position of the first [CLS] of each window, or of its first token where there is none, `[windows]`."""
    window, position = _places(tokens)
    windows, first, _ = _edges(
        window, tokens.ids == cls_id if cls_id is not None else np.zeros(len(window), dtype=bool)
    )
    positions = np.zeros(len(tokens), dtype=np.int64)
    positions[windows] = position[first]
    return positions


def _without_blanks(context: str, span: CharSpan | None) -> CharSpan:
    """Strip the blanks at the edges of `span`, which no token holds; -1 -1 for no answer."""
    if span is None:
        return -1, -1
    text = context[span[0] : span[1]]
    start = span[0] + len(text) - len(text.lstrip())
    return start, start + len(text.strip())


def _with_answers(windows: SpanSet, contexts: Sequence[str], answers: Sequence[CharSpan | None]) -> SpanSet:
    """Add first and last token of the answer to every window.

    The published code takes the last token that starts at or before the answer and the first that ends at or after it;
    with these a character of several byte-level tokens would end before it starts.
    """
    spans = [_without_blanks(context, answer) for context, answer in zip(contexts, answers, strict=True)]
    begin, end = np.array(spans, dtype=np.int64)[windows.owners].T  # [windows]
    window, position = _places(windows.tokens)
    offsets = windows.offsets
    touched, left, right = _edges(window, (offsets[:, 1] > begin[window]) & (offsets[:, 0] < end[window]))
    first, last = windows.null_positions.copy(), windows.null_positions.copy()
    first[touched], last[touched] = position[left], position[right]

    seen, left, right = _edges(window, offsets[:, 0] >= 0)  # the context's part of each window
    opening = np.diff(windows.owners, prepend=-1) != 0  # nothing of the context comes before these windows,
    closing = np.diff(windows.owners, append=-1) != 0  # nothing after these
    whole = np.zeros(len(windows), dtype=bool)
    whole[seen] = (offsets[left, 0] <= begin[seen]) | opening[seen]
    whole[seen] &= (offsets[right, 1] >= end[seen]) | closing[seen]
    whole &= np.isin(np.arange(len(windows)), touched)
    return replace(
        windows,
        start_positions=np.where(whole, first, windows.null_positions),
        end_positions=np.where(whole, last, windows.null_positions),
        truncated=sum(answer is not None for answer in answers) - len(np.unique(windows.owners[whole])),
    )


def _places(tokens: Tokens) -> tuple[np.ndarray, np.ndarray]:
    """The window of each token, and the token's position in it, both `[tokens]`."""
    window = np.repeat(np.arange(len(tokens)), tokens.lengths)
    return window, np.arange(len(window)) - tokens.starts[window]


def _edges(window: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The windows that have tokens in `mask`, and the first and the last of these tokens (in the flat order)."""
    hits = np.flatnonzero(mask)
    windows, first = np.unique(window[hits], return_index=True)
    last = np.append(first[1:], len(hits))[: len(first)] - 1
    return windows, hits[first], hits[last]
