"""Classification of a text or a pair of texts, and the two SuperGLUE tasks that group such answers by question."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ptv2.config.task_schema import TaskConfig
from ptv2.data.cloze import Cloze, LabelWords, Reading, encode_cloze
from ptv2.data.encode import Segments, TextSet
from ptv2.data.labels import LabelSet
from ptv2.data.records import Record
from ptv2.errors import DataError, quote
from ptv2.tasks.cloze import ClozeTemplate
from ptv2.tasks.task import MetricInput, Prediction, Predictions, Task
from ptv2.tasks.text import Example, TextTask, text_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Classify(TextTask):
    """One class for one or two segments, or for a cloze and the words that may stand in its blank."""

    def __init__(self, config: TaskConfig, labels: LabelSet, reading: Reading | None = None) -> None:
        """`reading` is how a language model is asked for the words of `config.verbalizer`; None for a linear head."""
        super().__init__(config, labels)
        self.head = "classification"
        self.cloze: ClozeTemplate | None = None
        if reading is not None and config.verbalizer is not None:
            self.cloze = ClozeTemplate(config.verbalizer, labels, reading)
            self.head = "verbalizer"

    def sequences(self, record: Record) -> tuple[Segments | Cloze, ...]:
        """One sequence of one or two segments."""
        if self.cloze is not None:
            return (self.cloze.fill(partial(text_of, record)),)
        parts = [self.fill(template, record) for template in self.config.segments]
        return ((parts[0], parts[1] if len(parts) == 2 else None),)

    def encoder(self, tokenizer: PreTrainedTokenizerBase) -> partial[TextSet]:
        """Encode the segments, cut by the task's rule; clozes have their own."""
        if self.cloze is None:
            return super().encoder(tokenizer)
        length, words = self.config.max_length, self.cloze.words(tokenizer)
        return partial(encode_cloze, tokenizer=tokenizer, max_length=length, words=words)

    def label_words(self, tokenizer: PreTrainedTokenizerBase) -> LabelWords | None:
        """The words that may stand in the blank."""
        return None if self.cloze is None else self.cloze.words(tokenizer)

    def decode(self, scores: np.ndarray, examples: Sequence[Example], encoded: TextSet) -> list[Prediction]:
        """The class of highest score of each example.

        Args:
            scores: logits `[N, classes]`, or log probabilities of words.
        """
        return [{"id": e.id, **answer} for e, answer in zip(examples, self.named(scores), strict=True)]


class MultiRC(Classify):
    """Right or wrong for each answer; the metric looks at all answers of a question."""

    def identify(self, fields: dict[str, Any], where: str) -> str:
        """The answer, by its paragraph, question and number."""
        return _identity(fields["key"], ("paragraph", "question", "answer"), where)

    def texts(self, example: Example) -> dict[str, Any]:
        """The texts, and the numbers of paragraph, question and answer."""
        return {"idx": example.fields["key"], **super().texts(example)}

    def for_metric(self, predictions: Predictions, examples: Sequence[Example]) -> MetricInput:
        """Each prediction with the key of its paragraph, question and answer."""
        given = [{"idx": e.fields["key"], "prediction": p["class"]} for p, e in zip(predictions, examples, strict=True)]
        return given, [e.label for e in examples]


class ReCoRD(Classify):
    """One entity for each query: the one with the highest class-1 score; of equals the last in the alphabet."""

    def identify(self, fields: dict[str, Any], where: str) -> str:
        """The query, by its passage and number."""
        return _identity(fields["key"], ("passage", "query"), where)

    def texts(self, example: Example) -> dict[str, Any]:
        """The query with the entity in it, and its numbers; without the passage, which is the same for all entities."""
        return {"idx": example.fields["key"], "text": example.fields["query"]}

    def _label(self, record: Record, labelled: bool) -> int | None:
        if labelled and not record.fields["answers"]:
            raise DataError(f"{record.where}: the query has no answers; expected one or more")
        return super()._label(record, labelled)

    def for_metric(self, predictions: Predictions, examples: Sequence[Example]) -> MetricInput:
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

    # The entity of highest score is the answer, whatever class it alone would have, and every query has other entities.
    parts, confusion, single_answers = Task.parts, Task.confusion, Task.single_answers

    def answers(self, predictions: Predictions) -> dict[str, int]:
        """Empty, as `parts`."""
        return {}

    def decode(self, scores: np.ndarray, examples: Sequence[Example], encoded: TextSet) -> list[Prediction]:
        """As for classification, with the entity and its class-1 logit, by which a query's entities are ordered."""
        decoded = super().decode(scores, examples, encoded)
        return [
            {**prediction, "entity": example.fields["entity"], "score": float(row[1])}
            for prediction, example, row in zip(decoded, examples, scores, strict=True)
        ]


def _identity(key: Any, names: tuple[str, ...], where: str) -> str:
    """Write a key as `paragraph 3 question 1 answer 0`.

    Raises:
        DataError: the key does not have a whole number under each of `names`.
    """
    for name in names:
        number = key.get(name) if isinstance(key, dict) else None
        if type(number) is not int or abs(number) >= 2**63:
            raise DataError(f"{where}: expected the idx of the {name} to be a whole number, found {quote(number)}")
    return " ".join(f"{name} {key[name]}" for name in names)
