"""Parquet files of the hub's library, of pandas, and of nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from pyarrow import parquet

from ptv2.config.compose import compose
from ptv2.data.formats import read_file
from ptv2.data.parquet import plain_rows
from ptv2.data.records import read_file as read_records
from ptv2.data.sources import open_source
from ptv2.errors import DataError
from ptv2.files import LFS_POINTER
from ptv2.tasks.new import ending_of


def written(path: Path, rows: list[dict[str, Any]], features: Features | None = None) -> Path:
    Dataset.from_list(rows, features=features).to_parquet(path)
    return path


def fields(path: Path) -> list[dict[str, Any]]:
    return [record.fields for record in read_records(path)]


def test_class_numbers_become_names(tmp_path: Path) -> None:
    tags = List(ClassLabel(names=["O", "B-PER"]))
    features = Features({"tokens": List(Value("string")), "ner_tags": tags, "label": ClassLabel(names=["no", "yes"])})
    rows = [{"tokens": ["Ada", "met"], "ner_tags": [1, 0], "label": 1}, {"tokens": [], "ner_tags": [], "label": -1}]
    path = written(tmp_path / "a.parquet", rows, features)
    records = list(read_records(path))
    assert [record.where for record in records] == [f"{path}: row 0", f"{path}: row 1"]
    assert records[0].fields == {"tokens": ["Ada", "met"], "ner_tags": ["B-PER", "O"], "label": "yes"}
    assert records[1].fields == {"tokens": [], "ner_tags": [], "label": None}


def test_tables_of_pandas_have_numbers_as_they_are(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": ["a", None], "label": [1, -1]}, index=[5, 6])
    frame.to_parquet(tmp_path / "a.parquet")
    assert [(row["text"], row["label"]) for row in fields(tmp_path / "a.parquet")] == [("a", 1), (None, -1)]


def test_the_tasks_of_ones_own_read_them(tmp_path: Path) -> None:
    rows = {
        "classification": {"sentence": "so", "label": 1},
        "ner": {"tokens": ["Ada"], "tags": ["B-PER"]},
        "squad": {"id": "1", "context": "Ada", "question": "Who?", "answers": {"text": ["Ada"], "answer_start": [0]}},
    }
    for name, row in rows.items():
        (folder := tmp_path / name).mkdir()
        for split in ("train", "validation", "test"):
            written(folder / f"{split}.parquet", [row])
        config = compose([f"task={name}", "data.source=files", f"data.dir={folder}"])
        source = open_source(config)
        assert [record.fields for split in source.splits for record in source.read(split)] == [row] * 3
        assert [record.fields for record in read_file(folder / "test.parquet", config.task)] == [row]


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    for content in (b"PAR1 and more", b""):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.parquet: cannot be read as Parquet \("):
            fields(path)
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(DataError) as caught:
        fields(path)
    assert str(caught.value) == f"{path}: {LFS_POINTER}"
    path.unlink()
    with pytest.raises(DataError, match=r"a\.parquet: No such file or directory$"):
        fields(path)
    bad = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
    parquet.write_table(pa.table({"text": bad}), path)
    with pytest.raises(DataError, match=r"a\.parquet: expected UTF-8 text in its cells, found the byte 0xFF after ''"):
        fields(path)
    parquet.write_table(pa.table({"text": pa.array([], pa.string())}), path)
    with pytest.raises(DataError, match=r"a\.parquet: the file has no records$"):
        fields(path)


def test_times_that_python_cannot_have_are_text(tmp_path: Path) -> None:
    """A zone that the system lacks, and a date that is too far; other columns are as they were."""
    there = pa.array([3_600_000_000, None], pa.timestamp("us", "Mars/Olympus"))
    inside = pa.StructArray.from_arrays([there, pa.array(["a", "b"])], ["when", "by"])
    columns = {
        "text": ["so", "no"],
        "there": there,
        "inside": pa.ListArray.from_arrays([0, 1, 2], inside),
        "late": pa.array([2**52, 0], pa.timestamp("ms")),
        "label": [1, 0],
    }
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    first, second = fields(tmp_path / "a.parquet")
    hour = "1970-01-01 01:00:00.000000"
    assert first | {"late": ""} == {
        "text": "so", "there": hour, "inside": [{"when": hour, "by": "a"}], "late": "", "label": 1
    }  # fmt: skip
    assert second["there"] is None
    assert second["inside"] == [{"when": None, "by": "b"}]
    assert plain_rows(parquet.read_table(tmp_path / "a.parquet")) == [first, second], "as data of the hub are read"


def test_a_class_without_a_name(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", [{"label": 1}], Features({"label": ClassLabel(names=["no", "yes"])}))
    table = parquet.read_table(path)
    parquet.write_table(
        table.set_column(0, "label", pa.array([7])).replace_schema_metadata(table.schema.metadata), path
    )
    with pytest.raises(DataError, match=r"a\.parquet: row 0: label is 7, but there are 2 classes$"):
        fields(path)


def test_a_stream_of_one(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", [{"label": 1}])
    assert ending_of(path.read_bytes(), "tag") == ending_of(path.read_bytes(), "classify") == ".parquet"
