"""Commands of ptv2 in processes of their own, so that a crash or full memory of one harms no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ptv2.errors import first_line
from ptv2.gpus import VISIBLE, least_used


@dataclass
class Child:
    """A command that was started; `log` has what it prints."""

    process: subprocess.Popen[bytes]
    output: IO[bytes]
    log: Path
    began: float
    gpu: str | None = None  # the one that it has, where there are several

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None


def ptv2(*words: str) -> list[str]:
    """The command `ptv2 WORDS...`, by this very Python."""
    return [sys.executable, "-m", "ptv2", *words]


def start(command: Sequence[str], log: Path, workers: int, beside: Iterable[Child] = ()) -> Child:
    """Start a command in a session of its own, so that it gets Ctrl-C once, from us.

    Args:
        workers: how many such commands run side by side; they share the cores.
        beside: those that run now; of several GPUs the command gets the one that fewest of them have.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    output = log.open("wb")
    environment = dict(os.environ)
    if workers > 1:  # otherwise every command would take all cores
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
    gpu = least_used(child.gpu for child in beside) if workers > 1 else None
    if gpu is not None:
        environment[VISIBLE] = gpu
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )
    return Child(process, output, log, time.monotonic(), gpu)


def stop(children: Sequence[Child]) -> None:
    """Ask children to stop at their next step, and wait; a second signal kills them."""
    for child in children:
        child.process.send_signal(signal.SIGTERM)
    try:
        for child in children:
            child.process.wait()
    except BaseException:
        for child in children:
            child.process.kill()
            child.process.wait()
        raise
    finally:
        for child in children:
            child.output.close()


def error_of(child: Child) -> str | None:
    """The error message of a child that ended, in one line; None if it ended well."""
    code, log = child.process.returncode, child.log
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line.removeprefix("ptv2: error: ") for line in lines if line.startswith("ptv2: error: ")]
    if errors:
        return errors[-1]
    if code == 0:
        return None
    if code < 0:
        name = signal.Signals(-code).name
        return f"killed by {name}" + (" (memory that ran out?)" if name == "SIGKILL" else "")
    return f"{first_line(Exception(lines[-1])) if lines else f'exit code {code}'} ({log})"
