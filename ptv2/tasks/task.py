"""A task: it turns records into examples, scores into predictions, and predictions into metrics.

A task knows no model and no trainer. To a model it gives the kind of head that it needs, and encoded sequences.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import numpy as np

from ptv2.config.task_schema import TaskConfig
from ptv2.data.cache import cached, tokenizer_key
from ptv2.data.parallel import in_processes
from ptv2.data.records import Record
from ptv2.data.tokens import EncodedSet
from ptv2.errors import DataError
from ptv2.metrics import load_metric

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ptv2.data.cloze import LabelWords

# Examples per call of an encoder: enough for the tokenizer's threads, few enough to show progress.
PART = 1000

E = TypeVar("E")
S = TypeVar("S", bound=EncodedSet)
Prediction = dict[str, Any]
Predictions = Sequence[Prediction]
MetricInput = tuple[list[Any], list[Any]]  # predictions and references


class Task(ABC, Generic[E, S]):
    """A kind of task; `E` is its example, `S` the set of encoded ones."""

    head: Literal["classification", "choice", "tagging", "span", "verbalizer"]
    encoded: type[S]
    words = False  # whether text comes split into words
    truncated = "longer than {} tokens and truncated"  # what `truncated` of a set counts; {} is the task's length
    counted = "labels"  # what `gold` counts, for people
    uncounted: tuple[str, ...] = ()  # names in `gold` that are of another kind

    def __init__(self, config: TaskConfig, labels: list[str]) -> None:
        """`labels` in the order of the head's outputs."""
        self.config = config
        self.labels = labels

    @property
    def metric(self) -> ModuleType:
        """The module of the task's metric."""
        return import_module(f"ptv2.metrics.{self.config.metric}")

    @abstractmethod
    def read(self, records: Iterable[Record], *, labelled: bool = True) -> list[E]:
        """Turn records into examples.

        Args:
            labelled: whether every example must have a label; for prediction (false) labels are not looked at.

        Raises:
            DataError: a field or label is missing or wrong, with the place of the record.
        """

    @abstractmethod
    def has_gold(self, record: Record) -> bool:
        """Whether a record seems to hold a right answer; that may still be malformed."""

    @abstractmethod
    def encoder(self, tokenizer: PreTrainedTokenizerBase) -> partial[S]:
        """A module's function with all its settings, which turns a sequence of `item`s into the encoded set."""

    @abstractmethod
    def item(self, example: E) -> Any:
        """The part of an example that is encoded, in values that JSON can hold."""

    @abstractmethod
    def seen(self, example: E) -> tuple[Hashable, Hashable | None]:
        """What a model reads of an example, and the one right answer; None where it is not known or one of several."""

    def encode(
        self,
        examples: Sequence[E],
        tokenizer: PreTrainedTokenizerBase,
        workers: int = 1,
        done: Callable[[int], None] = lambda count: None,
        named: str = "examples",
    ) -> S:
        """Encode examples, or read them from the cache if the same were encoded before.

        Args:
            workers: processes; see `in_processes`.
            done: called with the number of examples, after each part of them.
            named: what the examples are, for messages.

        Raises:
            DataError: an example that cannot be cut to the task's length, or nothing of them is left.
        """
        if not examples:
            raise DataError(f"task {self.config.name}: there are no examples to encode")
        encoder = self.encoder(tokenizer)
        items = [self.item(example) for example in examples]
        parts = [items[start : start + PART] for start in range(0, len(items), PART)]

        def make() -> S:
            sizes = iter(parts)
            return in_processes(encoder, parts, workers, lambda: done(len(next(sizes))))

        if len(parts) == 1:  # faster than a look into the cache
            encoded = make()
        else:
            settings = {name: value for name, value in encoder.keywords.items() if name != "tokenizer"}
            key_parts = [encoder.func.__name__, tokenizer_key(tokenizer), settings, items]
            encoded = cached(self.encoded, key_parts, make)
        if not len(encoded):
            raise DataError(f"task {self.config.name}: the tokenizer makes nothing of the {named}")
        return encoded

    def label_words(self, tokenizer: PreTrainedTokenizerBase) -> LabelWords | None:
        """The words that stand for labels; None unless the task asks a language model."""
        return None

    @abstractmethod
    def describe(self, example: E) -> dict[str, Any]:
        """Describe an example for a prediction file: its text, and under `gold` the right answer if it is known."""

    def rows(self, predictions: Predictions, examples: Sequence[E]) -> list[dict[str, Any]]:
        """The rows of a prediction file: `id`, text and gold answer of each example, and its prediction."""
        return [
            {"id": prediction["id"], **self.describe(example), **prediction}
            for prediction, example in zip(predictions, examples, strict=True)
        ]

    @abstractmethod
    def decode(self, scores: np.ndarray, examples: Sequence[E], encoded: S) -> list[Prediction]:
        """Turn the head's scores into one prediction per example, with its `id`.

        Args:
            scores: `[N, outputs]`, one row per example, or `[tokens, outputs]` in the order of `encoded.tokens`.
        """

    def calibrate(self, scores: np.ndarray, examples: Sequence[E], encoded: S) -> None:
        """Choose on dev what decoding leaves open; most tasks have nothing to choose."""

    def score(self, predictions: Predictions, examples: Sequence[E]) -> dict[str, float]:
        """Score decoded predictions of labelled examples by the task's metric, in percent."""
        given, references = self.for_metric(predictions, examples)
        result = load_metric(self.config.metric).compute(predictions=given, references=references)
        return {name: 100 * float(value) for name, value in result.items()}

    def fractions(self, predictions: Predictions, examples: Sequence[E]) -> dict[str, Any]:
        """Return the `Fractions` of the metric's scores (see `ptv2.metrics.accuracy`), and the name of its unit."""
        return {"unit": self.metric.UNIT, "scores": self.metric.fractions(*self.for_metric(predictions, examples))}

    @abstractmethod
    def for_metric(self, predictions: Predictions, examples: Sequence[E]) -> MetricInput:
        """Bring predictions and references into the form that the metric takes."""

    def parts(self, predictions: Predictions, examples: Sequence[E]) -> dict[str, dict[str, Any]]:
        """Score each class, type of span or kind of question apart, in percent, with its count."""
        return {}

    def confusion(self, predictions: Predictions, examples: Sequence[E]) -> dict[str, dict[str, int]]:
        """Count how often each label is taken for each: right label, predicted label, count; without zeros.

        Empty for tasks that do not choose one of a few labels for each example.
        """
        return {}

    @abstractmethod
    def answers(self, predictions: Predictions) -> dict[str, int]:
        """Count how often each answer is predicted; shows a model that gives one answer to everything."""

    @abstractmethod
    def gold(self, examples: Sequence[E]) -> dict[str, int]:
        """Count how often each answer is right."""

    def most_frequent(self, train: Sequence[E], examples: Sequence[E]) -> tuple[str, list[Prediction]] | None:
        """The most frequent answer of the training set, and predictions that give it to every example.

        Returns:
            None where no one answer can be given to everything.
        """
        return None

    def official(self, predictions: Predictions, examples: Sequence[E], file: Path | None) -> dict[str, str]:
        """The files that the task's official scorer reads, by the ending of their names; empty without a scorer.

        Args:
            file: the file that the examples were read from; None if they are from elsewhere.
        """
        return {}

    def notes(self, examples: dict[str, list[E]]) -> list[str]:
        """Notes on the data for readers of the task's numbers; `examples` by split."""
        return []

    def outcome_notes(self) -> list[str]:
        """Notes on how the task's numbers came about, after the training."""
        return []

    def guesses(self) -> list[str]:
        """What was guessed about the data, each with the setting that would say it."""
        return []

    def state(self) -> dict[str, Any]:
        """The state that a trained run keeps of the task: labels, and what `calibrate` chose."""
        return {"labels": self.labels}

    def restore(self, state: dict[str, Any]) -> None:
        """Set what `calibrate` chose from a kept state."""


def count_by_split(examples: Mapping[str, Sequence[E]], count: Callable[[Sequence[E]], int]) -> str:
    """What `count` gives for each split, as `train 3, dev 1`; zeros are left out, and the text may be empty."""
    counts = {split: count(rows) for split, rows in examples.items()}
    return ", ".join(f"{split} {number}" for split, number in counts.items() if number)


def in_percent(
    rows: Mapping[str, Mapping[str, Any]], counts: tuple[str, ...] = ("support", "predicted", "total")
) -> dict[str, Any]:
    """Turn the fractions of a metric's parts into percent; `counts` stay whole numbers, and None stays None."""
    return {
        name: {score: value if score in counts or value is None else 100 * float(value) for score, value in row.items()}
        for name, row in rows.items()
    }
