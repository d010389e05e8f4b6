"""Token sequences of any length: flat in numpy arrays, so that a million of them fit in memory, and padded by batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ptv2.data.batches import ByLength, TrainingSet
from ptv2.data.mapped import in_pieces

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class EncodedSet(TrainingSet, Protocol):
    """The encoded examples of one split, as training and prediction use them; batches are made of rows."""

    @property
    def tokens(self) -> Tokens:
        """All sequences, flat."""

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row `[rows]`, for batches of similar length."""

    @property
    def truncated(self) -> int:
        """Examples that lost tokens."""


@dataclass(frozen=True)
class Tokens:
    """Sequences of token ids: sequence `i` is `ids[starts[i]:starts[i + 1]]`."""

    ids: np.ndarray  # [tokens] int32
    types: np.ndarray | None  # [tokens] int8; None if the tokenizer knows no token types
    starts: np.ndarray  # [sequences + 1] int64
    pad_id: int

    @classmethod
    def from_lists(
        cls, ids: Sequence[Sequence[int]], types: Sequence[Sequence[int]] | None, pad_id: int | None
    ) -> Tokens:
        """Flatten a tokenizer's lists, one per sequence; without an id for padding 0 is taken."""
        return cls(
            ids=np.fromiter(chain.from_iterable(ids), np.int32),
            types=None if types is None else np.fromiter(chain.from_iterable(types), np.int8),
            starts=np.cumsum([0, *map(len, ids)]),
            pad_id=0 if pad_id is None else pad_id,
        )

    @classmethod
    def from_encodings(cls, encodings: Sequence[Any], tokenizer: PreTrainedTokenizerBase) -> Tokens:
        """Flatten what `encode_batch` gives. A text without tokens, as an empty one of GPT-2, is its end token."""
        typed = "token_type_ids" in tokenizer.model_input_names
        types = [encoding.type_ids or [0] for encoding in encodings] if typed else None
        end = tokenizer.pad_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
        return cls.from_lists([encoding.ids or [end or 0] for encoding in encodings], types, tokenizer.pad_token_id)

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each sequence `[sequences]`."""
        return np.diff(self.starts)

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return int(self.lengths.max(initial=0))

    @property
    def highest(self) -> int:
        """The highest token id, that of padding included."""
        return max([self.pad_id, *(int(ids.max()) for ids in in_pieces(self.ids))])

    def padded(self, sequences: Sequence[int]) -> dict[str, np.ndarray]:
        """`input_ids`, `attention_mask` and, where there are types, `token_type_ids`, each `[B, T]` int64."""
        arrays = {"input_ids": self.spread(self.ids, sequences, self.pad_id), "attention_mask": self.mask(sequences)}
        if self.types is not None:
            arrays["token_type_ids"] = self.spread(self.types, sequences, 0)
        return arrays

    def mask(self, sequences: Sequence[int]) -> np.ndarray:
        """1 at tokens, 0 at padding, `[B, T]` int64."""
        rows = np.asarray(sequences)
        lengths = self.starts[rows + 1] - self.starts[rows]  # not of all: this is done for every batch
        return (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)

    def spread(self, values: np.ndarray, sequences: Sequence[int], fill: int) -> np.ndarray:
        """One value per token, `[tokens]`, as rows `[B, T]` int64 with `fill` at the padding."""
        mask = self.mask(sequences).astype(bool)
        rows = np.full(mask.shape, fill, dtype=np.int64)
        rows[mask] = np.concatenate([values[self.starts[s] : self.starts[s + 1]] for s in sequences])
        return rows


class TokenRows(ByLength):
    """A set whose rows are the sequences of its `tokens`."""

    tokens: Tokens

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row `[rows]`."""
        return self.tokens.lengths


def encode_batch(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[Any],
    max_length: int | None = None,
    truncation: str = "longest_first",
    **options: bool,
) -> list[Any]:
    """Tokenize texts or pairs of texts; the library's encodings, without the positions of characters.

    Calling a tokenizer of transformers gives the same ids, and takes longer to make lists of all else.

    Args:
        max_length: tokens of a text at most; None: any number.
        options: of `encode_batch_fast` of tokenizers.
    """
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    if max_length is not None:
        backend.enable_truncation(max_length, strategy=truncation, direction=tokenizer.truncation_side)
    backend.encode_special_tokens = tokenizer.split_special_tokens
    return backend.encode_batch_fast(texts, **options)
