"""Commands that lack something: room on the disk, a folder that can be written, file handles, memory, a stream.

Each says so in one line; what was whole stays readable, and the same command ends as an undisturbed one when there is
enough again.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from commandline import Done

from torture import scenarios
from torture.frame import Campaign, Trial, call, end_of, error_of, judge
from torture.kills import differences, undisturbed
from torture.scenarios import Scenario

FULL_DISK, FAILED, NO_READER = 74, 1, 141
CRASHES = (128 + signal.SIGSEGV, 128 + signal.SIGABRT)

ENDINGS = {0: "enough", FULL_DISK: "disk full", 2: "refused", NO_READER: "no reader", FAILED: "failed with a line"}
ENDINGS |= dict.fromkeys(CRASHES, "crash of a library")


class Limits(Campaign):
    name = "limits"
    about = "full disks, read-only folders, few file handles, little memory, streams that take nothing"
    most = 160

    def prepare(self, folder: Path) -> None:
        self.common = folder
        scenarios.prepare(folder)
        # A command that starts others hands its limits on to them, and says what they said.
        self.scenarios = [one for one in scenarios.scenarios() if one.processes == 1 and one.name != "reproduce"]
        self.known: scenarios.Known = {}

    def attempt(self, number: int, draw: random.Random, folder: Path) -> Trial:
        kinds = [
            self._full_disk,
            self._large_file,
            self._read_only,
            self._few_files,
            self._little_memory,
            self._no_stream,
        ]
        return kinds[number % len(kinds)](draw, folder)

    def _choose(self, draw: random.Random) -> Scenario:
        return draw.choices(self.scenarios, [one.share for one in self.scenarios])[0]

    def _full_disk(self, draw: random.Random, folder: Path) -> Trial:
        scenario = self._choose(draw)
        size = draw.choice((4, 16, 40, 100, 200)) * 1024 + draw.randrange(0, 40_000)
        trial = Trial(f"{scenario.name}, a disk of {size} bytes")
        if not may_mount():
            return self._limited(
                trial, scenario, folder, partial(limit, resource.RLIMIT_FSIZE, size), (0, 2, FULL_DISK)
            )
        with mounted(folder / "disk", f"size={size}") as disk:
            self._try(trial, scenario, disk / "out", folder, None, (0, FAILED, FULL_DISK))
            mount(disk, "size=100m,remount")
            self._again(trial, scenario, disk / "out", folder)
        return trial

    def _large_file(self, draw: random.Random, folder: Path) -> Trial:
        scenario, size = self._choose(draw), draw.randrange(2500, 60_000)
        trial = Trial(f"{scenario.name}, files of {size} bytes at most")
        return self._limited(trial, scenario, folder, partial(limit, resource.RLIMIT_FSIZE, size), (0, 1, 2, FULL_DISK))

    def _read_only(self, draw: random.Random, folder: Path) -> Trial:
        """A folder that nobody can write: a finished run is there for all, and nothing can be made in it."""
        scenario = self._choose(draw)
        begun = draw.random() < 0.5
        trial = Trial(f"{scenario.name}, a read-only folder{' with the finished results' if begun else ''}")
        with read_only_folder(folder / "disk") as (disk, lock):
            if begun:
                trial.faults += [
                    fault for one in self._run(scenario, disk / "out", folder) for fault in judge(one, (0,))
                ]
            lock(True)
            self._try(trial, scenario, disk / "out", folder, None, (0, FAILED, 2))
            if begun and "train" in scenario.words(disk / "out", self.common):
                looks = (["list", "runs"], ["table"])
                for words in looks:
                    trial.faults += judge(call([*words, "--out", str(disk / "out")], folder), (0,))
                trial.check(
                    trial.ending in ("enough", "failed with a line"),
                    "a finished run in a read-only folder is not found",
                )
            lock(False)
            self._again(trial, scenario, disk / "out", folder)
        return trial

    def _few_files(self, draw: random.Random, folder: Path) -> Trial:
        scenario, count = self._choose(draw), draw.randrange(8, 48)
        trial = Trial(f"{scenario.name}, {count} open files")
        return self._limited(trial, scenario, folder, partial(limit, resource.RLIMIT_NOFILE, count), (0, 1, 2))

    def _little_memory(self, draw: random.Random, folder: Path) -> Trial:
        """Memory that is refused. Libraries in C may crash over it, which nothing can catch; no work is lost then."""
        scenario, room = self._choose(draw), draw.choice((0, 4, 8, 16, 32, 64, 128)) * 2**20 + draw.randrange(2**22)
        trial = Trial(f"{scenario.name}, {room >> 20} MiB more memory")
        self._limited(trial, scenario, folder, partial(limit_more_memory, room), (0, FAILED, *CRASHES))
        return trial

    def _no_stream(self, draw: random.Random, folder: Path) -> Trial:
        """What a command says cannot be written; what it makes can."""
        scenario, stream = self._choose(draw), draw.choice((1, 2))
        way = draw.choice(("full", "closed", "read by nobody"))
        trial = Trial(f"{scenario.name}, stream {stream} {way}")
        return self._limited(
            trial, scenario, folder, partial(lose_stream, stream, way), (0, FULL_DISK, NO_READER), False
        )

    def _limited(
        self,
        trial: Trial,
        scenario: Scenario,
        folder: Path,
        before: Callable[[], None],
        allowed: tuple[int, ...],
        says: bool = True,
    ) -> Trial:
        self._try(trial, scenario, folder / "out", folder, before, allowed, says)
        self._again(trial, scenario, folder / "out", folder)
        return trial

    def _run(self, scenario: Scenario, out: Path, folder: Path, before: Callable[[], None] | None = None) -> list[Done]:
        settings = {} if before is None else {"before": before}
        return [end_of(command) for command in scenario.start(out, self.common, folder / "streams", **settings)]

    def _try(
        self,
        trial: Trial,
        scenario: Scenario,
        out: Path,
        folder: Path,
        before: Callable[[], None] | None,
        allowed: tuple[int, ...],
        says: bool = True,
    ) -> None:
        """The command with too little: it ends with a word of what is wrong, and leaves nothing that is half."""
        for done in self._run(scenario, out, folder, before):
            trial.ending = ENDINGS.get(done.code, f"exit {done.code}")
            trial.said = error_of(done)
            trial.faults += (
                judge(done, allowed) if says else [fault for fault in judge(done, allowed) if "lines of" not in fault]
            )
        with suppress(OSError):
            listed = call(["list", "runs", "--out", str(out)], folder)
            trial.faults += [f"list: {fault}" for fault in judge(listed, (0,))] if out.exists() else []

    def _again(self, trial: Trial, scenario: Scenario, out: Path, folder: Path) -> None:
        """The same command with enough of all."""
        _, digest = undisturbed(scenario, self.common, self.known)
        done = self._run(scenario, out, folder)
        faults = [f"again: {fault}" for one in done for fault in judge(one, (0,))]
        trial.faults += faults or differences(digest, scenario.digest(out))


# What the limited process calls first


def limit(kind: int, most: int) -> None:
    """Set a limit of the system for this process."""
    resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))


def limit_more_memory(room: int) -> None:
    """Allow so many bytes of addresses beyond those that the process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit(resource.RLIMIT_AS, pages * resource.getpagesize() + room)


def lose_stream(stream: int, way: str) -> None:
    """Point standard output (1) or error (2) to where nothing can be written."""
    if way == "closed":
        os.close(stream)
        setattr(sys, {1: "stdout", 2: "stderr"}[stream], None)  # as Python starts then
    elif way == "full":
        os.dup2(os.open("/dev/full", os.O_WRONLY), stream)
    else:
        reader, writer = os.pipe()
        os.close(reader)
        os.dup2(writer, stream)


# Disks of one's own


def may_mount() -> bool:
    """Whether this user may make a small disk in memory."""
    return os.geteuid() == 0 and subprocess.run(["mount", "--version"], capture_output=True).returncode == 0


def mount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True, capture_output=True)


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """A disk in memory at `place`."""
    place.mkdir()
    mount(place, options)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True, capture_output=True)


@contextmanager
def read_only_folder(place: Path) -> Iterator[tuple[Path, Callable[[bool], None]]]:
    """A folder, and a function that takes the right to write away from everybody and gives it back."""
    if may_mount():
        with mounted(place, "size=100m") as disk:
            yield disk, lambda locked: mount(disk, f"size=100m,remount,{'ro' if locked else 'rw'}")
        return
    place.mkdir()

    def lock(locked: bool) -> None:
        for path in [place, *place.rglob("*")]:
            path.chmod((0o555 if path.is_dir() else 0o444) if locked else (0o755 if path.is_dir() else 0o644))

    yield place, lock
