"""The files that a preparation makes, their counts, and the published counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ptv2.data.props import Sentence, write_props

Counts = dict[str, int]


class TaskFile(NamedTuple):
    """One file that a task reads: its text, and its numbers of sentences, tokens and predicates or entities."""

    text: str
    counts: Counts


@dataclass(frozen=True)
class Release:
    """A corpus that users have by licence, and how it becomes the files of a task.

    `read` takes the folder or archive (if `takes_treebank` also the folder of the Penn Treebank, or None) and returns
    the parts by split. `published` has the published counts of each part, one for each edition.
    """

    summary: str
    suffix: str
    read: Callable[..., dict[str, TaskFile]]
    published: dict[str, list[Counts]]
    takes_treebank: bool = False


def differences(counts: Counts, published: Sequence[Counts]) -> list[str]:
    """List counts that differ from the nearest published edition, as "sentences: 12, published 14"."""
    by_edition = [
        [
            f"{what}: {counts[what]:,}, published {number:,}"
            for what, number in edition.items()
            if counts[what] != number
        ]
        for edition in sorted(published, key=lambda edition: abs(edition["sentences"] - counts["sentences"]))
    ]
    return min(by_edition, key=len)


def tagged(sentences: Iterable[tuple[Sequence[str], Sequence[str]]]) -> TaskFile:
    """Write tokens and their BIO tags as lines `token tag`, with a blank line after every sentence."""
    counts: Counter[str] = Counter(sentences=0, tokens=0, entities=0)
    blocks = []
    for tokens, tags in sentences:
        counts.update(sentences=1, tokens=len(tokens), entities=sum(tag.startswith("B-") for tag in tags))
        blocks.append("".join(f"{token} {tag}\n" for token, tag in zip(tokens, tags, strict=True)) + "\n")
    return TaskFile("".join(blocks), dict(counts))


def with_roles(sentences: Iterable[Sentence]) -> TaskFile:
    """Write sentences and their propositions in the columns of CoNLL-2005, the words first."""
    listed = list(sentences)
    tokens = sum(len(sentence.tokens) for sentence in listed)
    predicates = sum(len(sentence.propositions) for sentence in listed)
    counts = {"sentences": len(listed), "tokens": tokens, "predicates": predicates}
    return TaskFile(write_props(listed, words=True), counts)
