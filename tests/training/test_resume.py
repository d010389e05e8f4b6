"""An interrupted training ends like one that was not: weights, metrics and log, bit for bit.

Here in this process, with a trainer that dies at every moment in turn; `test_interrupted.py` does it to whole commands.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from trainers import Steps, make_trainer, outcome

from ptv2 import files, tensor_files
from ptv2.errors import Interrupted, RunError
from ptv2.run_folders import metrics_log
from ptv2.training import state, trainer
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
    monkeypatch.setattr(tensor_files, "write_bytes_whole", around(files.write_bytes_whole))
    monkeypatch.setattr(metrics_log, "write_text_whole", around(files.write_text_whole))
    looks = iter(range(10**6))  # every look at the clock is one minute after the one before; a save takes one more
    clock = SimpleNamespace(monotonic=lambda: 60.0 * next(looks), perf_counter=time.perf_counter)
    monkeypatch.setattr(trainer, "time", clock)

    def make(folder: Path, given: Death | None, settings: dict[str, Any]) -> Trainer:
        nonlocal death
        death = given or Death()
        settings = {"examples": 18, "checkpoint_minutes": 3, "evaluate_every": 4, "dropout": 0.1, **settings}
        return make_trainer(folder, monitor=Steps(death.tick), tick=death.tick, **settings)

    return make


# Settings, and at how many of its moments a training dies (none: at all of them; the last three always).
CASES: dict[str, tuple[dict[str, Any], int | None]] = {
    "p-tuning-v2": ({"method": "p-tuning-v2"}, None),
    "fine-tuning": (
        {"method": "fine-tuning", "optim": {"lr": 1e-3, "adamw": "transformers-4", "weight_decay": 0.1}},
        10,
    ),
    "lora": ({"method": "lora"}, 10),
    "early stopping": ({"epochs": 8, "patience": 2, "evaluate_every": 3}, None),
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


@pytest.mark.parametrize("damaged", ["states", "best"])
def test_killed_again_after_a_start_from_scratch(damaged: str, tmp_path: Path) -> None:
    """Unusable states are removed, or every new one would be dropped as the oldest until their steps are passed."""
    settings = {"checkpoint_minutes": 0, "evaluate_every": 3, "dropout": 0.1}
    undisturbed = make_trainer(tmp_path / "undisturbed", **settings)
    expected = outcome(undisturbed, undisturbed.fit())
    folder = tmp_path / "run"
    interrupted(folder, settings, 8)
    for path in folder.glob({"states": "state-*", "best": "best-*"}[damaged]):
        tear(path)
    words = interrupted(folder, settings, 4).monitor.words
    assert any("state-00000008.safetensors" in text and "starts again from the beginning" in text for text in words)
    assert [path.name for path in sorted(folder.glob("state-*"))] == [
        f"state-{step:08d}.safetensors" for step in (3, 4)
    ]
    again = make_trainer(folder, monitor=(steps := Steps()), **settings)
    found = outcome(again, again.fit())
    assert again.total - len(steps.losses) == 4
    for part in ("position", "weights", "log"):
        assert found[part] == expected[part], part


def test_a_state_that_cannot_be_opened_is_not_torn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too few file handles, say: the run must not start again from the beginning and remove what it cannot open."""
    settings = {"checkpoint_minutes": 0}
    interrupted(tmp_path, settings, 4)
    opened = Path.open

    def refuse(path: Path, *arguments: Any, **more: Any) -> Any:
        if path.name.startswith("state-"):
            raise OSError(24, "Too many open files", str(path))
        return opened(path, *arguments, **more)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        make_trainer(tmp_path, **settings).fit()
    assert len(list(tmp_path.glob("state-*"))) == 2


@pytest.mark.parametrize(
    ("line", "count"),
    [
        (b'\xff\xfe{"step": 1}\n', 1),
        (b"[]\n", 1),
        (b"{}\n", 1),
        (b'{"step": "x", "loss": 1.0}\n', 1),
        (b'{"step": true, "loss": 1.0}\n', 1),
        (b'{"step": 1, "dev": [1]}\n', 1),
        (b'{"step": 1, "dev": {"accuracy": "x"}}\n', 1),
        (b'{"step": 1}\n', 1),
        (b'{"step": 1, "loss": NaN}\n', 1),
        (b'{"step": 1, "dev": {"accuracy": -Infinity}}\n', 1),
        (b"[" * 100_000 + b"\n", 1),
        (b'{"step": 1, "lo\n\x00\x00\n', 2),
    ],
    ids=lambda value: str(value)[:20],
)
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_damaged_lines_of_the_log_are_left_out(line: bytes, count: int, place: str, tmp_path: Path) -> None:
    """The other lines stay, also those after it, and the run says how many are lost."""
    settings = {"checkpoint_minutes": 0, "evaluate_every": 3}
    undisturbed = make_trainer(tmp_path / "undisturbed", **settings)
    expected = outcome(undisturbed, undisturbed.fit())
    folder = tmp_path / "run"
    interrupted(folder, settings, 8)
    log = folder / "metrics.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    lines.insert({"first": 0, "middle": 1, "last": len(lines)}[place], line)
    log.write_bytes(b"".join(lines))
    again = make_trainer(folder, monitor=(steps := Steps()), **settings)
    found = outcome(again, again.fit())
    assert found["log"] == expected["log"]
    assert again.at.damaged_lines == count
    assert any(f"lines of metrics.jsonl damaged, altered or lost: {count}" in text for text in steps.words)


@pytest.mark.parametrize(
    ("change", "count"),
    [
        (lambda lines: lines[1:], 1),
        (lambda lines: lines[:1], None),
        (lambda lines: [], None),
        (lambda lines: [lines[0].replace(b'"step": 1', b'"step": 2'), *lines[1:]], 1),
        (lambda lines: [lines[0].replace(b'"loss": ', b'"loss": 1'), *lines[1:]], 1),
        (lambda lines: [lines[1], lines[0], *lines[2:]], 1),
        (lambda lines: [*lines[:1], *lines], 1),
    ],
    ids=["first lost", "most lost", "all lost", "step altered", "loss altered", "exchanged", "repeated"],
)
def test_altered_log_is_noticed(
    change: Callable[[list[bytes]], list[bytes]], count: int | None, tmp_path: Path
) -> None:
    """Lines that still read well, but are not those that were written before the state."""
    settings = {"checkpoint_minutes": 0, "evaluate_every": 3}
    interrupted(tmp_path, settings, 8)
    log = tmp_path / "metrics.jsonl"
    written = log.read_bytes().splitlines(keepends=True)
    changed = change(written)
    assert changed != written
    log.write_bytes(b"".join(changed))
    again = make_trainer(tmp_path, **settings)
    again.fit()
    assert again.at.damaged_lines == (count or len(written) - len(changed))


def test_damage_and_starts_add_up(tmp_path: Path) -> None:
    settings = {"checkpoint_minutes": 0, "evaluate_every": 3}
    for step in (4, 4):  # of each process
        interrupted(tmp_path, settings, step)
        with (tmp_path / "metrics.jsonl").open("ab") as stream:
            stream.write(b"[]\n")
    again = make_trainer(tmp_path, **settings)
    again.fit()
    assert (again.at.damaged_lines, again.at.resumed) == (2, 2)


def test_whole_log_after_a_kill_is_not_called_altered(tmp_path: Path) -> None:
    """Lines that are newer than the state, or cut short, are written again."""
    settings = {"checkpoint_minutes": 0, "evaluate_every": 3}
    interrupted(tmp_path, settings, 8)
    newest = max(tmp_path.glob("state-*"))
    newest.unlink()
    with (tmp_path / "metrics.jsonl").open("ab") as stream:
        stream.write(b'{"step": 9, "lo')
    again = make_trainer(tmp_path, **settings)
    again.fit()
    assert again.at.resumed == 1
    assert again.at.damaged_lines == 0


def test_other_number_of_processes_is_refused(tmp_path: Path) -> None:
    settings = {"checkpoint_minutes": 0}
    interrupted(tmp_path, settings, 4)
    for path in tmp_path.glob("state-*"):
        tensors, record = state.load_tensors(path) or pytest.fail("torn")
        state.save_tensors(path, tensors, {**record, "processes": 2})
    with pytest.raises(RunError, match=r"interrupted with 2 processes and can only go on with as many, not 1"):
        make_trainer(tmp_path, **settings).fit()


@pytest.fixture
def _usual_hangup() -> Iterator[None]:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # it is ignored where the tests run under nohup
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("_usual_hangup")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
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
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    first = make_trainer(tmp_path / "stopped", monitor=steps, tick=tick, **settings)
    with pytest.raises(Interrupted, match=r"stopped at step \d+ of 12; the same command goes on from there") as caught:
        first.fit()
    assert caught.value.exit_code == 128 + number
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    again = make_trainer(tmp_path / "stopped", monitor=(rest := Steps()), **settings)
    found = outcome(again, again.fit())
    for part in ("position", "weights", "log"):
        assert found[part] == expected[part], part
    assert len(steps.losses) + len(rest.losses) == 12  # no step was done twice


def test_a_closed_terminal_that_is_ignored_stops_nothing(tmp_path: Path) -> None:
    """As under nohup."""
    usual = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        position = make_trainer(tmp_path, monitor=Steps(lambda: signal.raise_signal(signal.SIGHUP))).fit()
    finally:
        signal.signal(signal.SIGHUP, usual)
    assert position.step == 12


def test_one_signal_of_each_kind_is_no_haste(tmp_path: Path) -> None:
    def step() -> None:
        if len(steps.losses) == 3:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)

    steps = Steps(step)
    with pytest.raises(Interrupted, match="stopped at step 3 of 12") as caught:
        make_trainer(tmp_path, monitor=steps).fit()
    assert caught.value.exit_code == 130


@pytest.mark.usefixtures("_usual_hangup")
def test_a_closed_terminal_may_be_told_twice(tmp_path: Path) -> None:
    """By the system, and by a launcher of processes, which hands on what it got."""

    def step() -> None:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)

    with pytest.raises(Interrupted, match="stopped at step 1 of 12") as caught:
        make_trainer(tmp_path, monitor=Steps(step)).fit()
    assert caught.value.exit_code == 128 + signal.SIGHUP


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
