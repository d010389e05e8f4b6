"""The GPU benchmark runs through without a GPU, on a tiny shape."""

from __future__ import annotations

import argparse
import sys
from types import ModuleType
from typing import Any

import pytest
from peft_versions import refusal
from script_files import load_script

OPTIONS = argparse.Namespace(batch=2, length=16, prompt=4, steps=1, together=2, checkpointing=False)
RATE = {"rate": 1e12, "device": "none", "memory": 0}


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return load_script("benchmarks/gpu_large.py")


def test_every_method_is_measured(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    methods = [method for method in benchmark.METHODS if not (method.startswith("peft") and refusal())]
    rows = [{"model": "tiny", "method": method, **benchmark.measure("tiny", method, OPTIONS)} for method in methods]
    trained = {row["method"]: row["trained"] for row in rows}
    assert trained["p-tuning-v2"] == 2 * 2 * 4 * 32 + 2 * 32 + 2
    assert trained["p-tuning-v2, together"] == 2 * trained["p-tuning-v2"]
    assert trained["fine-tuning"] > 100 * trained["p-tuning-v2"]
    assert all(row["seconds"] > 0 and row["operations"] > 0 and row["planned"] > 0 for row in rows)
    monkeypatch.setattr(sys, "argv", ["gpu_large.py", "--models=tiny"])
    lines = benchmark.page([*rows, failed("huge", "fine-tuning")], RATE, OPTIONS).splitlines()
    table = [line for line in lines if line.startswith("| ")][1:]
    assert len(table) == len(methods) + 1
    assert "| huge | fine-tuning | out of memory |" in table[-1]
    assert "- fine-tuning: tiny" in lines
    assert sum("tiny: 2 seeds together take" in line for line in lines) == 1


def failed(model: str, method: str) -> dict[str, Any]:
    return {"model": model, "method": method, "failed": "out of memory"}


def test_what_does_not_fit_is_tried_smaller(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def alone(what: str, options: Any, *more: str) -> dict[str, Any]:
        asked.append((what, *more))
        return {"seconds": 1.0} if more else {"failed": "out of memory"}

    monkeypatch.setattr(benchmark, "alone", alone)
    row = benchmark.attempt("huge", "p-tuning-v2", OPTIONS)
    assert row == {"model": "huge", "method": "p-tuning-v2", "seconds": 1.0}
    assert asked == [("huge p-tuning-v2",), ("huge p-tuning-v2", "--batch=1", "--checkpointing")]


def test_the_matrix_rate(benchmark: ModuleType) -> None:
    assert benchmark.matrix_rate()["rate"] > 1e8


@pytest.mark.slow
def test_the_whole_page(benchmark: ModuleType, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["gpu_large.py", "--models=tiny", "--batch=2", "--length=16", "--prompt=4", "--steps=1", "--together=2"]
    monkeypatch.setattr(sys, "argv", words)
    assert benchmark.main() == 0
    out = capsys.readouterr().out
    assert out.count("| tiny |") == 5
    assert "- peft prefix-tuning: tiny" in out
