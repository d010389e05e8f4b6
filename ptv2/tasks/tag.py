"""Tagging words: named entities, and semantic roles of a marked predicate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ptv2.config.schema import TaggingConfig, TaskConfig
from ptv2.data.records import Record
from ptv2.data.words import IGNORED, TaggedSet, encode_words
from ptv2.errors import ConfigError, DataError, unknown
from ptv2.tasks.spans import Scheme, odd_starts, scheme_of, spans, to_bio
from ptv2.tasks.task import Prediction, Task, in_percent

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

WordsItem = tuple[str, tuple[str, ...], tuple[str, ...], tuple[int, ...] | None]  # place, words, suffix, tag numbers
# What the published code writes between the sentence and its predicate, for every tokenizer (FINDINGS 26).
PUBLISHED_SEPARATOR = "[SEP]"


@dataclass(frozen=True)
class Sentence:
    """One sequence of words to tag; for roles one of these a predicate."""

    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...] | None  # BIO
    predicate: int | None = None  # its word
    sentence: int | None = None  # which of the file's sentences the predicate stands in
    mended: int = 0  # spans that began with an I-
    where: str = ""  # for messages


class Tag(Task[Sentence, TaggedSet]):
    """One BIO tag a word."""

    head = "tagging"
    encoded = TaggedSet
    words = True

    def __init__(self, config: TaskConfig, types: Sequence[str], scheme: Scheme) -> None:
        """`types` of spans, and the scheme that the data's tags are in."""
        super().__init__(config, ["O", *(f"{prefix}-{kind}" for kind in types for prefix in "BI")])
        self.types = list(types)
        self.scheme = scheme
        self.numbers = {tag: number for number, tag in enumerate(self.labels)}

    @property
    def tagging(self) -> TaggingConfig:
        """What `task.tagging` says."""
        if self.config.tagging is None:
            raise ConfigError(f"task {self.config.name}: shape tag needs task.tagging")
        return self.config.tagging

    def read(self, records: Iterable[Record], *, labelled: bool = True) -> list[Sentence]:
        """One example a record; tags of any known scheme become BIO.

        Raises:
            DataError: a field is missing or wrong, a tag does not fit the scheme or is none of the task's.
        """
        # Sets on the hub have sentences without words at their ends.
        rows = [record for record in records if record.fields.get("tokens") != []]
        return [self._sentence(record, number, labelled) for number, record in enumerate(rows)]

    def encoder(self, tokenizer: PreTrainedTokenizerBase) -> partial[TaggedSet]:
        """Words in windows, with what marks the predicate behind each."""
        length, rules = self.config.max_length, self.tagging
        return partial(encode_items, tokenizer=tokenizer, mark=rules.predicate, max_length=length, stride=rules.stride)

    def item(self, example: Sentence) -> WordsItem:
        """What encoding takes of an example; a type that no output stands for is not learned from."""
        tags = None if example.tags is None else tuple(self.numbers.get(tag, IGNORED) for tag in example.tags)
        predicate = () if example.predicate is None else (example.words[example.predicate],)
        return example.where, example.words, predicate, tags

    def decode(self, scores: np.ndarray, examples: Sequence[Sentence], encoded: TaggedSet) -> list[Prediction]:
        """The tag of highest score of each word; `O` for a word that the tokenizer makes nothing of.

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

    def for_metric(
        self, predictions: Sequence[Prediction], examples: Sequence[Sentence]
    ) -> tuple[list[Any], list[Any]]:
        """Tags of every sentence."""
        return [p["tags"] for p in predictions], [list(e.tags or ()) for e in examples]

    def parts(self, predictions: Sequence[Prediction], examples: Sequence[Sentence]) -> dict[str, dict[str, float]]:
        """Scores of each type of span."""
        from importlib import import_module

        metric = import_module(f"ptv2.metrics.{self.config.metric}")
        return in_percent(metric.by_type(*self.for_metric(predictions, examples)))

    def answers(self, predictions: Sequence[Prediction]) -> dict[str, int]:
        """Predicted spans of each type, and words outside of spans under `O`."""
        return self._counts(prediction["tags"] for prediction in predictions)

    def gold(self, examples: Sequence[Sentence]) -> dict[str, int]:
        """Right spans of each type, and words outside of spans under `O`."""
        return self._counts(example.tags or () for example in examples)

    def official(
        self, predictions: Sequence[Prediction], examples: Sequence[Sentence], file: Path | None
    ) -> dict[str, str]:
        """For conlleval: word, right tag, predicted tag. For srl-eval.pl: the file's columns, right and predicted.

        Where the right tags are not known there is nothing to score: word and predicted tag, and one props file.
        """
        if self.config.metric == "roles":
            return self._props(predictions, examples, file)
        known = all(e.tags is not None for e in examples)
        rows = (
            zip(e.words, *([e.tags or ()] if known else []), said["tags"], strict=True)
            for e, said in zip(examples, predictions, strict=True)
        )
        gap = "\t" if any(" " in word for e in examples for word in e.words) else " "
        text = "\n".join("".join(gap.join(cells) + "\n" for cells in lines) for lines in rows)
        return {"conlleval.txt" if known else "columns.txt": text}

    def notes(self, examples: dict[str, list[Sentence]]) -> list[str]:
        """Mended spans, and spans of types that were not in training."""
        found = []
        if mended := {split: n for split, part in examples.items() if (n := sum(e.mended for e in part))}:
            found.append(f"spans that began with I- and now begin with B-: {_listed(mended)}")
        unseen = Counter(
            span.label
            for part in examples.values()
            for e in part
            for span in spans(e.tags or ())
            if span.label not in self.types
        )
        if unseen:
            found.append(f"spans of types that the training set has not, which count as missed: {_listed(unseen)}")
        return found

    def state(self) -> dict[str, Any]:
        """The types of spans, and the scheme of the data."""
        return {"labels": self.types, "scheme": self.scheme}

    def _sentence(self, record: Record, number: int, labelled: bool) -> Sentence:
        fields = record.fields
        words = _words(record, "tokens")
        tags, mended = None, 0
        if labelled:
            given = given_tags(record, self.config)
            if len(given) != len(words):
                raise DataError(f"{record.where}: {len(given)} tags, expected one for each of its {len(words)} tokens")
            try:
                tags = tuple(to_bio(given, self.scheme))
            except ValueError as error:
                raise DataError(f"{record.where}: {error}") from error
            mended = odd_starts(given) if self.scheme == "bio" else 0
            if self.config.labels is not None and (strange := {tag[2:] for tag in tags if tag not in self.numbers}):
                raise DataError(f"{record.where}: {unknown('type of span', min(strange), self.types)}")
        marked = self.tagging.predicate != "none"
        predicate = fields.get("predicate") if marked or self.config.metric == "roles" else None
        if (marked or predicate is not None) and not (type(predicate) is int and 0 <= predicate < len(words)):
            raise DataError(f"{record.where}: expected 'predicate', the number of one of its {len(words)} tokens")
        name = fields.get("id", fields.get("idx", number))
        return Sentence(str(name), words, tags, predicate, fields.get("sentence"), mended, record.where)

    def _counts(self, rows: Iterable[Sequence[str]]) -> dict[str, int]:
        found = Counter(tag.removeprefix("B-") for tags in rows for tag in tags if not tag.startswith("I-"))
        known = ["O", *self.types]
        return {kind: found[kind] for kind in [*known, *sorted(found.keys() - set(known))]}

    def _props(
        self, predictions: Sequence[Prediction], examples: Sequence[Sentence], file: Path | None
    ) -> dict[str, str]:
        from ptv2.data.formats import format_of
        from ptv2.data.props import conll12_sentences, props_sentences, write_props

        readers = {"props": props_sentences, "conll12": conll12_sentences}
        if file is None or (kind := format_of(file, self.config)) not in readers:
            return {}
        # Sentences without a predicate are in no example, but the script counts lines. Limits may have cut the end.
        sentences = list(readers[kind](file, labelled=False))
        said = {
            (e.sentence, e.predicate): p["tags"]
            for e, p in zip(examples, predictions, strict=True)
            if e.sentence is not None and e.predicate is not None
        }
        whole = [
            replace(one, propositions=[p for p in one.propositions if (number, p.predicate) in said])
            for number, one in enumerate(sentences)
        ]
        known = any(tag != "O" for one in whole for p in one.propositions for tag in p.tags)
        return {**({"gold.props": write_props(whole)} if known else {}), "props": write_props(whole, said)}


def encode_items(
    items: Sequence[WordsItem], tokenizer: PreTrainedTokenizerBase, mark: str, max_length: int, stride: int
) -> TaggedSet:
    """Words of each item in windows.

    Args:
        mark: how the predicate follows its sentence: `published` behind the text `[SEP]`, `separator` behind the
            tokenizer's own separator, `none` not at all.
    """
    separator = PUBLISHED_SEPARATOR
    if mark == "separator":
        separator = tokenizer.sep_token or tokenizer.eos_token
    places, sentences, predicates, tags = zip(*items, strict=True)
    suffixes = None if mark == "none" else [(separator, *predicate) for predicate in predicates]
    known = None if None in tags else tags
    return encode_words(sentences, known, tokenizer, max_length, stride, suffixes, places)


def data_scheme(records: Sequence[Record], config: TaskConfig) -> Scheme:
    """The scheme that the configuration names, or the one the tags are in."""
    named = config.tagging.scheme if config.tagging else "auto"
    return scheme_of(given_tags(record, config) for record in records) if named == "auto" else named


def data_types(records: Sequence[Record], config: TaskConfig, scheme: Scheme) -> list[str]:
    """The types of spans in `records`, sorted.

    Raises:
        DataError: a tag does not fit the scheme, or there is no span at all.
    """
    types: set[str] = set()
    for record in records:
        try:
            types.update(tag[2:] for tag in to_bio(given_tags(record, config), scheme) if tag != "O")
        except ValueError as error:
            raise DataError(f"{record.where}: {error}") from error
    if not types:
        raise DataError(f"{records[0].where}: expected tags such as B-PER, found only O")
    return sorted(types)


def given_tags(record: Record, config: TaskConfig) -> list[str]:
    """The tags of a record as text; the numbers that hub sets have are named by `task.sources.hub.labels`.

    Raises:
        DataError: the field `task.label`, or `tags`, is missing or no list of tags.
    """
    found = record.fields.get(config.label, record.fields.get("tags"))
    if not isinstance(found, list):
        raise DataError(f"{record.where}: expected 'tags', a list with a tag for each token")
    names = config.sources.hub.labels if config.sources.hub else None
    tags: list[str] = []
    for tag in found:
        if type(tag) is int and names is not None and 0 <= tag < len(names):
            tags.append(names[tag])
        elif isinstance(tag, str):
            tags.append(tag)
        else:
            raise DataError(f"{record.where}: expected tags to be text, found {tag!r}")
    return tags


def _words(record: Record, name: str) -> tuple[str, ...]:
    found = record.fields.get(name)
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found) or not found:
        raise DataError(f"{record.where}: expected '{name}', a list of words")
    return tuple(found)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
