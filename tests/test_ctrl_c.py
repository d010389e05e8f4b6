"""Ctrl-C at any moment of a command: one line, no traceback, exit code 130, and nothing is waited for."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from commandline import cache_folder, only_run, python, train_words, wait_until, write_sentences
from hydra.errors import ConfigCompositionException

from ptv2 import interruption
from ptv2.config import compose

# A command that works, takes long to put things away, makes another error of what a handler raises, or is where Python
# drops it.
WORK = """
import sys, time, types
import ptv2.cli
class Lost:
    def __del__(self):
        time.sleep(60)
def work(words):
    if words == ["lost"]:
        print("begun", flush=True)
        Lost()
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        if words == ["turned"]:
            raise ValueError("made of KeyboardInterrupt")
        if words == ["slow"]:
            print("putting away", flush=True)
            time.sleep(60)
    return 0
sys.modules["work"] = types.SimpleNamespace(main=work)
ptv2.cli.COMMANDS["work"] = ("work", "")
sys.exit(ptv2.cli.main())
"""


def interrupt(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Send Ctrl-C; the exit code and standard error, which must come soon also on a busy machine."""
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=15)
    return process.returncode, err


@pytest.fixture(autouse=True)
def usual_signals() -> Iterator[None]:
    """A test runner in the background of a shell ignores Ctrl-C, and so would its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("words", [["train"], ["predict", "x", "--input", "y"], ["plan"], ["table"]], ids=" ".join)
@pytest.mark.parametrize("after", [0.05, 0.4])
def test_while_it_starts(words: list[str], after: float, tmp_path: Path) -> None:
    if words == ["train"]:
        words = [*words, f"out={tmp_path}"]
    script = "import ptv2.cli as c, sys; c.interruption.install(); print('here', flush=True); sys.exit(c.main())"
    process = python("-c", script, *words)
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    time.sleep(after)
    if process.poll() is None:
        code, err = interrupt(process)
        refused = code in (2, -signal.SIGINT) and err.count("\n") == 1  # it had said so, and may have been leaving
        assert (code, err) == (130, "ptv2: error: stopped\n") or refused


def test_while_torch_is_imported(tmp_path: Path) -> None:
    process = python("-m", "ptv2", *train_words(write_sentences(tmp_path / "data"), tmp_path / "out"))
    maps = Path(f"/proc/{process.pid}/maps")
    assert wait_until(lambda: "libtorch" in maps.read_text(), lambda: process.poll() is None)
    assert interrupt(process) == (130, "ptv2: error: stopped\n")


@pytest.mark.parametrize("words", ["work", "work lost", "work turned"])
def test_while_it_works(words: str) -> None:
    process = python("-c", WORK, *words.split())
    assert process.stdout is not None
    process.stdout.readline()
    assert interrupt(process) == (130, "ptv2: error: stopped\n")


def test_while_settings_are_composed(monkeypatch: pytest.MonkeyPatch) -> None:
    """OmegaConf catches what is raised within it, and raises an error about the settings."""

    def interrupted(*_: object, **__: object) -> None:
        with suppress(KeyboardInterrupt):
            interruption._interrupt(signal.SIGINT, None)
        raise ConfigCompositionException

    monkeypatch.setattr(interruption, "_raised", False)
    monkeypatch.setattr(compose, "hydra_compose", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compose.compose(["model=tiny"])


def test_a_second_one_ends_at_once() -> None:
    process = python("-c", WORK, "work", "slow")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "putting away\n"
    assert interrupt(process) == (-signal.SIGINT, "")  # which a shell calls 130


def in_a_terminal(words: list[str]) -> tuple[int, int]:
    """Start `ptv2 WORDS...` in a terminal of its own: the process, and the other end of the terminal."""
    child, terminal = pty.fork()
    if child == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where the tests run under nohup
        environment = {**os.environ, "TERM": "xterm", "PTV2_CACHE": cache_folder(), "OMP_NUM_THREADS": "1"}
        os.execve(sys.executable, [sys.executable, "-m", "ptv2", *words], environment)
    return child, terminal


def read_until(terminal: int, awaited: bytes | None, seconds: float = 300) -> bytes:
    """What is shown until `awaited` is; None: until the terminal's last process ends."""
    began, shown = time.monotonic(), b""
    while awaited is None or awaited not in shown:
        try:
            shown += os.read(terminal, 2**16)
        except OSError:  # Linux's word for the end
            break
        assert time.monotonic() - began < seconds
    return shown


def exit_code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_sweep_says_that_it_stops_and_goes_on_later(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [*train_words(write_sentences(tmp_path / "data"), out, "trainer.epochs=2000"), "seed=1,2", "-m"]
    child, terminal = in_a_terminal(words)
    shown = read_until(terminal, b"best so far")
    os.write(terminal, b"\x03")  # Ctrl-C, which a terminal sends to all of its processes
    shown += read_until(terminal, None)
    os.close(terminal)
    text = shown.decode()
    assert shown.startswith(b"start ")  # before anything heavy is imported
    assert exit_code(child) == 130, text
    assert "stopping after this step" in text
    answered = text[text.index("stopping after this step") - 6 :]
    assert answered.startswith("\x1b[?25h"), "after a second Ctrl-C nothing shows the cursor again"
    assert "the same command goes on from there" in " ".join(text.split())
    assert "Traceback" not in text
    assert json.loads((only_run(out) / "status.json").read_text())["state"] == "interrupted"
    assert list(only_run(out).glob("state-*"))


def test_a_closed_terminal_loses_no_step(tmp_path: Path) -> None:
    out = tmp_path / "out"
    child, terminal = in_a_terminal(train_words(write_sentences(tmp_path / "data"), out, "trainer.epochs=2000"))
    read_until(terminal, b"best so far")
    os.close(terminal)
    assert exit_code(child) == 128 + signal.SIGHUP
    assert json.loads((only_run(out) / "status.json").read_text())["state"] == "interrupted"
    assert list(only_run(out).glob("state-*"))
