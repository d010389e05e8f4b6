"""Tag schemes: validate the tags of files and turn them into BIO.

| scheme | a span of three tokens | of one token | directly after one of its type |
|---|---|---|---|
| bio    | B- I- I- | B- | B- |
| iob1   | I- I- I- | I- | B- |
| bioes  | B- I- E- | S- | B- or S- |

BILOU is BIOES with L- for E- and U- for S-; both spellings are read as `bioes`. In `io` tags are bare types, and a span
is a stretch of one type. Tags that are bare prefixes (B, I, O) are spans of one type, `SPAN`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
BILOU = {"L": "E", "U": "S"}
PREFIXED = {f"{prefix}-" for prefix in ("B", "I", "E", "S", *BILOU)}
BARE = {"B", "I", "O", "E", "S", *BILOU}


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


def scheme_of(sequences: Iterable[Sequence[str]]) -> Scheme:
    """Guess the scheme of a data set's tags; `to_bio` then says what is wrong with single tags.

    `bioes` where a tag begins with E- or S-. `iob1` where spans begin with `I-`, and with `B-` only directly after a
    span of their type. Else `bio`, also where a few spans begin with `I-`: `odd_starts` counts those.
    """
    i_starts = b_starts = 0
    for tags in sequences:
        for (_, inside), (prefix, kind) in pairwise([("O", ""), *map(_parts, tags)]):
            if kind and prefix in ("E", "S"):
                return "bioes"
            follows = kind == inside
            i_starts += prefix == "I" and not follows
            b_starts += prefix == "B" and not follows
    return "iob1" if i_starts and not b_starts else "bio"


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
        tags, scheme = [tag if tag == "O" else f"I-{tag}" for tag in tags], "iob1"  # a stretch of one type is a span
    bio: list[str] = []
    before, inside = "O", ""  # prefix and type of the tag before
    for number, tag in enumerate(tags, start=1):
        prefix, kind = _checked(tag, scheme, number)
        follows = bool(kind) and kind == inside
        if fault := _misplaced(prefix, before, follows, scheme):
            position = f"after {quote(tags[number - 2])}" if number > 1 else "at the sentence's start"
            raise ValueError(f"tag {number} is {quote(tag)} {position}: {fault}")
        starts = prefix in ("B", "S") or not follows
        bio.append(f"{'B' if starts else 'I'}-{kind}" if kind else "O")
        before, inside = prefix, kind
    if scheme == "bioes" and before in ("B", "I"):
        raise ValueError(f"tag {len(tags)} is {quote(tags[-1])} at the sentence's end: {_GOES_ON}")
    return bio


def odd_starts(tags: Sequence[str]) -> int:
    """Count the spans of BIO tags that begin with `I-`, which `to_bio` mends."""
    parts = [("O", ""), *map(_parts, tags)]
    return sum(prefix == "I" and kind != inside for (_, inside), (prefix, kind) in pairwise(parts))


_GOES_ON = "expected I- or E- of the same type to follow a B- or I- (scheme bioes)"


def _parts(tag: str) -> tuple[str, str]:
    """Prefix, BILOU's as BIOES's, and type, which may hold hyphens; `("O", "")` outside of spans."""
    prefix, _, kind = tag.partition("-")
    return BILOU.get(prefix, prefix), kind


def _checked(tag: str, scheme: Scheme, number: int) -> tuple[str, str]:
    """Check the form of a tag and split it."""
    prefix, kind = _parts(tag)
    if tag != "O" and (prefix not in PREFIXES[scheme] or not kind):
        valid = ", ".join(f"{one}-TYPE" for one in PREFIXES[scheme])
        raise ValueError(f"tag {number} is {quote(tag)}: expected O, {valid} (scheme {scheme})")
    return prefix, kind


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
