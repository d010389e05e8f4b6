"""Labels that stand for none."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ptv2.config.compose import compose
from ptv2.data.labels import absent_labels, read_label
from ptv2.data.records import Record
from ptv2.data.sources import Source
from ptv2.errors import DataError
from ptv2.experiment.read import read_examples

NOTE = "label '{}' is a class like others; if it means that there is none, take those examples out of the files"


@pytest.mark.parametrize(
    ("counts", "label"),
    [
        ({"-": 1, "entailment": 50, "neutral": 50}, "-"),
        ({"-1": 4, "0": 50, "1": 50}, "-1"),
        ({"-1": 30, "0": 30, "1": 30}, None),  # bad, neither, good
        ({"-1": 1, "1": 90}, None),
        ({"-2": 1, "-1": 1, "0": 50, "1": 50}, None),
        ({"no": 1, "yes": 50}, None),
        ({"none": 20, "against": 50, "nan": 3}, None),  # a stance
        ({"NA": 1, "yes": 50}, "NA"),
        ({"None": 1, "yes": 50}, "None"),
        ({}, None),
    ],
)
def test_a_label_that_may_stand_for_none(counts: dict[str, int], label: str | None) -> None:
    assert absent_labels(counts) == (label and NOTE.format(label))


def source(test: list[Any], labels: tuple[int, ...] = (0, 1)) -> Source:
    def rows(values: Any) -> list[Record]:
        return [Record({"sentence": f"s {n}", "label": value}, f"x.jsonl:{n}") for n, value in enumerate(values)]

    splits = {"train": rows(labels), "dev": rows(labels), "test": rows(test)}
    return Source("x", ("train", "dev", "test"), lambda split: splits[split])


def test_hidden_labels_of_a_test_set(tmp_path: Path) -> None:
    config = compose(["task=classification", f"data.dir={tmp_path}"])
    told = (
        "the test split: no example says what is right, so that it cannot be scored; take the file away or set "
        r"task\.sources\.files\.files\.test=\[\], and give it to `ptv2 predict` after the training"
    )
    for hidden in (["-1", -1, -1.0], [None, -1], [""]):
        with pytest.raises(DataError, match=told):
            read_examples(config, source(hidden))
    with pytest.raises(DataError, match="unknown label '-1'; did you mean 1"):
        read_examples(config, source([-1, 0]))
    assert read_examples(config, source([-1, 0], (-1, 0))).facts.examples["test"] == 2  # a class of the task


def test_a_test_file_is_left_alone_where_the_task_names_none(tmp_path: Path) -> None:
    from ptv2.data.sources import open_source

    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.csv").write_text("sentence,label\na,0\nb,1\n")
    words = ["task=classification", f"data.dir={tmp_path}"]
    assert open_source(compose(words)).splits == ("train", "dev", "test")
    assert open_source(compose([*words, "task.sources.files.files.test=[]"])).splits == ("train", "dev")


@pytest.mark.parametrize(
    ("value", "name"),
    [(Decimal("1.0"), "1"), (Decimal("-0.0"), "0"), (Decimal("1.50"), "1.5"), (Decimal(10) ** 20, "1" + "0" * 20)],
)
def test_a_number_of_a_database_is_a_label(value: Decimal, name: str) -> None:
    assert read_label(value, "x.parquet: row 0", "label") == name


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (Decimal("nan"), "is 'NaN'"),
        (datetime(2020, 1, 1), "found another kind of value: datetime"),
        (b"x", "found ano"),
    ],
)
def test_what_is_no_label(value: Any, kind: str) -> None:
    with pytest.raises(DataError, match=kind):
        read_label(value, "x.parquet: row 0", "label")
