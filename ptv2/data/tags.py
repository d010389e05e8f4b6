"""Tag schemes: validate the tags of files and turn them into BIO.

| scheme | a span of three tokens | of one token | directly after one of its type |
|---|---|---|---|
| bio    | B- I- I- | B- | B- |
| iob1   | I- I- I- | I- | B- |
| bioes  | B- I- E- | S- | B- or S- |

BILOU is BIOES with L- for E- and U- for S-; BMES and BMEWO have M- for I-, and W- for S-. All are read as `bioes`. In
`io` tags are bare types, and a span is a stretch of one type. Tags that are bare prefixes (B, I, O) are spans of one
type, `SPAN`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal, get_args

from ptv2.errors import quote, unknown

Scheme = Literal["bio", "iob1", "bioes", "io"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)

PREFIXES: dict[Scheme, tuple[str, ...]] = {
    "bio": ("B", "I"),
    "iob1": ("B", "I"),
    "bioes": ("B", "I", "E", "S"),
    "io": ("I",),
}
UNTYPED = "SPAN"  # the type of spans whose tags have no type
BILOU = {"L": "E", "U": "S", "M": "I", "W": "S"}  # and BMES, BMEWO
PREFIXED = {f"{prefix}-" for prefix in ("B", "I", "E", "S", *BILOU)}
BARE = {"B", "I", "O", "E", "S", "L", "U"}
# B_PER, B:PER, PER-B, PER_B, b-per: a prefix behind another sign, at the end, or in small letters
ODD_PREFIX = re.compile(r"(?:[BIESLUMW][_:./|]|[bieslumw]-)(?P<behind>.+)|(?P<before>.+)[-_:./|][BIESLUMW]")


def with_types(tags: Sequence[str]) -> list[str]:
    """Give bare prefixes (`B`) the type `SPAN` (`B-SPAN`); other tags stay as they are."""
    return [f"{tag}-{UNTYPED}" if tag != "O" and tag in BARE else tag for tag in tags]


def are_bare_prefixes(tags: Iterable[str]) -> bool:
    """Whether the tags of a data set have prefixes but no types."""
    distinct = set(tags)
    return distinct <= BARE and bool(distinct - {"O"})


def are_bare_types(tags: Iterable[str]) -> bool:
    """Whether the tags of a data set are `O` and types without prefixes."""
    distinct = set(tags)
    others = distinct - {"O"}
    return others < distinct and bool(others) and not any(tag in BARE or tag[:2] in PREFIXED for tag in others)


def odd_prefixes(tags: Iterable[str]) -> list[str]:
    """Two tags whose prefixes are written in another way than `B-PER`, if all but `O` are so; else an empty list."""
    types: dict[str, list[str]] = {}
    for tag in sorted(set(tags) - {"O"}):
        if (match := ODD_PREFIX.fullmatch(tag)) is None:
            return []
        types.setdefault(match["behind"] or match["before"], []).append(tag)
    return next((same[:2] for same in types.values() if len(same) > 1), [])


class TagPairs:
    """How often which tag follows which in a data set: all that its scheme and its types show in."""

    def __init__(self, sequences: Iterable[Sequence[str]] = ()) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()  # a sentence's first tag follows an `O`
        self._ends: set[str] = set()
        for tags in sequences:
            self.counts.update(pairwise(["O", *tags]))
            self._ends.update(tags[-1:])

    @property
    def tags(self) -> set[str]:
        """The different tags."""
        return {tag for _, tag in self.counts}

    def with_types(self) -> TagPairs:
        """Give bare prefixes a type, as the function of this name."""
        typed = TagPairs()
        typed.counts = Counter({tuple(with_types(pair)): count for pair, count in self.counts.items()})  # type: ignore[misc]
        typed._ends = set(with_types([*self._ends]))
        return typed

    def scheme(self) -> Scheme:
        """See `scheme_of`."""
        i_starts = b_starts = 0
        for (before, tag), count in self.counts.items():
            prefix, kind = _parts(tag)
            if kind and prefix in ("E", "S"):
                return "bioes"
            starts = kind != _parts(before)[1]
            i_starts += count * (prefix == "I" and starts)
            b_starts += count * (prefix == "B" and starts)
        return "iob1" if i_starts and not b_starts else "bio"

    def fit(self, scheme: Scheme) -> bool:
        """Whether `to_bio` takes all sentences."""
        pairs: Iterable[Sequence[str]] = self.counts
        if scheme == "io":
            pairs, scheme = map(_in_iob1, pairs), "iob1"
        open_ends = scheme == "bioes" and any(_parts(tag)[0] in ("B", "I") for tag in self._ends)
        return not open_ends and all(_in_bio(before, tag, scheme) is not None for before, tag in pairs)


def scheme_of(sequences: Iterable[Sequence[str]]) -> Scheme:
    """Guess the scheme of a data set's tags; `to_bio` then says what is wrong with single tags.

    `bioes` where a tag begins with E- or S-. `iob1` where spans begin with `I-`, and with `B-` only directly after a
    span of their type. Else `bio`, also where a few spans begin with `I-`: `odd_starts` counts those.
    """
    return TagPairs(sequences).scheme()


def to_bio(tags: Sequence[str], scheme: Scheme) -> list[str]:
    """Validate one sentence's tags and write them as BIO, in which every span begins with `B-`.

    A BIO `I-` after `O` or after another type begins a span, as in the conlleval script, and becomes `B-`: real files
    have them. Every other departure from the scheme is refused.

    Raises:
        ValueError: a tag is malformed or misplaced; the message has the tag, its number in the sentence (from 1) and
            what was expected. Or there is no such scheme.
    """
    if scheme not in SCHEMES:
        raise ValueError(unknown("tag scheme", scheme, SCHEMES))
    if scheme == "io":
        tags, scheme = _in_iob1(tags), "iob1"
    bio: list[str] = []
    for number, (before, tag) in enumerate(pairwise(["O", *tags]), start=1):
        if (written := _in_bio(before, tag, scheme)) is None:
            position = "at the sentence's start" if number == 1 else f"after {quote(before)}"
            raise ValueError(f"tag {number} is {quote(tag)}{_fault(before, tag, scheme, position)}")
        bio.append(written)
    if scheme == "bioes" and tags and _parts(tags[-1])[0] in ("B", "I"):
        raise ValueError(f"tag {len(tags)} is {quote(tags[-1])} at the sentence's end: {_GOES_ON}")
    return bio


def _in_iob1(tags: Sequence[str]) -> list[str]:
    """Give bare types their prefix: a stretch of one type is a span."""
    return [tag if tag == "O" else f"I-{tag}" for tag in tags]


def odd_starts(tags: Sequence[str]) -> int:
    """Count the spans of BIO tags that begin with `I-`, which `to_bio` mends."""
    return sum(map(_is_odd_start, ("O", *tags), tags))


@lru_cache(1 << 12)
def _is_odd_start(before: str, tag: str) -> bool:
    prefix, kind = _parts(tag)
    return prefix == "I" and kind != _parts(before)[1]


_GOES_ON = "expected I- or E- of the same type to follow a B- or I- (scheme bioes)"


def _parts(tag: str) -> tuple[str, str]:
    """Prefix, BILOU's as BIOES's, and type, which may hold hyphens; `("O", "")` outside of spans."""
    prefix, _, kind = tag.partition("-")
    return BILOU.get(prefix, prefix), kind


@lru_cache(1 << 12)  # a data set has few tags, each many times
def _in_bio(before: str, tag: str, scheme: Scheme) -> str | None:
    """The BIO tag of `tag` after another; None where it does not fit the scheme."""
    if _fault(before, tag, scheme, ""):
        return None
    prefix, kind = _parts(tag)
    starts = prefix in ("B", "S") or kind != _parts(before)[1]
    return f"{'B' if starts else 'I'}-{kind}" if kind else "O"


def _fault(before: str, tag: str, scheme: Scheme, position: str) -> str:
    """Say what was expected instead of `tag` at this position; empty if it is right."""
    prefix, kind = _parts(tag)
    foreign = scheme != "bioes" and tag.partition("-")[0] in BILOU
    if tag != "O" and (prefix not in PREFIXES[scheme] or not kind or foreign):
        valid = ", ".join(f"{one}-TYPE" for one in PREFIXES[scheme])
        return f": expected O, {valid} (scheme {scheme})"
    previous, inside = _parts(before)
    fault = _misplaced(prefix, previous, bool(kind) and kind == inside, scheme)
    return f" {position}: {fault}" if fault else ""


def _misplaced(prefix: str, before: str, follows: bool, scheme: Scheme) -> str:
    """Say what was expected instead of a prefix after another; empty if it is right.

    Args:
        follows: whether the tag before has the same type.
    """
    if scheme == "iob1" and prefix == "B" and not follows:
        return "expected B- only after a tag of the same type (scheme iob1)"
    if scheme == "bioes":
        is_open = before in ("B", "I")
        if is_open != (prefix in ("I", "E")) or (is_open and not follows):
            return _GOES_ON if is_open else "expected O, B- or S- where no span is open (scheme bioes)"
    return ""
