"""Put examples into batches: a pure function of lengths, seed and epoch, so that a run can be continued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

# Most batches whose examples are sorted together: much less padding, still other neighbours in every epoch.
POOL = 50
# Fewest pools per epoch, so that a small data set is not cut into the same batches again and again.
POOLS = 4


class TrainingSet(Protocol):
    """The examples as training uses them; batches are made of rows."""

    def __len__(self) -> int:
        """Count the rows; an epoch has `ceil(rows / batch_size)` batches."""

    def epoch_batches(self, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
        """Return the batches of an epoch as numbers of rows: a pure function, so that a run can be continued."""

    def targets(self, indices: Sequence[int]) -> float:
        """Count the losses that these rows sum, for the mean over an effective batch."""

    def batch(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """Collate rows, padded to the longest of them."""


def to_tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Make tensors that share the arrays' memory.

    torch is imported with the first batch and not with this module, so that data are read, and refused, before it.
    """
    import torch

    return {name: torch.from_numpy(array) for name, array in arrays.items()}


class ByLength:
    """A set whose batches are of similar length."""

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row `[rows]`."""
        raise NotImplementedError

    def epoch_batches(self, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
        """See the function `epoch_batches`."""
        return epoch_batches(self.lengths, batch_size, seed, epoch)


def epoch_batches(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Make the batches of one epoch: every example once, examples of similar length together.

    Args:
        lengths: tokens of each example `[N]`.

    Returns:
        Lists of example numbers; all but one have `batch_size` of them.
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))
    batches: list[list[int]] = []
    size = batch_size * max(1, min(POOL, len(lengths) // (POOLS * batch_size)))
    for start in range(0, len(order), size):
        pool = order[start : start + size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[i : i + batch_size].tolist() for i in range(0, len(pool), batch_size)]
    return [batches[i] for i in generator.permutation(len(batches))]


def sorted_batches(lengths: np.ndarray, batch_size: int) -> list[list[int]]:
    """Make batches of all examples, longest first: for evaluation, where memory should run out early or never."""
    order = np.argsort(-lengths, kind="stable")
    return [order[i : i + batch_size].tolist() for i in range(0, len(order), batch_size)]


def shares(batch: Sequence[int], parts: int) -> list[list[int]]:
    """Split a batch into `parts` of nearly equal size and similar lengths; some are empty if the batch is smaller."""
    return [list(batch[first::parts]) for first in range(parts)]
