"""Which reader a file gets: by the task's word, else by the file's name, and what a file without labels may lack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sequences import conll12, props, questions, roles

from ptv2.config import task_schema
from ptv2.config.compose import compose
from ptv2.config.task_schema import TaskConfig
from ptv2.data import superglue
from ptv2.data.formats import format_of, read_file
from ptv2.data.near import OTHERS
from ptv2.errors import DataError


def configured(name: str, *overrides: str) -> TaskConfig:
    return compose([f"task={name}", *overrides]).task


def on_files(name: str, *overrides: str) -> TaskConfig:
    return configured(name, "data.source=files", "data.dir=.", *overrides)


@pytest.mark.parametrize(
    ("task", "name", "expected"),
    [
        ("ner", "train.txt", "columns"),
        ("ner", "train.tsv", "columns"),  # the task's word goes before the name
        ("conll03", "eng.testa", "columns"),
        ("conll05", "test.wsj", "props"),
        ("squad", "dev-v1.1.json", "squad"),
        ("srl", "train.props", "props"),
        ("srl", "train.v4_gold_conll", "conll12"),
        ("srl", "wsj_0001.gold_conll", "conll12"),
        ("conll12", "development", "conll12"),  # a folder
        ("srl", "tags.txt", "columns"),
        ("rte", "val.jsonl", "records"),
        ("classification", "dev.csv", "records"),
        ("classification", "dev.txt", "records"),  # which then says what it knows
        *((task, "new.jsonl", "records") for task in ("ner", "conll05", "squad", "srl", "rte")),
    ],
)
def test_format(task: str, name: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "development":
        path.mkdir()
    assert format_of(path, on_files(task)) == expected


@pytest.mark.parametrize(
    ("task", "name", "expected"), [("mini-entities", "new.txt", "columns"), ("mini-questions", "new.json", "squad")]
)
def test_format_of_a_task_without_files(task: str, name: str, expected: str) -> None:
    assert format_of(Path(name), configured(task)) == expected


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def fields(path: Path, task: TaskConfig, **settings: bool) -> list[dict[str, Any]]:
    return [record.fields for record in read_file(path, task, **settings)]


def test_columns(tmp_path: Path) -> None:
    file = written(tmp_path, "new.txt", "1 Rain NN O\n2 fell VB O\n\n1 Oslo NNP B-LOC\n")
    by_number = ["task.tagging.tokens=1"]
    by_name = ["task.tagging.columns=[id,form,pos,ner]", "task.tagging.tokens=form", "task.tagging.tags=ner"]
    for overrides in (by_number, by_name):
        assert fields(file, on_files("ner", *overrides)) == [
            {"tokens": ["Rain", "fell"], "tags": ["O", "O"]},
            {"tokens": ["Oslo"], "tags": ["B-LOC"]},
        ]
        assert fields(file, on_files("ner", *overrides), labelled=False) == [
            {"tokens": ["Rain", "fell"]},
            {"tokens": ["Oslo"]},
        ]


def test_roles_in_both_layouts_are_the_same(tmp_path: Path) -> None:
    sentences, task = roles("dev"), on_files("srl")
    files = [
        written(tmp_path, "a.props", props(sentences)),
        written(tmp_path, "a.v4_gold_conll", conll12(sentences)),
    ]
    found, same = (fields(file, task) for file in files)
    assert found == same
    assert len(found) == sum(len(rows[0]) - 2 for rows in sentences)
    assert found[0]["tags"] == ["B-A0", "B-V", "B-A1", "I-A1", "B-AM-TMP", "I-AM-TMP"]
    assert [fields(file, task, labelled=False) for file in files] == [found, found]

    bare = [[row[:2] for row in rows] for rows in sentences]
    told = ("found 1 predicates and 0 columns", "the file has no predicates")  # the latter has framesets without spans
    for file, text, message in zip(files, (props(bare), conll12(bare)), told, strict=True):
        file.write_text(text)
        unlabelled = [{**one, "tags": ["O"] * len(one["tokens"])} for one in found]
        assert fields(file, task, labelled=False) == unlabelled
        with pytest.raises(DataError, match=message):
            list(read_file(file, task))
    torn = [[row[:3] for row in rows] for rows in sentences]  # one column for two predicates
    with pytest.raises(DataError, match="found 2 predicates and 1 columns"):
        list(read_file(written(tmp_path, "torn.props", props(torn)), task, labelled=False))


def test_questions(tmp_path: Path) -> None:
    file = written(tmp_path, "dev.json", json.dumps(questions("dev", unanswerable=True)))
    found = fields(file, on_files("squad_v2"))
    assert [one["id"] for one in found[:2]] == ["dev-0-where", "dev-0-none"]
    assert found[1]["answers"] == {"text": [], "answer_start": []}
    start = found[0]["answers"]["answer_start"][0]
    assert found[0]["context"][start:].startswith(found[0]["answers"]["text"][0])


@pytest.mark.parametrize(
    ("task", "name", "text", "message"),
    [
        ("ner", "dev.txt", "\n-DOCSTART- -X- O\n\n", "{file}: the file has no records"),
        ("conll05", "dev.props", "Oh -\n", "{file}: the file has no predicates"),
        ("squad", "dev.json", '{"data": []}', "{file}: the file has no records"),
        ("ner", "new.jsonl", "\n", "{file}: the file has no records"),
        (
            "classification",
            "dev.txt",
            "x",
            "{file}: unknown format '.txt'; known: .csv, .json, .jsonl, .parquet, .tsv; {OTHERS}",
        ),
    ],
)
def test_nothing_to_read(task: str, name: str, text: str, message: str, tmp_path: Path) -> None:
    file = written(tmp_path, name, text)
    with pytest.raises(DataError) as caught:
        list(read_file(file, on_files(task)))
    assert str(caught.value) == message.format(file=file, OTHERS=OTHERS)


@pytest.mark.parametrize("task", ["ner", "conll05", "srl", "squad", "classification"])
def test_no_such_file(task: str, tmp_path: Path) -> None:
    for name in ("none.jsonl", "none.txt", "none.props", "none.json", "none.v4_gold_conll"):
        with pytest.raises(DataError, match=f"^{tmp_path / name}: "):
            list(read_file(tmp_path / name, on_files(task)))


def test_configuration_knows_every_reader_of_records() -> None:
    """The schema imports no readers, so that a wrong setting is answered without them."""
    assert list(task_schema.READERS) == list(superglue.READERS)
