"""A fault of ptv2 itself is one line with the name of a log, whatever the command; the log has the traceback."""

from __future__ import annotations

import gc
import os
import re
import tempfile
import weakref
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from commandline import run, train_words, write_sentences

from ptv2.cli import COMMANDS
from ptv2.console import fault_log

LINE = re.compile(r"a fault of ptv2, not of your input: KeyError: 'odd'; the traceback is in (\S+\.log)")
TRAIN = ["task=mini-inference", "model=tiny", "trainer.max_steps=1", "data.limit.train=24", "data.limit.dev=8"]


def fault(*_: Any, **__: Any) -> None:
    raise KeyError("odd")


def break_command(module: str) -> None:
    """Called in the command's process."""
    __import__(module, fromlist=["main"]).main = fault


def break_training() -> None:
    from ptv2.training.trainer import Trainer

    Trainer.fit = fault  # type: ignore[assignment]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_fault_in_a_command(command: str, tmp_path: Path) -> None:
    before = partial(break_command, COMMANDS[command][0])
    done = run([command, "some", "words"], tmp_path, environment={"PTV2_CACHE": str(tmp_path / "c")}, before=before)
    assert (done.code, done.out) == (70, "")
    found = LINE.fullmatch(done.error)
    assert found, done.error
    assert len(done.err.splitlines()) == 1
    log = Path(found[1])
    assert log.parent == tmp_path / "c" / "faults"
    text = log.read_text()
    assert "Traceback" in text
    assert "in fault\n" in text
    assert "transformers " in text, "versions"


def test_a_fault_in_training(tmp_path: Path) -> None:
    words = ["train", *TRAIN, f"out={tmp_path / 'out'}"]
    done = run(words, tmp_path, before=break_training)
    assert done.code == 70
    assert LINE.fullmatch(done.error)
    swept = run([*words, "seed=1,2", "-m"], tmp_path, before=break_training)
    assert swept.code == 1
    assert "Traceback" not in swept.err
    assert swept.err.count("a fault of ptv2, not of your input: KeyError: 'odd'") == 1
    assert "failed  as job 0" in swept.err


def test_the_traceback_on_the_screen(tmp_path: Path) -> None:
    before = partial(break_command, COMMANDS["table"][0])
    shown = run(["table"], tmp_path, environment={"PTV2_TRACEBACK": "1"}, before=before)
    assert (shown.code, shown.err.count("Traceback")) == (70, 1)
    for words in (["tabel"], ["evaluate", "none"]):  # also of other errors
        assert "Traceback" in run(words, tmp_path, environment={"PTV2_TRACEBACK": "1"}).err


def test_where_no_folder_takes_the_log(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    nowhere = str(tmp_path / "file" / "cache")
    before = partial(break_command, COMMANDS["table"][0])
    elsewhere = run(
        ["table"], tmp_path, environment={"PTV2_CACHE": nowhere}, before=partial(temporary_in, tmp_path, before)
    )
    assert f"the traceback is in {tmp_path}/ptv2-faults/" in elsewhere.error
    done = run(["table"], tmp_path, environment={"PTV2_CACHE": nowhere}, before=partial(no_folder, before))
    assert (done.code, done.error.endswith("; PTV2_TRACEBACK=1 shows the traceback")) == (70, True)


def temporary_in(folder: Path, before: Callable[[], None]) -> None:
    before()
    tempfile.tempdir = str(folder)


def no_folder(before: Callable[[], None]) -> None:
    before()
    fault_log._folders = lambda: iter([Path("/dev/null/none")])


@pytest.mark.parametrize("year", [2020, 2999])
def test_only_some_logs_are_kept(year: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that the message names is kept also where the clock was set back."""
    monkeypatch.setenv("PTV2_CACHE", str(tmp_path))
    monkeypatch.setattr(fault_log, "_written", {})  # as in a process of its own
    (tmp_path / "faults").mkdir()
    for number in range(30):
        (tmp_path / "faults" / f"{year}0101-0000{number:02}-1.log").touch()
    message, code = fault_log.answer(ValueError("a \ud800 surrogate"))
    assert code == 70
    logs = sorted((tmp_path / "faults").iterdir())
    assert len(logs) == fault_log.KEPT
    assert sum(str(log) in message for log in logs) == 1


def test_each_fault_has_its_own_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also faults of one second; the same fault in another job is written once."""
    monkeypatch.setenv("PTV2_CACHE", str(tmp_path))
    monkeypatch.setattr(fault_log, "_written", {})
    messages = [fault_log.answer(error)[0] for error in (ValueError("one"), KeyError("two"), ValueError("one"))]
    assert messages[0] == messages[2] != messages[1]
    logs = sorted((tmp_path / "faults").iterdir())
    assert [log.read_text().splitlines()[-1] for log in logs] == ["ValueError: one", "KeyError: 'two'"]
    logs[0].unlink()
    assert fault_log.answer(ValueError("one"))[0] != messages[0]


def test_standard_error_that_takes_nothing(tmp_path: Path) -> None:
    done = run(["tabel"], tmp_path, before=no_stderr)
    assert (done.code, done.out, done.err) == (2, "", "")


@pytest.mark.parametrize("way", ["full", "closed"])
def test_training_goes_on_where_standard_error_takes_nothing(way: str, tmp_path: Path) -> None:
    before = no_stderr if way == "full" else partial(os.close, 2)
    words = ["train", *TRAIN, f"out={tmp_path / 'out'}", "seed=1,2", "-m"]
    done = run(words, tmp_path / "streams", before=before)
    assert done.code == 0
    assert len(list((tmp_path / "out").glob("*/result.json"))) == 2
    assert re.search(r"^1 .* finished +dev accuracy", done.out, re.MULTILINE)
    assert not any(tmp_path.glob("out/*/command-*")), "a file that got the number of the closed stream"


def test_what_a_model_asks_for_is_more_than_there_is(tmp_path: Path) -> None:
    large = ["prompt.reparameterization=mlp", "prompt.mlp_hidden=900000000"]
    done = run(["train", *TRAIN, *large, f"out={tmp_path / 'out'}"], tmp_path)
    assert done.code == 1
    assert done.error.startswith("out of memory")


def no_stderr() -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), 2)


class PanicException(BaseException):  # not derived from Exception either
    """What a library in Rust raises when it panics."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("can't start new thread"),
        ImportError("libgomp.so.1: failed to map segment from shared object"),
        PanicException("PyObject pointer is null"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_memory_that_runs_out_anywhere(error: BaseException) -> None:
    message, code = fault_log.answer(error)
    assert (message, code) == ("out of memory; `ptv2 plan` with the same settings says what a run needs", 1)


def test_a_panic_of_a_library(tmp_path: Path) -> None:
    done = run(["list", "tasks"], tmp_path, before=break_by_panic)
    assert done.code == 70
    assert done.error.startswith("a fault of ptv2, not of your input: PanicException: ")


def break_by_panic() -> None:
    def panic(*_: Any) -> None:
        raise PanicException("index out of bounds")

    import_module("ptv2.commands.list").main = panic  # type: ignore[attr-defined]


def test_a_sweep_holds_one_backbone_at_a_time(tmp_path: Path) -> None:
    """Also in half precision, where Accelerate makes a model refer to itself, and when nobody collects cycles."""
    data = write_sentences(tmp_path / "data", train=16, dev=8, test=8)
    words = train_words(data, tmp_path / "out", "trainer.max_steps=1", "trainer.precision=bf16", "seed=1,2", "-m")
    done = run(words, tmp_path, before=partial(watch_models, tmp_path / "alive"))
    assert done.code == 0, done.err
    assert (tmp_path / "alive").read_text() == "00"


def watch_models(file: Path) -> None:
    """Write how many models are alive whenever another is built."""
    from ptv2.experiment import train

    gc.disable()
    gc.collect = lambda *_: 0
    build, models = train.build_model, []

    def watched(*arguments: Any) -> Any:
        with file.open("a") as stream:
            stream.write(str(sum(model() is not None for model in models)))
        model = build(*arguments)
        models.append(weakref.ref(model))
        return model

    train.build_model = watched
