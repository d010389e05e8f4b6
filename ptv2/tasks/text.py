"""Tasks over whole texts: templates fill the segments of an example, and its answer is one of a few labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ptv2.config.schema import TaskConfig
from ptv2.data.cloze import ClozeItem
from ptv2.data.encode import TextItem, TextSet, encode_texts
from ptv2.data.records import Record
from ptv2.errors import DataError, unknown
from ptv2.tasks.readers import READERS
from ptv2.tasks.task import Task, counts_by_name

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


class LabelSet:
    """Class numbers by the names that files and hubs use for them."""

    def __init__(self, names: Sequence[Any], aliases: Sequence[str] = ()) -> None:
        """`names` in the order of class numbers; `aliases` are other names in the same order."""
        self.names = [_plain(name) for name in names]
        self._exact = {name: i for i, name in enumerate(self.names)}
        self._folded: dict[str, int | None] = {}  # in any capitals; none: more than one class
        for i, name in [*enumerate(aliases), *enumerate(self.names)]:
            other = self._folded.setdefault(name.lower(), i)
            self._folded[name.lower()] = i if other == i else None

    def number(self, value: Any, where: str) -> int:
        """Class number of a label as it stands in the data; capitals matter only where labels differ by nothing else.

        Raises:
            DataError: the label is none of the task's.
        """
        if (number := self.find(value)) is None:
            raise DataError(f"{where}: {unknown('label', _plain(value), self.names)}")
        return number

    def find(self, value: Any) -> int | None:
        """Class number of a label, or none if it is not one of the task's."""
        name = _plain(value)
        return self._exact.get(name, self._folded.get(name.lower()))

    @classmethod
    def of_data(cls, records: Sequence[Record], field: str) -> LabelSet:
        """The labels that stand in `records`, sorted.

        Raises:
            DataError: a record without the field, or fewer than two labels in all.
        """
        values = {_plain(_get(record, field)) for record in records}
        if len(values) < 2:
            raise DataError(
                f"{records[0].where}: expected two or more labels in '{field}', found only {sorted(values)}"
            )
        if len(values) > MOST_LABELS:
            found = f"{len(values)} different labels in '{field}'"
            raise DataError(f"{records[0].where}: {found}; is it a label? (at most {MOST_LABELS})")
        return cls(sorted(values))


# More classes than any classification task here has; beyond it the field is probably free text.
MOST_LABELS = 1000


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
        reader = READERS[self.config.reader]
        examples: list[Example] = []
        for number, record in enumerate(records):
            try:
                flat = list(reader(record.fields))
            except KeyError as error:
                raise DataError(_missing(record, str(error.args[0]))) from error
            except (ValueError, TypeError, AttributeError, IndexError) as error:
                raise DataError(f"{record.where}: {error}") from error
            for i, fields in enumerate(flat):
                name = _id(record, number) if len(flat) == 1 else f"{_id(record, number)}.{i}"
                part = Record(fields, f"{record.where} (example {name})")
                examples.append(Example(name, self.sequences(part), self._label(part, labelled), fields))
        return examples

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

    def for_metric(
        self, predictions: Sequence[dict[str, Any]], examples: Sequence[Example]
    ) -> tuple[list[Any], list[Any]]:
        """Predictions and references in the form the metric takes; class numbers unless a task says otherwise."""
        return [p["class"] for p in predictions], [e.label for e in examples]

    def answers(self, predictions: Sequence[dict[str, Any]]) -> dict[str, int]:
        """How often each label is predicted; shows a model that gives one answer to everything."""
        return counts_by_name((prediction["class"] for prediction in predictions), self.labels)

    def gold(self, examples: Sequence[Example]) -> dict[str, int]:
        """How often each label is right."""
        return counts_by_name((example.label for example in examples), self.labels)

    def fill(self, template: str, record: Record) -> str:
        """Fill a template (`{field}`, or a bare field name) from a record.

        Raises:
            DataError: a field is missing or not text.
        """
        if "{" not in template:
            return text_of(record, template)
        try:
            return template.format_map(_TextFields(record))
        except (ValueError, IndexError, AttributeError, TypeError) as error:
            raise DataError(f"task.text: '{template}' is no template: {error}") from error

    def _label(self, record: Record, labelled: bool) -> int | None:
        if not labelled:
            return None
        value = record.fields.get(self.config.label)
        if value is None:
            raise DataError(_missing(record, self.config.label))
        return self.label_set.number(value, record.where)


class _TextFields(dict[str, str]):
    """Fields of a record for `str.format_map`; only those that a template names must be text."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self._record = record

    def __missing__(self, name: str) -> str:
        return text_of(self._record, name)


def _id(record: Record, number: int) -> str:
    """The record's own `idx` where it is one value, else its number in the file."""
    own = record.fields.get("idx")
    return str(own) if isinstance(own, int | str) else str(number)


def _plain(value: Any) -> str:
    return str(value).strip()


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
    return f"{record.where}: field '{name}' is missing; the record has: {', '.join(map(str, record.fields))}"
