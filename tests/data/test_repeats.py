"""Examples that stand in two splits, and inputs with two answers: noted where the numbers are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commandline import only_run, result_of, run, train_words, write_sentences

from ptv2.data.repeats import describe_repeats


def test_counts() -> None:
    train = [("a", 0), ("b", 1), ("b", 0), ("b", 1), ("c", None), ("c", None), ("d", 1)]
    dev = [("a", 0), ("a", 1), ("x", 1), ("c", 1), ("d", None)]
    assert describe_repeats({"dev": dev, "train": train, "test": [("x", 0)], "other": [("a", 0)] * 1200}) == [
        "examples that also stand in train, word for word: dev 4 (1 with another answer there), other 1,200",
        "examples of train whose input has several right answers there: 3",
    ]
    assert describe_repeats({"train": [("a", 0), ("a", 0)], "dev": [("b", 0)]}) == []
    assert describe_repeats({"test": [("b", 0)]}) == []


def rows(folder: Path, split: str, *added: dict[str, Any]) -> None:
    with (folder / f"{split}.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in added)


def test_they_are_shown_recorded_and_stand_below_tables(tmp_path: Path) -> None:
    data = write_sentences(tmp_path / "data")
    pair = [{"sentence": "it was both, they said", "label": label} for label in ("good", "bad")]
    rows(data, "train", *pair)
    rows(data, "dev", pair[1])
    before = json.loads((data / "test.jsonl").read_text().splitlines()[0])["sentence"]
    done = run(train_words(data, tmp_path / "out", "trainer.max_steps=1"), tmp_path)
    assert done.code == 0, done.err
    notes = result_of(only_run(tmp_path / "out"))["data"]["overview"]["notes"]
    (leak,) = [note for note in notes if note.startswith("examples that also stand in train, word for word: dev ")]
    assert "examples of train whose input has several right answers there: 2" in notes
    shown = " ".join(done.err.split())
    assert all(shown.count(f"note {note}") == 1 for note in notes)
    for form in ("text", "md"):
        table = run(["table", "--out", str(tmp_path / "out"), "--format", form], tmp_path)
        assert f"classification: {leak}." in " ".join(table.out.split()), table
    assert before  # the data have a test split, which is counted too


ENTITIES = "Ada B-PER\nsleeps O\n\nin O\nRome B-LOC\n\n"


@pytest.mark.parametrize(
    ("task", "files", "note"),
    [
        (
            "ner",
            {"train.txt": ENTITIES + "in O\nRome B-PER\n\n", "dev.txt": ENTITIES},
            "dev 2",
        ),
        (
            "squad",
            {
                name: json.dumps(
                    [{"id": str(i), "question": "who?", "context": f"Ada {kind} sleeps", "answers":
                      {"text": ["Ada"], "answer_start": [0]}} for i, kind in enumerate(kinds)]
                )
                for name, kinds in (("train.json", "abc"), ("dev.json", "bcd"))
            },
            "dev 2",
        ),
    ],
)  # fmt: skip
def test_other_shapes(task: str, files: dict[str, str], note: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    words = ["train", f"task={task}", "data.source=files", f"data.dir={tmp_path}", "model=tiny", "trainer.max_steps=1"]
    done = run([*words, "trainer.batch_size=2", f"out={tmp_path / 'out'}"], tmp_path)
    assert done.code == 0, done.err
    assert f"stand in train, word for word: {note}" in " ".join(done.err.split())
