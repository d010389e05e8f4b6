"""Text to token ids, kept flat in numpy arrays so that a million sequences fit in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ptv2.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ptv2.tasks.task import Example

# Examples that the tokenizer gets at once: enough to use its threads, little enough to see progress.
CHUNK = 1000


@dataclass(frozen=True)
class EncodedSet:
    """The encoded examples of one split.

    Sequence `i` of all is `ids[starts[i]:starts[i + 1]]`; example `n` has the sequences
    `n * width ... n * width + width - 1` (`width` is 1, or the number of choices).
    """

    ids: np.ndarray  # [tokens]
    types: np.ndarray | None  # [tokens]; none if the tokenizer knows no token types
    starts: np.ndarray  # [sequences + 1]
    labels: np.ndarray | None  # [examples]
    width: int
    truncated: int  # examples with a sequence that was cut
    pad_id: int

    def __len__(self) -> int:
        return (len(self.starts) - 1) // self.width

    @property
    def lengths(self) -> np.ndarray:
        """The longest sequence of each example in tokens, `[examples]`."""
        return np.diff(self.starts).reshape(-1, self.width).max(axis=1)

    @property
    def longest(self) -> int:
        """The longest sequence in tokens."""
        return int(self.lengths.max(initial=0))

    def targets(self, indices: Sequence[int]) -> int:
        """How many losses these examples sum, for the mean over an effective batch."""
        return len(indices)

    def batch(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """Collate examples, padded to the longest of them.

        Returns:
            `input_ids`, `attention_mask`, perhaps `token_type_ids`: `[B, T]` or `[B, choices, T]`; `labels` `[B]`.
        """
        rows = [n * self.width + c for n in indices for c in range(self.width)]
        lengths = self.starts[np.add(rows, 1)] - self.starts[rows]
        shape = (len(rows), int(lengths.max()))
        ids = np.full(shape, self.pad_id, dtype=np.int64)
        mask = np.arange(shape[1]) < lengths[:, None]
        ids[mask] = np.concatenate([self.ids[self.starts[r] : self.starts[r + 1]] for r in rows])
        arrays = {"input_ids": ids, "attention_mask": mask.astype(np.int64)}
        if self.types is not None:
            types = np.zeros(shape, dtype=np.int64)
            types[mask] = np.concatenate([self.types[self.starts[r] : self.starts[r + 1]] for r in rows])
            arrays["token_type_ids"] = types
        if self.width > 1:
            arrays = {name: a.reshape(len(indices), self.width, -1) for name, a in arrays.items()}
        if self.labels is not None:
            arrays["labels"] = self.labels[list(indices)]
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def encode(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, max_length: int, truncation: str
) -> EncodedSet:
    """Tokenize the sequences of `examples` in batches.

    Args:
        max_length: tokens of a sequence at most, special tokens included.
        truncation: the tokenizer's rule for longer pairs (`longest_first`, `only_first`, `only_second`).

    Raises:
        DataError: a pair that is too long even without the segment that the rule cuts.
    """
    width = len(examples[0].sequences)
    ids: list[np.ndarray] = []
    types: list[np.ndarray] = []
    lengths: list[int] = []
    truncated = 0
    for start in range(0, len(examples), CHUNK):
        chunk = examples[start : start + CHUNK]
        encoded = _tokenize(chunk, tokenizer, max_length, truncation)
        ids += [np.asarray(row, dtype=np.int32) for row in encoded["input_ids"]]
        types += [np.asarray(row, dtype=np.int8) for row in encoded.get("token_type_ids", [])]
        lengths += [len(row) for row in encoded["input_ids"]]
        cut = [bool(one.overflowing) for one in encoded.encodings]
        truncated += sum(any(cut[i : i + width]) for i in range(0, len(cut), width))
    labels: Any = [example.label for example in examples]
    return EncodedSet(
        ids=np.concatenate(ids),
        types=np.concatenate(types) if types else None,
        starts=np.concatenate([[0], np.cumsum(lengths)]),
        labels=None if None in labels else np.asarray(labels, dtype=np.int64),
        width=width,
        truncated=truncated,
        pad_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0,
    )


def _tokenize(examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, max_length: int, truncation: str) -> Any:
    pairs = [pair for example in examples for pair in example.sequences]
    seconds = None if pairs[0][1] is None else [second for _, second in pairs]
    rule: Any = True if seconds is None else truncation
    try:
        return tokenizer(
            [first for first, _ in pairs], seconds, truncation=rule, max_length=max_length, return_attention_mask=False
        )
    except Exception as error:
        if "Truncation error" not in str(error):  # the library has no class of its own for it
            raise
        raise DataError(
            f"examples {examples[0].id} to {examples[-1].id}: one is longer than task.max_length={max_length} even "
            f"without the segment that task.truncation={truncation} cuts; try longest_first"
        ) from error
