"""Sentences of words to token ids, with one label and one score per word: for tagging tasks.

Letters: W words of a sentence, T tokens of a window. A sentence that is longer than the model allows is read in
overlapping windows, and each of its words is scored in exactly one of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer, normalizers

from ptv2.data.arrays import ranges
from ptv2.data.batches import to_tensors
from ptv2.data.tokens import TokenRows, Tokens, encode_batch
from ptv2.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

# The label of a token that is no target; the number that torch's cross entropy leaves out by default.
IGNORED = -100


@dataclass(frozen=True)
class TaggedSet(TokenRows):
    """The encoded sentences of one split; rows are windows, several of them for a long sentence."""

    tokens: Tokens
    words: np.ndarray  # [tokens] int32; the number of the word scored at this token, else -1
    labels: np.ndarray | None  # [tokens] int32; IGNORED where no word is scored
    owners: np.ndarray  # [windows] int64; the number of the sentence, ascending; some sentences may have no window
    truncated: int = 0  # windows lose nothing

    def targets(self, indices: Sequence[int]) -> int:
        """Count the labelled tokens in these windows: the losses that they sum."""
        if self.labels is None:
            return 0
        starts = self.tokens.starts
        return sum(int(np.count_nonzero(self.labels[starts[i] : starts[i + 1]] != IGNORED)) for i in indices)

    def batch(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """Collate windows, padded to the longest of them.

        Returns:
            `input_ids`, `attention_mask`, perhaps `token_type_ids` and `labels` (IGNORED on padding), `[B, T]` int64.
        """
        arrays = self.tokens.padded(indices)
        if self.labels is not None:
            arrays["labels"] = self.tokens.spread(self.labels, indices, IGNORED)
        return to_tensors(arrays)


@dataclass(frozen=True)
class _Pieces:
    """Sentences as the tokenizer gives them, flat and uncut: special tokens, words, suffix, special tokens."""

    ids: np.ndarray  # [tokens] int32
    types: np.ndarray | None  # [tokens] int8
    words: np.ndarray  # [tokens] int32; the number of the token's word in its sentence, -1 at specials and suffix
    starts: np.ndarray  # [sentences + 1] int64
    begins: np.ndarray  # [sentences] int64; where the pieces of the words begin
    ends: np.ndarray  # [sentences] int64; where they end; the same as `begins` if no word has a piece
    firsts: np.ndarray  # [sentences] int64; number of a sentence's first word among all words, those without pieces too


def encode_words(
    sentences: Sequence[Sequence[str]],
    tags: Sequence[Sequence[int]] | None,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    stride: int,
    suffixes: Sequence[Sequence[str]] | None = None,
    ids: Sequence[str] | None = None,
) -> TaggedSet:
    """Tokenize sentences that are split into words.

    A word is labelled and scored at its first piece. A word without any piece (control characters, say) is in no
    window, nor is a sentence without a word to score. Windows end at the ends of words, unless a word is longer than a
    window, and a word goes to the window where it is farthest from both edges, the first of equals.

    Args:
        tags: one label per word; None where there is nothing to learn from.
        max_length: tokens of a window at most, special tokens and suffix included.
        stride: pieces that a window shares with the one before it, at most (as transformers means it).
        suffixes: words that follow every window of a sentence and are never scored, such as a separator and the verb
            whose roles are asked for.
        ids: names of the sentences, for messages.

    Raises:
        DataError: a sentence whose number of tags is not its number of words, or whose suffix leaves no room for words.
    """
    if tags is not None:
        for n, (words, labels) in enumerate(zip(sentences, tags, strict=True)):
            if len(words) != len(labels):
                raise DataError(f"{_name(n, ids)}: {len(labels)} tags, expected one for each of its {len(words)} words")
    pieces = _tokenize(sentences, [()] * len(sentences) if suffixes is None else suffixes, tokenizer)
    budgets = max_length - (np.diff(pieces.starts) - (pieces.ends - pieces.begins))
    if (full := np.flatnonzero((budgets < 1) & (pieces.ends > pieces.begins))).size:
        raise DataError(
            f"{_name(int(full[0]), ids)}: special tokens and what follows the words take "
            f"{max_length - budgets[full[0]]} tokens, and task.max_length={max_length} leaves none for the words; "
            "raise it"
        )
    windows = np.array(list(_windows(pieces, budgets, stride)), dtype=np.int64).reshape(-1, 3)
    flat_tags = None if tags is None else np.fromiter(chain.from_iterable(tags), np.int32)
    return _windowed(pieces, windows, flat_tags, tokenizer.pad_token_id or 0)


def mark_word_starts(tokenizer: PreTrainedTokenizerBase) -> None:
    """Make a tokenizer read each word it is given as if a blank preceded it, where it knows words by that.

    Byte-level tokenizers (roberta, gpt2, llama 3) know the start of a word by the blank, which words given one by one
    lack. `add_prefix_space=True` means this, but has an effect only on tokenizers with a class of their own; where a
    pattern splits the text first, it would put a blank before each part. That of gemma makes `▁` of a blank and puts
    none before a text. Other tokenizers are left as they are.
    """
    backend = tokenizer.backend_tokenizer
    step = json.loads(backend.to_str())["pre_tokenizer"] or {"type": None}
    if step["type"] == "ByteLevel":
        backend.pre_tokenizer.add_prefix_space = True
    elif any(one["type"] == "ByteLevel" and not one["add_prefix_space"] for one in step.get("pretokenizers", [])):
        blank = normalizers.Prepend(" ")
        backend.normalizer = normalizers.Sequence([backend.normalizer, blank]) if backend.normalizer else blank
    elif _marks_second(backend, "a a") and not _marks_second(backend, ["a", "a"]):
        blank = normalizers.Prepend(" ")  # before the blanks are replaced
        backend.normalizer = normalizers.Sequence([blank, backend.normalizer]) if backend.normalizer else blank


def _marks_second(backend: Tokenizer, text: str | list[str]) -> bool:
    """Whether the second of two words is read with `▁` before it, in a text or given as words."""
    tokens = backend.encode(text, is_pretokenized=not isinstance(text, str), add_special_tokens=False).tokens
    return any(token.startswith("▁") for token in tokens[1:])


def _tokenize(
    sentences: Sequence[Sequence[str]], suffixes: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerBase
) -> _Pieces:
    """Make the pieces of whole sentences.

    A tokenizer reads each word by itself and puts special tokens around all. So each different word is tokenized once,
    and the sentences are put together from the pieces; as many are the same words, that takes a fraction of the time.
    """
    pieces = _WordPieces(tokenizer, list(chain.from_iterable(chain(*zip(sentences, suffixes, strict=True)))))
    counts = np.array([len(one) for one in sentences], dtype=np.int64)
    sizes = counts + np.array([len(one) for one in suffixes], dtype=np.int64) + 2  # the 2 are what is around the words
    ends = np.cumsum(sizes)
    units = np.empty(sizes.sum(), dtype=np.int64)  # numbers of different words
    is_word = np.ones(len(units), dtype=bool)
    for places, unit in ((ends - sizes, pieces.before), (ends - 1, pieces.after)):
        units[places], is_word[places] = unit, False
    units[is_word] = pieces.numbers
    numbers = ranges(np.full(len(sizes), -1), sizes - 1)  # of each unit in its sentence
    numbers[numbers >= np.repeat(counts, sizes)] = -1
    source = ranges(pieces.starts[units], pieces.starts[units + 1])
    lengths = np.diff(pieces.starts)[units]
    words = np.repeat(numbers, lengths).astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(lengths)])[np.concatenate([[0], ends])]
    inside = np.flatnonzero(words >= 0)
    first, last = np.searchsorted(inside, starts[:-1]), np.searchsorted(inside, starts[1:])
    begins = np.append(inside, len(words))[first]
    types = pieces.types[source] if "token_type_ids" in tokenizer.model_input_names else None
    ends = begins + last - first
    return _Pieces(pieces.ids[source], types, words, starts, begins, ends, np.cumsum(counts) - counts)


class _WordPieces:
    """The pieces of different words, flat: word `n` has `starts[n]` to `starts[n + 1]` of `ids` and `types`."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, text: Sequence[str]) -> None:
        """Tokenize the words of `text`, whose numbers are then `numbers`; `before` and `after` are special tokens."""
        known = {word: number for number, word in enumerate(dict.fromkeys(text))}
        self.numbers = np.fromiter(map(known.__getitem__, text), np.int64, len(text))
        self.before, self.after = len(known), len(known) + 1
        alone = encode_batch(tokenizer, [[word] for word in known], is_pretokenized=True, add_special_tokens=False)
        rows = [word.ids for word in alone]
        example = next((word for word, row in zip(known, rows, strict=True) if row), "a")
        (whole,) = encode_batch(tokenizer, [[example]], is_pretokenized=True)
        inside = [place for place, sequence in enumerate(whole.sequence_ids) if sequence is not None]
        first, end = (inside[0], inside[-1] + 1) if inside else (len(whole.ids), len(whole.ids))
        rows += [whole.ids[:first], whole.ids[end:]]
        self.starts = np.cumsum([0, *map(len, rows)])
        self.ids = np.fromiter(chain.from_iterable(rows), np.int32, self.starts[-1])
        self.types = np.full(len(self.ids), whole.type_ids[first] if inside else 0, dtype=np.int8)
        around = [*whole.type_ids[:first], *whole.type_ids[end:]]
        self.types[len(self.types) - len(around) :] = around


def _windows(pieces: _Pieces, budgets: np.ndarray, stride: int) -> Iterator[tuple[int, int, int]]:
    """(sentence, first piece, end) of each window; sentences without pieces have none."""
    counts = pieces.ends - pieces.begins
    for n in np.flatnonzero(counts).tolist():
        begin, end, budget = int(pieces.begins[n]), int(pieces.ends[n]), int(budgets[n])
        if counts[n] <= budget:
            yield n, begin, end
        else:
            yield from (
                (n, begin + left, begin + right) for left, right in _cut(pieces.words[begin:end], budget, stride)
            )


def _cut(words: np.ndarray, budget: int, stride: int) -> Iterator[tuple[int, int]]:
    """Cover the pieces of a sentence by windows of at most `budget` pieces, which begin and end where words do.

    Args:
        words: the number of each piece's word `[pieces]`; a word longer than `budget` may be cut at its multiples.
    """
    begins = np.flatnonzero(np.diff(words, prepend=-1))
    units = -(-np.diff(begins, append=len(words)) // budget)  # of each word
    bounds = np.append(np.repeat(begins, units) + budget * ranges(np.zeros_like(units), units), len(words))
    left = 0
    while True:
        last = int(np.searchsorted(bounds, left + budget, side="right")) - 1
        right = int(bounds[last])
        yield left, right
        if right == len(words):
            return
        # Back by the stride, but no farther than lets the next unit, for which there was no room here, fit in.
        left = int(bounds[np.searchsorted(bounds, max(right - stride, int(bounds[last + 1]) - budget))])


def _windowed(pieces: _Pieces, windows: np.ndarray, tags: np.ndarray | None, pad_id: int) -> TaggedSet:
    """Build the set of these windows `[windows, 3]`, without those that have no word to score; `tags` `[words]`."""
    owners, lefts, rights = windows.T
    # A window is what stands before the words, some of their pieces, and what stands after.
    begins = np.stack([pieces.starts[owners], lefts, pieces.ends[owners]], axis=1)
    ends = np.stack([pieces.begins[owners], rights, pieces.starts[owners + 1]], axis=1)
    source = ranges(begins.ravel(), ends.ravel())  # [tokens]; which of the pieces each token is
    window = np.repeat(np.arange(len(windows)), (ends - begins).sum(axis=1))  # [tokens]
    scored = _scored(pieces, source, lefts[window], rights[window])
    scoring = (np.bincount(window[scored], minlength=len(windows)) > 0)[window]  # [tokens]

    words = np.full(len(source), -1, dtype=np.int32)
    words[scored] = pieces.words[source[scored]]
    labels = None
    if tags is not None:
        labels = np.full(len(source), IGNORED, dtype=np.int32)
        labels[scored] = tags[pieces.firsts[owners[window[scored]]] + words[scored]]
        labels = labels[scoring]
    left, counts = np.unique(window[scoring], return_counts=True)
    tokens = Tokens(
        ids=pieces.ids[source[scoring]],
        types=None if pieces.types is None else pieces.types[source[scoring]],
        starts=np.concatenate([[0], np.cumsum(counts)]),
        pad_id=pad_id,
    )
    return TaggedSet(tokens, words[scoring], labels, owners[left])


def _scored(pieces: _Pieces, source: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Choose the token where each word is scored: its first piece, in the window where it is farthest from an edge.

    Args:
        source: the piece that each token is `[tokens]`.
        left, right: where the slice of pieces of each token's window begins and ends `[tokens]`.
    """
    starting = (pieces.words >= 0) & (np.diff(pieces.words, prepend=-1) != 0)
    starting[pieces.begins[pieces.ends > pieces.begins]] = True  # no special token may stand between two sentences
    starts = np.flatnonzero(starting[source])
    piece = source[starts]
    context = np.minimum(piece - left[starts], right[starts] - 1 - piece)
    order = np.lexsort((-context, piece))  # stable: of equals the first window
    best = np.diff(piece[order], prepend=-1) != 0
    return np.sort(starts[order[best]])


def _name(number: int, ids: Sequence[str] | None) -> str:
    """Name a sentence in a message."""
    return f"sentence {number + 1}" if ids is None else str(ids[number])
