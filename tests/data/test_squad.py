"""The official JSON of SQuAD: what becomes of its questions, and what is said about faults. All texts are made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ptv2.data.records import Record
from ptv2.data.squad import as_predictions, check_answers, read_squad
from ptv2.errors import DataError

DATA = Path(__file__).parents[3] / "shared" / "data"
CONTEXT = "Ann\u2028sells pears in Łódź. Bob sells none 😀 of them."
BLANKS = "  Ann sells pears."


def question(name: str, text: str | None, **fields: Any) -> dict[str, Any]:
    """A question of version 2.0 about `CONTEXT`; none: it has no answer."""
    answers = [] if text is None else [{"text": text, "answer_start": CONTEXT.index(text)}]
    return {"id": name, "question": f"{name}?", "answers": answers, "is_impossible": text is None, **fields}


def document() -> dict[str, Any]:
    """Two articles in the form of version 2.0; the last question is in the form of 1.1."""
    both = [{"text": "Łódź", "answer_start": 19}, {"text": "in Łódź", "answer_start": 16}]
    old = {"id": "e", "question": "Who?", "answers": [{"text": "Ann", "answer_start": 2}]}
    return {
        "version": "v2.0",
        "data": [
            {
                "title": "Fruit",
                "paragraphs": [
                    {"qas": [question("a", "none 😀"), question("b", None)], "context": CONTEXT},
                    {"qas": [question("c", "Ann", answers=both)], "context": CONTEXT},
                ],
            },
            {"title": "Empty", "paragraphs": []},
            {"title": "More", "paragraphs": [{"context": BLANKS, "qas": [old]}]},
        ],
    }


def write(folder: Path, content: Any) -> Path:
    path = folder / "dev.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def read(folder: Path, content: Any) -> list[Record]:
    return list(read_squad(write(folder, content)))


def test_questions_in_order_with_their_contexts(tmp_path: Path) -> None:
    records = read(tmp_path, document())
    assert [record.fields["id"] for record in records] == ["a", "b", "c", "e"]
    assert records[0].fields == {
        "id": "a",
        "context": CONTEXT,
        "question": "a?",
        "answers": {"text": ["none 😀"], "answer_start": [CONTEXT.index("none")]},
    }
    assert records[1].fields["answers"] == {"text": [], "answer_start": []}
    assert records[2].fields["answers"] == {"text": ["Łódź", "in Łódź"], "answer_start": [19, 16]}
    assert records[3].fields["context"] == BLANKS, "blanks at its beginning count in the offsets"
    assert [record.where for record in records] == [f"{tmp_path}/dev.json: question {name}" for name in "abce"]


def test_a_byte_order_mark_and_unescaped_text(tmp_path: Path) -> None:
    assert len(read(tmp_path, "\ufeff" + json.dumps(document(), ensure_ascii=False))) == 4


def test_lists_of_articles_or_of_paragraphs_and_numbers_as_ids(tmp_path: Path) -> None:
    content = document()
    same = [record.fields for record in read(tmp_path, content)]
    assert [record.fields for record in read(tmp_path, content["data"])] == same
    paragraphs = [paragraph for article in content["data"] for paragraph in article["paragraphs"]]
    assert [record.fields for record in read(tmp_path, paragraphs)] == same
    first(content)["id"] = 3
    assert read(tmp_path, content)[0].fields["id"] == "3"


def test_answers_that_the_file_does_not_tell(tmp_path: Path) -> None:
    content = document()
    for article in content["data"]:
        for paragraph in article["paragraphs"]:
            for one in paragraph["qas"]:
                del one["answers"]
                one.pop("is_impossible", None)
    assert all("answers" not in record.fields for record in read(tmp_path, content))
    content["data"][0]["paragraphs"][0]["qas"][1]["is_impossible"] = True
    assert read(tmp_path, content)[1].fields["answers"] == {"text": [], "answer_start": []}


def first(content: dict[str, Any]) -> dict[str, Any]:
    return content["data"][0]["paragraphs"][0]["qas"][0]


def answer(content: dict[str, Any]) -> dict[str, Any]:
    return first(content)["answers"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: answer(c).update(answer_start=1),
            "question a: expected the answer 'none 😀' at answer_start 1, found '",
        ),
        (lambda c: answer(c).update(answer_start=999), "question a: .* at answer_start 999, found ''"),
        (lambda c: answer(c).update(answer_start=-9), "question a: expected 'answer_start' .* found -9"),
        (lambda c: answer(c).update(answer_start="3"), "question a: expected 'answer_start' .* found '3'"),
        (lambda c: answer(c).update(answer_start=True), "question a: expected 'answer_start' .* found True"),
        (lambda c: answer(c).pop("answer_start"), "question a: expected 'answer_start' .* found None"),
        (lambda c: answer(c).update(text=""), "question a: expected the text of an answer, found ''"),
        (lambda c: answer(c).pop("text"), "question a: expected an object with a text 'text'"),
        (lambda c: first(c).update(answers=["none"]), "question a: expected an object with a text 'text'"),
        (lambda c: first(c).update(answers="none"), "question a: expected an object with a list 'answers'"),
        (lambda c: first(c).update(answers=[]), "question a: expected either answers or .*, found neither; leave"),
        (lambda c: first(c).update(is_impossible=True), "question a: .* found 'is_impossible' and answers"),
        (lambda c: first(c).update(is_impossible="no"), "question a: expected 'is_impossible' .* found 'no'"),
        (lambda c: first(c).update(id="c"), "question c: expected every id once"),
        (lambda c: first(c).update(id=3.5), r"data\[0\]\.paragraphs\[0\]\.qas\[0\]: .* a text 'id'"),
        (lambda c: first(c).pop("question"), "question a: .* a text 'question'"),
        (lambda c: c["data"][0]["paragraphs"][1].pop("context"), r"data\[0\]\.paragraphs\[1\]: .* a text 'context'"),
        (lambda c: c["data"][0]["paragraphs"].append("x"), r"data\[0\]\.paragraphs\[2\]: .* a text 'context'"),
        (lambda c: c["data"][1].pop("paragraphs"), r"data\[1\]: .* a list 'paragraphs'"),
        (lambda c: c["data"][2]["paragraphs"][0].update(qas={}), r"data\[2\]\.paragraphs\[0\]: .* a list 'qas'"),
        (lambda c: c.pop("data"), "expected an object with a list 'data'"),
    ],
)
def test_faults_name_the_question(tmp_path: Path, change: Callable[[Any], Any], message: str) -> None:
    content = document()
    change(content)
    with pytest.raises(DataError, match=rf"^\S+/dev\.json: {message}"):
        read(tmp_path, content)


def test_faults_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dev\.json:3: expected SQuAD's JSON"):
        read(tmp_path, '{"version": "1.1",\n "data": [\n ]]}')
    with pytest.raises(DataError, match=r"dev\.json: expected an object with a list 'data'"):
        read(tmp_path, "3")
    assert read(tmp_path, "[]") == []
    with pytest.raises(DataError, match=r"dev\.json: expected SQuAD's JSON"):
        read(tmp_path, "[" * 100_000)
    (tmp_path / "dev.json").write_bytes(b'{"version": "1.1",\n "data": "\xff"}')
    with pytest.raises(DataError, match=r"dev\.json:2: expected UTF-8 text"):
        list(read_squad(tmp_path / "dev.json"))
    with pytest.raises(DataError, match=r"none\.json: No such file"):
        list(read_squad(tmp_path / "none.json"))


def test_answers_of_other_sources_are_checked_in_the_same_way() -> None:
    check_answers({"text": ["pears"], "answer_start": [10]}, CONTEXT, "here")
    for wrong in (None, ["pears"], {"text": ["pears"]}, {"text": ["pears"], "answer_start": []}):
        with pytest.raises(DataError, match=r"^here: expected 'answers' with lists 'text' and 'answer_start'"):
            check_answers(wrong, CONTEXT, "here")


def test_official_form_of_predictions() -> None:
    given = [{"id": "a", "prediction_text": "Łódź"}, {"id": "b", "prediction_text": ""}]
    assert as_predictions(given) == {"a": "Łódź", "b": ""}


@pytest.mark.skipif(not (DATA / "xquad_en").is_dir(), reason="no folder of real data beside the repository")
def test_real_files() -> None:
    counts = {}
    for name in ("xquad_en", "xquad_en_v2"):
        for split in ("train", "dev"):
            path = DATA / name / f"{split}.json"
            if path.is_file():
                records = list(read_squad(path))
                counts[name, split] = (len(records), sum(bool(r.fields["answers"]["text"]) for r in records))
    assert counts["xquad_en", "train"] == (837, 837)
    assert counts["xquad_en", "dev"] == (179, 179)
    assert counts["xquad_en_v2", "dev"] == (179, 120)
