"""An interrupted training ends like one that was not: weights, metrics and log, bit for bit.

First in this process, with a trainer that dies at every moment in turn; then with whole commands that get real signals.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from commandline import (
    Command,
    finish,
    numbers,
    only_run,
    python,
    result_of,
    run,
    train_words,
    wait_until,
    write_sentences,
)
from trainers import Steps, make_trainer, outcome

from ptv2 import files
from ptv2.errors import Interrupted, RunError
from ptv2.runs.directory import state_of
from ptv2.runs.record import read_status
from ptv2.training import metrics_log, state, trainer
from ptv2.training.trainer import Trainer


class Killed(BaseException):
    """The process dies here; nothing catches it."""


class Death:
    """Counts moments and kills at one of them."""

    def __init__(self, moment: int | None = None) -> None:
        self.moment, self.passed = moment, 0

    def tick(self) -> None:
        if self.passed == self.moment:
            raise Killed
        self.passed += 1


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Death | None, dict[str, Any]], Trainer]:
    """Makes trainers that save after every third step and die at a moment: after any step, between any two batches of
    an evaluation, before and after any file, and halfway through what is appended to the log."""
    death = Death()

    def around(write: Callable[..., None]) -> Callable[..., None]:
        def wrapped(*arguments: Any) -> None:
            death.tick()
            write(*arguments)
            death.tick()

        return wrapped

    def flush(log: metrics_log.MetricsLog) -> None:
        whole = "".join(log._waiting)
        log._waiting = [whole[: len(whole) // 2]]
        write_lines(log)
        if whole:
            death.tick()
        log._waiting = [whole[len(whole) // 2 :]]
        write_lines(log)

    write_lines = metrics_log.MetricsLog.flush
    monkeypatch.setattr(metrics_log.MetricsLog, "flush", flush)
    monkeypatch.setattr(files.os, "fsync", lambda _: None)  # against power cuts, which are not tried here
    monkeypatch.setattr(state, "write_bytes_whole", around(files.write_bytes_whole))
    monkeypatch.setattr(metrics_log, "write_text_whole", around(files.write_text_whole))
    looks = iter(range(10**6))  # every look at the clock is one minute after the one before; a save takes one more
    clock = SimpleNamespace(monotonic=lambda: 60.0 * next(looks), perf_counter=time.perf_counter)
    monkeypatch.setattr(trainer, "time", clock)

    def make(folder: Path, given: Death | None, settings: dict[str, Any]) -> Trainer:
        nonlocal death
        death = given or Death()
        settings = {"checkpoint_minutes": 3, "evaluate_every": 4, "dropout": 0.1, **settings}
        return make_trainer(folder, monitor=Steps(death.tick), tick=death.tick, **settings)

    return make


# Settings, and at how many of its moments a training dies (none: at all of them; the last three always).
CASES: dict[str, tuple[dict[str, Any], int | None]] = {
    "p-tuning-v2": ({"method": "p-tuning-v2"}, None),
    "fine-tuning": (
        {"method": "fine-tuning", "optim": {"lr": 1e-3, "adamw": "transformers-4", "weight_decay": 0.1}},
        10,
    ),
    "early stopping": ({"epochs": 8, "patience": 2, "evaluate_every": 3}, 5),
    "bf16, accumulation": ({"precision": "bf16", "accumulation": 2, "epochs": 1}, 5),
}


@pytest.mark.parametrize("case", CASES)
def test_killed_at_every_moment(case: str, dying: Callable[..., Trainer], tmp_path: Path) -> None:
    settings, count = CASES[case]
    counted = Death()
    undisturbed = dying(tmp_path / "undisturbed", counted, settings)
    expected = outcome(undisturbed, undisturbed.fit())
    moments = counted.passed
    assert moments > 15
    if case == "early stopping":
        assert undisturbed.at.step < undisturbed.total
    every = range(moments + 1)
    chosen = every if count is None else {*random.Random(case).sample(every, count), *every[-3:]}
    for moment in chosen:
        folder = tmp_path / str(moment)
        death = Death(moment)
        first = dying(folder, death, settings)
        if moment < moments:
            with pytest.raises(Killed):
                first.fit()
        else:
            first.fit()  # killed after training, before the result was there
        again = dying(folder, None, settings)
        found = outcome(again, again.fit())
        for part in expected:
            assert found[part] == expected[part], f"killed at moment {moment}: {part}"


def interrupted(folder: Path, settings: dict[str, Any], step: int) -> Trainer:
    """A trainer killed after `step`, with a state of this step and one before on disk; give its settings to go on."""

    def kill() -> None:
        if len(steps.losses) > step:
            raise Killed

    steps = Steps(kill)
    first = make_trainer(folder, monitor=steps, **settings)
    with pytest.raises(Killed):
        first.fit()
    assert len(list(folder.glob("state-*"))) == 2
    return first


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def alter(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [tear, alter, Path.unlink], ids=["torn", "altered", "lost"])
def test_damaged_files_fall_back(damage: Callable[[Path], None], tmp_path: Path) -> None:
    settings = {"checkpoint_minutes": 0, "evaluate_every": 3, "dropout": 0.1}
    undisturbed = make_trainer(tmp_path / "undisturbed", **settings)
    expected = outcome(undisturbed, undisturbed.fit())
    best = undisturbed.at.best_file
    for name, went_on in (
        ("newest", [7]),  # falls back to the state before
        ("states", [0]),  # none is left: from the beginning
        ("best", [0]),  # both states refer to it
    ):
        folder = tmp_path / name
        interrupted(folder, settings, 8)
        states = sorted(folder.glob("state-*"))
        damaged = {"newest": states[1:], "states": states, "best": list(folder.glob("best-*"))}[name]
        for path in damaged:
            damage(path)
        again = make_trainer(folder, monitor=(steps := Steps()), **settings)
        found = outcome(again, again.fit())
        assert [again.total - len(steps.losses)] == went_on, name
        for part in ("position", "weights", "log"):
            assert found[part] == expected[part], (name, part)
        assert again.at.best_file == best


def test_other_number_of_processes_is_refused(tmp_path: Path) -> None:
    settings = {"checkpoint_minutes": 0}
    interrupted(tmp_path, settings, 4)
    for path in tmp_path.glob("state-*"):
        tensors, record = state.load_tensors(path) or pytest.fail("torn")
        state.save_tensors(path, tensors, {**record, "processes": 2})
    with pytest.raises(RunError, match=r"interrupted with 2 processes and can only go on with as many, not 1"):
        make_trainer(tmp_path, **settings).fit()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("when", ["step", "evaluation", "last evaluation"])
def test_signal_stops_at_a_safe_point(number: signal.Signals, when: str, tmp_path: Path) -> None:
    settings = {"evaluate_every": 6, "dropout": 0.1}
    undisturbed = make_trainer(tmp_path / "undisturbed", **settings)
    expected = outcome(undisturbed, undisturbed.fit())
    ticks = {"step": 10**6, "evaluation": 1, "last evaluation": 4}[when]  # two batches an evaluation, two evaluations

    def step() -> None:
        if when == "step" and len(steps.losses) == 5:
            signal.raise_signal(number)

    def tick() -> None:
        nonlocal ticks
        ticks -= 1
        if ticks == 0:
            signal.raise_signal(number)

    steps = Steps(step)
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    first = make_trainer(tmp_path / "stopped", monitor=steps, tick=tick, **settings)
    with pytest.raises(Interrupted, match=r"stopped at step \d+ of 12; the same command goes on from there") as caught:
        first.fit()
    assert caught.value.exit_code == 128 + number
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    again = make_trainer(tmp_path / "stopped", monitor=(rest := Steps()), **settings)
    found = outcome(again, again.fit())
    for part in ("position", "weights", "log"):
        assert found[part] == expected[part], part
    assert len(steps.losses) + len(rest.losses) == 12  # no step was done twice


def test_one_signal_of_each_kind_is_no_haste(tmp_path: Path) -> None:
    def step() -> None:
        if len(steps.losses) == 3:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)

    steps = Steps(step)
    with pytest.raises(Interrupted, match="stopped at step 3 of 12") as caught:
        make_trainer(tmp_path, monitor=steps).fit()
    assert caught.value.exit_code == 130


def test_second_signal_of_a_kind_acts_at_once(tmp_path: Path) -> None:
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test runner's worker may ignore it

    def step() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    try:
        with pytest.raises(KeyboardInterrupt):
            make_trainer(tmp_path, monitor=Steps(step)).fit()
    finally:
        signal.signal(signal.SIGINT, usual)
    assert not list(tmp_path.glob("state-*"))


# The same with whole commands.

SETTINGS = ("+model.config.initializer_range=0.3", "trainer.batch_size=8", "trainer.epochs=8")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sentences(tmp_path_factory.mktemp("data"))


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
    if not any(read_status(path.parent).get("pid") == command.process.pid for path in out.glob("*/status.json")):
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

    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}
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
    from ptv2.runs.directory import RunDirectory

    write = RunDirectory.write_status

    def write_status(run: RunDirectory, run_state: str, *more: Any, **others: Any) -> None:
        if run_state == "finished":
            os.kill(os.getpid(), signal.SIGKILL)
        write(run, run_state, *more, **others)

    RunDirectory.write_status = write_status  # type: ignore[method-assign]
