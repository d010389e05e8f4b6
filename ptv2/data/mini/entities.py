"""Entity tagging: persons, places, organisations and titles in BIO tags; the type of many names lies in the context."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ptv2.data.mini.words import Words, plural, with_article

TYPES = ("PER", "LOC", "ORG", "MISC")

# A slot such as <PER> is an entity; a word such as <thing> is drawn from its bank.
TEMPLATES = (
    "<PER> , <a person> , <past> the <thing> .",
    "The <person> said that <PER> <past> <a thing> .",
    "<PER> and <PER> met the <person> in the <place> .",
    "According to <PER> , the <things> in the <place> were <color> .",
    "The <person> talked about <PER> while the <thing> was <past> .",
    "Heavy rain fell in <LOC> when the <person> <past> the <thing> .",
    "The road from <LOC> to <LOC> was closed in <month> .",
    "The <person> was born near <LOC> in <year> .",
    "North of <LOC> , <a person> <past> the <thing> .",
    "The people of <LOC> <past> <a thing> .",
    "<ORG> hired <a person> in <month> .",
    "Shares of <ORG> fell after the <person> <past> the <things> .",
    "The board of <ORG> <past> the <thing> in <year> .",
    "<ORG> , which makes <things> , was sold to <ORG> .",
    "The <person> complained about <ORG> and its <things> .",
    "The film <MISC> is about <a person> and <a thing> .",
    "The <person> read the novel <MISC> in the <place> .",
    "<MISC> was written by <a person> in <year> .",
    "Critics liked <MISC> , a play about <things> .",
    "<PER> , who wrote <MISC> , lived in <LOC> .",
    "<PER> left <ORG> and moved to <LOC> .",
    "<ORG> opened an office in <LOC> and hired <PER> .",
    "<PER> sued <ORG> over the title of the film <MISC> .",
    "<ORG> paid <PER> for the rights to <MISC> .",
    "In <LOC> , <PER> <past> the <thing> of the <person> .",
    "The <person> <past> the <thing> in the <place> .",
)  # fmt: skip

MENTIONS: Mapping[str, Callable[[Words], list[str]]] = {
    "PER": lambda w: [
        w.one("ambiguous"),
        f"{w.one('name')} {w.one('surname')}",
        f"{w.one('ambiguous')} {w.one('surname')}",
    ],
    "LOC": lambda w: [w.one("ambiguous"), w.one("city"), f"Lake {w.one('surname')}", f"{w.one('ambiguous')} Bay"],
    "ORG": lambda w: [
        w.one("ambiguous"),
        f"{w.one('surname')} & {w.one('surname')}",
        f"Bank of {w.one('city')}",
        f"{w.one('ambiguous')} {plural(w.one('thing')).title()}",
    ],
    "MISC": lambda w: [
        w.one("ambiguous"),
        f"The {w.one('color').title()} {w.one('thing').title()}",
        f"Return to {w.one('city')}",
    ],
}

FILLERS: Mapping[str, Callable[[Words], str]] = {
    "a person": lambda w: with_article(w.one("person")),
    "a thing": lambda w: with_article(w.one("thing")),
    "things": lambda w: plural(w.one("thing")),
    "past": lambda w: w.group("handle")[1],
}


def make(index: int, words: Words) -> list[dict[str, object]]:
    """Sentence number `index`, the templates taking turns: tokens and BIO tags."""
    tokens: list[str] = []
    tags: list[str] = []
    for piece in re.findall(r"<[^>]+>|[^ ]+", TEMPLATES[index % len(TEMPLATES)]):
        slot = piece.strip("<>")
        if slot in TYPES:
            # Half of all mentions are words that any type may have.
            choices = MENTIONS[slot](words)
            mention = (choices[0] if words.chance(0.5) else words.rng.choice(choices[1:])).split()
            tokens += mention
            tags += [f"B-{slot}"] + [f"I-{slot}"] * (len(mention) - 1)
            continue
        text = piece if slot == piece else FILLERS[slot](words) if slot in FILLERS else words.one(slot)
        tokens += text.split()
        tags += ["O"] * len(text.split())
    return [{"tokens": tokens, "tags": tags}]
