"""Commands that are killed or stopped by real signals, and started again, end like one that was left alone."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from commandline import (
    Command,
    finish,
    holder,
    numbers,
    only_run,
    python,
    result_of,
    run,
    train_words,
    wait_until,
)

from ptv2.run_folders import metrics_log
from ptv2.run_folders.directory import state_of
from ptv2.run_folders.record import read_status

SETTINGS = ("+model.config.initializer_range=0.3", "trainer.batch_size=8", "trainer.epochs=8")


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run that others are compared with."""
    out = tmp_path_factory.mktemp("undisturbed")
    done = run(train_words(data, out, *SETTINGS), out.parent)
    assert done.code == 0, done.err
    result = result_of(only_run(out))
    assert result["steps"] == 72
    assert len({line["dev"]["accuracy"] for line in numbers(only_run(out))["log"] if "dev" in line}) > 1
    return only_run(out)


def progress(out: Path, command: Command) -> int:
    """The last step that is on disk, in a state or as an evaluation; -1 before this command has begun to train."""
    if not any(holder(path.parent) == command.process.pid for path in out.glob("*/status.json")):
        return -1
    logs = list(out.glob("*/metrics.jsonl"))
    steps = [int(path.stem.partition("-")[2]) for path in out.glob("*/state-*")]
    steps += [line["step"] for line in metrics_log.read_lines(logs[0])] if logs else []
    return max(steps, default=0 if logs else -1)


@pytest.mark.parametrize(("minutes", "kills"), [("0", 4), ("5", 2)], ids=["a state a step", "no state before the end"])
def test_sigkill_at_random_moments(minutes: str, kills: int, data: Path, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = train_words(data, out, *SETTINGS, f"trainer.checkpoint_minutes={minutes}")
    draw = random.Random(20240901)
    killed = 0
    for step in sorted(draw.sample(range(60), kills)):
        command = Command(words, tmp_path)
        wait_until(lambda: progress(out, command) >= step, lambda: command.running)  # noqa: B023
        time.sleep(draw.uniform(0, 0.03))
        command.signal(signal.SIGKILL)
        done = command.wait()
        assert done.code in (0, 137), done.err
        ended = time.monotonic() + 10  # a system that is busy may give locks back a moment after the process
        while state_of(only_run(out)) == "running" and time.monotonic() < ended:
            time.sleep(0.01)
        assert state_of(only_run(out)) != "running"
        killed += done.code == 137
    assert killed
    done = run(words, tmp_path)
    assert done.code == 0, done.err
    assert only_run(out).name == undisturbed.name
    assert numbers(only_run(out)) == numbers(undisturbed)
    assert state_of(only_run(out)) == "finished"


def test_sigterm_then_finished_then_nothing(data: Path, undisturbed: Path, tmp_path: Path) -> None:
    """The command as a user starts it; stopped by SIGTERM, and later by SIGINT; continued; asked for once more."""
    out = tmp_path / "out"
    words = train_words(data, out, *SETTINGS)

    def evaluated(count: int) -> bool:
        logs = list(out.glob("*/metrics.jsonl"))
        return bool(logs) and logs[0].read_text(encoding="utf-8").count('"dev"') >= count

    process = python("-m", "ptv2", *words)
    assert wait_until(lambda: evaluated(2), lambda: process.poll() is None)
    process.send_signal(signal.SIGTERM)
    stopped_once = finish(process)
    command = Command(words, tmp_path)
    assert wait_until(lambda: evaluated(4), lambda: command.running)
    command.signal(signal.SIGINT)
    stopped_twice = command.wait()
    folder = only_run(out)
    for done, code in ((stopped_once, 143), (stopped_twice, 130)):
        assert done.code == code
        assert re.fullmatch(r"stopped at step \d+ of 72; the same command goes on from there", done.error)
    status = read_status(folder)
    assert (status["state"], status["message"]) == ("interrupted", stopped_twice.error)
    assert state_of(folder) == "interrupted"

    done = run(words, tmp_path)
    assert done.code == 0, done.err
    assert "going on after step" in done.err
    assert result_of(folder)["runtime"]["resumed"] == 2
    assert numbers(folder) == numbers(undisturbed)
    assert not list(folder.glob("*-*.safetensors"))  # what only training needed is gone

    before = {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }
    done = run(words, tmp_path)
    assert done.code == 0
    assert "finished before; nothing was repeated" in done.out
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in before} == before


def test_killed_between_result_and_status(data: Path, undisturbed: Path, tmp_path: Path) -> None:
    """The result is there but states are not cleared yet: finished, and nothing is repeated."""
    out = tmp_path / "out"
    words = train_words(data, out, *SETTINGS)
    done = run(words, tmp_path, before=die_before_finished)
    assert done.code == 137
    folder = only_run(out)
    assert state_of(folder) == "finished"
    done = run(words, tmp_path)
    assert (done.code, "finished before" in done.out) == (0, True)
    assert numbers(folder) == numbers(undisturbed)


def die_before_finished() -> None:
    """Make this process kill itself when it would say that it has finished."""
    from ptv2.run_folders.directory import RunDirectory

    write = RunDirectory.write_status

    def write_status(run: RunDirectory, run_state: str, *more: Any, **others: Any) -> None:
        if run_state == "finished":
            os.kill(os.getpid(), signal.SIGKILL)
        write(run, run_state, *more, **others)

    RunDirectory.write_status = write_status  # type: ignore[method-assign]
