"""Commands killed at random moments and started again: they end like one that was left alone."""

from __future__ import annotations

import random
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from commandline import Command

from torture import scenarios
from torture.frame import Campaign, Trial, end_of, judge, tail
from torture.scenarios import Scenario


class Kills(Campaign):
    name = "kills"
    about = "SIGKILL at random moments, then the same command again"
    most = 300

    def prepare(self, folder: Path) -> None:
        self.common = folder
        scenarios.prepare(folder)
        self.scenarios = scenarios.scenarios()
        self.known: scenarios.Known = {}

    def attempt(self, number: int, draw: random.Random, folder: Path) -> Trial:
        scenario = draw.choices(self.scenarios, [one.share for one in self.scenarios])[0]
        seconds, digest = undisturbed(scenario, self.common, self.known)
        out, killed, moments = folder / "out", 0, []
        trial = Trial(scenario.name)
        for _ in range(draw.choice((1, 1, 2, 3))):
            moment = draw.uniform(0, seconds)
            moments.append(f"{moment:.2f}")
            commands = scenario.start(out, self.common, folder / "streams")
            time.sleep(moment)
            killed += _kill(commands, draw)
        trial.about = f"{scenario.name}, killed after {', '.join(moments)} s of {seconds:.1f}"
        trial.ending = f"{killed} kill{'s' * (killed > 1)}" if killed else "ended before the kill"
        done = [end_of(command) for command in scenario.start(out, self.common, folder / "streams")]
        trial.faults += [fault for one in done for fault in judge(one, (0,))]
        if not trial.faults:
            trial.faults += differences(digest, scenario.digest(out))
            trial.check(not list(out.rglob(".*.tmp")), "temporary files are left")
        return trial


def undisturbed(scenario: Scenario, common: Path, known: scenarios.Known) -> tuple[float, Any]:
    """How long a scenario takes, and its digest, of a command that nobody disturbs; tried once and then `known`."""
    for turn in ("first", "second") if scenario.name not in known else ():  # caches make the second faster
        out = common / "undisturbed" / scenario.name.replace(" ", "-") / turn / "out"
        start = time.monotonic()
        done = [end_of(command) for command in scenario.start(out, common, out.parent / "streams")]
        assert [one.code for one in done] == [0] * scenario.processes, tail(done[0])
        known[scenario.name] = time.monotonic() - start, scenario.digest(out)
    return known[scenario.name]


def _kill(commands: list[Command], draw: random.Random) -> bool:
    """Kill a command, or one of the processes of one; returns whether any was running still.

    Children of a command are killed with it or go on alone. Of several processes the others are ended as torchrun
    does it.
    """
    first = draw.choice(commands)
    running, children = first.running, _children(first)
    first.signal(signal.SIGKILL)
    if draw.random() < 0.7:
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
    first.process.join()
    for other in commands:
        if other is not first:
            other.signal(draw.choice((signal.SIGKILL, signal.SIGTERM)))
            end_of(other, 30)
    return running


def _children(command: Command) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return list(psutil.Process(command.process.pid).children(recursive=True))
    return []


def differences(expected: Any, found: Any, place: str = "") -> list[str]:
    """Where two digests differ, each place in a line."""
    if isinstance(expected, dict) and isinstance(found, dict):
        odd = [f"{place}{key}: there once only" for key in expected.keys() ^ found.keys()]
        both = [key for key in expected if key in found]
        return [*odd, *(fault for key in both for fault in differences(expected[key], found[key], f"{place}{key}."))]
    if expected == found:
        return []
    return [f"{place.rstrip('.')} differs: {str(expected)[:150]} and {str(found)[:150]}"]
