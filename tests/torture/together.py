"""Equal and different commands at the same time, with others that look: nothing differs, and nothing is half."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

from commandline import Command, Done

from torture import scenarios
from torture.frame import Campaign, Trial, call, end_of, judge, limit_memory
from torture.kills import differences, undisturbed
from torture.scenarios import digest_runs

TAKEN = "another process is training this run"


class Together(Campaign):
    name = "together"
    about = "equal and different commands at the same time"
    most = 60

    def prepare(self, folder: Path) -> None:
        self.common = folder
        scenarios.prepare(folder)
        self.scenarios = [one for one in scenarios.scenarios() if one.processes == 1 and one.name != "reproduce"]
        self.known: scenarios.Known = {}
        self.alone: dict[tuple[str, ...], Any] = {}

    def attempt(self, number: int, draw: random.Random, folder: Path) -> Trial:
        return (self._equal, self._different, self._sharing)[number % 3](draw, folder)

    def _equal(self, draw: random.Random, folder: Path) -> Trial:
        """The same command two to four times."""
        scenario = draw.choices(self.scenarios, [one.share for one in self.scenarios])[0]
        _, digest = undisturbed(scenario, self.common, self.known)
        count, out = draw.choice((2, 2, 3, 4)), folder / "out"
        trial = Trial(f"{scenario.name}, {count} at once", "equal commands")
        commands = []
        for _ in range(count):
            commands += scenario.start(out, self.common, folder / "streams")
            time.sleep(draw.choice((0, 0, 0.1, 0.5)))
        self._look(trial, out, folder, commands)
        ended = [end_of(command) for command in commands]
        trial.faults += [fault for done in ended for fault in judge(done, (0, 1, 2))]
        for done in ended:
            trial.check(done.code == 0 or TAKEN in done.err, f"exit {done.code} for another reason: {done.err[-300:]}")
        trial.check(any(done.code == 0 for done in ended), "none of the commands came through")
        again = [end_of(command) for command in scenario.start(out, self.common, folder / "streams")]
        trial.faults += [fault for done in again for fault in judge(done, (0,))]
        if not trial.faults:
            trial.faults += differences(digest, scenario.digest(out))
        return trial

    def _different(self, draw: random.Random, folder: Path) -> Trial:
        """Runs of several seeds into one folder, with one cache."""
        seeds = draw.sample(range(1, 6), draw.choice((2, 3)))
        words = [[*scenarios.train_words(Path("OUT"), self.common), f"seed={seed}"] for seed in seeds]
        return self._compared(Trial(f"seeds {seeds} at once", "different commands"), words, folder)

    def _sharing(self, draw: random.Random, folder: Path) -> Trial:
        """Runs of two tasks that begin with the same part, which one of them trains and the other waits for."""
        tasks = draw.sample(["mini-entities", "mini-inference"], 2)
        words = [scenarios.multitask_words(Path("OUT"), self.common, task) for task in tasks]
        return self._compared(Trial(f"{' and '.join(tasks)} after both at once", "commands that share"), words, folder)

    def _compared(self, trial: Trial, commands: list[list[str]], folder: Path) -> Trial:
        out = folder / "out"
        started = [self._start(words, out, folder) for words in commands]
        self._look(trial, out, folder, started)
        ended = [end_of(command) for command in started]
        trial.faults += [fault for done in ended for fault in judge(done, (0,))]
        if not trial.faults:
            expected: dict[str, Any] = {}
            for words in commands:
                expected |= self._alone(words)
            trial.faults += differences(expected, digest_runs(out))
        return trial

    def _alone(self, words: list[str]) -> dict[str, Any]:
        """The runs of a command that nobody disturbs."""
        if tuple(words) not in self.alone:
            out = self.common / "alone" / str(len(self.alone)) / "out"
            done = end_of(self._start(words, out, out.parent))
            assert done.code == 0, done.err
            self.alone[tuple(words)] = digest_runs(out)
        return self.alone[tuple(words)]

    def _start(self, words: list[str], out: Path, folder: Path) -> Command:
        words = [f"out={out}" if word == "out=OUT" else word for word in words]
        environment = {"PTV2_CACHE": str(self.common / "cache")}
        return Command(words, folder / "streams", environment=environment, before=limit_memory)

    def _look(self, trial: Trial, out: Path, folder: Path, commands: list[Command]) -> None:
        """Look at the runs as long as commands run."""
        looks = (["list", "runs"], ["table"], ["report", "--output", str(folder / "page" / "report.html")])
        while any(command.running for command in commands):
            for words in looks:
                done: Done = call([*words, "--out", str(out)], folder)
                nothing_yet = done.code == 2 and ("no " in done.err or "unknown" in done.err)
                trial.faults += [] if nothing_yet else [f"{words[0]}: {fault}" for fault in judge(done, (0,))]
