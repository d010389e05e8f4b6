"""The benchmark from command to score runs through, and says what it measured."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from types import ModuleType

import pytest
from peft_versions import refusal
from script_files import load_script

OPTIONS = argparse.Namespace(train=200, dev=20, epochs=1, batch=8, prompt=4, rounds=2, threads=1)


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return load_script("benchmarks/end_to_end.py")


def test_the_examples_have_the_lengths_that_the_page_says(benchmark: ModuleType, tmp_path: Path) -> None:
    benchmark.write_examples(tmp_path / "data", OPTIONS)
    rows = [json.loads(line) for line in (tmp_path / "data" / "train.jsonl").read_text().splitlines()]
    assert len(rows) == 200
    tokens = [len(row["premise"].split()) + len(row["hypothesis"].split()) + 3 for row in rows]  # each word is one
    assert 55 < statistics.median(tokens) < 73
    assert 0.04 < sum(count > 128 for count in tokens) / 200 < 0.2


def test_the_page_compares_rounds_and_says_what_is_reached(benchmark: ModuleType) -> None:
    def seconds(*cpu: float, tokens: int) -> list[dict[str, float]]:
        return [{"wall": 2 * value, "cpu": value, "accuracy": 50.0, "tokens": tokens} for value in cpu]

    measured = {
        "ptv2": seconds(10.0, 20.0, tokens=1000),
        "Trainer, longest": seconds(15.0, 28.0, tokens=1400),
        "Trainer, 128": seconds(30.0, 60.0, tokens=2000),
    }
    text, reached = benchmark.page(measured, OPTIONS)
    assert reached
    assert "| Trainer, longest | 43.0 | 21.5 | 1.45 (1.40-1.50) | 1.45 (1.40-1.50) | 1.40 | 50.0 |" in text
    text, reached = benchmark.page({**measured, "Trainer, 128": seconds(20.0, 40.0, tokens=2000)}, OPTIONS)
    assert not reached
    assert text.endswith("Not reached.")


@pytest.mark.slow
@pytest.mark.skipif(refusal() is not None, reason="PEFT here does not go with transformers")
def test_the_whole_page(
    benchmark: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["end_to_end.py", "--train=40", "--dev=20", "--epochs=1", "--rounds=1", "--threads=1"]
    monkeypatch.setattr(sys, "argv", words)
    benchmark.main()
    assert capsys.readouterr().out.count("| Trainer, ") == 2
