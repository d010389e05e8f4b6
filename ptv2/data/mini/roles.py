"""Role labelling: sentences with one or two predicates, each with the spans of its arguments as BIO tags.

A sentence is a list of phrases; a phrase is a text and its role for each of the predicates that it belongs to.
Actives and passives, fronted adjuncts, shared subjects and relative clauses move the arguments around; `in` and `by`
begin times, places and (`by`) agents.
"""

from __future__ import annotations

from typing import NamedTuple

from ptv2.data.mini.words import Words, with_article


class Phrase(NamedTuple):
    """Words, and the roles that they play."""

    text: str
    roles: dict[int, str] = {}  # noqa: RUF012 - predicate number -> role; never changed


class Clause(NamedTuple):
    """A verb phrase: its subject apart, so that subjects can be shared or given a relative clause."""

    lemma: str
    subject: str
    subject_role: str
    rest: list[Phrase]


def make(index: int, words: Words) -> list[dict[str, object]]:
    """Make sentence number `index`: one record per predicate, with tokens, its token's number, lemma and BIO tags."""
    build = (_single, _coordinated, _two_clauses, _relative)[index % 4]
    lemmas, phrases = build(words)
    tokens = [token for phrase in phrases for token in phrase.text.split()]
    tokens[0] = tokens[0][0].upper() + tokens[0][1:]
    records: list[dict[str, object]] = []
    for number, lemma in enumerate(lemmas):
        tags = _tags(phrases, number)
        predicate = tags.index("B-V")
        records.append({"tokens": tokens, "predicate": predicate, "lemma": lemma, "tags": tags, "sentence": index})
    return sorted(records, key=lambda record: record["predicate"])  # type: ignore[arg-type, return-value]


def _tags(phrases: list[Phrase], number: int) -> list[str]:
    """BIO tags for one predicate; neighbouring phrases with the same role are one span."""
    tags: list[str] = []
    before = None
    for phrase in phrases:
        role = phrase.roles.get(number)
        length = len(phrase.text.split())
        if role is None:
            tags += ["O"] * length
        else:
            tags += [f"I-{role}" if role == before else f"B-{role}"] + [f"I-{role}"] * (length - 1)
        before = role
    return tags


def _single(words: Words) -> tuple[list[str], list[Phrase]]:
    """One clause; an adjunct may stand in front."""
    clause = _clause(words, 0)
    adjuncts = _adjuncts(words, 0, most=2)
    front, back = (adjuncts[:1], adjuncts[1:]) if words.chance(0.5) else ([], adjuncts)
    comma = [Phrase(",")] * len(front)
    subject = Phrase(clause.subject, {0: clause.subject_role})
    return [clause.lemma], [*front, *comma, subject, *clause.rest, *back, Phrase(".")]


def _coordinated(words: Words) -> tuple[list[str], list[Phrase]]:
    """Two verb phrases with one subject; each has its own adjuncts."""
    first, second = _clause(words, 0, person=True), _clause(words, 1, person=True)
    subject = Phrase(first.subject, {0: first.subject_role, 1: second.subject_role})
    middle, back = _adjuncts(words, 0, most=1), _adjuncts(words, 1, most=1)
    return [first.lemma, second.lemma], [subject, *first.rest, *middle, Phrase("and"), *second.rest, *back, Phrase(".")]


def _two_clauses(words: Words) -> tuple[list[str], list[Phrase]]:
    """Two clauses with a subject each; the second belongs to neither predicate of the first."""
    first, second = _clause(words, 0), _clause(words, 1)
    left, right = (Phrase(c.subject, {n: c.subject_role}) for n, c in enumerate((first, second)))
    joint = words.rng.choice(["and", "but", "because", "although"])
    front, back = _adjuncts(words, 0, most=1), _adjuncts(words, 1, most=1)
    phrases = [left, *first.rest, *front, Phrase(joint), right, *second.rest, *back, Phrase(".")]
    return [first.lemma, second.lemma], phrases


def _relative(words: Words) -> tuple[list[str], list[Phrase]]:
    """A relative clause inside the main clause's subject."""
    main, inner = _clause(words, 0, person=True), _clause(words, 1, person=True)
    role = main.subject_role
    inside = [Phrase(p.text, {**p.roles, 0: role}) for p in [*inner.rest, *_adjuncts(words, 1, most=1)]]
    head = Phrase(main.subject, {0: role, 1: inner.subject_role})
    back = _adjuncts(words, 0, most=1)
    return [main.lemma, inner.lemma], [head, Phrase("that", {0: role}), *inside, *main.rest, *back, Phrase(".")]


def _clause(words: Words, n: int, person: bool = False) -> Clause:
    """A clause of predicate number `n`; with `person` its subject is one, and fits any other such clause."""
    a, b = (_person(words, person) for person in words.some("person", 2))
    frame = words.rng.choice(["act", "greet", "handle", "transfer", "transfer"])
    if frame == "act":
        base, past = words.group("act")
        return Clause(base, a, "A0", [Phrase(past, {n: "V"})])
    if frame == "transfer":
        ways = _transfer(words, n, a, b)
        return words.rng.choice(ways[:3] if person else ways)
    base, past = words.group(frame)
    if words.chance(0.5) and frame == "greet":
        rest = [Phrase("was"), Phrase(past, {n: "V"}), Phrase(f"by {b}", {n: "A0"})]
        return Clause(base, a, "A1", rest)
    what = b if frame == "greet" else _thing(words)
    return Clause(base, a, "A0", [Phrase(past, {n: "V"}), Phrase(what, {n: "A1"})])


def _transfer(words: Words, n: int, a: str, b: str) -> list[Clause]:
    """Four ways to say that somebody (A0) gives somebody (A2) something (A1); the last has the thing as its subject."""
    base, past, participle = words.group("transfer")
    thing = _thing(words)
    verb, was_verb = Phrase(past, {n: "V"}), [Phrase("was"), Phrase(participle, {n: "V"})]
    return [
        Clause(base, a, "A0", [verb, Phrase(b, {n: "A2"}), Phrase(thing, {n: "A1"})]),
        Clause(base, a, "A0", [verb, Phrase(thing, {n: "A1"}), Phrase(f"to {b}", {n: "A2"})]),
        Clause(base, a, "A2", [*was_verb, Phrase(thing, {n: "A1"}), Phrase(f"by {b}", {n: "A0"})]),
        Clause(base, thing, "A1", [*was_verb, Phrase(f"to {a}", {n: "A2"}), Phrase(f"by {b}", {n: "A0"})]),
    ]


def _adjuncts(words: Words, n: int, most: int) -> list[Phrase]:
    """Up to `most` of one time and one place, in either order."""
    where = f"{words.rng.choice(['in', 'near', 'by'])} the {words.one('place')}"
    town = f"{words.rng.choice(['in', 'near'])} {words.one('city')}"
    when = [
        f"in {words.one('month')}",
        f"in {words.one('year')}",
        f"by {words.one('month')}",
        f"before {words.one('year')}",
    ]
    location = Phrase(words.rng.choice([where, town]), {n: "AM-LOC"})
    time = Phrase(words.rng.choice(when), {n: "AM-TMP"})
    return words.rng.sample([location, time], words.rng.randint(0, most))


def _person(words: Words, person: str) -> str:
    """A noun phrase for a person."""
    trait = words.one("trait")
    return words.rng.choice([f"the {person}", with_article(person), f"the {trait} {person}", words.one("name")])


def _thing(words: Words) -> str:
    """A noun phrase for a thing."""
    thing = words.one("thing")
    return words.rng.choice([f"the {thing}", with_article(thing), f"the {words.one('color')} {thing}"])
