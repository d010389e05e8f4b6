"""Extractive question answering: the answer is a stretch of the context, or nothing."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ptv2.config.task_schema import ExtractionConfig, TaskConfig
from ptv2.data.records import Record
from ptv2.data.squad import answers_of, as_predictions, check_answers
from ptv2.data.summary import Summary
from ptv2.data.windows import CharSpan, SpanSet, encode_questions
from ptv2.errors import DataError, enumerate_some, quote, shorten
from ptv2.tasks.answers import best_answers, choose, no_answer_score, null_scores
from ptv2.tasks.task import MetricInput, Prediction, Predictions, Task, count_by_split, in_percent

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

EMPTY = "a question without a text"
QuestionItem = tuple[str, str, str, CharSpan | None, bool]  # id, question, context, answer, whether that is known


@dataclass(frozen=True)
class Question:
    """A question about a context; `answers` are all that count as right, the first is learned from."""

    id: str
    question: str
    context: str
    answers: tuple[str, ...] | None  # None: not known
    span: CharSpan | None  # of the first


class Extract(Task[Question, SpanSet]):
    """Start and end of the answer."""

    head = "span"
    encoded = SpanSet
    counted = "questions"
    truncated = "whose answer is whole in no window of {} tokens"

    def __init__(self, config: TaskConfig) -> None:
        super().__init__(config, ["start", "end"])
        self.threshold = self.extraction.null_threshold

    @property
    def extraction(self) -> ExtractionConfig:
        """The settings `task.extraction`."""
        assert self.config.extraction is not None  # shape extract has them
        return self.config.extraction

    def make_examples(self, records: Iterable[Record], *, labelled: bool = True) -> Iterator[Question]:
        """Turn each record into one example.

        Raises:
            DataError: a field is missing or wrong, an answer is not in the context at its offset, or a question has
                none though all of the task have one.
        """
        places: dict[str, str] = {}
        for number, record in enumerate(records):
            _check_texts(record)
            named = _named(record, number)
            example = self._question(named, labelled)
            if (other := places.setdefault(example.id, record.where)) is not record.where:
                raise DataError(f"{_place(named)}: expected every id once, but {other.rpartition('/')[2]} has it too")
            yield example

    def has_gold(self, record: Record) -> bool:
        """Whether the record has answers, or says that it has none."""
        return any(record.fields.get(name) is not None for name in ("answers", "is_impossible"))

    def encoder(self, tokenizer: PreTrainedTokenizerBase) -> partial[SpanSet]:
        """Encode question and context in overlapping windows."""
        length, stride = self.config.max_length, self.extraction.stride
        return partial(encode_items, tokenizer=tokenizer, max_length=length, stride=stride)

    def item(self, example: Question) -> QuestionItem:
        """Id, question, context, answer and whether it is known."""
        return example.id, example.question, example.context, example.span, example.answers is not None

    def oddities(self, example: Question) -> Iterator[str]:
        """A question that asks nothing."""
        if not example.question.strip():
            yield EMPTY

    def notes(self, splits: Mapping[str, Summary]) -> list[str]:
        """Questions that ask nothing."""
        counts = count_by_split({name: split.oddities[EMPTY] for name, split in splits.items()})
        return [f"questions without a text: {counts}"] if counts else []

    def seen(self, example: Question) -> tuple[Hashable, Hashable | None]:
        """Question and context; several stretches may answer it."""
        return (example.question, example.context), None

    def describe(self, example: Question) -> dict[str, Any]:
        """The question, and all answers that count as right; an empty list where there is none."""
        gold = {} if example.answers is None else {"gold": list(example.answers)}
        return {"question": example.question, **gold}

    def decode(self, scores: np.ndarray, examples: Sequence[Question], encoded: SpanSet) -> list[Prediction]:
        """The best stretch over all windows of each question, or the empty text.

        Args:
            scores: `[tokens, 2]`, start and end.
        """
        rules = self.extraction
        answers = best_answers(scores, encoded, len(examples), rules.n_best, rules.max_answer_length)
        nulls = null_scores(scores, encoded, len(examples))
        predictions: list[Prediction] = []
        for example, candidates, null in zip(examples, answers, nulls.tolist(), strict=True):
            given = null if rules.unanswerable else None
            text = choose(example.context, candidates, given, self.threshold)
            row: Prediction = {"id": example.id, "prediction_text": text}
            if candidates:
                row["score"] = round(candidates[0].score, 6)
            if rules.unanswerable:
                row["best_text"] = choose(example.context, candidates)
                # Not rounded: the threshold may be one of these, and is compared with them.
                row["no_answer_score"] = no_answer_score(candidates, null) if candidates else None
            predictions.append(row)
        return predictions

    def calibrate(self, scores: np.ndarray, examples: Sequence[Question], encoded: SpanSet) -> None:
        """Choose the threshold for no answer that gives the best F1 here, if the configuration asks for it."""
        if not self.extraction.tune_null_threshold:
            return
        from ptv2.metrics.squad import best_threshold

        rows = self.decode(scores, examples, encoded)
        given, references = self.for_metric([{**p, "prediction_text": p["best_text"]} for p in rows], examples)
        odds = {p["id"]: np.inf if p["no_answer_score"] is None else p["no_answer_score"] for p in rows}
        self.threshold = best_threshold(odds, given, references).value

    def for_metric(self, predictions: Predictions, examples: Sequence[Question]) -> MetricInput:
        """Predicted texts, and right answers, by question."""
        given = [{"id": p["id"], "prediction_text": p["prediction_text"]} for p in predictions]
        return given, [{"id": e.id, "answers": {"text": list(e.answers or ())}} for e in examples]

    def parts(self, predictions: Predictions, examples: Sequence[Question]) -> dict[str, dict[str, float]]:
        """Score questions with an answer and without apart; empty where all have one."""
        from ptv2.metrics.squad import by_kind

        return in_percent(by_kind(*self.for_metric(predictions, examples)))

    def answers(self, predictions: Predictions) -> dict[str, int]:
        """Count the questions that are answered; empty where all must be."""
        if not self.extraction.unanswerable:
            return {}
        return _answered(bool(prediction["prediction_text"]) for prediction in predictions)

    def gold(self, examples: Iterable[Question]) -> dict[str, int]:
        """Count the questions that have an answer."""
        return _answered(bool(example.answers) for example in examples)

    def single_answers(
        self, gold: Mapping[str, int], examples: Sequence[Question]
    ) -> Iterator[tuple[str, list[Prediction]]]:
        """Yield no answer, where the task allows that: no one text answers many questions."""
        if self.extraction.unanswerable:
            yield "nothing", [{"id": e.id, "prediction_text": ""} for e in examples]

    def official(self, predictions: Predictions, examples: Sequence[Question], files: Sequence[Path]) -> dict[str, str]:
        """The text of each question by its id, as the official scripts read it."""
        return {"squad.json": json.dumps(as_predictions(predictions), ensure_ascii=False, indent=1) + "\n"}

    def outcome_notes(self) -> list[str]:
        """The threshold, if it was tuned."""
        if not self.extraction.tune_null_threshold:
            return []
        return [f"the no-answer threshold was tuned on dev for F1: {self.threshold:.4f}; dev scores are optimistic"]

    def state(self) -> dict[str, Any]:
        """Labels and threshold."""
        return {"labels": self.labels, "null_threshold": self.threshold}

    def restore(self, state: dict[str, Any]) -> None:
        """The threshold."""
        self.threshold = state["null_threshold"]

    def _question(self, record: Record, labelled: bool) -> Question:
        fields = record.fields
        name = fields["id"]
        if not labelled:
            return Question(name, fields["question"], fields["context"], None, None)
        given: Any = answers_of(fields, _place(record))
        check_answers(given, fields["context"], _place(record))
        texts, starts = given["text"], given["answer_start"]
        if not texts and not self.extraction.unanswerable:
            raise DataError(
                f"{_place(record)}: has no answer, but every question of task {self.config.name} has one; "
                "for version 2.0 data set task=squad_v2 or task.extraction.unanswerable=true"
            )
        span = (starts[0], starts[0] + len(texts[0])) if texts else None
        return Question(name, fields["question"], fields["context"], tuple(texts), span)


def encode_items(
    items: Sequence[QuestionItem], tokenizer: PreTrainedTokenizerBase, max_length: int, stride: int
) -> SpanSet:
    """Encode questions with their contexts in windows."""
    names, questions, contexts, spans, known = zip(*items, strict=True)
    return encode_questions(questions, contexts, spans if all(known) else None, tokenizer, max_length, stride, names)


def _check_texts(record: Record) -> None:
    """Raise `DataError` unless the record has a question and a context."""
    for name in ("question", "context"):
        if not isinstance(record.fields.get(name), str):
            raise DataError(
                f"{record.where}: expected '{name}', a text; the record has: {enumerate_some(record.fields)}"
            )
    if not record.fields["context"].strip():
        raise DataError(f"{record.where}: 'context' is empty; expected a text")


def _named(record: Record, number: int) -> Record:
    """The record with its id as text; without one, its number in the file."""
    name = record.fields.get("id")
    if name is None:
        name = number
    if isinstance(name, bool) or not isinstance(name, int | str):
        raise DataError(f"{record.where}: expected 'id', a text or a whole number, found {quote(name)}")
    return Record({**record.fields, "id": str(name)}, record.where)


def _place(record: Record) -> str:
    """The place of a question with its id; places in official files have it already."""
    name = record.fields["id"]
    named = f"question {shorten(name, 40)}"
    return record.where if record.where.endswith(named) else f"{record.where} ({named})"


def _answered(answers: Iterable[bool]) -> dict[str, int]:
    answered = list(answers)
    return {"answer": sum(answered), "no answer": len(answered) - sum(answered)}
