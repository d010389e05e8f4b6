"""Token sequences of any length: flat in numpy arrays, so that a million of them fit in memory, and padded by batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import numpy as np

from ptv2.data.batches import ByLength, TrainingSet


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
        return max(int(self.ids.max(initial=0)), self.pad_id)

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
