"""The words and tags of a record, and the settings that name them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ptv2.config.task_schema import TaskConfig
from ptv2.data.records import Record
from ptv2.data.tables import hint_at_lists
from ptv2.data.tags import BARE, PREFIXED
from ptv2.errors import DataError, enumerate_some, kind_of, quote

# Fields of words and of tags, in the order of preference; for tags `task.label` comes first.
WORD_FIELDS = ("tokens", "words")
TAG_FIELDS = ("tags", "ner_tags", "labels")
# Fields of spans by characters in the exports of doccano, Label Studio, Prodigy and spaCy, and those of their texts.
SPAN_FIELDS = ("entities", "spans", "label", "labels", "annotations")
TEXT_FIELDS = ("text", "data")
SPANS = "; spans by characters are not read, and docs/how-to/other-files.md says how they become words and tags"


def tag_names(config: TaskConfig) -> list[str] | None:
    """Return the names of numbered tags in their order: `task.labels` where it has `O`, or the hub's, or None."""
    if config.labels and "O" in config.labels:
        return [str(label) for label in config.labels]
    return config.sources.hub.labels if config.sources.hub else None


def given_tags(record: Record, config: TaskConfig) -> list[str]:
    """Read the tags of a record as text, numbers replaced by their names.

    Raises:
        DataError: the field of the tags is missing or no list, or has numbers without names.
    """
    field = tag_field(record, config)
    tags = record.fields.get(field)
    if not isinstance(tags, list) or _has_spans(record):
        name = field if _is_own(record, config) else "tags"
        found = _instead(record, field)
        raise DataError(f"{record.where}: expected '{name}', a list with a tag for each token; {found}")
    names = tag_names(config)
    if names is None and all(type(tag) is str for tag in tags):
        return tags
    return [_tag_text(tag, names, record.where) for tag in tags]


def _instead(record: Record, field: str) -> str:
    """Say what is in the place of the list of tags."""
    if _has_spans(record):
        return f"the record has: {enumerate_some(record.fields)}{SPANS}"
    if field not in record.fields:
        return f"the record has: {enumerate_some(record.fields)} (task.label names the field)"
    value = record.fields[field]
    return f"found in '{field}' {kind_of(value)}: {quote(value)}{hint_at_lists(record.where)}"


def _tag_text(tag: Any, names: Sequence[str] | None, where: str) -> str:
    if isinstance(tag, str) and not (names is not None and tag.isascii() and tag.isdigit() and tag not in names):
        return tag
    if isinstance(tag, bool) or not isinstance(tag, int | str):
        raise DataError(f"{where}: expected tags to be text, found {quote(tag)}")
    if names is None:
        raise DataError(
            f"{where}: expected tags to be text, found {tag}; numbers need the names of all tags in their order: "
            "task.labels=[O,B-PER,I-PER,...]"
        )
    if not 0 <= int(tag) < len(names):
        raise DataError(f"{where}: expected tags to be text, found {quote(tag)}: there are {len(names)} names, from 0")
    return names[int(tag)]


def tag_field(record: Record, config: TaskConfig) -> str:
    """Name the field of the tags: `task.label`, or if that is a usual name, the usual one that the record has."""
    if _is_own(record, config):
        return config.label
    return next((name for name in (config.label, *TAG_FIELDS) if name in record.fields), "tags")


def _is_own(record: Record, config: TaskConfig) -> bool:
    """Whether `task.label` names a field that only these data have; those of column files have no names."""
    return config.label not in ("label", *TAG_FIELDS) and not _has_columns(record)


def _has_columns(record: Record) -> bool:
    """Whether a record is of a file of columns, by its place: `FILE:LINE`."""
    file, colon, _ = record.where.rpartition(":")
    return bool(colon) and not file.endswith((".json", ".jsonl", ".parquet"))


def hint_at_setting(record: Record, given: Sequence[str]) -> str:
    """Name the settings that may be meant where what was read is no tag; empty where it is one of another scheme."""
    if all(tag in BARE or "-" in tag for tag in given):
        return ""
    bare = not any(tag[:2].upper() in PREFIXED for tag in given)
    scheme = "; task.tagging.scheme=io takes types without a prefix" if bare else ""
    if not _has_columns(record):
        return scheme
    return f"; task.tagging.tags is the column of the tags: its number from 0, or -1 for the last{scheme}"


def has_words(record: Record) -> bool:
    """Whether the record is no sentence without words."""
    return _words(record) != []


def read_words(record: Record) -> tuple[str, ...]:
    """Return the words of a record.

    Raises:
        DataError: there are none.
    """
    words = _words(record)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words) or not words:
        hint = SPANS if _has_spans(record) else hint_at_lists(record.where) if isinstance(words, str) else ""
        raise DataError(
            f"{record.where}: expected 'tokens', a list of words; the record has: {enumerate_some(record.fields)}{hint}"
        )
    return tuple(words)


def _words(record: Record) -> Any:
    return next((record.fields[name] for name in WORD_FIELDS if name in record.fields), None)


def _has_spans(record: Record) -> bool:
    """Whether a record has a text, and spans of its characters, in place of words and tags."""
    fields = record.fields
    if not any(isinstance(fields.get(name), str | dict) for name in TEXT_FIELDS):
        return False
    words = _words(record)
    if isinstance(words, list) and all(isinstance(word, str) for word in words):
        return False
    spans = (fields.get(name) for name in SPAN_FIELDS)
    return any(isinstance(found, list) and not any(isinstance(one, str) for one in found) for found in spans)
