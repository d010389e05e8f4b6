"""Texts and pairs of texts to token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ptv2.data.batches import ByLength, to_tensors
from ptv2.data.tokens import Tokens, encode_batch
from ptv2.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

Segments = tuple[str, str | None]
TextItem = tuple[str, tuple[Segments, ...], int | None]  # an example's name, its sequences, its class number


@dataclass(frozen=True)
class TextSet(ByLength):
    """The encoded examples of one split; rows are examples.

    Example `n` has the sequences `n * width ... n * width + width - 1` (`width` is 1, or the number of choices).
    """

    tokens: Tokens
    labels: np.ndarray | None  # [examples] int64
    width: int
    truncated: int  # examples with a sequence that was cut

    def __len__(self) -> int:
        return len(self.tokens) // self.width

    @property
    def lengths(self) -> np.ndarray:
        """The longest sequence of each example in tokens, `[examples]`."""
        return self.tokens.lengths.reshape(-1, self.width).max(axis=1)

    def targets(self, indices: Sequence[int]) -> float:
        """Count the losses that these examples sum: one each."""
        return len(indices)

    def batch(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """Collate examples, padded to the longest of them.

        Returns:
            `input_ids`, `attention_mask`, perhaps `token_type_ids`: `[B, T]` or `[B, choices, T]`; `labels` `[B]`.
        """
        arrays = self.tokens.padded([n * self.width + c for n in indices for c in range(self.width)])
        if self.width > 1:
            arrays = {name: a.reshape(len(indices), self.width, -1) for name, a in arrays.items()}
        if self.labels is not None:
            arrays["labels"] = self.labels[list(indices)]
        return to_tensors(arrays)


def encode_texts(
    items: Sequence[TextItem], tokenizer: PreTrainedTokenizerBase, max_length: int, truncation: str
) -> TextSet:
    """Tokenize the sequences of examples in one batch.

    Args:
        max_length: tokens of a sequence at most, special tokens included.
        truncation: the tokenizer's rule for longer pairs (`longest_first`, `only_first`, `only_second`).

    Raises:
        DataError: no room for one token of each text, or a pair that is too long even without the segment that the
            rule cuts.
    """
    _check_room(items[0][1][0], tokenizer, max_length)
    width = len(items[0][1])
    encoded = _tokenize(items, tokenizer, max_length, truncation)
    cut = np.array([bool(encoding.overflowing) for encoding in encoded]).reshape(-1, width)
    labels: Any = [label for _, _, label in items]
    return TextSet(
        tokens=Tokens.from_encodings(encoded, tokenizer),
        labels=None if None in labels else np.asarray(labels, dtype=np.int64),
        width=width,
        truncated=int(cut.any(axis=1).sum()),
    )


def _check_room(segments: Segments, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
    texts = 1 if segments[1] is None else 2
    special = tokenizer.num_special_tokens_to_add(pair=texts == 2)
    if max_length < special + texts:
        raise DataError(
            f"task.max_length={max_length} is too short: {special} special tokens and {texts} of text are the least; "
            "raise it"
        )


def _tokenize(
    items: Sequence[TextItem], tokenizer: PreTrainedTokenizerBase, max_length: int, truncation: str
) -> list[Any]:
    pairs: list[Any] = [pair for _, sequences, _ in items for pair in sequences]
    if pairs[0][1] is None:
        pairs, truncation = [first for first, _ in pairs], "longest_first"
    try:
        return encode_batch(tokenizer, pairs, max_length, truncation)
    except Exception as error:
        if "Truncation error" not in str(error):  # the library has no class of its own for it
            raise
        raise DataError(
            f"examples {items[0][0]} to {items[-1][0]}: one is longer than task.max_length={max_length} even "
            f"without the segment that task.truncation={truncation} cuts; try longest_first"
        ) from error
