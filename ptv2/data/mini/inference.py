"""Inference pairs: nine relations between two sentences, each with all three labels from the same words.

In every relation the label depends on how the same words are put together, so that neither the hypothesis alone nor the
overlap of the two sentences gives it away; negation appears with all labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ptv2.data.mini.words import Words, plural, with_article

LABELS = ("entailment", "neutral", "contradiction")
E, N, C = LABELS
Pair = tuple[str, str]


def voice(label: str, words: Words) -> Pair:
    """Active and passive: the same event, another event (one in four with the roles swapped), or its denial."""
    (a, b, c), ((base, past), (_, other_past)) = words.some("person", 3), words.groups("greet", 2)
    passive = words.chance(0.5)

    def say(doer: str, other: str, is_passive: bool, did: str = past) -> str:
        return f"The {other} was {did} by the {doer}." if is_passive else f"The {doer} {did} the {other}."

    premise = say(a, b, passive)
    if label == E:
        return premise, say(a, b, not passive)
    if label == C:
        did_not = f"The {b} was not {past} by the {a}." if words.chance(0.5) else f"The {a} did not {base} the {b}."
        return premise, did_not
    other = words.rng.choice([(b, a, past), (a, b, other_past), (a, c, past), (c, b, past)])
    return premise, say(other[0], other[1], words.chance(0.5), other[2])


def detail(label: str, words: Words) -> Pair:
    """Dropping a detail keeps a statement true; adding or changing one does not."""
    person, thing = words.one("person"), words.one("thing")
    base, past = words.group("handle")
    plain = f"the {thing}"
    if words.chance(0.5):
        full, changed = (f"the {color} {thing}" for color in words.some("color", 2))
    else:
        full, changed = (f"the {thing} in the {place}" for place in words.some("place", 2))
    did, did_not = f"The {person} {past}", f"The {person} did not {base}"
    if label == C:
        return f"{did} {full}.", f"{did_not} {words.rng.choice([plain, full])}."
    if label == E:
        return f"{did} {full}.", f"{did} {plain}."
    first, second = (plain, full) if words.chance(0.3) else (full, changed)
    return f"{did} {first}.", f"{did} {second}."


QUANTIFIERS = {
    "all": "All of the",
    "most": "Most of the",
    "some": "Some of the",
    "none": "None of the",
    "not all": "Not all of the",
}
# Premise and hypothesis by label.
QUANTIFIED = {
    E: (("all", "some"), ("all", "most"), ("most", "some"), ("none", "not all")),
    N: (
        ("some", "all"),
        ("some", "most"),
        ("most", "all"),
        ("not all", "none"),
        ("not all", "some"),
        ("some", "not all"),
    ),
    C: (
        *(("all", "none"), ("all", "not all"), ("most", "none"), ("some", "none")),
        *(("none", "some"), ("none", "all"), ("not all", "all")),
    ),
}


def _verb(forms: tuple[str, ...], denied: bool) -> str:
    """The past of a verb (base, past), or its denial."""
    base, past = forms
    return f"did not {base}" if denied else past


def quantity(label: str, words: Words) -> Pair:
    """All, most, some, not all, none."""
    who, place, (_, past) = plural(words.one("person")), words.one("place"), words.group("act")
    first, second = words.rng.choice(QUANTIFIED[label])
    return tuple(f"{QUANTIFIERS[q]} {who} in the {place} {past}." for q in (first, second))  # type: ignore[return-value]


def kind(label: str, words: Words) -> Pair:
    """A member and its kind: a beagle is a dog, no dog is no beagle."""
    (general, *members), (different, *others) = words.groups("kind", 2)
    name, place = words.one("name"), words.one("place")
    member, sibling = words.rng.sample(members, 2)

    def say(what: str, denied: bool) -> str:
        return f"{name} saw {'no ' + what if denied else with_article(what)} in the {place}."

    if label == E:
        return words.rng.choice([(say(member, False), say(general, False)), (say(general, True), say(member, True))])
    if label == C:
        return words.rng.choice([(say(general, True), say(member, False)), (say(member, False), say(general, True))])
    other = words.rng.choice(others)
    return words.rng.choice(
        [
            (say(general, False), say(member, False)),
            (say(member, False), say(sibling, words.chance(0.5))),
            (say(member, words.chance(0.5)), say(other, words.chance(0.5))),
            (say(member, words.chance(0.5)), say(different, words.chance(0.5))),
        ]
    )


def join(label: str, words: Words) -> Pair:
    """Both, neither, one of the two."""
    (a, b, c), verb = words.some("name", 3), words.group("act")
    denied = words.chance(0.5)

    def claim(who: str) -> str:
        return f"{who} {_verb(verb, denied)}."

    all_did, none_did = f"Both {a} and {b} {verb[1]}.", f"Neither {a} nor {b} {verb[1]}."
    if label == N:
        if words.chance(0.5):
            return f"Either {a} or {b} {verb[1]}.", claim(words.rng.choice([a, b]))
        return words.rng.choice([all_did, none_did]), claim(c)
    return (all_did if denied == (label == C) else none_did), claim(words.rng.choice([a, b]))


# Verbs, adverbs and conjunctions by what they say of the event beside them: it happened, it did not, or neither.
DEED = {
    "yes": ("managed to", "remembered to", "was able to"),
    "no": ("failed to", "forgot to", "refused to"),
    "open": ("wanted to", "hoped to", "planned to"),
}
MANNER = {
    "yes": ("finally", "secretly", "quickly"),
    "no": ("almost", "nearly", "never"),
    "open": ("perhaps", "allegedly", "supposedly"),
}
BELIEF = {
    "yes": ("knew", "noticed", "regretted"),
    "no": ("pretended", "falsely claimed", "wrongly believed"),
    "open": ("thought", "suspected", "said"),
}
CLAUSE = {"yes": ("Because", "Although", "When"), "open": ("If", "Unless", "In case")}


def _status(label: str, denied: bool) -> str:
    """Whether an event happened, if a hypothesis that affirms or denies it has this label."""
    return "open" if label == N else "yes" if denied == (label == C) else "no"


def deed(label: str, words: Words) -> Pair:
    """Managed to, forgot to, hoped to."""
    return _with_hint(label, words, DEED, 0)


def manner(label: str, words: Words) -> Pair:
    """Finally, almost, perhaps."""
    return _with_hint(label, words, MANNER, 1)


def _with_hint(label: str, words: Words, hints: Mapping[str, tuple[str, ...]], form: int) -> Pair:
    """What somebody did to a thing: a hint before the verb (0: its base, 1: its past), and a plain claim or denial."""
    person, verb, thing = words.one("person"), words.group("handle"), words.one("thing")
    denied = words.chance(0.5)
    hint = words.rng.choice(hints[_status(label, denied)])
    return f"The {person} {hint} {verb[form]} the {thing}.", f"The {person} {_verb(verb, denied)} the {thing}."


def belief(label: str, words: Words) -> Pair:
    """Knew, pretended, thought: what was known is so, whether or not it is a denial."""
    name, person, act = words.one("name"), words.one("person"), words.group("act")
    known_denied, denied = words.chance(0.5), words.chance(0.5)
    verb = words.rng.choice(BELIEF[_status(label, known_denied != denied)])
    return f"{name} {verb} that the {person} {_verb(act, known_denied)}.", f"The {person} {_verb(act, denied)}."


def clause(label: str, words: Words) -> Pair:
    """Because, although, if: either half of the sentence may be asked about, and either may be a denial."""
    people, verbs = words.some("person", 2), words.groups("act", 2)
    denials = [words.chance(0.5), words.chance(0.5)]
    asked = words.rng.randrange(2)

    def say(half: int, is_denied: bool) -> str:
        return f"the {people[half]} {_verb(verbs[half], is_denied)}"

    word = words.rng.choice(CLAUSE["open" if label == N else "yes"])
    denied = words.chance(0.5) if label == N else denials[asked] == (label == E)
    return f"{word} {say(0, denials[0])}, {say(1, denials[1])}.", f"{say(asked, denied).capitalize()}."


RELATIONS: tuple[Callable[[str, Words], Pair], ...] = (
    voice, detail, kind, quantity, join, deed, manner, belief, clause
)  # fmt: skip


def make(index: int, words: Words) -> list[dict[str, object]]:
    """Pair number `index`: labels and relations take turns, so that the labels of any stretch of pairs are balanced."""
    relation = RELATIONS[index // len(LABELS) % len(RELATIONS)]
    label = LABELS[index % len(LABELS)]
    premise, hypothesis = relation(label, words)
    return [{"premise": premise, "hypothesis": hypothesis, "label": label}]
