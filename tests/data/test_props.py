"""Semantic roles in official columns: records, brackets and BIO both ways, writing back, and what bad files get.

All sentences here are made up.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptv2.data.props import (
    Proposition,
    Sentence,
    conll12_sentences,
    props_sentences,
    read_conll12,
    read_props,
    to_bio,
    to_column,
    write_props,
)
from ptv2.data.records import Record
from ptv2.errors import DataError

DATA = Path(__file__).parents[3] / "shared" / "data"

PROPS = """Anna  -     (A0*)  *
sang  sing  (V*)   *
*     -     (A1*   *
loud  -     *      (A1*)
(     -     *      *
waltz dance *)     (V*)

Thanks -
!      -

Rain  -     (A1*)
fell  fall  (V*)
"""
SANG = {
    "tokens": ["Anna", "sang", "*", "loud", "(", "waltz"],
    "predicate": 1,
    "lemma": "sing",
    "tags": ["B-A0", "B-V", "B-A1", "I-A1", "I-A1", "I-A1"],
    "sentence": 0,
}
DANCED = {**SANG, "predicate": 5, "lemma": "dance", "tags": ["O", "O", "O", "B-A1", "O", "B-V"]}
FELL = {"tokens": ["Rain", "fell"], "predicate": 1, "lemma": "fall", "tags": ["B-A1", "B-V"], "sentence": 2}

LABELS = st.sampled_from(["V", "A0", "C-A0", "R-A0", "AM-TMP"])
TAGS = st.lists(st.one_of(st.just("O"), LABELS.map("B-{}".format), LABELS.map("I-{}".format)), max_size=12)


def written(folder: Path, text: str | bytes, name: str = "dev.props") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def conll12_line(number: int, word: str, *columns: str, lemma: str = "-", frameset: str = "-") -> str:
    return "  ".join(["doc", "0", str(number), word, "NN", "*", lemma, frameset, "-", "-", "*", *columns, "-"])


CONLL12 = "\n".join(
    [
        "#begin document (doc); part 000",
        conll12_line(0, "-LRB-", "*"),
        conll12_line(1, "Rain", "(ARG1*)", lemma="rain"),  # a word sense alone makes no predicate
        conll12_line(2, "fell", "(V*)", lemma="fall", frameset="01"),
        "",
        conll12_line(0, "Quiet"),
        "",
        "#end document",
        "#begin document (doc); part 001",
        conll12_line(0, "Go", "(V*)", lemma="go", frameset="02"),
        "#end document",
    ]
)


def test_a_record_for_each_predicate(tmp_path: Path) -> None:
    path = written(tmp_path, PROPS)
    assert list(read_props(path)) == [
        Record(SANG, f"{path}:2"),
        Record(DANCED, f"{path}:6"),
        Record(FELL, f"{path}:12"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        PROPS.replace("\n", "\r\n"),
        "\ufeff" + PROPS,
        "\n\n" + PROPS.replace("\n\n", "\n \t\n\n") + "\n\n",
        PROPS.rstrip("\n"),
        "\n".join("\t".join(line.split()) for line in PROPS.splitlines()),
    ],
    ids=["crlf", "mark", "more blank lines", "no end of line", "tabs"],
)
def test_ends_of_lines_and_blanks_do_not_matter(tmp_path: Path, text: str) -> None:
    assert [record.fields for record in read_props(written(tmp_path, text))] == [SANG, DANCED, FELL]


def test_other_blanks_of_unicode_are_part_of_a_word(tmp_path: Path) -> None:
    words = ["two\u00a0words", "\u2028", "end\u0085"]
    text = "\n".join(f"{word} go (V*)" if not i else f"{word} - *" for i, word in enumerate(words))
    (record,) = read_props(written(tmp_path, text))
    assert record.fields["tokens"] == words


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("Rain - (A1*)\nfell fall\n", 2, "expected 3 columns as in the sentence's first line, found 2"),
        ("Rain\nfell\n", 1, "expected at least 2 columns"),
        ("Oh -\n\nRain - (A1*) *\nfell fall (V*) *\n", 3, "found 1 predicates and 2 columns"),
        ("Rain -\nfell fall\n", 1, "found 1 predicates and 0 columns"),
        ("Rain - (A1*\nfell fall (V*)\n", 2, r"'\(V\*\)' opens a span within \(A1\* of .*:1; expected \*\) before it"),
        ("Rain - *)\nfell fall (V*)\n", 1, r"'\*\)' closes no open span"),
        ("Rain - (A1*\nfell fall *\n", 1, r"\(A1\* is not closed within its sentence"),
        ("Rain - (A1*\nfell fall *A0)\n", 2, r"'\*A0\)' closes \(A1\*"),
        ("Rain - (A1*))\nfell fall *\n", 1, r"expected \*, \(LABEL\*, \*\) or \(LABEL\*\), found '\(A1\*\)\)'"),
        ("Rain - (*)\nfell fall *\n", 1, "expected .* found"),
        ("Rain - B-A1\nfell fall B-V\n", 1, "expected .* found 'B-A1'"),
        ("Rain - (A0(A1*)\nfell fall *\n", 1, "expected .* found"),
        (b"Rain - (A1*)\nf\xe9ll fall (V*)\n", 2, "expected UTF-8"),
    ],
)
def test_bad_files_are_refused_with_their_line(tmp_path: Path, text: str | bytes, line: int, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError, match=f"^{path}:{line}: .*{message}"):
        list(read_props(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dev\.props: No such file"):
        list(read_props(tmp_path / "dev.props"))


def test_conll12_file(tmp_path: Path) -> None:
    path = written(tmp_path, CONLL12, "a.v4_gold_conll")
    first, second = read_conll12(path)
    assert first == Record(
        {
            "tokens": ["-LRB-", "Rain", "fell"],
            "predicate": 2,
            "lemma": "fall",
            "tags": ["O", "B-ARG1", "B-V"],
            "sentence": 0,
        },
        f"{path}:4",
    )
    assert (second.fields["tokens"], second.fields["sentence"], second.where) == (["Go"], 2, f"{path}:10")


def test_conll12_folder_is_read_in_the_order_of_its_paths(tmp_path: Path) -> None:
    for name in ("wb/b.v4_gold_conll", "nw/x/c.v4_gold_conll", "nw/x/a.v4_gold_conll"):
        written(tmp_path, CONLL12.replace("Rain", name[-15]), name)
    written(tmp_path, "not read", "nw/x/a.v4_gold_skel")
    records = list(read_conll12(tmp_path))
    assert [record.fields["tokens"][1] for record in records[::2]] == ["a", "c", "b"]
    assert [record.fields["sentence"] for record in records] == [0, 2, 3, 5, 6, 8]


def test_conll12_frameset_without_a_column_is_no_predicate(tmp_path: Path) -> None:
    lines = [
        conll12_line(0, "Rain", "(ARG1*)", lemma="rain", frameset="01"),
        conll12_line(1, "fell", "(V*)", lemma="fall", frameset="01"),
    ]
    (record,) = read_conll12(written(tmp_path, "\n".join(lines)))
    assert (record.fields["predicate"], record.fields["lemma"]) == (1, "fall")
    path = written(tmp_path, "\n".join(lines).replace("(V*)", "*"))
    with pytest.raises(DataError, match=f"^{path}:1: .*found 0 predicates and 1 columns"):
        list(read_conll12(path))


def test_conll12_needs_its_files_and_columns(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected files \*gold_conll"):
        list(read_conll12(tmp_path))
    path = written(tmp_path, PROPS, "a_gold_conll")
    with pytest.raises(DataError, match=f"^{path}:1: expected at least 12 columns, found 4"):
        list(read_conll12(tmp_path))


@given(TAGS)
def test_brackets_and_bio_hold_the_same(tags: list[str]) -> None:
    column = to_column(tags)
    back = to_bio(column)
    assert to_column(back) == column
    # the same tags, but for an I- that continued nothing, which is a B- now
    continued = [i > 0 and tags[i - 1][2:] == tag[2:] for i, tag in enumerate(tags)]
    assert back == [tag if tag[0] != "I" or continued[i] else f"B{tag[1:]}" for i, tag in enumerate(tags)]


def test_brackets_by_hand() -> None:
    tags = ["B-A0", "I-A0", "B-V", "O", "B-A1", "B-A1", "I-A1"]
    column = ["(A0*", "*)", "(V*)", "*", "(A1*)", "(A1*", "*)"]
    assert to_column(tags) == column
    assert to_bio(column) == tags
    assert to_bio(["(A0*", "*A0)", "(V*V)"]) == ["B-A0", "I-A0", "B-V"]
    for bad in ("A0", "B-", "E-A0", ""):
        with pytest.raises(ValueError, match=f"got '{bad}'"):
            to_column([bad])
    with pytest.raises(DataError, match=r"^token 1: '\*\)' closes no open span"):
        to_bio(["*", "*)"])


def test_written_with_words_is_read_as_the_same(tmp_path: Path) -> None:
    sentences = list(props_sentences(written(tmp_path, PROPS)))
    again = written(tmp_path, write_props(sentences, words=True), "again.props")
    assert [record.fields for record in read_props(again)] == [SANG, DANCED, FELL]
    assert [sentence.tokens for sentence in props_sentences(again)] == [sentence.tokens for sentence in sentences]


def test_predictions_in_the_columns_of_the_official_scorer(tmp_path: Path) -> None:
    sentences = list(props_sentences(written(tmp_path, PROPS)))
    predicted = {
        (2, 1): ["O", "B-V"],
        (0, 5): ["B-A0", "O", "O", "O", "I-A1", "B-V"],
        (0, 1): ["B-A0", "B-V", "B-AM-TMP", "I-AM-TMP", "B-AM-TMP", "O"],
    }
    assert write_props(sentences, predicted).splitlines() == [
        "-     (A0*)     (A0*)",
        "sing  (V*)      *",
        "-     (AM-TMP*  *",
        "-     *)        *",
        "-     (AM-TMP*) (A1*)",
        "dance *         (V*)",
        "",
        "-",
        "-",
        "",
        "-    *",
        "fall (V*)",
        "",
    ]


def test_predictions_must_be_those_of_the_sentences() -> None:
    sentences = [Sentence(["Rain", "fell"], [Proposition(1, "fall", ["B-A1", "B-V"], "")])]
    for predicted, message in [
        ({}, r"a prediction for \(sentence, predicate\) \(0, 1\), got none"),
        ({(0, 1): ["O"]}, r"expected 2 tags for \(sentence, predicate\) \(0, 1\), got 1"),
        ({(0, 1): ["O", "O"], (1, 0): ["O"]}, r"got one of \(sentence, predicate\) \(1, 0\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            write_props(sentences, predicted)


@pytest.mark.parametrize(
    ("name", "counts", "labels"),
    [
        ("train", (1677, 372, 21251, 4212), {"A1": 2745, "A0": 1469, "AM-TMP": 453}),
        ("dev", (297, 66, 3718, 765), {"A1": 515, "A0": 264, "AM-TMP": 99}),
        ("test", (1226, 374, 15514, 2852), {"A1": 1875, "A0": 1084, "AM-TMP": 316}),
    ],
)
def test_real_props_have_their_published_counts(name: str, counts: tuple[int, ...], labels: dict[str, int]) -> None:
    path = real("up_ewt") / f"{name}.props"
    sentences, records = list(props_sentences(path)), list(read_props(path))
    found = Counter(tag[2:] for record in records for tag in record.fields["tags"] if tag[0] == "B")
    assert sizes(sentences) == counts
    assert len(records) == found["V"] == counts[-1]
    assert {label: found[label] for label in labels} == labels
    assert columns(write_props(sentences, words=True)) == columns(path.read_text())


def test_real_conll12_has_its_counts() -> None:
    sentences = list(conll12_sentences(real("conll12_sample")))
    assert sizes(sentences) == (20, 2, 391, 88)
    assert any("-LRB-" in sentence.tokens for sentence in sentences)
    assert all(p.tags[p.predicate] == "B-V" and p.lemma != "-" for s in sentences for p in s.propositions)


def real(folder: str) -> Path:
    if not (DATA / folder).is_dir():
        pytest.skip(f"no data in {DATA.parent.name}/{DATA.name} beside the project")
    return DATA / folder


def sizes(sentences: list[Sentence]) -> tuple[int, ...]:
    """Sentences, those without a predicate, tokens, predicates."""
    predicates = [len(sentence.propositions) for sentence in sentences]
    return len(sentences), predicates.count(0), sum(len(s.tokens) for s in sentences), sum(predicates)


def columns(text: str) -> list[list[str]]:
    return [line.split() for line in text.strip().splitlines()]
