"""Reading JSON lines, CSV and TSV: what was written comes back, and what is wrong is told with file and line."""

from __future__ import annotations

import csv
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptv2.config.compose import compose
from ptv2.config.task_schema import FilesSource
from ptv2.data.labels import LabelSet
from ptv2.data.near import OTHERS
from ptv2.data.records import find_files, fingerprint, read_file
from ptv2.data.sources import open_source
from ptv2.errors import ConfigError, DataError

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff\x00"), max_size=12)
PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters='\ufeff\x00\t\r\n"'), max_size=12)
ENCODING = st.sampled_from(["utf-8", "utf-8-sig"])  # with and without the mark that some editors write
COLUMNS = "task.sources.files.columns=[label,text]"
HINT = "task.sources.files.columns=[...] names the columns of a table without a header"


def tables(cell: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[list[str], list[list[str]]]]:
    """A header of two to four distinct names, and rows of as many cells."""
    names = cell.map(lambda name: name.strip(" \t")).filter(bool)  # blanks around a name are no part of it
    headers = st.lists(names, min_size=2, max_size=4, unique=True)
    return headers.flatmap(
        lambda header: st.tuples(
            st.just(header), st.lists(st.lists(cell, min_size=len(header), max_size=len(header)), min_size=1)
        )
    )


def read_back(name: str, text: str, encoding: str = "utf-8") -> list[Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(text.encode(encoding))
        return list(read_file(path))


def fault(path: Path, content: str | bytes) -> str:
    """The message that a file with this content is answered with."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError) as caught:
        list(read_file(path))
    return str(caught.value)


# What was written comes back

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT, lambda v: st.lists(v), max_leaves=4
)


@QUICK
@given(
    st.lists(st.dictionaries(TEXT, VALUES, max_size=3), min_size=1),
    st.booleans(),
    ENCODING,
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_json_lines(rows: list[dict[str, Any]], ascii_only: bool, encoding: str, end: str) -> None:
    text = "".join(json.dumps(row, ensure_ascii=ascii_only) + end for row in rows)
    records = read_back("a.jsonl", text, encoding)
    assert [record.fields for record in records] == rows
    assert [record.where.rpartition(":")[2] for record in records] == [str(n) for n in range(1, len(rows) + 1)]


@QUICK
@given(
    tables(TEXT), ENCODING, st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), st.sampled_from(["\n", "\r\n", "\r"])
)
def test_csv(table: tuple[list[str], list[list[str]]], encoding: str, quoting: Any, end: str) -> None:
    header, rows = table
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.csv")
        with path.open("w", encoding=encoding, newline="") as stream:
            # the writer quotes a line end only if it is its own (before Python 3.13), the reader knows all of them
            if any(end in cell for row in [header, *rows] for cell in row for end in "\r\n"):
                quoting = csv.QUOTE_ALL
            csv.writer(stream, quoting=quoting, lineterminator=end).writerows([header, *rows])
        assert [record.fields for record in read_file(path)] == [dict(zip(header, row, strict=True)) for row in rows]


@QUICK
@given(tables(PLAIN), ENCODING, st.sampled_from(["\n", "\r\n", "\r"]))
def test_tsv(table: tuple[list[str], list[list[str]]], encoding: str, end: str) -> None:
    header, rows = table
    text = "".join("\t".join(row) + end for row in [header, *rows])
    records = read_back("a.TSV", text, encoding)
    assert [record.fields for record in records] == [dict(zip(header, row, strict=True)) for row in rows]
    assert [record.where.rpartition(":")[2] for record in records] == [str(n) for n in range(2, len(rows) + 2)]


def test_blank_lines_are_passed_over_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('\n{"a": 1}\n   \n{"a": 2}\n\n')
    assert [record.where for record in read_file(path)] == [f"{path}:2", f"{path}:4"]


def test_line_separators_inside_a_string_end_no_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"a": "one\u2028two\x85three\x0bfour"}, ensure_ascii=False) + "\n", encoding="utf-8")
    assert [record.fields["a"] for record in read_file(path)] == ["one\u2028two\x85three\x0bfour"]


# What is wrong


@pytest.mark.parametrize(
    ("name", "content", "line", "expected"),
    [
        ("a.jsonl", '{"a": 1}\n{"a": 2,}\n', 2, "expected one JSON object on the line"),
        ("a.jsonl", '{"a": 1} {"a": 2}\n', 1, "expected one JSON object on the line"),
        ("a.jsonl", '{"a": 1}\n\n[1, 2]\n', 3, "expected a JSON object, found a list"),
        ("a.jsonl", '{"a": 1}\n{"a": ' + "9" * 5000 + "}\n", 2, "expected one JSON object on the line"),
        ("a.jsonl", '{"a": ' + "[" * 100_000 + "\n", 1, "expected one JSON object on the line"),
        ("a.csv", "a,b\n1,2\n1,2,3\n", 3, "expected 2 columns (a, b), found 3"),
        ("a.csv", 'a,b\n"1\n2",3\n4\n', 4, "expected 2 columns (a, b), found 1"),
        ("a.csv", "a,b\n1,2\n\ufeffa,b\n3,4\n", 3, "the header line again, as of files that were put together"),
        ("a.csv", "a,a\n1,2\n", 1, "expected a header line with distinct field names"),
        ("a.csv", 'a,b\n1,"2"3\n', 2, "expected a separator or the end of the line behind a closing quotation mark"),
        ("a.csv", 'a,b\n1,"2\n', 2, "a quotation mark is opened in this row and never closed"),
        ("a.csv", 'a,b\n1,2\n\n"1,2\n3,4\n', 4, "never closed (read to line 5)"),
        ("a.csv", 'a,b\n1,2\n"1" x,2\n', 3, "expected a separator or the end of the line behind a closing"),
        ("a.csv", '"a,b\n1,2\n', 1, "never closed (read to line 2), in the header"),
        ("a.tsv", "a\tb\n1\t2\n1 2\n", 3, "expected 2 columns (a, b), found 1"),
    ],
)
def test_malformed_content(tmp_path: Path, name: str, content: str, line: int, expected: str) -> None:
    message = fault(tmp_path / name, content)
    assert message.startswith(f"{tmp_path / name}:{line}: ")
    assert expected in message
    assert len(message) < 300


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv"])
@pytest.mark.parametrize(
    "before", [0, 1, 5000], ids=lambda n: f"after {n} lines"
)  # 5000: far beyond one read of the file
def test_bytes_that_are_no_utf8(tmp_path: Path, name: str, before: int) -> None:
    lines = {"a.jsonl": b'{"a": "caf\xc3\xa9"}\n', "a.csv": b"caf\xc3\xa9\n", "a.tsv": b"caf\xc3\xa9\n"}
    content = lines[name] * before + b"caf\xe9\n" + lines[name]
    found = "found the byte 0xE9; `iconv -f CP1252 -t UTF-8 FILE` converts Windows-1252 and Latin-1"
    assert fault(tmp_path / name, content) == f"{tmp_path / name}:{before + 1}: expected UTF-8 text, {found}"


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_no_records(tmp_path: Path, content: str) -> None:
    assert fault(tmp_path / "a.jsonl", content) == f"{tmp_path / 'a.jsonl'}: the file has no records"
    told = "the file is empty; expected a header line that names the fields"
    assert fault(tmp_path / "a.csv", content) == f"{tmp_path / 'a.csv'}: {told}"
    told = "the file has no records below its first line, which names the fields"
    assert fault(tmp_path / "a.csv", "a,b\n") == f"{tmp_path / 'a.csv'}: {told}"


def test_other_formats_and_missing_files(tmp_path: Path) -> None:
    told = "a.xml: unknown format '.xml'; known: .csv, .json, .jsonl, .parquet, .tsv"
    assert fault(tmp_path / "a.xml", "[]").endswith(f"{told}; {OTHERS}")
    converted = "pandas.read_excel('a.xlsx').to_json('a.jsonl', orient='records', lines=True)"
    assert fault(tmp_path / "a.xlsx", "PK").endswith(f"{told[-38:]}; pandas makes JSON lines of it: {converted}")
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / 'b.csv'}: No such file or directory")):
        list(read_file(tmp_path / "b.csv"))
    (tmp_path / "c.csv").mkdir()
    with pytest.raises(DataError, match="Is a directory"):
        list(read_file(tmp_path / "c.csv"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"text": {"0": "a"}, "label": {"0": "x"}}', "columns (text, label); pandas writes rows with to_json("),
        ('{"text": ["a"], "label": [1]}', "columns (text, label); pandas writes rows with to_json("),
        ('{"columns": ["text"], "index": [0], "data": [["a"]]}', "columns (columns, index, data); pandas writes"),
        ('{"train": [{"text": "a"}], "version": 1}', "an object with train, version"),
        ("{}", "an object with nothing"),
        ("3", "a number"),
    ],
)
def test_json_of_something_else_than_rows(text: str, found: str, tmp_path: Path) -> None:
    message = fault(tmp_path / "a.json", text)
    assert f"a.json: expected a list of objects, or an object with a list 'data'; found {found}" in message


# Tables without a header


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", '1,"so, it"\n2,b\n'),
        ("a.csv", 'n,text\r\n1,"so, it"\r\n2,b\r\n'),  # a header all the same
        ("a.csv", '"1";"so, it"\n2;b\n'),
        ("a.tsv", "1\tso, it\n\n2\tb\n"),
    ],
)
def test_columns_that_are_named_by_a_setting(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, newline="")
    found = [record.fields for record in read_file(tmp_path / name, columns=["n", "text"])]
    assert found == [{"n": "1", "text": "so, it"}, {"n": "2", "text": "b"}]
    with pytest.raises(DataError, match=r":1: expected 3 columns \(number, words, more\), found 2$"):
        list(read_file(tmp_path / name, columns=["number", "words", "more"]))


def test_a_file_with_a_header_of_other_columns(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("index\ttext\n0\tb\n")
    notes: list[str] = []
    found = [record.fields for record in read_file(tmp_path / "a.tsv", notes.append, ["n", "mark", "text"])]
    assert (found, notes) == (
        [{"index": "0", "text": "b"}],
        ["a.tsv: its first line names the fields, and not task.sources.files.columns"],
    )


def test_no_rows_below_columns_that_are_named(tmp_path: Path) -> None:
    for text in ("", "n,text\n"):
        (tmp_path / "a.csv").write_text(text)
        with pytest.raises(DataError, match=r"a\.csv: the file has no records$"):
            list(read_file(tmp_path / "a.csv", columns=["n", "text"]))


def test_names_of_columns_are_a_setting_that_counts(tmp_path: Path) -> None:
    for split in ("train", "dev"):
        (tmp_path / f"{split}.csv").write_text("0,a\n1,b\n")
    words = ["task=classification", f"data.dir={tmp_path}"]
    first, other, none = (open_source(compose([*words, *more])) for more in ([COLUMNS], [f"{COLUMNS[:-1]},more]"], []))
    assert [record.fields for record in first.read("train")] == [
        {"label": "0", "text": "a"},
        {"label": "1", "text": "b"},
    ]
    assert len({first.fingerprint, other.fingerprint, none.fingerprint}) == 3
    with pytest.raises(
        DataError, match=re.escape(f"is missing; the record has: 0, a (task.label names the field; {HINT})")
    ):
        LabelSet.of_data(none.read("train"), "label")
    with pytest.raises(ConfigError, match="expected different names, one for each column"):
        compose([*words, COLUMNS.replace("text", "label")])
    with pytest.raises(
        ConfigError, match=r"the task's file does not have it yet; \+task\.sources\.files\.columns=VALUE adds"
    ):
        compose(["task=sick", f"data.dir={tmp_path}", COLUMNS])
    assert compose(["task=sick", f"data.dir={tmp_path}", f"+{COLUMNS}"]).task.sources.files.columns == ["label", "text"]


# Which files

SOURCE = FilesSource(
    folder="Task", files={"train": ["train.jsonl", "train.csv"], "dev": ["val.jsonl"], "test": ["test.jsonl"]}
)


def release(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / "Task" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text('{"a": 1}\n')
    return folder


def test_the_first_of_the_names_is_taken_and_test_may_lack(tmp_path: Path) -> None:
    release(tmp_path, "train.csv", "train.jsonl", "val.jsonl")
    found = {split: files.place.name for split, files in find_files(SOURCE, str(tmp_path)).items()}
    assert found == {"train": "train.jsonl", "dev": "val.jsonl"}
    release(tmp_path, "test.jsonl")
    assert find_files(SOURCE, str(tmp_path))["test"].paths == (tmp_path / "Task" / "test.jsonl",)


def test_missing_folders_and_files_are_told_with_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"^data.dir: no folder {re.escape(str(tmp_path / 'nowhere'))}$"):
        find_files(SOURCE, str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"expected the folder Task; found: nothing$"):
        find_files(SOURCE, str(tmp_path))
    release(tmp_path, "train.jsonl", "dev.jsonl")
    with pytest.raises(
        DataError, match=r"Task: no dev file; expected val\.jsonl, .*\[dev\.jsonl\]; found: dev\.jsonl, train\.jsonl$"
    ):
        find_files(SOURCE, str(tmp_path))


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        (["eng.train", "eng.testa", "eng.testb"], "{key}.train=[eng.train] {key}.dev=[eng.testa]; found: eng.testa,"),
        (["train.csv", "dev_matched.csv", "test.csv"], "; to read another: {key}.dev=[dev_matched.csv]; found: "),
        (["Train.csv", "Dev.CSV"], "; to read another: {key}.train=[Train.csv] {key}.dev=[Dev.CSV]; found: "),
        (["x_train.jsonl", "validation of x.jsonl"], "; to read another: {key}.train=[x_train.jsonl]; found: "),
        (["train.jsonl", "test.jsonl"], "the training examples; found: test.jsonl, train.jsonl"),
        (["SST-2/train.csv", "RTE/a.csv"], "; in the folder SST-2: data.dir={folder}/SST-2; found: RTE, SST-2"),
        (["SST-2/train.csv", "RTE/train.csv"], "; in the folder RTE or SST-2: data.dir={folder}/NAME; found: "),
        (["x_train.csv", "more/train.csv"], "; to read another: {key}.train=[x_train.csv]; found: more, x_train.csv"),
        (["x_train.csv", "more/x_dev.csv"], "; to read another: {key}.train=[x_train.csv]; found: more, x_train.csv"),
        (["pos/1.txt", "neg/1.txt"], "; docs/how-to/other-files.md says how files in other shapes become such; found"),
        (["train.csv.gz"], "; packed files are not read: gunzip train.csv.gz; found: train.csv.gz"),
        (["dataset_dict.json", "train/a.arrow"], "; of datasets' save_to_disk: load_from_disk(DIR)['train'].to_json("),
        (["train.xlsx"], "; pandas makes JSON lines of it: pandas.read_excel('train.xlsx').to_json('train.jsonl'"),
        (["data/train-00000-of-00001.csv"], "; in the folder data: data.dir={folder}/data; found: data"),
        (["data/train-00000-of-00002.json"], "; to read another: {key}.train=[data/train.json]; found: data"),
        (["x_train-00001-of-00002.csv", "x_dev.csv"], "read another: {key}.train=[x_train.csv] {key}.dev=[x_dev.csv];"),
    ],
)  # fmt: skip
def test_files_by_other_names_are_found_for_the_message(names: list[str], hint: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    source = FilesSource(files={"train": ["train.jsonl", "train.csv"], "dev": ["dev.jsonl"], "test": ["test.jsonl"]})
    with pytest.raises(DataError) as caught:
        find_files(source, str(tmp_path))
    assert hint.format(folder=tmp_path, key="task.sources.files.files") in str(caught.value)


def test_the_folder_of_a_task_itself_and_a_table_by_another_name(tmp_path: Path) -> None:
    (holder := tmp_path / "above" / "holder").mkdir(parents=True)
    release(holder, "train.jsonl", "val.jsonl")
    told = f"expected the folder Task; data.dir is the folder that holds it: {holder}; found: "
    for named in (holder / "Task", holder.parent):
        with pytest.raises(DataError, match=re.escape(told)):
            find_files(SOURCE, str(named))
    (holder.parent / "other" / "Task").mkdir(parents=True)
    with pytest.raises(DataError, match="expected the folder Task; found: "):  # which of the two is not known
        find_files(SOURCE, str(holder.parent))
    told = "a.txt: unknown format '.txt'; known: .csv, .json, .jsonl, .parquet, .tsv"
    assert fault(tmp_path / "a.txt", "a b\tc\n").endswith(
        f"{told}; a table with tabs is read where its name ends in .tsv: a.tsv"
    )
    assert fault(tmp_path / "a.txt", "a b\n").endswith(f"{told}; {OTHERS}")


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    files = {}
    for folder in (here, there):
        folder.mkdir()
        release(folder, "train.jsonl", "val.jsonl")
        files[folder] = find_files(SOURCE, str(folder))
    first = fingerprint(files[here])
    assert fingerprint(files[there]) == first
    assert fingerprint(dict(reversed(files[here].items()))) == first
    (here / "Task" / "val.jsonl").write_text('{"a": 2}\n')
    assert fingerprint(files[here]) != first
    swapped = {"train": files[there]["dev"], "dev": files[there]["train"]}
    (there / "Task" / "val.jsonl").write_text('{"a": 2}\n')
    assert fingerprint(swapped) != fingerprint(files[there])
