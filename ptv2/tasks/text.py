"""Tasks over whole texts: templates fill the segments of an example, and its answer is one of a few labels."""

from __future__ import annotations

import string
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ptv2.config.schema import TaskConfig
from ptv2.data.cloze import ClozeItem
from ptv2.data.encode import TextItem, TextSet, encode_texts
from ptv2.data.labels import LabelSet, rare_labels, read_label, similar_labels
from ptv2.data.records import Record
from ptv2.data.superglue import READERS
from ptv2.errors import DataError, enumerate_some
from ptv2.metrics.accuracy import by_class, confusion
from ptv2.tasks.task import Task, counts_by_name, in_percent

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Example:
    """One example: the sequences to encode (one, or one a choice), its class number, and what its metric needs.

    A sequence is two segments of text, or of a cloze's parts.
    """

    id: str
    sequences: tuple[Any, ...]
    label: int | None
    fields: dict[str, Any]


class TextTask(Task[Example, TextSet]):
    """The part that `classify` and `choose` share: templates and labels."""

    encoded = TextSet

    def __init__(self, config: TaskConfig, labels: LabelSet) -> None:
        super().__init__(config, labels.names)
        self.label_set = labels

    def read(self, records: Iterable[Record], *, labelled: bool = True) -> list[Example]:
        """Turn records into examples.

        Args:
            labelled: whether every example must have a label; for prediction (false) labels are not looked at.

        Raises:
            DataError: a field or label is missing or wrong, with the place of the record.
        """
        examples: list[Example] = []
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
                examples.append(Example(name, self.sequences(flat_record), self._label(flat_record, labelled), fields))
        return examples

    def _flat(self, record: Record) -> list[dict[str, Any]]:
        """The flat fields of each example in a record."""
        try:
            return list(READERS[self.config.reader](record.fields))
        except KeyError as error:
            raise DataError(_missing(record, str(error.args[0]))) from error
        except ValueError as error:
            raise DataError(f"{record.where}: {error}") from error
        except (TypeError, AttributeError, IndexError) as error:
            expected = f"no record as reader {self.config.reader} expects it"
            raise DataError(f"{record.where}: {expected} ({str(error)[:80]})") from error

    def has_gold(self, record: Record) -> bool:
        """Whether there is a label, that of one of its examples where it holds several."""
        try:
            return any(fields.get(self.config.label) not in (None, "") for fields in self._flat(record))
        except DataError:
            return False

    def identify(self, fields: dict[str, Any], where: str) -> str:
        """Name what no two records may share because the metric groups examples by it; empty where it does not.

        Raises:
            DataError: it is missing or malformed.
        """
        return ""

    def notes(self, examples: dict[str, list[Example]]) -> list[str]:
        """Examples with an empty text, and labels that are hardly labels."""
        empty = {
            split: count
            for split, rows in examples.items()
            if (count := sum(any(_is_empty(sequence) for sequence in row.sequences) for row in rows))
        }
        notes = [f"examples with an empty text: {_counts(empty)}"] if empty else []
        if twice := {split: count for split, rows in examples.items() if (count := _with_same_id(rows))}:
            notes.append(f"examples whose idx stands in another record too: {_counts(twice)}")
        if self.config.labels is None:
            odd = rare_labels(self.gold(examples.get("train", []))), similar_labels(self.labels)
            notes += [note for note in odd if note]
        return notes

    def sequences(self, record: Record) -> tuple[Any, ...]:
        """The segments of one example, from the task's templates."""
        raise NotImplementedError

    def encoder(self, tokenizer: PreTrainedTokenizerBase) -> partial[TextSet]:
        """The tokenizer's pairs, cut by the task's rule."""
        length, rule = self.config.max_length, self.config.truncation
        return partial(encode_texts, tokenizer=tokenizer, max_length=length, truncation=rule)

    def item(self, example: Example) -> TextItem | ClozeItem:
        """What encoding takes of an example."""
        return example.id, example.sequences, example.label

    def seen(self, example: Example) -> tuple[Hashable, Hashable | None]:
        """The segments, and the number of the class."""
        return example.sequences, example.label

    def describe(self, example: Example) -> dict[str, Any]:
        """The text (a list of both where there are two segments), and the name of the right label."""
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
        return [
            {"label": self.labels[best], "class": int(best), "probabilities": self._probabilities(row, best)}
            for row, best in zip(softmax(scores), scores.argmax(axis=1), strict=True)
        ]

    def _probabilities(self, row: np.ndarray, best: int) -> dict[str, float]:
        """Probabilities by label, rounded unless that would put another label before the best one."""
        rounded = row.round(6)
        shown = rounded if rounded.argmax() == best else row
        return dict(zip(self.labels, shown.tolist(), strict=True))

    def for_metric(
        self, predictions: Sequence[dict[str, Any]], examples: Sequence[Example]
    ) -> tuple[list[Any], list[Any]]:
        """Predictions and references in the form the metric takes; class numbers unless a task says otherwise."""
        return [p["class"] for p in predictions], [e.label for e in examples]

    def parts(self, predictions: Sequence[dict[str, Any]], examples: Sequence[Example]) -> dict[str, dict[str, Any]]:
        """Precision, recall and F1 of each class, how often it is right (`support`) and how often predicted."""
        rows = by_class(*_classes(predictions, examples), len(self.labels))
        return in_percent(dict(zip(self.labels, rows, strict=True)))

    def confusion(
        self, predictions: Sequence[dict[str, Any]], examples: Sequence[Example]
    ) -> dict[str, dict[str, int]]:
        """How often each label is taken for each: right label, predicted label, count; without zeros."""
        rows = confusion(*_classes(predictions, examples), len(self.labels))
        named = {
            right: {label: count for label, count in zip(self.labels, row, strict=True) if count}
            for right, row in zip(self.labels, rows, strict=True)
        }
        return {right: row for right, row in named.items() if row}

    def answers(self, predictions: Sequence[dict[str, Any]]) -> dict[str, int]:
        """How often each label is predicted; shows a model that gives one answer to everything."""
        return counts_by_name((prediction["class"] for prediction in predictions), self.labels)

    def gold(self, examples: Sequence[Example]) -> dict[str, int]:
        """How often each label is right."""
        return counts_by_name((example.label for example in examples), self.labels)

    def most_frequent(
        self, train: Sequence[Example], examples: Sequence[Example]
    ) -> tuple[str, list[dict[str, Any]]] | None:
        """The most frequent class; the first of equals."""
        number = int(np.bincount([e.label for e in train if e.label is not None]).argmax())
        return self.labels[number], [{"id": e.id, "class": number} for e in examples]

    def fill(self, template: str, record: Record) -> str:
        """Fill a template (`{field}`, or a bare field name) from a record.

        Raises:
            DataError: a field is missing or not text.
        """
        return "".join(text + (text_of(record, field) if field else "") for text, field in _parts(template))

    def _label(self, record: Record, labelled: bool) -> int | None:
        if not labelled:
            return None
        field = self.config.label
        return self.label_set.number(read_label(record.fields.get(field), record, field), record.where, field)


def _classes(predictions: Sequence[dict[str, Any]], examples: Sequence[Example]) -> tuple[list[int], list[int]]:
    """Class numbers, predicted and right, of labelled examples."""
    return [p["class"] for p in predictions], [e.label for e in examples if e.label is not None]


@cache
def _parts(template: str) -> list[tuple[str, str | None]]:
    """The template's own texts, each with the name of the field behind it, if there is one."""
    if "{" not in template:
        return [("", template)]
    return [(text, field) for text, field, _, _ in string.Formatter().parse(template)]


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities `[N, classes]` of logits `[N, classes]`."""
    powers = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _shown(segment: Any) -> str:
    """A segment as it is; of a cloze with `{mask}` for its blank."""
    if isinstance(segment, str):
        return segment
    return "".join("{mask}" if role == "blank" else text for text, role in segment)


def _counts(by_split: dict[str, int]) -> str:
    return ", ".join(f"{split} {count}" for split, count in by_split.items())


def _with_same_id(examples: Sequence[Example]) -> int:
    """How many examples have the name of one before them."""
    return len(examples) - len({example.id for example in examples})


def _is_empty(sequence: Any) -> bool:
    """Whether a segment of a sequence has no text; parts of a cloze are not looked at."""
    return any(isinstance(segment, str) and not segment.strip() for segment in sequence)


def _id(record: Record, number: int) -> str:
    """The record's own `idx` where it is one value, else its number in the file."""
    name = record.fields.get("idx")
    return str(name) if isinstance(name, int | str) else str(number)


def _get(record: Record, name: str) -> Any:
    if record.fields.get(name) is None:
        raise DataError(_missing(record, name))
    return record.fields[name]


def text_of(record: Record, name: str) -> str:
    """The text of a field.

    Raises:
        DataError: it is missing or not text.
    """
    value = _get(record, name)
    if not isinstance(value, str):
        raise DataError(f"{record.where}: field '{name}' is no text but {type(value).__name__}")
    return value


def _missing(record: Record, name: str) -> str:
    return f"{record.where}: field '{name}' is missing; the record has: {enumerate_some(record.fields)}"
