"""Tasks over whole texts: templates make the segments of an example, and its answer is one of a few labels."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ptv2.config.task_schema import TaskConfig
from ptv2.data.cloze import ClozeItem
from ptv2.data.encode import TextItem, TextSet, encode_texts
from ptv2.data.labels import LabelSet, absent_labels, is_hidden, rare_labels, similar_labels
from ptv2.data.records import Record
from ptv2.data.summary import Summary
from ptv2.data.superglue import READERS
from ptv2.data.tables import hint_at_header
from ptv2.errors import DataError, enumerate_some, kind_of, quote
from ptv2.metrics.accuracy import by_class, confusion
from ptv2.tasks.task import MetricInput, Prediction, Predictions, Task, count_by_split, in_percent

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

EMPTY = "an empty text"
MOST_TRIED = 2  # classes as the answer to everything: of two, the rare one may have the better F1


@dataclass(frozen=True)
class Example:
    """One example: the sequences to encode (one, or one per choice), its class number, and the record's fields.

    A sequence is one or two segments; a segment is a text, or the pieces of a cloze.
    """

    id: str
    sequences: tuple[Any, ...]
    label: int | None
    fields: dict[str, Any]


class TextTask(Task[Example, TextSet]):
    """Base of `classify` and `choose`: templates and labels."""

    encoded = TextSet

    def __init__(self, config: TaskConfig, labels: LabelSet) -> None:
        super().__init__(config, labels.names)
        self.label_set = labels

    def make_examples(self, records: Iterable[Record], *, labelled: bool = True) -> Iterator[Example]:
        """See `Task.make_examples`; a record may hold several examples, and records must differ in `identify`."""
        places: dict[Any, str] = {}
        for number, record in enumerate(records):
            flat = self._flat(record)
            for identity in dict.fromkeys(self.identify(fields, record.where) for fields in flat):
                if identity and (other := places.setdefault(identity, record.where)) is not record.where:
                    raise DataError(
                        f"{record.where}: {identity} stands in {other.rpartition('/')[2]} too; expected it once"
                    )
            for i, fields in enumerate(flat):
                name = _id(record, number) if len(flat) == 1 else f"{_id(record, number)}.{i}"
                flat_record = Record(fields, f"{record.where} (example {name})")
                yield Example(name, self.sequences(flat_record), self._label(flat_record, labelled), fields)

    def _flat(self, record: Record) -> list[dict[str, Any]]:
        """Split a record into the flat fields of its examples."""
        try:
            return list(READERS[self.config.reader](record.fields))
        except KeyError as error:
            raise DataError(_missing(record, str(error.args[0]))) from error
        except ValueError as error:
            raise DataError(f"{record.where}: {error}") from error
        except (TypeError, AttributeError, IndexError) as error:
            fault = f"not a record that reader {self.config.reader} knows ({str(error)[:80]})"
            raise DataError(f"{record.where}: {fault}") from error

    def has_gold(self, record: Record) -> bool:
        """Whether the record, or one of its examples, has a label; a hidden one is none."""
        try:
            labels = [fields.get(self.config.label) for fields in self._flat(record)]
        except DataError:
            return False
        known = self.label_set.find
        return any(label not in (None, "") and not (is_hidden(label) and known(label) is None) for label in labels)

    def identify(self, fields: dict[str, Any], where: str) -> str:
        """Name the group of examples that the metric looks at, which no two records may share; empty without groups.

        Raises:
            DataError: a field that names it is missing or malformed.
        """
        return ""

    def oddities(self, example: Example) -> Iterator[str]:
        """An empty text."""
        if any(map(_is_empty, example.sequences)):
            yield EMPTY

    def notes(self, splits: Mapping[str, Summary]) -> list[str]:
        """Count examples with an empty text or a repeated `idx`, and name labels that look like free text."""
        empty = count_by_split({name: split.oddities[EMPTY] for name, split in splits.items()})
        notes = [f"examples with an empty text: {empty}"] if empty else []
        if twice := count_by_split({name: split.repeated_ids for name, split in splits.items()}):
            notes.append(f"examples whose idx stands in another record too: {twice}")
        if self.config.labels is None:
            counts = splits["train"].gold if "train" in splits else {}
            odd = rare_labels(counts), absent_labels(counts), similar_labels(self.labels)
            notes += [note for note in odd if note]
        return notes

    def sequences(self, record: Record) -> tuple[Any, ...]:
        """Fill the task's templates with one example."""
        raise NotImplementedError

    def encoder(self, tokenizer: PreTrainedTokenizerBase) -> partial[TextSet]:
        """The tokenizer's pairs, cut by the task's rule."""
        length, rule = self.config.max_length, self.config.truncation
        return partial(encode_texts, tokenizer=tokenizer, max_length=length, truncation=rule)

    def item(self, example: Example) -> TextItem | ClozeItem:
        """Id, sequences and label."""
        return example.id, example.sequences, example.label

    def seen(self, example: Example) -> tuple[Hashable, Hashable | None]:
        """The segments, and the number of the class."""
        return example.sequences, example.label

    def describe(self, example: Example) -> dict[str, Any]:
        """The text (a list where there are two segments), and the name of the right label."""
        gold = {} if example.label is None else {"gold": self.labels[example.label]}
        return {**self.texts(example), **gold}

    def texts(self, example: Example) -> dict[str, Any]:
        """The segments of an example for people."""
        segments = [_shown(segment) for segment in example.sequences[0] if segment is not None]
        return {"text": segments[0] if len(segments) == 1 else segments}

    def named(self, scores: np.ndarray) -> list[dict[str, Any]]:
        """The label of highest score, and the probability of each label, by name.

        Args:
            scores: logits or log probabilities `[N, labels]`.
        """
        from scipy.special import softmax

        return [
            {"label": self.labels[best], "class": int(best), "probabilities": self._probabilities(row, best)}
            for row, best in zip(softmax(scores.astype(np.float64), axis=1), scores.argmax(axis=1), strict=True)
        ]

    def _probabilities(self, row: np.ndarray, best: int) -> dict[str, float]:
        """Probabilities by label, rounded unless another label would then come before the best one."""
        rounded = row.round(6)
        shown = rounded if rounded.argmax() == best else row
        return dict(zip(self.labels, shown.tolist(), strict=True))

    def for_metric(self, predictions: Predictions, examples: Sequence[Example]) -> MetricInput:
        """Predicted and right class numbers."""
        return [p["class"] for p in predictions], [e.label for e in examples]

    def parts(self, predictions: Predictions, examples: Sequence[Example]) -> dict[str, dict[str, Any]]:
        """Precision, recall and F1 of each class, how often it is right (`support`) and how often predicted."""
        rows = by_class(*_classes(predictions, examples), len(self.labels))
        return in_percent(dict(zip(self.labels, rows, strict=True)))

    def confusion(self, predictions: Predictions, examples: Sequence[Example]) -> dict[str, dict[str, int]]:
        """See `Task.confusion`."""
        rows = confusion(*_classes(predictions, examples), len(self.labels))
        named = {
            right: {label: count for label, count in zip(self.labels, row, strict=True) if count}
            for right, row in zip(self.labels, rows, strict=True)
        }
        return {right: row for right, row in named.items() if row}

    def answers(self, predictions: Predictions) -> dict[str, int]:
        """Count how often each label is predicted."""
        return self._by_label(prediction["class"] for prediction in predictions)

    def gold(self, examples: Iterable[Example]) -> dict[str, int]:
        """Count how often each label is right."""
        return self._by_label(example.label for example in examples)

    def _by_label(self, numbers: Iterable[int | None]) -> dict[str, int]:
        counts = Counter(numbers)
        return {label: counts[number] for number, label in enumerate(self.labels)}

    def single_answers(
        self, gold: Mapping[str, int], examples: Sequence[Example]
    ) -> Iterator[tuple[str, list[Prediction]]]:
        """Yield the most frequent classes; of equals the first comes first."""
        order = sorted(range(len(self.labels)), key=lambda number: -gold[self.labels[number]])
        for number in order[:MOST_TRIED]:
            yield self.labels[number], [{"id": e.id, "class": number} for e in examples]

    def fill(self, template: str, record: Record) -> str:
        """Fill a template (`{field}`, or a bare field name) from a record.

        Raises:
            DataError: a field is missing or not text.
        """
        setting = "task.text" if template in self.config.text else None
        return "".join(text + (text_of(record, field, setting) if field else "") for text, field in _parts(template))

    def _label(self, record: Record, labelled: bool) -> int | None:
        if not labelled:
            return None
        field = self.config.label
        return self.label_set.number(record.fields.get(field), record, field)


def _classes(predictions: Predictions, examples: Sequence[Example]) -> tuple[list[int], list[int]]:
    """Class numbers, predicted and right, of labelled examples."""
    return [p["class"] for p in predictions], [e.label for e in examples if e.label is not None]


@cache
def _parts(template: str) -> list[tuple[str, str | None]]:
    """The template's own texts, each with the name of the field behind it, if there is one."""
    if "{" not in template:
        return [("", template)]
    return [(text, field) for text, field, _, _ in string.Formatter().parse(template)]


def _shown(segment: Any) -> str:
    """A segment for people; the blank of a cloze as `{mask}`."""
    if isinstance(segment, str):
        return segment
    return "".join("{mask}" if role == "blank" else text for text, role in segment)


def _is_empty(sequence: Any) -> bool:
    """Whether a segment of a sequence has no text; a cloze always has some."""
    return any(isinstance(segment, str) and not segment.strip() for segment in sequence)


def _id(record: Record, number: int) -> str:
    """The record's `idx` where it is one value, else its number in the file."""
    name = record.fields.get("idx")
    return str(name) if isinstance(name, int | str) else str(number)


def text_of(record: Record, name: str, setting: str | None = None) -> str:
    """Get the text of a field.

    Args:
        setting: the one that names the field, for the message if it is missing.

    Raises:
        DataError: it is missing or not text.
    """
    value = record.fields.get(name)
    if name not in record.fields:
        raise DataError(_missing(record, name, setting))
    if not isinstance(value, str):
        shown = "null" if value is None else f"{kind_of(value)}: {quote(value)}"
        raise DataError(f"{record.where}: expected text in field '{name}', found {shown}")
    return value


def _missing(record: Record, name: str, setting: str | None = None) -> str:
    named = f" ({setting} names it{hint_at_header(record.where)})" if setting else ""
    return f"{record.where}: field '{name}' is missing{named}; the record has: {enumerate_some(record.fields)}"
