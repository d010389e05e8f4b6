"""What was read, as it is shown before the training and kept in the record."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commandline import only_run, result_of, run, train_words, write_sentences
from sequences import write_entities

from ptv2.data.overview import list_shares, render, render_encoded, token_lengths


def split(**changes: Any) -> dict[str, Any]:
    facts = {
        "examples": 1200,
        "file": "train.csv",
        "counted": "labels",
        "labels": {"no": 300, "yes": 900},
        "always": {"answer": "yes", "metric": "accuracy", "score": 75.0},
        "tokens": {"sequences": 1200, "median": 12, "p95": 40, "longest": 128},
        "cut": 14,
        "cut_means": "longer than 128 tokens and truncated",
    }
    return {**facts, **changes}


def test_choices_are_no_windows() -> None:
    tokens = {"sequences": 8, "median": 5, "p95": 6, "longest": 6}
    split = {"examples": 4, "counted": "labels", "tokens": tokens, "cut": 0, "cut_means": "", "always": None}
    (line,) = render_encoded({"splits": {"dev": split}}, 200)
    assert "dev in 8 sequences, one for each choice: median 5" in line


def test_splits_are_said_in_full() -> None:
    test = split(file="test.csv", cut=0, always={"answer": "yes", "metric": "accuracy", "score": 70.0})
    shown = render(
        {
            "origin": "task notes, from files",
            "splits": {"dev": split(), "test": test},
            "guesses": ["a scheme, guessed"],
            "notes": ["examples with an empty text: dev 1"],
        }
    )
    assert shown == [
        "data       task notes, from files",
        "dev        1,200 examples in train.csv",
        "           labels: yes 75.0 %, no 25.0 %",
        "test       1,200 examples in test.csv",
        "           labels: yes 75.0 %, no 25.0 %",
        "note       a scheme, guessed",
        "note       examples with an empty text: dev 1",
        "tokens     dev: median 12, 95 % up to 40, longest 128",
        "           14 of 1,200 dev examples longer than 128 tokens and truncated",
        "           test: median 12, 95 % up to 40, longest 128",
        "baseline   always answering yes: accuracy 75.00 on dev, 70.00 on test",
    ]


def test_what_does_not_apply_is_left_out() -> None:
    tokens = {"sequences": 3, "median": 5, "p95": 9, "longest": 9}
    train = split(examples=1, file=None, counted="tags", labels={}, always=None, tokens=tokens, cut=0)
    shown = render(
        {
            "origin": "x",
            "splits": {"train": train},
            "guesses": [],
        }
    )
    assert shown[1:] == [
        "train      1 example",
        "tokens     train in 3 windows: median 5, 95 % up to 9, longest 9",
    ]


def test_lines_fit_eighty_columns_whatever_the_names() -> None:
    labels = {f"label-{'x' * 60}-{i}": 100 - i for i in range(17)}
    names = split(file="a" * 300 + ".csv", labels=labels, always={"answer": "y" * 99, "metric": "f1", "score": 1.0})
    shown = render({"origin": "o " * 90, "splits": {"train": names}, "guesses": ["g" * 200]})
    assert max(map(len, shown)) <= 80
    assert any(line.endswith("and 12 more") for line in shown)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, ""),
        ({"a": 0, "b": 0}, ""),
        ({"a": 1, "b": 3}, "b 75.0 %, a 25.0 %"),
        (dict.fromkeys("abcdef", 1), "a 16.7 %, b 16.7 %, c 16.7 %, d 16.7 %, e 16.7 %, f 16.7 %"),
        (dict.fromkeys("abcdefg", 1), "a 14.3 %, b 14.3 %, c 14.3 %, d 14.3 %, e 14.3 % and 2 more"),
    ],
)
def test_shares(counts: dict[str, int], expected: str) -> None:
    assert list_shares(counts) == expected


def test_lengths_are_of_sequences_that_there_are() -> None:
    assert token_lengths(np.array([3, 4])) == {"sequences": 2, "median": 4, "p95": 4, "longest": 4}
    assert token_lengths(np.arange(1, 102)) == {"sequences": 101, "median": 51, "p95": 96, "longest": 101}


def test_training_says_it_first_and_records_it(tmp_path: Path) -> None:
    data = write_sentences(tmp_path / "data")
    done = run(train_words(data, tmp_path / "out", "trainer.max_steps=2", "task.max_length=12"), tmp_path / "streams")
    assert done.code == 0, done.err
    folder = only_run(tmp_path / "out")
    result = result_of(folder)
    overview = result["data"]["overview"]
    dev = overview["splits"]["dev"]
    assert (dev["examples"], dev["file"], dev["labels"]) == (40, "dev.jsonl", {"bad": 20, "good": 20})
    assert dev["always"] == {"answer": "bad", "metric": "accuracy", "score": 50.0}
    for name in ("train", "dev", "test"):
        assert overview["splits"][name]["tokens"]["longest"] == result["data"]["longest"][name] == 12
        assert overview["splits"][name]["cut"] == result["data"]["truncated"][name] > 0
    shown = render(overview)
    assert shown[0].startswith("data ")
    said = done.err.splitlines()
    assert said[: len(shown)] == shown
    assert not any("truncated" in note for note in result["notes"])  # said once
    log = [line.split(" INFO ", 1)[1] for line in (folder / "log.txt").read_text(encoding="utf-8").splitlines()]
    assert log[: len(shown)] == shown


def test_most_frequent_answer_of_other_tasks(tmp_path: Path) -> None:
    train = write_entities(tmp_path / "data") / "train.txt"
    train.write_text(f"word tag\n{train.read_text()}")
    words = ["train", "task=ner", f"data.dir={train.parent}", "model=tiny", "trainer.max_steps=1"]
    done = run([*words, f"out={tmp_path / 'out'}"], tmp_path / "streams")
    assert done.code == 0, done.err
    overview = result_of(only_run(tmp_path / "out"))["data"]["overview"]
    assert overview["splits"]["dev"]["always"] is None
    assert overview["splits"]["dev"]["labels"].keys() == {"LOC", "ORG", "PER"}
    header, guess = overview["guesses"]
    assert header == "train.txt: line 1 (word, tag) names the columns and was passed over"
    assert guess == "tag scheme bio, guessed from the training tags (task.tagging.scheme sets it)"
    folder = only_run(tmp_path / "out")
    shown = " ".join(f"{done.out} {done.err}".split())
    log = " ".join(line.split(" INFO ", 1)[1].strip() for line in (folder / "log.txt").read_text().splitlines())
    record = (folder / "result.json").read_text()
    assert [text.count("guessed from the training tags") for text in (shown, log, record)] == [1, 1, 1]


def test_a_sweep_says_the_same_data_once(tmp_path: Path) -> None:
    data = write_sentences(tmp_path / "data")
    words = train_words(data, tmp_path / "out", "trainer.max_steps=1", "seed=1,2", "-m")
    done = run(words, tmp_path / "streams")
    assert done.code == 0, done.err
    assert done.err.count("dev        40 examples in dev.jsonl") == 1
    assert done.err.count("data       the same as in the job before") == 1
    for log in (tmp_path / "out").glob("*/log.txt"):
        assert "dev        40 examples in dev.jsonl" in log.read_text(encoding="utf-8")


def test_what_was_read_is_shown_before_the_backbone_is_looked_at(tmp_path: Path) -> None:
    """On a terminal at once; in a pipe a refusal is the only line."""
    data = write_sentences(tmp_path / "data")
    positions = "model.config.max_position_embeddings=10"  # too few: refused when the model is built
    words = train_words(data, tmp_path / "out", positions, "task.max_length=20")
    done = run(words, tmp_path / "streams")
    assert done.code == 2
    assert "positions" in done.error
    assert len(done.err.splitlines()) == 1
    lines = on_a_terminal(words, 2, tmp_path).splitlines()
    assert lines[:2] == ["start      reading settings and data", "data       task classification, from files"]
    assert any(line.startswith("ptv2: error: ") for line in lines)


def test_reading_many_examples_is_counted_on_a_terminal(tmp_path: Path) -> None:
    data = write_sentences(tmp_path / "data", 2100)
    words = train_words(data, tmp_path / "out", "model.config.max_position_embeddings=10", "task.max_length=20")
    shown = on_a_terminal(words, 2, tmp_path)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert "reading training examples 1,000\r" in plain
    assert shown.rindex("reading training") < shown.rindex("\x1b[2K"), "the count is gone when it is done"
    assert "reading training" not in run(words, tmp_path / "streams").err


def on_a_terminal(words: list[str], code: int, folder: Path) -> str:
    """What a command prints on a terminal, with what moves its cursor."""
    surroundings = {**os.environ, "PTV2_CACHE": str(folder / "cache")}
    master, terminal = os.openpty()
    words = [sys.executable, "-m", "ptv2", *words]
    process = subprocess.Popen(words, stdout=terminal, stderr=terminal, env=surroundings)
    os.close(terminal)
    shown = b""
    with suppress(OSError):  # the end of a terminal is an error
        while chunk := os.read(master, 4096):
            shown += chunk
    os.close(master)
    assert process.wait() == code
    return shown.decode()
