"""Span questions: short contexts of facts about people, and questions that a stretch of the context answers.

Two in three contexts have the same kind of fact about a second person, so that the question's words alone do not point
to the answer; half of the facts name the person by a profession, which the sentence before gives.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from ptv2.data.mini.words import Words, plural, with_article

NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


class Fact(NamedTuple):
    """A sentence about a person who is named or described (`tell`), and its questions, each with its answer."""

    tell: Callable[[str], str]
    ask: list[tuple[str, str]]


def _moved(words: Words, name: str, city: str, thing: str, other: str) -> Fact:
    year, front = words.one("year"), words.chance(0.5)
    return Fact(
        lambda who: f"In {year} {who} moved to {city}." if front else f"{who} moved to {city} in {year}.",
        [
            (f"Where did {name} move?", city),
            (f"When did {name} move to {city}?", year),
            (f"Who moved to {city}?", name),
        ],
    )


def _bought(words: Words, name: str, city: str, thing: str, other: str) -> Fact:
    count, things, (_, past) = words.rng.choice(NUMBERS), plural(thing), words.group("handle")
    return Fact(
        lambda who: f"{who} bought {count} {things} from {other} and {past} them.",
        [
            (f"How many {things} did {name} buy?", count),
            (f"Who sold {things} to {name}?", other),
            (f"What did {name} buy?", f"{count} {things}"),
        ],
    )


def _gave(words: Words, name: str, city: str, thing: str, other: str) -> Fact:
    gift, month = with_article(f"{words.one('color')} {thing}"), words.one("month")
    passive = words.chance(0.5)
    return Fact(
        lambda who: (
            f"In {month} {other} was given {gift} by {who}." if passive else f"{who} gave {other} {gift} in {month}."
        ),
        [
            (f"What did {name} give to {other}?", gift),
            (f"Who got {gift} from {name}?", other),
            (f"Who gave {gift} to {other}?", name),
        ],
    )


def _worked(words: Words, name: str, city: str, thing: str, other: str) -> Fact:
    location = f"the {words.one('place')}"
    return Fact(
        lambda who: f"{who} worked for {other} in {location} of {city}.",
        [(f"Where in {city} did {name} work?", location), (f"Who did {name} work for?", other)],
    )


FACTS = (_moved, _bought, _gave, _worked)


def make(index: int, words: Words) -> list[dict[str, object]]:
    """Question number `index`; the four kinds of facts take turns."""
    asked = FACTS[index % len(FACTS)]
    beside = words.rng.choice([kind for kind in FACTS if kind is not asked])
    rival = asked if words.chance(2 / 3) else beside
    names = [f"{a} {b}" for a, b in zip(words.some("name", 5), words.some("surname", 5), strict=True)]
    cities, things, jobs = words.some("city", 3), words.some("thing", 3), words.some("person", 2)

    fact = asked(words, names[0], cities[0], things[0], names[2])
    facts = _sentences(words, fact, names[0], jobs[0])
    extra = beside(words, names[0], cities[1], things[1], names[3]).tell(names[0])
    others = _sentences(words, rival(words, names[1], cities[2], things[2], names[4]), names[1], jobs[1])
    paragraphs = [[*facts, extra], others]
    words.rng.shuffle(paragraphs)

    context = " ".join(sentence for paragraph in paragraphs for sentence in paragraph)
    question, answer = words.rng.choice(fact.ask)
    answers = {"text": [answer], "answer_start": [_place(context, facts, answer)]}
    return [{"context": context, "question": question, "answers": answers}]


def _sentences(words: Words, fact: Fact, name: str, job: str) -> list[str]:
    """The fact with the person's name in it, or a sentence that gives the profession and the fact in terms of that."""
    if words.chance(0.5):
        return [fact.tell(name)]
    sentence = fact.tell(f"the {job}")
    return [f"{name} is {with_article(job)}.", sentence[0].upper() + sentence[1:]]


def _place(context: str, sentences: list[str], answer: str) -> int:
    """Find the answer in the context: in the sentences of the fact that the question is about."""
    text = " ".join(sentences)
    start = context.index(text)
    match = re.search(rf"\b{re.escape(answer)}\b", text)
    assert match is not None  # the answers are parts of the sentences
    return start + match.start()
