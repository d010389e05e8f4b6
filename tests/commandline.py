"""Commands of ptv2 in processes of their own, without waiting for torch each time.

A server imports the package once and forks; each command then runs `ptv2.cli.main` in a fresh process with its own
signals, streams and exit code. `python -m ptv2` itself is started where the start is what matters.
"""

from __future__ import annotations

import atexit
import gc
import json
import multiprocessing
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "ptv2.cli",
        "ptv2.commands.train",
        "ptv2.experiment.train",
        "ptv2.commands.evaluate",
        "ptv2.commands.predict",
        "ptv2.experiment.load",
        "ptv2.metrics.accuracy",
        "evaluate",
        "sklearn.metrics",
        "transformers.models.bert.modeling_bert",
    ]
)
TIMEOUT = 1500  # seconds for one command: only one that hangs takes so long, also on a machine that is busy


@dataclass(frozen=True)
class Done:
    """A command that ended: exit code as a shell gives it (128 + n when killed by signal n), and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of its error; fails unless there is exactly one, and no traceback."""
        assert "Traceback" not in self.err, self.err
        lines = [line for line in self.err.splitlines() if line.startswith("ptv2: error: ")]
        assert len(lines) == 1, self.err
        return lines[0].removeprefix("ptv2: error: ")


class Command:
    """A command that runs in a forked process."""

    def __init__(
        self,
        words: list[str],
        folder: Path,
        environment: dict[str, str] | None = None,
        before: Callable[[], None] | None = None,
        after: Callable[[], None] | None = None,
    ) -> None:
        """Start it.

        Args:
            folder: where its streams are kept.
            before: a function of a module, called in the process before the command.
            after: the same, called after it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"command-{time.monotonic_ns()}"
        self._out, self._err = folder / f"{stem}.out", folder / f"{stem}.err"
        for path in (self._out, self._err):
            path.touch()  # the command may be killed before it writes anything
        surroundings = {"PTV2_CACHE": cache_folder(), **(environment or {})}
        arguments = (words, str(self._out), str(self._err), surroundings, before, after)
        self.process = FORKS.Process(target=_run, args=arguments)
        self.process.start()

    def signal(self, number: int) -> None:
        """Send a signal; nothing happens when the command has ended."""
        assert self.process.pid is not None
        if self.running:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    @property
    def running(self) -> bool:
        return self.process.is_alive()

    def wait(self) -> Done:
        """Wait for its end."""
        self.process.join(TIMEOUT)
        code = self.process.exitcode
        if code is None:
            self.process.kill()
            raise AssertionError(f"no end after {TIMEOUT} s\n{self._err.read_text()}")
        return Done(code if code >= 0 else 128 - code, self._out.read_text(), self._err.read_text())


@cache
def cache_folder() -> str:
    """Where the commands of these tests keep encoded sets: not in the user's cache."""
    folder = tempfile.mkdtemp(prefix="ptv2-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def run(words: list[str], folder: Path, **settings: Any) -> Done:
    """Run a command to its end; see `Command`."""
    return Command(words, folder, **settings).wait()


def start_two(words: list[str], folder: Path, **settings: Any) -> list[Command]:
    """Start a command on two processes that train together, as torchrun does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    common = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank), **common} for rank in range(2)]
    return [Command(words, folder / f"rank{i}", environment=ranks[i], **settings) for i in range(2)]


def ended(commands: list[Command]) -> list[Done]:
    """Wait for the ends of all."""
    return [command.wait() for command in commands]


def python(*words: str, **environment: str) -> subprocess.Popen[str]:
    """Start `python WORDS...` as a user would, with one thread."""
    return subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PTV2_CACHE": cache_folder(), **environment},
    )


def finish(process: subprocess.Popen[str], seconds: float = TIMEOUT) -> Done:
    """Wait for the end of `python(...)`."""
    out, err = process.communicate(timeout=seconds)
    code = process.returncode
    return Done(code if code >= 0 else 128 - code, out, err)


def wait_until(condition: Callable[[], bool], running: Callable[[], bool]) -> bool:
    """Wait for a condition; false when the command ended first."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        if condition():
            return True
        if not running():
            return False
        time.sleep(0.002)
    raise AssertionError(f"nothing happened for {TIMEOUT} s")


def write_sentences(folder: Path, train: int = 70, dev: int = 40, test: int = 25) -> Path:
    """Made-up sentences of two classes, told apart by one word, as JSON lines in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(5)
    kinds = {"good": ["bright", "warm", "kind", "calm", "clean"], "bad": ["dull", "cold", "rude", "loud", "torn"]}
    things = ["river", "table", "garden", "letter", "window", "engine"]
    for split, count in (("train", train), ("dev", dev), ("test", test)):
        rows = []
        for i in range(count):
            label = ("good", "bad")[i % 2]
            rest = " ".join(draw.choice(things) for _ in range(draw.randint(0, 12)))
            text = f"the {draw.choice(things)} was {draw.choice(kinds[label])} {rest}".strip()
            rows.append(json.dumps({"sentence": text, "label": label}) + "\n")
        (folder / f"{split}.jsonl").write_text("".join(rows), encoding="utf-8")
    return folder


def write_backbone(folder: Path) -> Path:
    """A random BERT of two layers as a folder, with the tokenizer of the embedded backbone."""
    import torch
    from transformers import BertConfig, BertModel

    from ptv2.models.checkpoints import embedded_folder

    torch.manual_seed(5)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=30522, initializer_range=0.3, **sizes)).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(embedded_folder("minilm") / name, folder)
    return folder


def train_words(data: Path, out: Path, *overrides: str) -> list[str]:
    """`ptv2 train` on such sentences with the tiny backbone; the rate is high enough for dev metrics to move."""
    start = ["train", "task=classification", f"data.dir={data}", "model=tiny", f"out={out}", "optim.lr=0.03"]
    return [*start, *overrides]


def only_run(out: Path) -> Path:
    """The one run below `out`."""
    (found,) = (path.parent for path in out.glob("*/config.yaml"))
    return found


def result_of(folder: Path) -> dict[str, Any]:
    """What result.json says."""
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def log_lines(folder: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without their times."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in line.items() if key != "train_seconds"} for line in lines]


def numbers(folder: Path) -> dict[str, Any]:
    """Everything of a finished run that must not depend on how it got there."""
    result = result_of(folder)
    keys = ("dev", "dev_last", "test", "best_step", "steps", "evaluations", "parameters", "backbone", "data")
    files = sorted([*folder.glob("predictions-*.jsonl"), *folder.glob("artifact/*")])
    return {
        **{key: result[key] for key in keys},
        **{path.name: path.read_bytes() for path in files if path.is_file()},
        "log": log_lines(folder),
        "files": sorted(re.sub(r"^command-.*", "", path.name) for path in folder.iterdir()),
    }


def _run(
    words: list[str],
    out: str,
    err: str,
    environment: dict[str, str],
    before: Callable[[], None] | None,
    after: Callable[[], None] | None,
) -> None:
    gc.freeze()  # a collection that looked at all that was imported would copy the server's memory
    for path, descriptor in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), descriptor)
    os.environ.pop("COLUMNS", None)  # a terminal's that started the tests; streams are files
    os.environ.update(environment)
    import torch

    from ptv2.cli import main

    torch.set_num_threads(1)
    if before is not None:
        before()
    code = main(words)
    if after is not None:
        after()
    sys.exit(code)


def holder(folder: Path) -> int | None:
    """The id of the process that trains in `folder`, if one does."""
    from ptv2.run_folders.lock import RUNNING, is_held

    try:
        return int(json.loads((folder / RUNNING).read_text(encoding="utf-8"))["pid"]) if is_held(folder) else None
    except (OSError, ValueError, KeyError):
        return None
