"""A task: it turns records into examples, scores into predictions, and predictions into metrics.

A task knows no model and no trainer. To a model it gives the kind of head that it needs, and encoded sequences.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from itertools import chain, islice
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

import numpy as np

from ptv2.config.task_schema import TaskConfig
from ptv2.data.cache import cached, tokenizer_key
from ptv2.data.parallel import in_processes
from ptv2.data.records import Record
from ptv2.data.summary import Summary
from ptv2.data.tokens import EncodedSet
from ptv2.errors import DataError
from ptv2.metrics import load_metric

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ptv2.data.cloze import LabelWords

# Examples per call of an encoder: enough for the tokenizer's threads, few enough to show progress.
PART = 1000


class Named(Protocol):
    """An example, which has a name in prediction files."""

    @property
    def id(self) -> str: ...


E = TypeVar("E", bound=Named)
T = TypeVar("T")
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

    def read(self, records: Iterable[Record], *, labelled: bool = True) -> list[E]:
        """Turn records into a list of examples; see `make_examples`."""
        return list(self.make_examples(records, labelled=labelled))

    @abstractmethod
    def make_examples(self, records: Iterable[Record], *, labelled: bool = True) -> Iterator[E]:
        """Turn records into examples, one after the other.

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
        items = [self.item(example) for example in examples]
        parts = list(in_parts(items))
        content = items if len(parts) > 1 else None
        return self.encode_items(lambda: iter(parts), content, tokenizer, workers, done, named)

    def encode_items(
        self,
        parts: Callable[[], Iterator[Sequence[Any]]],
        content: Any,
        tokenizer: PreTrainedTokenizerBase,
        workers: int = 1,
        done: Callable[[int], None] = lambda count: None,
        named: str = "examples",
    ) -> S:
        """Encode the `item`s of examples, or read them from the cache.

        Args:
            parts: gives them in parts of `PART`, at least one; called only if they are not in the cache.
            content: what the items are known by in the cache (see `key_of`); None: they are so few that encoding them
                is faster than a look into it.
            workers: see `encode`; so are `done` and `named`.

        Raises:
            DataError: as `encode`.
        """
        encoder = self.encoder(tokenizer)

        def make() -> S:
            return in_processes(encoder, parts(), workers, done)

        if content is None:
            encoded = make()
        else:
            settings = {name: value for name, value in encoder.keywords.items() if name != "tokenizer"}
            encoded = cached(self.encoded, [encoder.func.__name__, tokenizer_key(tokenizer), settings, content], make)
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
    def gold(self, examples: Iterable[E]) -> dict[str, int]:
        """Count how often each answer is right; counts of parts of a data set add up to those of the whole."""

    def single_answers(self, gold: Mapping[str, int], examples: Sequence[E]) -> Iterator[tuple[str, list[Prediction]]]:
        """Yield answers that can be given to everything, with predictions that do so; the likeliest first.

        Args:
            gold: counts of the training set.
        """
        return iter(())

    def official(self, predictions: Predictions, examples: Sequence[E], files: Sequence[Path]) -> dict[str, str]:
        """The files that the task's official scorer reads, by the ending of their names; empty without a scorer.

        Args:
            files: those that the examples were read from; none if they are from elsewhere.
        """
        return {}

    def oddities(self, example: E) -> Iterator[str]:
        """Name what is odd about an example, once for each time; `notes` tells the counts."""
        return iter(())

    def count(self, examples: Sequence[E], summary: Summary) -> Summary:
        """Add examples to the summary of their split."""
        odd = chain.from_iterable(map(self.oddities, examples))
        summary.add([example.id for example in examples], self.gold(examples), odd, map(self.seen, examples))
        return summary

    def notes(self, splits: Mapping[str, Summary]) -> list[str]:
        """Notes on the data for readers of the task's numbers."""
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


def in_parts(values: Iterable[T]) -> Iterator[list[T]]:
    """Cut into lists of `PART` values, the last of which may be shorter."""
    rest = iter(values)
    while part := list(islice(rest, PART)):
        yield part


def count_by_split(counts: Mapping[str, int]) -> str:
    """Write counts by split, as `train 3, dev 1`; zeros are left out, and the text may be empty."""
    return ", ".join(f"{split} {number}" for split, number in counts.items() if number)


def in_percent(
    rows: Mapping[str, Mapping[str, Any]], counts: tuple[str, ...] = ("support", "predicted", "total")
) -> dict[str, Any]:
    """Turn the fractions of a metric's parts into percent; `counts` stay whole numbers, and None stays None."""
    return {
        name: {score: value if score in counts or value is None else 100 * float(value) for score, value in row.items()}
        for name, row in rows.items()
    }
