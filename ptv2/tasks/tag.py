"""Tagging words: named entities, and semantic roles of a marked predicate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ptv2.config.task_schema import TaggingConfig, TaskConfig
from ptv2.data.labels import similar_labels
from ptv2.data.records import Record
from ptv2.data.summary import Summary
from ptv2.data.tags import (
    PREFIXED,
    UNTYPED,
    Scheme,
    TagPairs,
    are_bare_prefixes,
    are_bare_types,
    odd_prefixes,
    odd_starts,
    scheme_of,
    to_bio,
    with_types,
)
from ptv2.data.words import IGNORED, TaggedSet, encode_words
from ptv2.errors import DataError, quote, unknown_in_data
from ptv2.tasks.tag_fields import given_tags, has_words, hint_at_setting, read_words, tag_field, tag_names
from ptv2.tasks.task import MetricInput, Prediction, Predictions, Task, count_by_split, in_percent

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BLANK = "a blank word"
MENDED = "spans that began with I- and now begin with B-"
MANY_WORDS = 1000
LONG = f"sentences of more than {MANY_WORDS} words (in a file of columns an empty line ends a sentence)"
WordsItem = tuple[str, tuple[str, ...], tuple[str, ...], tuple[int, ...] | None]  # place, words, suffix, tag numbers
# The published code writes this between the sentence and its predicate, for every tokenizer (FINDINGS 26).
PUBLISHED_SEPARATOR = "[SEP]"


@dataclass(frozen=True)
class Sentence:
    """One sequence of words to tag; for roles one per predicate."""

    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...] | None  # BIO
    predicate: int | None = None  # its word
    sentence: int | None = None  # which of the file's sentences the predicate stands in
    mended: int = 0  # spans that began with an I-
    where: str = ""  # for messages


class Tag(Task[Sentence, TaggedSet]):
    """One BIO tag per word."""

    head = "tagging"
    encoded = TaggedSet
    words = True
    counted = "spans"
    uncounted = ("O",)

    def __init__(self, config: TaskConfig, types: Sequence[str], scheme: Scheme) -> None:
        """`types` of spans, and the scheme that the data's tags are in."""
        super().__init__(config, ["O", *(f"{prefix}-{kind}" for kind in types for prefix in "BI")])
        self.types = list(types)
        self.scheme = scheme
        self.numbers = {tag: number for number, tag in enumerate(self.labels)}
        self._guessed: dict[str, None] = {}  # for `guesses`, in order

    @property
    def tagging(self) -> TaggingConfig:
        """The settings `task.tagging`."""
        assert self.config.tagging is not None  # shape tag has them
        return self.config.tagging

    def make_examples(self, records: Iterable[Record], *, labelled: bool = True) -> Iterator[Sentence]:
        """Turn each record into one example; tags of any known scheme become BIO.

        Raises:
            DataError: a field is missing or wrong, or a tag does not fit the scheme or the task.
        """
        # Sets on the hub have sentences without words at their ends.
        rows: Iterable[Record] = filter(has_words, records)
        scheme = self.scheme
        if labelled and self.tagging.scheme == "auto" and scheme == "iob1":
            rows = list(rows)
            scheme = self._scheme_after_iob1(rows)
        for number, record in enumerate(rows):
            yield self._sentence(record, number, scheme if labelled else None)

    def has_gold(self, record: Record) -> bool:
        """Whether there are tags; a file of one column has its words there, and bare types may be any column's."""
        tags = record.fields.get(tag_field(record, self.config))
        if not isinstance(tags, list) or tags == record.fields.get("tokens"):
            return False
        return self.scheme != "io" or not self.types or any({tag, tag[2:]} & {*self.types} for tag in map(str, tags))

    def guesses(self) -> list[str]:
        """Scheme and fields, where the settings leave them open."""
        guesses = []
        if self.tagging.scheme == "auto":
            name = f"{self.scheme} without types" if self.types == [UNTYPED] else self.scheme
            guesses.append(f"tag scheme {name}, guessed from the training tags (task.tagging.scheme sets it)")
        return [*guesses, *self._guessed]

    def encoder(self, tokenizer: PreTrainedTokenizerBase) -> partial[TaggedSet]:
        """Encode words in windows, each followed by the mark of the predicate."""
        length, rules = self.config.max_length, self.tagging
        return partial(encode_items, tokenizer=tokenizer, mark=rules.predicate, max_length=length, stride=rules.stride)

    def item(self, example: Sentence) -> WordsItem:
        """Place, words, predicate and tag numbers; tags without an output of the head are ignored in the loss."""
        tags = None if example.tags is None else tuple(self.numbers.get(tag, IGNORED) for tag in example.tags)
        predicate = () if example.predicate is None else (example.words[example.predicate],)
        return example.where, example.words, predicate, tags

    def seen(self, example: Sentence) -> tuple[Hashable, Hashable | None]:
        """Words and the predicate among them, and the tags."""
        return (example.words, example.predicate), example.tags

    def describe(self, example: Sentence) -> dict[str, Any]:
        """Words, the number of the predicate among them, and the right tags."""
        predicate = {} if example.predicate is None else {"predicate": example.predicate}
        gold = {} if example.tags is None else {"gold": list(example.tags)}
        return {"tokens": list(example.words), **predicate, **gold}

    def decode(self, scores: np.ndarray, examples: Sequence[Sentence], encoded: TaggedSet) -> list[Prediction]:
        """Take the tag of highest score of each word; `O` for a word that has no tokens.

        Args:
            scores: `[tokens, tags]`.
        """
        counts = np.array([len(example.words) for example in examples], dtype=np.int64)
        firsts = np.cumsum(counts) - counts
        at = np.flatnonzero(encoded.words >= 0)
        sentence = np.repeat(encoded.owners, encoded.tokens.lengths)[at]
        numbers = np.zeros(counts.sum(), dtype=np.int64)
        numbers[firsts[sentence] + encoded.words[at]] = scores[at].argmax(axis=1)
        tags = np.array(self.labels, dtype=object)[numbers]
        rows = np.split(tags, firsts[1:]) if len(examples) else []
        return [
            {"id": e.id, "tokens": list(e.words), "tags": to_bio(row.tolist(), "bio")}
            for e, row in zip(examples, rows, strict=True)
        ]

    def for_metric(self, predictions: Predictions, examples: Sequence[Sentence]) -> MetricInput:
        """Predicted and right tags of every sentence."""
        return [p["tags"] for p in predictions], [list(e.tags or ()) for e in examples]

    def parts(self, predictions: Predictions, examples: Sequence[Sentence]) -> dict[str, dict[str, float]]:
        """Score each type of span apart."""
        return in_percent(self.metric.by_type(*self.for_metric(predictions, examples)))

    def answers(self, predictions: Predictions) -> dict[str, int]:
        """Count predicted spans of each type, and words outside of spans under `O`."""
        return self._counts(prediction["tags"] for prediction in predictions)

    def gold(self, examples: Iterable[Sentence]) -> dict[str, int]:
        """Count right spans of each type, and words outside of spans under `O`."""
        return self._counts(example.tags or () for example in examples)

    def official(self, predictions: Predictions, examples: Sequence[Sentence], files: Sequence[Path]) -> dict[str, str]:
        """For conlleval: word, right tag, predicted tag. For srl-eval.pl: the file's columns, right and predicted.

        Where the right tags are not known: word and predicted tag, and one props file.
        """
        if self.config.metric == "roles":
            return self._props(predictions, examples, files)
        has_gold = all(e.tags is not None for e in examples)
        columns = (
            [[word or "_" for word in e.words], *([e.tags or ()] if has_gold else []), prediction["tags"]]
            for e, prediction in zip(examples, predictions, strict=True)
        )
        gap = "\t" if any(" " in word for e in examples for word in e.words) else " "
        text = "\n".join("".join(gap.join(row) + "\n" for row in zip(*cells, strict=True)) for cells in columns)
        return {"conlleval.txt" if has_gold else "columns.txt": text}

    def oddities(self, example: Sentence) -> Iterator[str]:
        """Blank words, mended spans, and a sentence that may be a whole file."""
        yield from (BLANK for word in example.words if not word.strip())
        yield from (MENDED for _ in range(example.mended))
        if len(example.words) > MANY_WORDS:
            yield LONG

    def notes(self, splits: Mapping[str, Summary]) -> list[str]:
        """Count what `oddities` found and spans of types that were not in training, and name types that look alike."""
        notes = []
        for oddity, note in ((BLANK, "blank words, which nothing is read from"), (MENDED, MENDED), (LONG, LONG)):
            if counts := count_by_split({name: split.oddities[oddity] for name, split in splits.items()}):
                notes.append(f"{note}: {counts}")
        unseen: Counter[str] = Counter()
        for split in splits.values():
            unseen.update({kind: n for kind, n in split.gold.items() if kind not in ("O", *self.types)})
        if unseen:
            counts = ", ".join(f"{kind} {count}" for kind, count in sorted(unseen.items()))
            notes.append(f"spans of types that the training set lacks, which count as missed: {counts}")
        if self.config.labels is None and (alike := similar_labels(self.types)):
            notes.append(alike)
        return notes

    def state(self) -> dict[str, Any]:
        """The types of spans, and the scheme of the data."""
        return {"labels": self.types, "scheme": self.scheme}

    def _scheme_after_iob1(self, rows: Sequence[Record]) -> Scheme:
        """The scheme of one split: after training in iob1 it may be in bio."""
        scheme = scheme_of(self._given(record) for record in rows)
        if scheme != "bio":
            return self.scheme
        if any(tag != "O" for record in rows for tag in self._given(record)):
            file = rows[0].where.rpartition(":")[0].rpartition("/")[2] or rows[0].where
            self._guessed[f"{file}: tag scheme bio, guessed from its tags (task.tagging.scheme sets it)"] = None
        return scheme

    def _given(self, record: Record) -> list[str]:
        """Read the tags of a record as text, each with a type."""
        tags = given_tags(record, self.config)
        return with_types(tags) if self.types == [UNTYPED] else tags

    def _sentence(self, record: Record, number: int, scheme: Scheme | None) -> Sentence:
        """Turn a record into an example; where `scheme` is None its tags are not read."""
        fields = record.fields
        words = read_words(record)
        tags, mended = None, 0
        if scheme is not None:
            given = self._given(record)
            field = tag_field(record, self.config)
            if field != self.config.label and field != "tags":
                self._guessed[f"tags are those of the field '{field}' (task.label sets it)"] = None
            if len(given) != len(words):
                raise DataError(f"{record.where}: {len(given)} tags, expected one for each of its {len(words)} tokens")
            if scheme == "io" and self.tagging.scheme == "auto":
                self._check_bare(given, record.where)
            try:
                tags = tuple(to_bio(given, scheme))
            except ValueError as error:
                raise DataError(f"{record.where}: {error}{hint_at_setting(record, given)}") from error
            mended = odd_starts(given) if scheme == "bio" else 0
            if self.config.labels is not None and (strange := {tag[2:] for tag in tags if tag not in self.numbers}):
                raise DataError(f"{record.where}: {unknown_in_data('type of span', min(strange), self.types)}")
        marked = self.tagging.predicate != "none"
        predicate = fields.get("predicate") if marked or self.config.metric == "roles" else None
        if (marked or predicate is not None) and not (type(predicate) is int and 0 <= predicate < len(words)):
            raise DataError(f"{record.where}: expected 'predicate', the number of one of its {len(words)} tokens")
        name = fields.get("id", fields.get("idx", number))
        return Sentence(str(name), words, tags, predicate, fields.get("sentence"), mended, record.where)

    def _check_bare(self, given: Sequence[str], where: str) -> None:
        """Refuse `B-PER` where the training tags are bare types, `PER`: it would be another type, always missed."""
        odd = next(
            (tag for tag in given if tag not in self.types and tag[:2] in PREFIXED and tag[2:] in self.types), None
        )
        if odd is not None:
            raise DataError(
                f"{where}: expected types without a prefix, as in the training set, found {quote(odd)}; "
                "write the tags of all files in one form (task.tagging.scheme=io would make it a type of its own)"
            )

    def _counts(self, rows: Iterable[Sequence[str]]) -> dict[str, int]:
        counts = Counter(tag.removeprefix("B-") for tags in rows for tag in tags if not tag.startswith("I-"))
        known = ["O", *self.types]
        return {kind: counts[kind] for kind in [*known, *sorted(counts.keys() - set(known))]}

    def _props(self, predictions: Predictions, examples: Sequence[Sentence], files: Sequence[Path]) -> dict[str, str]:
        from ptv2.data.formats import format_of
        from ptv2.data.props import conll12_sentences, props_sentences, write_props

        readers = {"props": props_sentences, "conll12": conll12_sentences}
        if not files or (kind := format_of(files[0], self.config)) not in readers:
            return {}
        # Sentences without a predicate are in no example, but the script counts lines. Limits may have cut the end.
        sentences = [sentence for file in files for sentence in readers[kind](file, labelled=False)]
        predicted = {
            (e.sentence, e.predicate): p["tags"]
            for e, p in zip(examples, predictions, strict=True)
            if e.sentence is not None and e.predicate is not None
        }
        whole = [
            replace(sentence, propositions=[p for p in sentence.propositions if (number, p.predicate) in predicted])
            for number, sentence in enumerate(sentences)
        ]
        known = any(tag != "O" for sentence in whole for p in sentence.propositions for tag in p.tags)
        return {**({"gold.props": write_props(whole)} if known else {}), "props": write_props(whole, predicted)}


def encode_items(
    items: Sequence[WordsItem], tokenizer: PreTrainedTokenizerBase, mark: str, max_length: int, stride: int
) -> TaggedSet:
    """Encode the words of each item in windows.

    Args:
        mark: what comes between a sentence and its predicate: `published` the text `[SEP]`, `separator` the tokenizer's
            separator; with `none` the predicate does not follow at all.
    """
    separator = PUBLISHED_SEPARATOR
    if mark == "separator":
        separator = tokenizer.sep_token or tokenizer.eos_token
    places, sentences, predicates, tags = zip(*items, strict=True)
    suffixes = None if mark == "none" else [(separator, *predicate) for predicate in predicates]
    known = None if None in tags else tags
    return encode_words(sentences, known, tokenizer, max_length, stride, suffixes, places)


def read_scheme(read: Callable[[], Iterable[Record]], config: TaskConfig) -> tuple[Scheme, list[str]]:
    """Return scheme and types of the spans: those that the configuration names, or else those of the tags, sorted.

    Args:
        read: reads the records of the training set; called again to find the place of a fault.

    Raises:
        DataError: a tag does not fit the scheme, or there is no span at all.
    """
    scheme = config.tagging.scheme if config.tagging else "auto"
    if scheme != "auto" and config.labels:
        return scheme, _given_types(config)
    pairs = TagPairs(given_tags(record, config) for record in read())
    bare = are_bare_prefixes(pairs.tags)
    if scheme == "auto":
        scheme = "io" if are_bare_types(pairs.tags) else (pairs.with_types() if bare else pairs).scheme()
        if scheme == "io" and (odd := odd_prefixes(pairs.tags)):
            raise DataError(
                f"{next(iter(read())).where}: tags such as {' and '.join(odd)} have their prefix in an unknown form; "
                "expected B-TYPE and I-TYPE, or task.tagging.scheme=io where they are types as they stand"
            )
    if config.labels:
        return scheme, _given_types(config)
    if scheme != "io" and bare:
        return scheme, [UNTYPED]
    if not pairs.fit(scheme):
        for record in read():
            tags = given_tags(record, config)
            try:
                to_bio(tags, scheme)
            except ValueError as error:
                raise DataError(f"{record.where}: {error}{hint_at_setting(record, tags)}") from error
    types = {tag if scheme == "io" else tag.partition("-")[2] for tag in pairs.tags if tag != "O"}
    if not types:
        raise DataError(f"{next(iter(read())).where}: expected tags such as B-PER, found only O")
    return scheme, sorted(types)


def _given_types(config: TaskConfig) -> list[str]:
    """The types of spans that `task.labels` names."""
    given = [str(label) for label in config.labels or ()]
    if (names := tag_names(config)) is None:
        return given
    numbered = list(dict.fromkeys(tag[2:] or UNTYPED for tag in names if tag != "O"))
    return numbered if "O" in given or set(given) == set(numbered) else given  # the hub's order, not its types
