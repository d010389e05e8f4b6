"""What campaigns are made of: numbered cases, each with a random stream of its own, and a verdict on how each ended."""

from __future__ import annotations

import random
import resource
import shutil
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commandline import Command, Done

HANG = 124  # exit code of a command that was ended because it took too long, as `timeout` gives it
SECONDS = 120  # for one command; the longest of those here takes three on a machine that is not busy
WORDLESS = (0, 1, *(128 + number for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGPIPE)))  # exit codes
LONGEST = 300  # characters of an error's line
ERROR = "ptv2: error: "
MEMORY = 12 * 2**30  # bytes of addresses for one command: what asks for more would make the machine swap


@dataclass
class Trial:
    """One case as it ended."""

    about: str  # what was done
    ending: str = ""  # how it ended in a word or two, for the table
    faults: list[str] = field(default_factory=list)  # what is not as it should be
    said: str = ""  # the line of an error, for the list of cases

    def check(self, holds: bool, fault: str) -> bool:
        """Note a fault unless something holds; returns whether it does."""
        if not holds:
            self.faults.append(fault)
        return holds


class Campaign:
    """Cases of one kind. A case depends on the seed and its number only, so that each can be tried alone."""

    name = ""
    about = ""
    most = 100  # cases of `make torture`

    def prepare(self, folder: Path) -> None:
        """Make what all cases use, in `folder`."""

    def attempt(self, number: int, draw: random.Random, folder: Path) -> Trial:
        """Try one case in an empty folder."""
        raise NotImplementedError


@dataclass
class Tally:
    """A campaign's line in the table."""

    campaign: Campaign
    tried: int = 0
    failed: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


def attempts(campaign: Campaign, seed: int, numbers: range, folder: Path, until: float) -> Iterator[tuple[int, Trial]]:
    """Try cases until the time is over; the folder of a case is removed unless it failed."""
    here = folder / campaign.name
    campaign.prepare(folder / "common")  # campaigns share it
    for number in numbers:
        if time.monotonic() > until:
            return
        place = here / str(number)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        try:
            trial = campaign.attempt(number, random.Random(f"{seed} {campaign.name} {number}"), place)
        except Exception:
            trial = Trial("the campaign itself failed", faults=[traceback.format_exc()])
        if not trial.faults:
            shutil.rmtree(place, ignore_errors=True)
        with (here / "cases.txt").open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write("\t".join((str(number), trial.about, trial.ending, trial.said)) + "\n")
        yield number, trial


def limit_memory() -> None:
    """Keep a command from filling the machine's memory."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def end_of(command: Command, seconds: float = SECONDS) -> Done:
    """How a command ends; one that takes too long is killed."""
    command.process.join(seconds)
    if command.running:
        command.process.kill()
        done = command.wait()
        return Done(HANG, done.out, done.err)
    return command.wait()


def call(words: list[str], folder: Path, before: Callable[[], None] | None = limit_memory, **settings: Any) -> Done:
    """Run a command to its end; its streams are kept in `folder`."""
    return end_of(Command(words, folder / "streams", before=before, **settings))


def judge(done: Done, allowed: tuple[int, ...] = (0, 2)) -> list[str]:
    """What is wrong with a command's end, whatever it was asked for: a traceback, a hang, more than one line."""
    if done.code == HANG:
        return [f"hang: no end after {SECONDS} s; {tail(done)}"]
    faults = []
    if "Traceback (most recent call last)" in done.err + done.out:
        faults.append(f"traceback: {tail(done)}")
    if done.code not in allowed:
        faults.append(f"exit code {done.code}: {tail(done)}")
    errors = [line for line in done.err.splitlines() if line.startswith(ERROR)]
    if done.code == 1 and not errors and "failed" not in done.err + done.out:  # jobs of a sweep have their lines
        faults.append(f"exit code 1 without a word: {tail(done)}")
    if done.code not in WORDLESS and not faults:
        if len(errors) != 1:
            faults.append(f"{len(errors)} lines of error for one: {tail(done)}")
        elif not errors[0].removeprefix(ERROR).strip():
            faults.append("an error without a word")
    faults += [
        f"{len(line)} characters in an error's line: {line}" for line in errors if len(line) > LONGEST + len(ERROR)
    ]
    return faults


def ending(done: Done) -> str:
    """A command's end in a word."""
    return {0: "accepted", 2: "refused", HANG: "hang"}.get(done.code, f"exit {done.code}")


def error_of(done: Done) -> str:
    """The first line of error, without its mark."""
    return next((line.removeprefix(ERROR) for line in done.err.splitlines() if line.startswith(ERROR)), "")


def tail(done: Done, most: int = 600) -> str:
    """The end of what a command said."""
    return (done.err.strip() or done.out.strip())[-most:]
