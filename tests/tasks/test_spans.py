"""Tag schemes: the same spans in BIO, IOB1, BIOES and BILOU are recognised and read alike; what is wrong is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptv2.data.columns import read_columns
from ptv2.data.tags import SCHEMES, Scheme, TagPairs, odd_starts, scheme_of, to_bio
from ptv2.metrics.entities import chunks

DATA = Path(__file__).parents[3] / "shared" / "data" / "conll04"

QUICK = settings(deadline=None)  # the first call imports the metric's libraries

# A sentence as stretches of tokens: (type, tokens), no type outside of spans.
SENTENCE = st.lists(st.tuples(st.sampled_from(["", "PER", "LOC", "a-b"]), st.integers(1, 4)), max_size=6)


BIOES = ("bioes", "bilou", "bmes", "bmewo")


def written(sentence: list[tuple[str, int]], scheme: str) -> list[str]:
    """The sentence's tags, from the table of the module that is tested."""
    tags: list[str] = []
    for kind, length in sentence:
        if not kind:
            tags += ["O"] * length
            continue
        if scheme == "iob1":
            touches = tags and tags[-1].partition("-")[2] == kind
            prefixes = ["B" if touches else "I"] + ["I"] * (length - 1)
        elif scheme == "bio":
            prefixes = ["B"] + ["I"] * (length - 1)
        else:
            inside, last, alone = {"bioes": "IES", "bilou": "ILU", "bmes": "MES", "bmewo": "MEW"}[scheme]
            prefixes = [alone] if length == 1 else ["B", *[inside] * (length - 2), last]
        tags += [f"{prefix}-{kind}" for prefix in prefixes]
    return tags


@QUICK
@given(st.lists(SENTENCE, min_size=1, max_size=4), st.sampled_from(["bio", "iob1", *BIOES]))
def test_every_scheme_is_recognised_and_read_alike(sentences: list[list[tuple[str, int]]], scheme: str) -> None:
    tags = [written(sentence, scheme) for sentence in sentences]
    found = scheme_of(tags)
    has_spans = any(kind for sentence in sentences for kind, _ in sentence)
    assert found == (("bioes" if scheme in BIOES else scheme) if has_spans else "bio")
    assert [to_bio(one, found) for one in tags] == [written(sentence, "bio") for sentence in sentences]


@QUICK
@given(SENTENCE)
def test_spans_come_back(sentence: list[tuple[str, int]]) -> None:
    expected, at = [], 0
    for kind, length in sentence:
        expected += [(kind, at, at + length)] if kind else []
        at += length
    assert chunks(written(sentence, "bio")) == expected


def test_spans_of_odd_sequences_are_conllevals() -> None:
    assert chunks(["I-PER", "I-PER", "O", "I-LOC", "I-PER", "B-PER"]) == [
        ("PER", 0, 2),
        ("LOC", 3, 4),
        ("PER", 4, 5),
        ("PER", 5, 6),
    ]


@QUICK
@given(
    st.lists(
        st.lists(st.sampled_from(["O", "B-X", "I-X", "E-X", "S-X", "M-X", "I-Y", "X", "-", ""]), max_size=4), max_size=3
    )
)
def test_pairs_fit_a_scheme_where_all_sentences_do(sentences: list[list[str]]) -> None:
    for scheme in SCHEMES:
        try:
            for tags in sentences:
                to_bio(tags, scheme)
            fits = True
        except ValueError:
            fits = False
        assert TagPairs(sentences).fit(scheme) == fits


@QUICK
@given(st.lists(st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"]), max_size=8))
def test_mending_bio_keeps_every_span(tags: list[str]) -> None:
    bio = to_bio(tags, "bio")
    assert chunks(bio) == chunks(tags)
    assert odd_starts(bio) == 0
    assert sum(old != new for old, new in zip(tags, bio, strict=True)) == odd_starts(tags)


def test_a_few_odd_starts_do_not_make_it_iob1() -> None:
    tags = [["O", "I-PER", "I-PER"], ["B-PER", "I-LOC"]]
    assert scheme_of(tags) == "bio"
    assert [odd_starts(one) for one in tags] == [1, 1]
    assert [to_bio(one, "bio") for one in tags] == [["O", "B-PER", "I-PER"], ["B-PER", "B-LOC"]]


def test_iob1_by_hand() -> None:
    """As in the CoNLL-2003 files: `B-` only between neighbours of one type."""
    tags = ["I-ORG", "O", "I-PER", "I-PER", "B-PER", "I-LOC"]
    assert scheme_of([tags]) == "iob1"
    assert to_bio(tags, "iob1") == ["B-ORG", "O", "B-PER", "I-PER", "B-PER", "B-LOC"]


@pytest.mark.parametrize(
    ("tags", "scheme", "message"),
    [
        ("O B", "bio", r"tag 2 is 'B': expected O, B-TYPE, I-TYPE \(scheme bio\)"),
        ("O X-PER", "bio", "tag 2 is 'X-PER': expected O, B-TYPE, I-TYPE"),
        ("I-", "bio", "tag 1 is 'I-'"),
        ("O-PER", "bio", "tag 1 is 'O-PER'"),
        ("o", "bio", "tag 1 is 'o'"),
        ("S-PER", "bio", "tag 1 is 'S-PER'"),
        ("B-PER L-PER", "bio", "tag 2 is 'L-PER'"),
        ("B-PER M-PER", "bio", "tag 2 is 'M-PER': expected O, B-TYPE, I-TYPE"),
        ("NN", "bioes", "tag 1 is 'NN': expected O, B-TYPE, I-TYPE, E-TYPE, S-TYPE"),
        ("B-PER", "iob1", "tag 1 is 'B-PER' at the sentence's start: expected B- only after a tag of the same type"),
        ("I-LOC B-PER", "iob1", "tag 2 is 'B-PER' after 'I-LOC': expected B- only after"),
        ("B-PER O", "bioes", "tag 2 is 'O' after 'B-PER': expected I- or E- of the same type"),
        ("B-PER E-LOC", "bioes", "tag 2 is 'E-LOC' after 'B-PER': expected I- or E- of the same type"),
        ("B-PER S-PER", "bioes", "tag 2 is 'S-PER' after 'B-PER'"),
        ("B-PER I-PER", "bioes", "tag 2 is 'I-PER' at the sentence's end: expected I- or E-"),
        ("O E-PER", "bioes", "tag 2 is 'E-PER' after 'O': expected O, B- or S-"),
        ("S-PER I-PER", "bioes", "tag 2 is 'I-PER' after 'S-PER': expected O, B- or S-"),
        ("B-PER L-PER L-PER", "bioes", "tag 3 is 'L-PER' after 'L-PER': expected O, B- or S-"),
        ("O", "ioe", "unknown tag scheme 'ioe'; did you mean "),
    ],
)
def test_what_is_wrong_is_told(tags: str, scheme: Scheme, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_bio(tags.split(), scheme)


def test_reading_tags_does_not_import_what_takes_seconds() -> None:
    script = (
        "import sys; from ptv2.data.tags import to_bio, scheme_of; from ptv2.data.columns import read_columns; "
        "to_bio(['I-X'], scheme_of([['I-X']])); sys.exit(bool({'torch', 'evaluate', 'datasets'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.skipif(not DATA.is_dir(), reason="no data in shared/data/conll04 beside the project")
def test_conll04_is_bio_with_two_odd_starts() -> None:
    sentences = {split: [*read_columns(DATA / f"{split}.txt")] for split in ("train", "dev", "test")}
    assert {split: len(some) for split, some in sentences.items()} == {"train": 910, "dev": 243, "test": 144}
    tags = [record.fields["tags"] for some in sentences.values() for record in some]
    assert sum(map(len, tags)) == 26804 + 6975 + 4163
    assert scheme_of(tags) == "bio"
    assert sum(map(odd_starts, tags)) == 2
    assert sum(len(chunks(to_bio(one, "bio"))) for one in tags) == 3391 + 2 + 877 + 550  # as counted by B-, and the two
