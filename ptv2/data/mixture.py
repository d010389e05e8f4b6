"""Mix encoded sets of several tasks into one training set: one task per batch, tasks by a power of their size."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ptv2.data.batches import ByLength, to_tensors
from ptv2.data.tokens import EncodedSet, Tokens

if TYPE_CHECKING:
    from torch import Tensor

HEAD = "head"  # key of a batch: the number of its head, an int64 tensor without dimensions


@dataclass(frozen=True)
class OfHead(ByLength):
    """An encoded set whose batches name the head of the model that they are for."""

    rows: EncodedSet
    head: int

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def tokens(self) -> Tokens:
        return self.rows.tokens

    @property
    def lengths(self) -> np.ndarray:
        return self.rows.lengths

    @property
    def truncated(self) -> int:
        return self.rows.truncated

    def targets(self, indices: Sequence[int]) -> float:
        return self.rows.targets(indices)

    def batch(self, indices: Sequence[int]) -> dict[str, Tensor]:
        return {**self.rows.batch(indices), **to_tensors({HEAD: np.asarray(self.head)})}


@dataclass(frozen=True)
class Mixture:
    """The rows of `parts`, one part after the other; part number n is for head n.

    The share of a part of n rows in the batches of an epoch is proportional to `n ** (1 / temperature)`, rounded, and
    at least one batch where there are enough. The order of the parts is drawn by seed and epoch. Each part is passed
    through in full before any of its rows comes again; a passage goes on in the next epoch.
    """

    parts: Sequence[EncodedSet]
    temperature: float

    def __len__(self) -> int:
        return self._starts[-1]

    def counts(self, batch_size: int) -> list[int]:
        """Count the batches of each part in an epoch."""
        total = math.ceil(len(self) / batch_size)
        weights = np.array([len(rows) for rows in self.parts], dtype=np.float64) ** (1 / self.temperature)
        exact = weights / weights.sum() * total
        counts = np.floor(exact).astype(int)
        counts[np.argsort(counts - exact, kind="stable")[: total - counts.sum()]] += 1  # largest remainders first
        for number in np.flatnonzero(counts == 0):
            if counts.max() > 1:
                counts[counts.argmax()] -= 1
                counts[number] = 1
        return counts.tolist()

    def epoch_batches(self, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
        """Make the batches of one epoch."""
        counts = self.counts(batch_size)
        order = np.random.default_rng([seed, epoch, len(self.parts)]).permutation(np.repeat(range(len(counts)), counts))
        streams = [
            iter(self._stretch(number, batch_size, seed, epoch * count, count)) for number, count in enumerate(counts)
        ]
        return [next(streams[number]) for number in order]

    def targets(self, indices: Sequence[int]) -> float:
        """Count the losses that these rows, of one part, sum."""
        number, rows = self._within(indices)
        return self.parts[number].targets(rows)

    def batch(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """Collate rows of one part; `head` is its number."""
        number, rows = self._within(indices)
        return OfHead(self.parts[number], number).batch(rows)

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *np.cumsum([len(rows) for rows in self.parts]).tolist()]

    def _stretch(self, number: int, batch_size: int, seed: int, begin: int, count: int) -> list[list[int]]:
        """Make batches `begin` to `begin + count` of a part, numbered over all epochs."""
        rows, start = self.parts[number], self._starts[number]
        each = math.ceil(len(rows) / batch_size)  # batches of one passage through the part
        passages = range(begin // each, (begin + count - 1) // each + 1) if count else ()
        batches = [batch for passage in passages for batch in rows.epoch_batches(batch_size, seed, passage)]
        return [[start + row for row in batch] for batch in batches[begin % each :][:count]]

    def _within(self, indices: Sequence[int]) -> tuple[int, list[int]]:
        """Find the part of these rows, and their numbers in it.

        Raises:
            ValueError: rows of several parts.
        """
        number = bisect_right(self._starts, indices[0]) - 1
        start, end = self._starts[number], self._starts[number + 1]
        if not all(start <= index < end for index in indices):
            raise ValueError("expected a batch of one part of a mixture, got rows of several")
        return number, [index - start for index in indices]
