"""Rows of predictions, of a training and of `ptv2 predict`: text, right answer, prediction and named probabilities."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commandline import Done, finish, only_run, python, result_of, run
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ptv2.config.compose import compose
from ptv2.data.labels import LabelSet
from ptv2.tasks.classify import Classify
from ptv2.tasks.text import Example

LABELS = ["no", "not at all", "yes"]
SUBJECTS = ["Ann", "Bob", "the owl", "a heron"]


def records(split: str, count: int) -> list[dict[str, Any]]:
    """Made-up pairs; the label is what the second sentence says of the first."""
    return [
        {
            "first": f"{SUBJECTS[i % 4]} sleeps, {split} {i}",
            "second": f'{SUBJECTS[i % 4]} is {("awake", "nowhere", "asleep")[i % 3]}; "é"',
            "verdict": LABELS[i % 3],
        }
        for i in range(count)
    ]


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for split, count in (("train", 24), ("dev", 9), ("test", 7)):
        write_lines(folder / f"{split}.jsonl", records(split, count))
    return folder


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    task = ["task=classification", f"data.dir={data}", "task.text=[first,second]", "task.label=verdict"]
    settings = ["model=tiny", "+model.config.initializer_range=0.3", "optim.lr=0.03", "trainer.epochs=3", f"out={out}"]
    done = run(["train", *task, *settings], out)
    assert done.code == 0, done.err
    return only_run(out)


def rows_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def recorded(folder: Path, split: str = "test") -> list[dict[str, Any]]:
    return rows_of((folder / f"predictions-{split}.jsonl").read_text(encoding="utf-8"))


def predict(folder: Path, file: Path, tmp_path: Path, *options: str) -> Done:
    return run(["predict", str(folder), "--input", str(file), *options], tmp_path)


def test_a_row_has_all_that_a_reader_needs(trained: Path) -> None:
    for split, count in (("dev", 9), ("test", 7)):
        rows = recorded(trained, split)
        assert [row["id"] for row in rows] == [str(i) for i in range(count)]
        assert [row["text"] for row in rows] == [[r["first"], r["second"]] for r in records(split, count)]
        assert [row["gold"] for row in rows] == [r["verdict"] for r in records(split, count)]
        for row in rows:
            chances = row["probabilities"]
            assert list(chances) == LABELS
            assert sum(chances.values()) == pytest.approx(1, abs=2e-6)
            assert max(chances, key=chances.__getitem__) == row["label"]
        accuracy = 100 * np.mean([row["gold"] == row["label"] for row in rows])
        assert accuracy == pytest.approx(result_of(trained)[split]["accuracy"])


def test_new_examples_with_and_without_what_is_right(trained: Path, data: Path, tmp_path: Path) -> None:
    expected = recorded(trained)
    done = predict(trained, data / "test.jsonl", tmp_path)
    assert (done.code, done.err) == (0, "")
    assert rows_of(done.out) == expected

    bare = [{key: row[key] for key in ("first", "second")} for row in records("test", 7)]
    unlabelled = [{key: row[key] for key in row if key != "gold"} for row in expected]
    done = predict(trained, write_lines(tmp_path / "bare.jsonl", bare), tmp_path)
    assert (done.code, done.err) == (0, "")
    assert rows_of(done.out) == unlabelled

    odd = [{**row, "verdict": "" if i == 2 else row["verdict"]} for i, row in enumerate(records("test", 7))]
    odd = write_lines(tmp_path / "odd.jsonl", odd)
    done = predict(trained, odd, tmp_path)
    assert done.code == 0
    assert done.err.startswith(f"note: right answers are left out: {odd}:3 (example 2): no label: 'verdict' is empty")
    assert rows_of(done.out) == unlabelled


def take_stream() -> None:
    sys.stdin = io.TextIOWrapper(io.BytesIO(Path(os.environ["STREAM"]).read_bytes()), encoding="utf-8")


def predict_stream(folder: Path, text: str, tmp_path: Path) -> Done:
    """`ptv2 predict RUN --input -` with `text` as its standard input."""
    (tmp_path / "stream").write_text(text, encoding="utf-8")
    words = ["predict", str(folder), "--input", "-"]
    return run(words, tmp_path, environment={"STREAM": str(tmp_path / "stream")}, before=take_stream)


def as_table(rows: list[dict[str, Any]], separator: str) -> str:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, rows[0].keys(), delimiter=separator)
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "".join(json.dumps(row) + "\n" for row in records("test", 7)),
        json.dumps(records("test", 7), indent=2),
        json.dumps({"data": records("test", 7)}),
        as_table(records("test", 7), ","),
        as_table(records("test", 7), "\t"),
    ],
    ids=["lines", "list", "data", "csv", "tsv"],
)
def test_standard_input_in_any_format(text: str, trained: Path, tmp_path: Path) -> None:
    done = predict_stream(trained, text, tmp_path)
    assert done.code == 0, done.err
    assert rows_of(done.out) == recorded(trained)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_printed_rows_are_json_in_any_encoding(encoding: str, trained: Path, tmp_path: Path) -> None:
    texts = [{"first": "café – 👩‍👩‍👧", "second": "\x7f\u2028"}]
    (tmp_path / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    words = ["predict", str(trained), "--input", str(tmp_path / "new.jsonl")]
    with python("-m", "ptv2", *words, PYTHONIOENCODING=encoding) as process:
        (row,) = rows_of(finish(process).out)
    assert row["text"] == [texts[0]["first"], texts[0]["second"]]


@pytest.mark.parametrize(("ending", "separator"), [("csv", ","), ("tsv", "\t")])
def test_a_table_of_predictions(ending: str, separator: str, trained: Path, data: Path, tmp_path: Path) -> None:
    file = tmp_path / f"new.{ending}"
    done = predict(trained, data / "test.jsonl", tmp_path, "--output", str(file))
    assert (done.code, done.out, done.err) == (0, "", f"7 predictions written: {file}\n")
    with file.open(newline="", encoding="utf-8") as stream:
        table = list(csv.DictReader(stream, delimiter=separator))
    names = ["id", "text.1", "text.2", "gold", "label", "class", *(f"probabilities.{label}" for label in LABELS)]
    assert list(table[0]) == names
    for row, cells in zip(recorded(trained), table, strict=True):
        assert [cells["text.1"], cells["text.2"]] == row["text"]
        assert [cells[name] for name in ("id", "gold", "label")] == [row[name] for name in ("id", "gold", "label")]
        assert {name: float(cells[f"probabilities.{name}"]) for name in LABELS} == row["probabilities"]
    json_file = tmp_path / "new.json"
    assert predict(trained, data / "test.jsonl", tmp_path, "--output", str(json_file)).code == 0
    assert json.loads(json_file.read_text(encoding="utf-8")) == recorded(trained)


IMPORTED = """
heavy = ("torch", "transformers", "datasets", "evaluate", "pandas", "sklearn", "matplotlib", "hydra", "scipy.stats")
print("imported:", *(name for name in heavy if name in sys.modules))
"""
SCRIPT = f"""
import sys
from ptv2.cli import main
code = main(sys.argv[1:])
{IMPORTED}
sys.exit(code)
"""
LIBRARY_FIRST = f"from transformers import BertModel\nimport sys{IMPORTED}{SCRIPT}"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("new.csv", "first,scond\na,b\n", "new.csv:2 (example 0): field 'second' is missing (task.text names it; task"),
        ("new.jsonl", '{"first": "a", "second": 3}\n', "new.jsonl:1 (example 0): expected text in field 'second'"),
        ("new.jsonl", '{"first": "a", "second": "b"\n', "new.jsonl:1: expected one JSON object on the line"),
        ("new.csv", "first,second\n", "new.csv: the file has no records below its first line"),
        ("new.txt", "a\n", "new.txt: unknown format '.txt'"),
    ],
)  # fmt: skip
def test_wrong_input_is_refused_before_torch(
    name: str, content: str, expected: str, trained: Path, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    done = finish(python("-c", SCRIPT, "predict", str(trained), "--input", str(tmp_path / name)))
    assert done.code == 2
    assert done.error.startswith(f"{tmp_path}/{expected}")
    assert done.out.split() == ["imported:"]


def test_wrong_data_of_evaluate_is_refused_before_torch(trained: Path, data: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(data, tmp_path / "moved")
    write_lines(moved / "dev.jsonl", [{"first": "a", "second": "b", "verdict": "perhaps"}])
    done = finish(python("-c", SCRIPT, "evaluate", str(trained), "--data-dir", str(moved)))
    assert done.code == 2
    assert done.error.startswith(f"{moved}/dev.jsonl:1 (example 0): unknown label 'perhaps'")
    assert done.out.split() == ["imported:"]


def test_prediction_imports_what_it_needs_and_no_more(trained: Path, data: Path) -> None:
    words = ("predict", str(trained), "--input", str(data / "test.jsonl"))
    done = finish(python("-c", LIBRARY_FIRST, *words))
    assert done.code == 0, done.err
    by_transformers, *rows, imported = done.out.splitlines()  # transformers 5.20 imports scikit-learn
    assert rows_of("\n".join(rows)) == recorded(trained)
    assert imported == by_transformers
    assert imported.split()[1:3] == ["torch", "transformers"]


def test_wrong_standard_input_has_no_path(trained: Path, tmp_path: Path) -> None:
    done = predict_stream(trained, "first,scond\na,b\n", tmp_path)
    assert done.error.startswith("stdin.csv:2 (example 0): field 'second' is missing")
    done = predict_stream(trained, "first,second,verdict\na,b,perhaps\n", tmp_path)
    assert "right answers are left out: stdin.csv:2 (example 0): unknown label" in " ".join(done.err.split())


def test_output_into_a_folder_is_refused(trained: Path, data: Path, tmp_path: Path) -> None:
    done = predict(trained, data / "test.jsonl", tmp_path, "--output", str(tmp_path))
    assert done.code == 2
    assert done.error.startswith(f"--output: {tmp_path} is a folder; expected the name of a file")


def test_output_that_cannot_be_written_is_refused_before_anything_is_computed(
    trained: Path, data: Path, tmp_path: Path
) -> None:
    words = ["predict", str(trained), "--input", str(data / "test.jsonl"), "--output", str(tmp_path / "new" / "x.csv")]
    denied = "import os\nos.access = lambda path, mode: False\n"
    done = finish(python("-c", f"{denied}{SCRIPT}", *words))
    assert (done.code, done.error) == (2, f"{tmp_path / 'new' / 'x.csv'}: Permission denied")
    assert "torch" not in done.out
    assert not (tmp_path / "new").exists()


def test_files_of_runs_made_before_are_no_matter(trained: Path, tmp_path: Path) -> None:
    """Predictions used to be lists without names; nothing reads them."""
    folder = shutil.copytree(trained, tmp_path / "runs" / trained.name)
    old = [{"id": row["id"], "class": row["class"], "probabilities": [0.2, 0.3, 0.5]} for row in recorded(folder)]
    write_lines(folder / "predictions-test.jsonl", old)
    report = str(tmp_path / "report.html")
    for words in (["list", "runs"], ["table"], ["report", "--output", report], ["evaluate", folder.name]):
        done = run([*words, "--out", str(tmp_path / "runs")], tmp_path)
        assert (words, done.code) == (words, 0), done.err


CONFIG = compose(["task=classification", "data.dir=."]).task


@given(st.integers(2, 7).flatmap(lambda n: arrays(np.float32, (3, n), elements=st.floats(-1e4, 1e4, width=32))))
def test_probabilities_are_a_distribution_whose_highest_is_the_label(scores: np.ndarray) -> None:
    names = [f"label {i}" for i in range(scores.shape[1])]
    examples = [Example(str(i), (("a", None),), i % 2, {}) for i in range(3)]
    task = Classify(CONFIG, LabelSet(names))
    rows = task.rows(task.decode(scores, examples, None), examples)  # type: ignore[arg-type]
    for row, best in zip(rows, scores.argmax(axis=1), strict=True):
        chances = row["probabilities"]
        assert list(chances) == names
        assert sum(chances.values()) == pytest.approx(1, abs=1e-6 * len(names))
        assert all(0 <= chance <= 1 for chance in chances.values())
        assert row["label"] == names[best]
        # Scores that differ by less than a float can tell share the highest probability.
        assert chances[row["label"]] == max(chances.values())
        assert json.loads(json.dumps(row)) == row
