"""What was read, as it is shown before the training and kept in the record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commandline import only_run, result_of, run, train_words, write_sentences
from sequences import write_entities

from ptv2.data.overview import list_shares, render, token_lengths


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


def test_a_split_is_said_in_full() -> None:
    shown = render({"origin": "task notes, from files", "splits": {"dev": split()}, "guesses": ["a scheme, guessed"]})
    assert shown == [
        "data       task notes, from files",
        "dev        1,200 examples in train.csv",
        "           labels: yes 75.0 %, no 25.0 %",
        "           always answering yes: accuracy 75.00",
        "           tokens: median 12, 95 % up to 40, longest 128",
        "           14 of 1,200 longer than 128 tokens and truncated",
        "note       a scheme, guessed",
    ]


def test_what_does_not_apply_is_left_out() -> None:
    tokens = {"sequences": 3, "median": 5, "p95": 9, "longest": 9}
    shown = render(
        {
            "origin": "x",
            "splits": {"train": split(examples=1, file=None, labels={}, always=None, tokens=tokens, cut=0)},
            "guesses": [],
        }
    )
    assert shown[1:] == [
        "train      1 example",
        "           tokens in 3 windows: median 5, 95 % up to 9, longest 9",
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
    said = done.err.splitlines()
    assert said[: len(shown)] == shown
    log = [line.split(" INFO ", 1)[1] for line in (folder / "log.txt").read_text(encoding="utf-8").splitlines()]
    assert log[: len(shown)] == shown


def test_most_frequent_answer_of_other_tasks(tmp_path: Path) -> None:
    words = ["train", "task=ner", f"data.dir={write_entities(tmp_path / 'data')}", "model=tiny", "trainer.max_steps=1"]
    done = run([*words, f"out={tmp_path / 'out'}"], tmp_path / "streams")
    assert done.code == 0, done.err
    overview = result_of(only_run(tmp_path / "out"))["data"]["overview"]
    assert overview["splits"]["dev"]["always"] is None
    assert overview["splits"]["dev"]["labels"].keys() == {"LOC", "ORG", "PER"}
    assert overview["guesses"] == ["tag scheme bio, guessed from the training tags (task.tagging.scheme sets it)"]
