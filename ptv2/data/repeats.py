"""Find examples that are in train and also scored, and inputs with several right answers."""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable, Mapping

import numpy as np

from ptv2.run_folders.record import IN_DEV, IN_TRAIN

UNKNOWN = -(2**63)  # stands for the answer of an example whose right answer is not known, or one of several


class Seen:
    """What a model reads of each example of a split, and the one right answer, as hashes of 64 bits.

    A million examples take 16 MB. Two different inputs of three million have the same hash with a chance of less than
    one in a million.
    """

    def __init__(self, pairs: Iterable[tuple[Hashable, Hashable | None]] = ()) -> None:
        """`pairs` of the model's input and the right answer; an answer of None contradicts no other."""
        self._inputs, self._answers = array("q"), array("q")
        self.add(pairs)

    def add(self, pairs: Iterable[tuple[Hashable, Hashable | None]]) -> None:
        """Add examples."""
        for text, answer in pairs:
            self._inputs.append(hash(text))
            self._answers.append(UNKNOWN if answer is None else hash(answer))

    @property
    def inputs(self) -> np.ndarray:
        """Of each example `[N]` int64."""
        return np.array(self._inputs, dtype=np.int64)

    @property
    def answers(self) -> np.ndarray:
        """Of each example `[N]` int64."""
        return np.array(self._answers, dtype=np.int64)


def describe_repeats(splits: Mapping[str, Seen]) -> list[str]:
    """Note equal inputs, one sentence each: examples of other splits in train, contradictions there, test's in dev.

    Args:
        splits: by name.
    """
    return [*_repeats_of_train(splits), *_repeats_of_dev(splits)]


def _repeats_of_dev(splits: Mapping[str, Seen]) -> list[str]:
    """Count the examples of test splits that are in dev too, by which epoch and settings are chosen."""
    chosen_by = splits.get("dev", Seen()).inputs
    counts = {name: int(np.isin(splits[name].inputs, chosen_by).sum()) for name in sorted(splits) if "test" in name}
    told = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
    return [f"{IN_DEV} {told}"] if told else []


def _repeats_of_train(splits: Mapping[str, Seen]) -> list[str]:
    train = splits.get("train", Seen())
    if not len(train.inputs):
        return []
    known, first, group = np.unique(train.inputs, return_index=True, return_inverse=True)
    answers = train.answers
    right = answers[first]  # of each different input, where it comes first
    counts: list[str] = []
    for name in sorted(splits.keys() - {"train"}):
        inputs = splits[name].inputs
        at = np.minimum(np.searchsorted(known, inputs), len(known) - 1)
        repeated = known[at] == inputs
        answer, in_train = splits[name].answers[repeated], right[at[repeated]]
        other = int(((answer != in_train) & (answer != UNKNOWN) & (in_train != UNKNOWN)).sum())
        if repeated.any():
            also = f" ({other:,} with another answer there)" if other else ""
            counts.append(f"{name} {int(repeated.sum()):,}{also}")
    notes = [f"{IN_TRAIN} {', '.join(counts)}"] if counts else []
    differs = (answers != right[group]) & (answers != UNKNOWN) & (right[group] != UNKNOWN)
    contradicted = np.zeros(len(known), dtype=bool)
    contradicted[group[differs]] = True
    if several := int(contradicted[group].sum()):
        notes.append(f"examples of train whose input has several right answers there: {several:,}")
    return notes
