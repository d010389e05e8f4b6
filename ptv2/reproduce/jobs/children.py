"""Commands of ptv2 in processes of their own, so that a crash or full memory of one harms no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ptv2.errors import Interrupted, first_line
from ptv2.gpus import VISIBLE, least_used
from ptv2.training.stop import StopRequest

ERROR = "ptv2: error: "


@dataclass
class Child:
    """A command that was started; `log` has what it prints."""

    process: subprocess.Popen[bytes]
    output: IO[bytes]
    log: Path
    began: float
    gpu: str | None = None  # the one that it has, where there are several
    asked: bool = False  # to stop

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None


class Task(ABC):
    """What one child makes: runs, or the trials of a search."""

    child: Child | None = None  # while it is made

    @property
    @abstractmethod
    def is_taken(self) -> bool:
        """Whether another process makes it now, whose end is waited for."""

    @abstractmethod
    def begin(self) -> tuple[list[str], Path] | None:
        """Its command, and the file for what that prints; None: nothing is left to make."""

    @abstractmethod
    def look(self, child: Child, *, ended: bool) -> None:
        """Say what is new; called now and then, and once when the child has ended."""


def make_all(tasks: Sequence[Task], workers: int, seconds: float, show: Callable[[], None] = lambda: None) -> None:
    """Make tasks, `workers` at a time; all in one thread, so that signals and children need no locks.

    Args:
        seconds: between two looks at what is made.
        show: called after each.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; the children were stopped at a step and the same command goes on.
    """
    waiting, running = list(tasks), dict[Task, Child]()
    with StopRequest(lambda: ask_to_stop(list(running.values()))) as asked:
        try:
            while (waiting or running) and asked.signal is None:
                for task, child in list(running.items()):
                    if ended := child.ended:  # before what it left is read
                        del running[task]
                        child.output.close()
                    task.look(child, ended=ended)
                for task in list(waiting):
                    if len(running) >= workers:
                        break
                    if task.is_taken:
                        continue
                    waiting.remove(task)
                    if (begun := task.begin()) is not None:
                        running[task] = start(*begun, workers, running.values())
                for task in tasks:
                    task.child = running.get(task)
                show()
                if asked.signal is None:  # it may have come before the newest child was among those that are asked
                    time.sleep(seconds)
        finally:
            stop(list(running.values()))
        if asked.signal is not None:
            raise Interrupted("stopped; the same command goes on", asked.signal)


def ptv2(*words: str) -> list[str]:
    """The command `ptv2 WORDS...`, by this very Python."""
    return [sys.executable, "-m", "ptv2", *words]


def usable_cores() -> int:
    """The cores that this process may use, which a scheduler's job has fewer of than the machine."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
        environment.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // workers)))
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


def ask_to_stop(children: Sequence[Child]) -> None:
    """Ask children to stop at their next step. Nothing happens to those that were asked before."""
    for child in children:
        if not child.asked:  # a second SIGTERM ends a command at once
            child.asked = True
            child.process.send_signal(signal.SIGTERM)


def stop(children: Sequence[Child]) -> None:
    """Ask children to stop at their next step, and wait; an error meanwhile kills them."""
    ask_to_stop(children)
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


def error_of(child: Child, first: str = ERROR) -> str | None:
    """The error message of a child that ended, in one line; None if it ended well.

    Args:
        first: how the lines begin that are looked for before those of errors of the whole child.
    """
    code, log = child.process.returncode, child.log
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    for start in (first, ERROR):
        if errors := [line.removeprefix(start) for line in lines if line.startswith(start)]:
            return errors[-1]
    if code == 0:
        return None
    if code < 0:
        name = signal.Signals(-code).name if -code in list(signal.Signals) else f"signal {-code}"
        return f"killed by {name}" + (" (memory that ran out?)" if name == "SIGKILL" else "")
    return f"{first_line(Exception(lines[-1])) if lines else f'exit code {code}'} ({log})"
