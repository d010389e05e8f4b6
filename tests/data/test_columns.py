"""CoNLL column files: what was written comes back in every layout, and what is wrong is told with file and line."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptv2.data.columns import read_columns
from ptv2.errors import DataError

Sentences = list[list[tuple[str, str]]]

# Any text but what separates columns and lines; the mark that some editors write at a file's start is theirs.
WORD = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=" \t\r\n\ufeff\x00"), min_size=1, max_size=6
).filter(lambda word: "-DOCSTART-" not in word)
TAG = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC"])
TABLES = st.lists(st.lists(st.tuples(WORD, TAG), min_size=1, max_size=5), min_size=1, max_size=4)


def read(content: str | bytes, **options: Any) -> list[tuple[int, dict[str, list[str]]]]:
    """Line and fields of the records of a file with this content."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "some.txt")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        records = list(read_columns(path, **options))
    assert all(record.where.startswith(f"{path}:") for record in records)
    return [(int(record.where.rpartition(":")[2]), record.fields) for record in records]


def fault(content: str | bytes, **options: Any) -> str:
    """What is said about a file with this content, from its name on."""
    with pytest.raises(DataError) as caught:
        read(content, **options)
    return str(caught.value).rpartition("/")[2]


@settings(max_examples=200, deadline=None)
@given(
    TABLES,
    st.sampled_from([" ", "\t", "   ", " \t "]),
    st.sampled_from(["\n", "\r\n", "\r", "\r\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig"]),
    st.booleans(),
)
def test_what_was_written_comes_back(
    sentences: Sentences, separator: str, end: str, encoding: str, last_blank_line: bool
) -> None:
    if all(word.startswith("#") for sentence in sentences for word, _ in sentence):
        sentences = [*sentences, [("x", "O")]]  # a file of nothing but `#...` is one of comments
    blocks = [end.join(f"{word}{separator}{tag}" for word, tag in sentence) for sentence in sentences]
    text = (end * 2).join(blocks) + (end * 2 if last_blank_line else "")
    expected = [{"tokens": [w for w, _ in s], "tags": [t for _, t in s]} for s in sentences]
    assert [fields for _, fields in read(text.encode(encoding))] == expected


def test_conll03_layout_and_places() -> None:
    text = (
        "-DOCSTART- -X- -X- O\n\nOslo NNP I-NP I-LOC\nwins VBZ I-VP O\n\n\n  \t\n# # O O\n1 CD I-NP O\n"
        "-DOCSTART- -X- O O\nEnd NN I-NP O"
    )
    assert read(text) == [
        (3, {"tokens": ["Oslo", "wins"], "tags": ["I-LOC", "O"]}),
        (8, {"tokens": ["#", "1"], "tags": ["O", "O"]}),
        (11, {"tokens": ["End"], "tags": ["O"]}),
    ]


def test_tokens_may_hold_blanks_where_tabs_separate() -> None:
    assert read("1 000\tCD\tO\n New York \tNNP\tB-LOC\n") == [
        (1, {"tokens": ["1 000", "New York"], "tags": ["O", "B-LOC"]})
    ]


def test_a_blank_may_be_a_token_where_tabs_separate() -> None:
    assert read("a\tO\n \tO\n\tO\n\nb\tO\n") == [
        (1, {"tokens": ["a", "", ""], "tags": ["O", "O", "O"]}),
        (5, {"tokens": ["b"], "tags": ["O"]}),
    ]


def test_odd_characters_neither_cut_lines_nor_columns() -> None:
    words = ["a\u2028b", "\u00a0", "c\u0085d", "e\x0cf", "\u3000"]
    assert read("".join(f"{word} O\n" for word in words))[0][1]["tokens"] == words


def test_comments_and_hashes() -> None:
    text = "# a header of several words\n#doc\n\n# text = We like it\nWe O\n# O\n#tag O\n#\nlike O\n\n# O\nit O\n"
    assert read(text) == [
        (5, {"tokens": ["We", "#", "#tag", "like"], "tags": ["O"] * 4}),
        (11, {"tokens": ["#", "it"], "tags": ["O"] * 2}),
    ]
    assert read("# text = a b\na b\tO\n# c\tO\n") == [(2, {"tokens": ["a b", "# c"], "tags": ["O", "O"]})]
    assert read("# only\n\n# comments\n") == []


def test_named_columns() -> None:
    body = "1 Oslo B-LOC x\n2 wins O y\n"
    expected = [(2, {"tokens": ["Oslo", "wins"], "tags": ["B-LOC", "O"]})]
    assert read("# global.columns = ID FORM NE X\n" + body, tokens="FORM", tags="NE") == expected
    assert read("#\n" + body, tokens="word", tags="ne", columns=["n", "word", "ne", "other"]) == expected
    own = read("# global.columns = A B C D\n" + body, tokens=1, tags="ne", columns=["n", "word", "ne", "other"])
    assert own == expected  # the caller's names come before the file's


CONLLU = "1-2\tIsn't\t_\n1\tIs\tB-X\n2\tn't\tI-X\n3\tit\tO\n3.1\tso\tO\n\n1\tYes\tO\n\n"


def test_lines_of_conllu_that_are_no_words() -> None:
    expected = [{"tokens": ["Is", "n't", "it"], "tags": ["B-X", "I-X", "O"]}, {"tokens": ["Yes"], "tags": ["O"]}]
    for text in (CONLLU, CONLLU.partition("\n")[2], "# global.columns = ID FORM NE\n# text = Isn't it\n" + CONLLU):
        assert [fields for _, fields in read(text, tokens=1)] == expected
    # Words that look like such lines, where the first column does not number the words: WebAnno's, or the words' own.
    assert read("1-1\tAda\tO\n1-2\tis\tO\n", tokens=1)[0][1]["tokens"] == ["Ada", "is"]
    assert read("1 O\n2-3 O\nwon O\n")[0][1]["tokens"] == ["1", "2-3", "won"]


@pytest.mark.parametrize("sentences", [1, 30])
def test_a_column_that_counts_the_words_is_not_that_of_the_words(sentences: int) -> None:
    told = "some.txt: the words are 1, 2, 3, ..., which count them; task.tagging.tokens is the column of the"
    german = "# de.wiki [2009]\n1\tAda\tB-PER\tO\n2\tin\tO\tO\n3\tOslo\tB-LOC\tO\n\n" * sentences
    for text in (
        german,
        CONLLU * sentences,
        german + "1\tso\tO\tO\n",
        german.replace("1\t", "0\t").replace("2\t", "1\t").replace("3\t", "2\t"),
    ):
        assert fault(text).startswith(told)
    assert fault("# global.columns = ID FORM NE\n" + CONLLU).endswith("or by name; the columns are ID, FORM, NE")
    assert read(german, tokens=1)[0][1]["tokens"] == ["Ada", "in", "Oslo"]
    for text in ("1 O\n2 O\n\n", "1 O\n2 O\n3 O\n\nlost O\n", "7 O\n9 O\n11 O\n"):
        assert read(text)
    assert read("1\n2\n3\n", tags=None)[0][1]["tokens"] == ["1", "2", "3"]


def test_words_that_begin_with_their_language() -> None:
    with pytest.raises(
        DataError, match="every word begins with 'en:', as in WikiANN's files; `sed -i 's/\\^en://' FILE`"
    ):
        read("en:Ada\tB-PER\nen:met\tO\nen:\tO\n\nen:Bo\tB-PER\n")
    for text in ("en:Ada O\nde:met O\nen:Bo O\n", "en:Ada O\nen:met O\n\nBo O\n", "en:Ada O\n", "Ada O\nmet O\nBo O\n"):
        assert read(text)


def test_a_header_line_is_no_word() -> None:
    expected = [(2, {"tokens": ["Ada", "met"], "tags": ["PER", "O"]}), (5, {"tokens": ["tag"], "tags": ["O"]})]
    for header in ("word\ttag", "Token\tNER", "text\tlabels"):
        notes: list[str] = []
        assert read(f"{header}\nAda\tPER\nmet\tO\n\ntag\tO\n", note=notes.append) == expected
        assert notes == [f"some.txt: line 1 ({', '.join(header.split())}) names the columns and was passed over"]
    alone = read("word pos tag\nAda NNP O\n\nmet VB O\n", tags=None, note=notes.append)
    assert [fields["tokens"] for _, fields in alone] == [["Ada"], ["met"]], "also where no tags are read"
    assert notes[1:] == ["some.txt: line 1 (word, pos, tag) names the columns and was passed over"]
    assert read("word O\ntag PER\n", note=notes.append)[0][1]["tokens"] == ["word", "tag"]
    assert len(notes) == 2
    assert read("Ada PER\nword tag\n")[0][1]["tokens"] == ["Ada", "word"]


def test_tokens_alone() -> None:
    assert read("# a comment\nOslo\n#wins\n", tags=None) == [(2, {"tokens": ["Oslo", "#wins"]})]
    assert read("Oslo B-LOC\n", tags=None) == [(1, {"tokens": ["Oslo"]})]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("Oslo\nwins\n", {}, "some.txt:1: expected a word and its tag, separated by a blank or tab, found 'Oslo'"),
        ("a O\nb\n", {}, "some.txt:2: expected 2 columns as above, found 1"),
        ("a O\n\nb c O\n", {}, "some.txt:3: expected 2 columns as above, found 3"),
        ("a\tO\nb O\n", {}, "some.txt:2: expected 2 columns as above, found 1"),
        ("a O\n O\n", {}, "some.txt:2: expected 2 columns as above, found 1"),  # no token
        ("a\tO\nb\t\n", {}, "some.txt:2: expected 2 columns as above, found 1"),  # no tag
        ("a O\n# b c\n", {}, "some.txt:2: expected 2 columns as above, found 3"),  # no comment between tokens
        ("a O\n", {"tags": 2}, "some.txt:1: no column 2: the file has 2, numbered from 0"),
        ("a O\n", {"tokens": -3}, "some.txt:1: no column -3: the file has 2"),
        ("a O\n", {"tags": "ne"}, "some.txt:1: no column 'ne': the file does not name its columns"),
        ("a O\n", {"tags": "nee", "columns": ["word", "ne"]}, "some.txt:1: unknown column 'nee'; did you mean ne?"),
        ("# global.columns = FORM NE\na O\n", {"tags": "POS"}, "some.txt:2: unknown column 'POS'; known: FORM, NE"),
        ("#\na b O\n", {"columns": ["word", "ne"]}, "some.txt:2: expected 2 columns (word, ne), found 3"),
        (b"a O\nb\xff O\n", {}, "some.txt:2: expected UTF-8 text"),
        ("a O\n".encode("utf-16"), {}, "some.txt:1: expected UTF-8 text, found UTF-16; `iconv"),
        ("a O\n".encode("utf-16-le"), {}, "some.txt:1: expected UTF-8 text, found UTF-16LE; `iconv -f UTF-16LE"),
        ("a O\n".encode("utf-16-be"), {}, "some.txt:1: expected UTF-8 text, found UTF-16BE; `iconv -f UTF-16BE"),
        ("a O\n".encode("utf-32-le"), {}, "some.txt:1: expected UTF-8 text, found UTF-32LE; `iconv -f UTF-32LE"),
        ("a O\n".encode("utf-32-be"), {}, "some.txt:1: expected UTF-8 text, found UTF-32BE; `iconv -f UTF-32BE"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(content: str | bytes, options: dict[str, Any], message: str) -> None:
    assert re.match(re.escape(message), fault(content, **options)), fault(content, **options)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.txt", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(DataError, match=f"{path}: {reason}"):
            list(read_columns(path))
