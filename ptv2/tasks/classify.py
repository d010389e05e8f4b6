"""Classification of a text or a pair of texts, and the two SuperGLUE tasks that group such answers by question."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from ptv2.data.encode import TextSet
from ptv2.data.records import Record
from ptv2.tasks.text import Example, Segments, TextTask


class Classify(TextTask):
    """One class for one or two segments."""

    head = "classification"

    def sequences(self, record: Record) -> tuple[Segments, ...]:
        """One sequence of one or two segments."""
        parts = [self.fill(template, record) for template in self.config.segments]
        return ((parts[0], parts[1] if len(parts) == 2 else None),)

    def decode(self, scores: np.ndarray, examples: Sequence[Example], encoded: TextSet) -> list[dict[str, Any]]:
        """The class of highest score of each example.

        Args:
            scores: logits `[N, classes]`.
        """
        probabilities = softmax(scores)
        return [
            {"id": e.id, "class": int(c), "label": self.labels[c], "probabilities": [round(float(x), 6) for x in p]}
            for e, c, p in zip(examples, scores.argmax(axis=1), probabilities, strict=True)
        ]


class MultiRC(Classify):
    """Right or wrong for each answer; the metric looks at all answers of a question."""

    def for_metric(
        self, predictions: Sequence[dict[str, Any]], examples: Sequence[Example]
    ) -> tuple[list[Any], list[Any]]:
        """Each prediction with the key of its paragraph, question and answer."""
        given = [{"idx": e.fields["key"], "prediction": p["class"]} for p, e in zip(predictions, examples, strict=True)]
        return given, [e.label for e in examples]


class ReCoRD(Classify):
    """One entity for each query: the one whose class-1 score is highest, ties by text, the last in the alphabet."""

    def for_metric(
        self, predictions: Sequence[dict[str, Any]], examples: Sequence[Example]
    ) -> tuple[list[Any], list[Any]]:
        """One predicted entity and the accepted answers for each query."""
        best: dict[tuple[int, int], tuple[float, str]] = defaultdict(lambda: (float("-inf"), ""))
        answers: dict[tuple[int, int], list[str]] = {}
        for prediction, example in zip(predictions, examples, strict=True):
            key = (example.fields["key"]["passage"], example.fields["key"]["query"])
            best[key] = max(best[key], (prediction["score"], example.fields["entity"]))
            answers[key] = example.fields["answers"]
        keys = [{"passage": passage, "query": query} for passage, query in best]
        given = [{"idx": key, "prediction_text": text} for key, (_, text) in zip(keys, best.values(), strict=True)]
        references = [{"idx": key, "answers": a} for key, a in zip(keys, answers.values(), strict=True)]
        return given, references

    def answers(self, predictions: Sequence[dict[str, Any]]) -> dict[str, int]:
        """None: the entity of highest score is the answer, whatever class it alone would have."""
        return {}

    def decode(self, scores: np.ndarray, examples: Sequence[Example], encoded: TextSet) -> list[dict[str, Any]]:
        """As for classification, with the entity and its class-1 logit, which orders a query's entities."""
        decoded = super().decode(scores, examples, encoded)
        return [
            {**prediction, "entity": example.fields["entity"], "score": float(row[1])}
            for prediction, example, row in zip(decoded, examples, scores, strict=True)
        ]


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities `[N, classes]` of logits `[N, classes]`."""
    powers = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
