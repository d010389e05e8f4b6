"""Commands where the system has no file locks, fewer signals, and neither renames nor removes open files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ptv2 import file_locks
from ptv2.config.compose import compose
from ptv2.config.hub_names import last_part
from ptv2.run_folders import lock

HERE = Path(__file__).parent
TRAIN = ["train", "model=tiny", "task=mini-inference", "data.limit.train=200", "trainer.batch_size=8"]


def start(words: list[str], folder: Path) -> subprocess.Popen[str]:
    paths = [str(HERE / "like_windows"), str(HERE.parent)]
    more = {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "PTV2_CACHE": str(folder / "cache")}
    return subprocess.Popen(
        [sys.executable, "-m", "ptv2", *words],
        cwd=folder,
        env={**os.environ, **more},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(words: list[str], folder: Path) -> str:
    """Run a command that succeeds; returns what it printed."""
    process = start(words, folder)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return out + err


def test_a_run_is_stopped_continued_found_again_and_shown(tmp_path: Path) -> None:
    long = [*TRAIN, "trainer.epochs=400", "out=runs"]
    process = start(long, tmp_path)
    deadline = time.monotonic() + 300
    while not (logs := [*tmp_path.glob("runs/*/metrics.jsonl")]) or logs[0].stat().st_size < 1000:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.1)
    assert "running" in run(["list", "runs"], tmp_path)
    process.send_signal(signal.SIGINT)
    assert "the same command goes on from there" in process.communicate(timeout=300)[1]
    assert process.returncode == 130
    assert "interrupted" in run(["list", "runs"], tmp_path)
    assert not [*tmp_path.glob("runs/*/.running")]

    words = [*TRAIN, "trainer.epochs=2", "out=runs"]
    run(words, tmp_path)
    assert "finished before; nothing was repeated" in run(words, tmp_path)
    assert run(["table", "--keep", "records"], tmp_path).count("mini-inference") == 1
    assert "mini-inference" in run(["table", "--records", "records"], tmp_path)
    name = next(iter(tmp_path.glob("runs/*/result.json"))).parent.name
    run(["evaluate", name], tmp_path)
    run(["report"], tmp_path)
    assert not [*tmp_path.rglob("*.tmp")]


def test_a_stopped_run_ends_as_one_that_was_not(tmp_path: Path) -> None:
    words = [*TRAIN, "trainer.epochs=12", "trainer.checkpoint_minutes=0.001"]
    process = start([*words, "out=stopped"], tmp_path)
    deadline = time.monotonic() + 300
    while not [*tmp_path.glob("stopped/*/state-*.safetensors")]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=300)
    run([*words, "out=stopped"], tmp_path)
    run([*words, "out=whole"], tmp_path)
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(tmp_path.glob("*/*/result.json"))]
    assert [result["runtime"]["resumed"] for result in results] == [1, 0]
    assert results[0]["dev"] == results[1]["dev"]


def test_jobs_of_figures_and_comparisons_are_made(tmp_path: Path) -> None:
    few = ["task=mini-inference", "model=tiny", "trainer.max_steps=2", "jobs=2"]
    run(["reproduce", "figure=depth", "seeds=1", "figure.x.values=[1,2]", *few], tmp_path)
    assert (tmp_path / "results" / "figures" / "depth-mini-inference-tiny.md").exists()


def test_a_corpus_is_prepared(tmp_path: Path) -> None:
    text = "-DOCSTART- -X- O O\n\nAnn NNP I-NP I-PER\nleft VBD I-VP O\n\n"
    (tmp_path / "corpus").mkdir()
    for name in ("eng.train", "eng.testa", "eng.testb"):
        (tmp_path / "corpus" / name).write_text(text, encoding="utf-8")
    words = ["prepare", "conll03", "--from", "corpus", "--to", "made", "--allow-mismatch"]
    assert "made" in run(words, tmp_path)
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["dev.txt", "test.txt", "train.txt"]


def test_without_file_locks_a_process_is_known_by_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_locks, "AVAILABLE", False)
    assert not lock.is_held(tmp_path)
    with lock.hold(tmp_path):
        assert lock.is_held(tmp_path)
    assert not lock.is_held(tmp_path)
    running = tmp_path / ".running"
    for left in ('{"pid": 999999999}', '{"pid": "x"}', "{}", "[", ""):
        running.write_text(left, encoding="utf-8")
        assert not lock.is_held(tmp_path)
    running.write_text(json.dumps({"pid": os.getpid()}), encoding="utf-8")
    os.utime(running, (1, 1))  # written before the process with this number began
    assert not lock.is_held(tmp_path)


def test_locks_are_refused_where_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "a").open("w", encoding="utf-8") as file:
        file_locks.lock(file.fileno())
        with (tmp_path / "a").open(encoding="utf-8") as other, pytest.raises(BlockingIOError):
            file_locks.lock(other.fileno(), wait=False)
        monkeypatch.setattr(file_locks, "AVAILABLE", False)
        with pytest.raises(OSError, match="not supported"):
            file_locks.lock(file.fileno())


def test_folders_between_backslashes_are_folders() -> None:
    assert last_part("C:\\models\\bert\\") == last_part("/models/bert/") == last_part("owner/bert") == "bert"
    assert compose(["model.path=C:\\models\\bert", "task=mini-inference"]).model.name == "bert"
