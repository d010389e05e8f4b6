"""Encoded sets of several tasks as one training set: batches of one task each, tasks by a power of their size."""

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

HEAD = "head"  # key of a batch: the number of the head that it is for, an int64 tensor without dimensions


@dataclass(frozen=True)
class OfHead(ByLength):
    """An encoded set whose batches say which head of a model they are for."""

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
    """The rows of `parts` one after the other; part number n is for head n.

    A part of n rows has a share of the batches that goes by `n ** (1 / temperature)`, the same in every epoch (rounded;
    but none goes without a batch where there are enough), at places drawn by seed and epoch. Its own rows come in
    epochs of its own: it goes through all of them before any comes again, and goes on from epoch to epoch.
    """

    parts: Sequence[EncodedSet]
    temperature: float

    def __len__(self) -> int:
        return self._starts[-1]

    def counts(self, batch_size: int) -> list[int]:
        """How many batches of an epoch are of each part."""
        total = math.ceil(len(self) / batch_size)
        weights = np.array([len(part) for part in self.parts], dtype=np.float64) ** (1 / self.temperature)
        exact = weights / weights.sum() * total
        counts = np.floor(exact).astype(int)
        counts[np.argsort(counts - exact, kind="stable")[: total - counts.sum()]] += 1  # largest remainders first
        for number in np.flatnonzero(counts == 0):
            if counts.max() > 1:
                counts[counts.argmax()] -= 1
                counts[number] = 1
        return counts.tolist()

    def epoch_batches(self, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
        """The batches of one epoch."""
        counts = self.counts(batch_size)
        order = np.random.default_rng([seed, epoch, len(self.parts)]).permutation(np.repeat(range(len(counts)), counts))
        streams = [
            iter(self._stretch(number, batch_size, seed, epoch * count, count)) for number, count in enumerate(counts)
        ]
        return [next(streams[number]) for number in order]

    def targets(self, indices: Sequence[int]) -> float:
        """How many losses these rows, of one part, sum."""
        number, rows = self._within(indices)
        return self.parts[number].targets(rows)

    def batch(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """Collate rows of one part; `head` is its number."""
        number, rows = self._within(indices)
        return OfHead(self.parts[number], number).batch(rows)

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *np.cumsum([len(part) for part in self.parts]).tolist()]

    def _stretch(self, number: int, batch_size: int, seed: int, begin: int, count: int) -> list[list[int]]:
        """Batches `begin` to `begin + count` of all that a part ever gives."""
        part, start = self.parts[number], self._starts[number]
        each = math.ceil(len(part) / batch_size)  # batches of one passage through the part
        passages = range(begin // each, (begin + count - 1) // each + 1) if count else ()
        batches = [batch for passage in passages for batch in part.epoch_batches(batch_size, seed, passage)]
        return [[start + row for row in batch] for batch in batches[begin % each :][:count]]

    def _within(self, indices: Sequence[int]) -> tuple[int, list[int]]:
        """The part of these rows, and their numbers in it.

        Raises:
            ValueError: rows of several parts.
        """
        number = bisect_right(self._starts, indices[0]) - 1
        start, end = self._starts[number], self._starts[number + 1]
        if not all(start <= index < end for index in indices):
            raise ValueError("a batch is of one part of a mixture")
        return number, [index - start for index in indices]
