"""Files of runs, of what runs share and of the cache damaged in turn: noticed, or mended by the same train command."""

from __future__ import annotations

import csv
import io
import random
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from commandline import Done, result_of, wait_until

from torture import scenarios
from torture.frame import Campaign, Trial, call, judge, limit_memory, tail
from torture.kills import differences
from torture.mutators import flip_bit
from torture.scenarios import Scenario, digest_runs


def _zeros(draw: random.Random, content: bytes) -> bytes:
    at, width = draw.randrange(len(content)), draw.choice((1, 16, 512, 4096))
    width = min(width, len(content) - at)
    return content[:at] + bytes(width) + content[at + width :]


def _bits(draw: random.Random, content: bytes) -> bytes:
    for _ in range(draw.choice((1, 1, 2, 8))):
        content = flip_bit(draw, content)[1]
    return content


def _digit(draw: random.Random, content: bytes) -> bytes:
    """Another digit: what stays readable and is wrong."""
    places = [found.start() for found in re.finditer(rb"[0-9]", content)]
    if not places:
        return _bits(draw, content)
    at = draw.choice(places)
    return content[:at] + str((int(content[at : at + 1]) + draw.randrange(1, 10)) % 10).encode() + content[at + 1 :]


DAMAGES: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "cut": lambda draw, content: content[: draw.randrange(len(content))],
    "zero bytes": _zeros,
    "bits": _bits,
    "a digit": _digit,
    "empty": lambda draw, content: b"",
    "garbage": lambda draw, content: draw.randbytes(len(content)),
    "longer": lambda draw, content: content + draw.randbytes(100),
    "null": lambda draw, content: b"null\n",
    "deep": lambda draw, content: b"[" * 100_000,
}
LOOKS = ("list", "table", "best", "report", "evaluate", "predict")  # at a damaged run
TREES = ("removed", "a folder in its place")


class Damage(Campaign):
    name = "damage"
    about = "files of finished and interrupted runs, of shared parts and of the cache damaged"
    most = 520

    def prepare(self, folder: Path) -> None:
        self.common = folder
        scenarios.prepare(folder)
        for name, make in (("finished", self._finish), ("interrupted", self._interrupt), ("multitask", self._share)):
            if not (folder / name).exists():
                make(folder / name)
        self.whole = digest_runs(folder / "finished")
        self.looks = self._look(folder / "finished", folder)
        if not (folder / "both").exists():
            shutil.copytree(folder / "multitask", folder / "both")
            self._share(folder / "both", "mini-inference")
        self.both = digest_runs(folder / "both")

    def _finish(self, out: Path) -> None:
        for words in ([], ["method=fine-tuning", "optim.lr=0.002"]):
            done = self._train(out, words, self.common / "cache")
            assert done.code == 0, done.err

    def _interrupt(self, out: Path) -> None:
        """States and the best weights of a run that was killed."""
        (command,) = self._scenario().start(out, self.common, self.common / "streams")
        assert wait_until(lambda: len(list(out.glob("*/state-*"))) > 1, lambda: command.running)
        command.signal(signal.SIGKILL)
        command.wait()

    def _share(self, out: Path, task: str = "mini-entities") -> None:
        done = self._call(scenarios.multitask_words(out, self.common, task), self.common)
        assert done.code == 0, done.err

    @staticmethod
    def _scenario() -> Scenario:
        return scenarios.scenarios()[0]

    def _call(self, words: list[str], folder: Path) -> Done:
        return call(words, folder)

    def _train(self, out: Path, more: list[str], cache: Path) -> Done:
        words = [*scenarios.train_words(out, self.common), *more]
        return call(words, out.parent, before=cache_small_sets, environment={"PTV2_CACHE": str(cache)})

    def attempt(self, number: int, draw: random.Random, folder: Path) -> Trial:
        kind = draw.choices(("finished", "interrupted", "multitask", "cache"), (6, 3, 3, 1))[0]
        out = folder / "out"
        if kind == "cache":
            return self._attempt_cache(draw, out)
        shutil.copytree(self.common / kind, out)
        files = sorted(path for path in out.rglob("*") if path.is_file())
        if kind == "finished":
            files = [path for path in files if "p-tuning-v2" in str(path)]
        victim = draw.choice(files)
        trial = Trial(f"{kind}, {victim.relative_to(out)}: {damage(draw, victim)}")
        looks = tuple(draw.sample(LOOKS, 3))  # all of them would take most of the campaign's time
        if kind == "finished":
            self._check_looks(trial, out, folder, looks)
        tasks = ("mini-entities", "mini-inference")
        words = {
            "multitask": [scenarios.multitask_words(out, self.common, task) for task in tasks],
        }.get(kind, [scenarios.train_words(out, self.common)])
        done = [self._call(command, folder) for command in words]
        trial.faults += [fault for one in done for fault in judge(one, (0,))]
        if trial.faults:
            return trial
        trial.ending = "as it was" if "finished before" in done[0].out else "made again"
        self._compare(trial, self.both if kind == "multitask" else self.whole, out, victim, kind != "interrupted")
        if kind == "finished" and not trial.faults:
            again = self._look(out, folder, tuple(name for name in looks if name not in ("list", "report")))
            for name in again:
                trial.check(
                    again[name].out == self.looks[name].out, f"{name} is not as before: {tail(again[name], 300)}"
                )
        return trial

    def _attempt_cache(self, draw: random.Random, out: Path) -> Trial:
        """A command with a damaged cache makes the same runs from nothing."""
        cache = out.parent / "cache"
        shutil.copytree(self.common / "cache", cache)
        files = sorted(cache.rglob("*.npz"))
        trial = Trial(f"cache: {'; '.join(damage(draw, victim) for victim in files)}", "made again")
        done = self._train(out, [], cache)
        trial.faults += judge(done, (0,))
        if not trial.faults:
            self._compare(trial, self.whole, out, cache, False)
        return trial

    def _compare(self, trial: Trial, whole: dict[str, Any], out: Path, victim: Path, all_runs: bool) -> None:
        """Check that runs are as undisturbed ones; all of them, or those that there are."""
        try:
            found = digest_runs(out)
        except Exception as error:
            trial.faults.append(f"a run is not whole: {type(error).__name__}: {error}")
            return
        expected = whole if all_runs else {name: digest for name, digest in whole.items() if name in found}
        removed = victim.name if "removed" in trial.about or _is_lost_log(victim) else None
        faults = [fault for fault in differences(expected, found) if not _is_no_matter(fault, removed)]
        named = [f"{name}.log " for name in found if _names_lost_lines(out / name)]
        trial.faults += [fault for fault in faults if not fault.startswith(tuple(named))]

    # Looking at a damaged run

    def _look(self, out: Path, folder: Path, looks: tuple[str, ...] = LOOKS) -> dict[str, Done]:
        (run,) = out.glob("*-p-tuning-v2-*")
        page = folder / "report.html"
        page.unlink(missing_ok=True)
        words = {
            "list": ["list", "runs", "--out", str(out)],
            "table": ["table", "--out", str(out), "--format", "csv"],
            "best": ["best", "task=classification", "model=tiny", f"out={out}"],
            "report": ["report", "--out", str(out), "--output", str(page)],
            "evaluate": ["evaluate", str(run)],
            "predict": ["predict", str(run), "--input", str(self.common / "data" / "test.jsonl")],
        }
        return {name: self._call(words[name], folder) for name in looks}

    def _check_looks(self, trial: Trial, out: Path, folder: Path, looks: tuple[str, ...]) -> None:
        """Other runs are shown, the damaged one as it was or with its name and what is wrong."""
        (run,) = (path.name for path in out.glob("*-p-tuning-v2-*"))
        (sound,) = (path.name for path in out.glob("*-fine-tuning-*"))
        is_lost = not (out / run / "result.json").is_file()
        for name, done in self._look(out, folder, looks).items():
            one = name in ("evaluate", "predict")
            faults = [f"{name}: {fault}" for fault in judge(done, (0, 2) if one else (0,))]
            trial.faults += faults
            if faults:
                continue
            said = done.out + done.err
            if one:
                whole = self.looks[name].out
                # Without its result a run has no recorded scores to compare with.
                same = done.code == 2 or _numbers(done.out) == _numbers(whole) or (is_lost and name == "evaluate")
                trial.check(same, f"{name} answers {done.out[-300:]} for {self.looks[name].out[-300:]}")
            elif name == "table":
                self._check_table(trial, done, run)
            elif name == "list":
                trial.check(sound in said, f"list hides {sound}: {tail(done)}")
                trial.check(run in said, f"list hides {run}: {tail(done)}")
            elif name == "report":
                page = (folder / "report.html").read_text(encoding="utf-8")
                trial.check(sound in page, f"the report hides {sound}")
                trial.check(run in page, f"the report hides {run}")

    def _check_table(self, trial: Trial, done: Done, run: str) -> None:
        there = {tuple(row) for row in csv.reader(io.StringIO(done.out))}
        whole = {tuple(row) for row in csv.reader(io.StringIO(self.looks["table"].out))}
        trial.check(there <= whole, f"the table says {there - whole} for {whole - there}")
        missing = whole - there
        trial.check(all("p-tuning-v2" in row for row in missing), f"the table hides {missing}")
        trial.check(not missing or run in done.err + done.out, f"the table leaves {run} out without a word: {done.err}")


def damage(draw: random.Random, victim: Path) -> str:
    """Damage a file; returns how."""
    kind = draw.choice([*DAMAGES, *TREES])
    if kind == "removed":
        victim.unlink()
    elif kind == "a folder in its place":
        victim.unlink()
        victim.mkdir()
        if draw.random() < 0.5:
            (victim / "within").write_bytes(b"x")
    else:
        victim.write_bytes(DAMAGES[kind](draw, victim.read_bytes() or b" "))
    return kind


def _numbers(text: str) -> list[str]:
    return re.findall(r"[\d.]+|[a-z]+", text)


def _is_lost_log(victim: Path) -> bool:
    """Whether a log was lost to a folder in its place, which is put aside: nothing is made again for that."""
    return victim.name == "log.txt" and not victim.is_file()


def _names_lost_lines(run: Path) -> bool:
    """Whether a run's record says that lines of its log were lost or altered while it was interrupted."""
    return any("metrics.jsonl" in note for note in result_of(run)["notes"])


def _is_no_matter(fault: str, removed: str | None) -> bool:
    """Whether a difference is a folder that was put aside, or that a file which no number needs was removed."""
    if removed is None:
        return False
    own = {"metrics.jsonl": (".log", ".files"), "log.txt": (".files",), "env.json": (".files",), ".lock": (".files",)}
    return any(place in fault for place in own.get(removed, (f".{removed}", ".files")))


def cache_small_sets() -> None:
    """Keep also the encoded sets of these few examples in the cache."""
    from ptv2.tasks import task

    limit_memory()
    task.PART = 5
