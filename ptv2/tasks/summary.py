"""What a split's examples are, counted while they are read, so that none of them has to stay in memory."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ptv2.data.repeats import Seen
from ptv2.tasks.task import Task


class Summary:
    """Counts of the examples of one split; parts of them are added one after the other."""

    def __init__(self, task: Task[Any, Any], examples: Sequence[Any] = ()) -> None:
        self._task = task
        self._ids = array("q")
        self.gold: Counter[str] = Counter()  # how often each answer is right, in the order of the task's answers
        self.oddities: Counter[str] = Counter()
        self.seen = Seen()
        self.add(examples)

    def __len__(self) -> int:
        """Count the examples."""
        return len(self._ids)

    @property
    def repeated_ids(self) -> int:
        """Count the examples with the id of an earlier one."""
        return len(self) - len(np.unique(np.array(self._ids, dtype=np.int64)))

    def add(self, examples: Sequence[Any]) -> None:
        """Add examples."""
        task = self._task
        self._ids.extend(hash(example.id) for example in examples)
        self.gold.update(task.gold(examples))
        for example in examples:
            self.oddities.update(task.oddities(example))
        self.seen.add(map(task.seen, examples))
