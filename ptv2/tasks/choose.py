"""Multiple choice: one sequence per choice, all with the same first segment; the best score wins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ptv2.data.encode import Segments, TextSet
from ptv2.data.records import Record
from ptv2.tasks.task import Prediction
from ptv2.tasks.text import Example, TextTask


class Choose(TextTask):
    """One of a fixed number of choices."""

    head = "choice"

    def sequences(self, record: Record) -> tuple[Segments, ...]:
        """A pair for each choice."""
        first = self.fill(self.config.segments[0], record)
        return tuple((first, self.fill(choice, record)) for choice in self.config.choices)

    def texts(self, example: Example) -> dict[str, Any]:
        """The first segment, which all choices share, and the choices."""
        return {"text": example.sequences[0][0], "choices": [choice for _, choice in example.sequences]}

    def decode(self, scores: np.ndarray, examples: Sequence[Example], encoded: TextSet) -> list[Prediction]:
        """The choice of highest score of each example.

        Args:
            scores: `[N, choices]`.
        """
        return [
            {"id": e.id, **answer, "choice": e.sequences[answer["class"]][1]}
            for e, answer in zip(examples, self.named(scores), strict=True)
        ]
