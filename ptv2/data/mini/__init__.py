"""Small English data sets that the project makes up itself, for the first minute and for tests.

The sentences come from templates; their names, nouns, verbs, adjectives and places are dealt to train, dev and test, so
that a model must learn the relation and cannot know the words. Function words and the words that carry a relation (such
as `managed to`, `film`, `more than`) are shared on purpose. Nothing here says anything about real language: a score on
these sets shows that the code learns and how methods compare on them, no more.

Everything is drawn with `random.Random`, seeded by kind, split and seed, so the same call gives the same records on
every platform, and a smaller size gives the beginning of a larger one.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from ptv2.data.mini import entities, inference, questions, roles
from ptv2.data.mini.words import SPLITS, Words
from ptv2.errors import ConfigError, unknown

REPEATS_ALLOWED = 1000  # draws in a row that give nothing new, before a size is called too large

Record = dict[str, Any]


class Kind(NamedTuple):
    """How to make the records of example number `index`, and how many examples each split has."""

    make: Callable[[int, Words], list[Record]]
    sizes: dict[str, int]


KINDS = {
    "inference": Kind(inference.make, {"train": 1440, "dev": 300, "test": 510}),
    "entities": Kind(entities.make, {"train": 800, "dev": 200, "test": 400}),
    "roles": Kind(roles.make, {"train": 600, "dev": 150, "test": 300}),
    "questions": Kind(questions.make, {"train": 480, "dev": 120, "test": 240}),
}


def generate(kind: str, split: str, seed: int = 0, size: int | None = None) -> list[Record]:
    """The records of one split, each with its number `idx`, in the flat form that a file reader gives.

    | kind | fields |
    |---|---|
    | inference | `premise`, `hypothesis`, `label`: entailment, neutral or contradiction |
    | entities | `tokens`, `tags`: BIO over PER, LOC, ORG, MISC |
    | roles | `tokens`, `predicate` (its token), `lemma`, `tags`: BIO over V, A0, A1, A2, AM-TMP, AM-LOC, `sentence` |
    | questions | `id`, `context`, `question`, `answers`: lists `text` and `answer_start` (characters) |

    Args:
        kind: one of `KINDS`.
        split: train, dev or test.
        seed: another seed draws other sentences from the same words.
        size: number of examples; None: the kind's own. For roles these are sentences, with one record per predicate.

    Raises:
        ConfigError: the kind or split is unknown, or there are no `size` different examples.
    """
    if kind not in KINDS:
        raise ConfigError(unknown("mini data set", kind, KINDS))
    if split not in SPLITS:
        raise ConfigError(unknown("split", split, SPLITS))
    make, sizes = KINDS[kind]
    wanted = sizes[split] if size is None else size
    words = Words(split, Random(f"{kind} {split} {seed}"))
    records: list[Record] = []
    seen: set[str] = set()
    repeats = 0
    while len(seen) < wanted:
        rows = make(len(seen), words)
        key = repr([{name: value for name, value in record.items() if name != "sentence"} for record in rows])
        if key in seen:
            repeats += 1
            if repeats > REPEATS_ALLOWED:
                raise ConfigError(f"mini {kind} has no {wanted} different {split} examples; {len(seen)} were found")
            continue
        repeats = 0
        seen.add(key)
        records += rows
    for number, record in enumerate(records):
        record["idx"] = number
        if kind == "questions":
            record["id"] = f"{split}-{number}"
    return records
