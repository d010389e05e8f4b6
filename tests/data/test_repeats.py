"""Examples that stand in two splits, and inputs with two answers: noted where the numbers are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commandline import only_run, result_of, run, train_words, write_sentences
from hypothesis import given
from hypothesis import strategies as st

from ptv2.data.repeats import Seen, describe_repeats

PAIRS = st.tuples(st.sampled_from("abcd"), st.sampled_from([0, 1, 2, None]))


def notes(splits: dict[str, list[tuple[str, int | None]]]) -> list[str]:
    return describe_repeats({name: Seen(pairs) for name, pairs in splits.items()})


def test_counts() -> None:
    train = [("a", 0), ("b", 1), ("b", 0), ("b", 1), ("c", None), ("c", None), ("d", 1)]
    dev = [("a", 0), ("a", 1), ("x", 1), ("c", 1), ("d", None)]
    given = {"dev": dev, "train": train, "test": [("x", 0)], "other": [("a", 0)] * 1200}
    assert notes(given) == [
        "examples that also stand in train, word for word: dev 4 (1 with another answer there), other 1,200",
        "examples of train whose input has several right answers there: 3",
        "examples that also stand in dev, which chooses, word for word: test 1",
    ]
    assert notes({"train": [("a", 0), ("a", 0)], "dev": [("b", 0)]}) == []
    assert notes({"test": [("b", 0)]}) == []
    dev = [("a", 0), ("b", 1)]
    assert notes({"dev": dev, "test": [("a", 1), ("x", 0), ("a", 0)], "test-brown": [("x", 0)]}) == [
        "examples that also stand in dev, which chooses, word for word: test 2"
    ]


@given(st.dictionaries(st.sampled_from(["train", "dev", "test"]), st.lists(PAIRS, max_size=12)))
def test_counts_are_those_of_a_plain_loop(splits: dict[str, list[tuple[str, int | None]]]) -> None:
    train = splits.get("train", [])
    answers: dict[str, list[int | None]] = {}
    for text, answer in train:
        answers.setdefault(text, []).append(answer)
    repeated = {
        name: [(answer, answers[text][0]) for text, answer in pairs if text in answers]
        for name, pairs in splits.items()
        if name != "train"
    }
    contradicted = {
        text
        for text, (first, *others) in answers.items()
        if first is not None and any(other not in (None, first) for other in others)
    }
    several = [text for text, _ in train if text in contradicted]
    expected = []
    if any(repeated.values()):
        counts = []
        for name in sorted(repeated):
            other = sum(None not in pair and pair[0] != pair[1] for pair in repeated[name])
            also = f" ({other} with another answer there)" if other else ""
            counts += [f"{name} {len(repeated[name])}{also}"] if repeated[name] else []
        expected.append(f"examples that also stand in train, word for word: {', '.join(counts)}")
    if several:
        expected.append(f"examples of train whose input has several right answers there: {len(several)}")
    in_dev = sum(text in dict(splits.get("dev", [])) for text, _ in splits.get("test", []))
    if in_dev:
        expected.append(f"examples that also stand in dev, which chooses, word for word: test {in_dev}")
    assert notes(splits) == expected


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
