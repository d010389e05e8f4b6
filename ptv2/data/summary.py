"""What a split's examples are, counted while they are read, so that none of them has to stay in memory."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping

import numpy as np

from ptv2.data.repeats import Seen


class Summary:
    """Counts of the examples of one split; `Task.count` adds to them."""

    def __init__(self) -> None:
        self._ids = array("q")  # hashes of 64 bits
        self.gold: Counter[str] = Counter()  # how often each answer is right, in the order of the task's answers
        self.oddities: Counter[str] = Counter()
        self.seen = Seen()

    def __len__(self) -> int:
        """Count the examples."""
        return len(self._ids)

    @property
    def repeated_ids(self) -> int:
        """Count the examples with the id of an earlier one."""
        return len(self) - len(np.unique(np.array(self._ids, dtype=np.int64)))

    def add(
        self,
        ids: Iterable[str],
        gold: Mapping[str, int],
        oddities: Iterable[str],
        seen: Iterable[tuple[Hashable, Hashable | None]],
    ) -> None:
        """Add examples: the id of each, their right answers, what is odd about them, and what a model sees of each."""
        self._ids.extend(map(hash, ids))
        self.gold.update(gold)
        self.oddities.update(oddities)
        self.seen.add(seen)
