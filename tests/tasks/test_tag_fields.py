"""The words and tags of a record: their fields, and what is said of what stands in their place."""

from __future__ import annotations

from typing import Any

import pytest
from tag_tasks import TRAIN, records, task_of

from ptv2.data.records import Record
from ptv2.errors import DataError


@pytest.mark.parametrize(
    ("where", "tag", "column", "scheme"),
    [
        ("train.txt:1", "NN", True, True),
        ("train.txt:1", "S-PER", False, False),
        ("a.jsonl:1", "NN", False, True),
        ("hub 1", "_", False, True),
    ],
)
@pytest.mark.parametrize("is_training", [False, True])
def test_what_is_no_tag_names_the_settings(where: str, tag: str, column: bool, scheme: bool, is_training: bool) -> None:
    rows = [Record({"tokens": ["Anna", "in"], "tags": [tag, "I-X"]}, where)]
    with pytest.raises(DataError) as caught:
        task_of("ner", rows) if is_training else task_of("ner", TRAIN, "task.labels=[PER,LOC]").read(rows)
    assert ("; task.tagging.tags is the column of the tags" in str(caught.value)) is column
    assert "task.tagging.scheme=io" not in str(caught.value)  # I-X has a prefix
    with pytest.raises(DataError) as caught:
        task_of("ner", TRAIN, "task.labels=[PER,LOC]").read([Record({"tokens": ["Anna"], "tags": [tag]}, where)])
    assert ("; task.tagging.scheme=io takes types without a prefix" in str(caught.value)) is scheme


@pytest.mark.parametrize("form", ["{}_PER", "{}:PER", "PER-{}", "PER_{}"])
def test_prefixes_in_another_form_are_no_types(form: str) -> None:
    tags = [form.format("B"), form.format("I"), "O"]
    rows = records({"tokens": ["Anna", "Berg", "left"], "tags": tags})
    with pytest.raises(DataError) as caught:
        task_of("ner", rows)
    told = (
        f"train.txt:1: tags such as {tags[0]} and {tags[1]} have their prefix in an unknown form; expected B-TYPE and"
    )
    assert str(caught.value).startswith(told)
    assert task_of("ner", rows, "task.tagging.scheme=io").types == tags[:2]
    # Types that only look like it, one alone or beside others.
    for others in (["O", "U.S", "I.E"], ["O", tags[0], tags[1], "LOC"], ["O", "PER", "E_mail", "S_tar"]):
        assert task_of("ner", records({"tokens": ["a"] * len(others), "tags": others})).scheme == "io"


SPANS = "; spans by characters are not read, and docs/how-to/other-files.md says how they become words and tags"
TEXT = "Anna left"


@pytest.mark.parametrize(
    "fields",
    [
        {"text": TEXT, "label": [[0, 4, "PER"]]},  # doccano
        {"text": TEXT, "labels": []},
        {"text": TEXT, "entities": [{"label": "PER", "start_offset": 0, "end_offset": 4}], "relations": []},
        {"text": TEXT, "tokens": [{"text": "Anna", "start": 0, "end": 4}], "spans": [{"start": 0}]},  # Prodigy
        {"data": {"text": TEXT}, "annotations": [{"result": []}]},  # Label Studio
    ],
)
def test_spans_by_characters_are_named(fields: dict[str, Any]) -> None:
    for read in (
        lambda: task_of("ner", [Record(fields, "a.jsonl:1")]),
        lambda: task_of("ner", TRAIN).read(records(fields)),
    ):
        with pytest.raises(DataError) as caught:
            read()
        assert str(caught.value).endswith(SPANS)


def test_lists_in_a_table_are_named() -> None:
    rows = [Record({"tokens": "['Anna']", "ner_tags": "[1]"}, "a.csv:2")]
    with pytest.raises(
        DataError, match=r"found in 'ner_tags' a text: '\[1\]'; a table holds no lists, but JSON lines do$"
    ):
        task_of("ner", rows)
    with pytest.raises(DataError, match=r"has: tokens, ner_tags; a table holds no lists, but JSON lines do$"):
        task_of("ner", TRAIN).read(rows)


def test_tags_are_read_from_the_field_that_is_named() -> None:
    fields = {"tokens": ["Ann"], "tags": ["O"], "mine": ["B-PER"]}
    for place in ("train.jsonl:1", "train.parquet: row 0", "somebody/set train 0"):
        train = [Record(fields, place)]
        assert task_of("ner", train, "task.label=mine").types == ["PER"]
        with pytest.raises(
            DataError, match=r"expected 'yours', .* has: tokens, tags, mine \(task.label names the field"
        ):
            task_of("ner", train, "task.label=yours")


def test_columns_have_no_field_that_could_be_named() -> None:
    train = [Record({"tokens": ["Ann"], "tags": ["B-PER"]}, "train.txt:1")]
    assert task_of("ner", train, "task.label=on_the_hub").types == ["PER"]
