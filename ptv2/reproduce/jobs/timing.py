"""How long runs will take, learned from those that are finished in the same precision."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from ptv2.config.methods import METHODS
from ptv2.data.records import find_files
from ptv2.errors import Ptv2Error, RunError
from ptv2.reproduce.jobs.plan import Cell, Job
from ptv2.runs.directory import find_runs, read_config
from ptv2.runs.metrics_log import read_lines
from ptv2.runs.record import Result, read_result

BYTES_A_TOKEN = 4  # about
Elapsed = Mapping[Path | None, float]  # seconds since runs were begun, by folder
ALMOST = 0.95  # of a run that takes longer than expected is never more done than this


class Clock:
    """Seconds that jobs take: the mean of the same cell's runs, else of like ones in proportion to their work.

    What was known at the start may come from a busier or another machine: runs that end now set the pace.
    """

    def __init__(self, known: Iterable[tuple[Job, Result | None]]) -> None:
        """Learn from what is finished: of the jobs, and of all runs in the folders where theirs will be."""
        self._past: list[tuple[Job, float]] = []
        self._now: list[tuple[Job, float]] = []
        self._paces: list[float] = []  # seconds of each run that ended now, by what was expected at the start
        folders: set[Path] = set()
        for job, result in known:
            if result is not None:
                self._learn(job, result, self._past)
            if job.folder is not None:
                folders.add(job.folder.parent)
        own = {job.folder for job, _ in self._past}
        for folder in find_runs(sorted(map(str, folders))):
            if folder not in own:
                self._add_other(folder)

    def _add_other(self, folder: Path) -> None:
        """A run of another table or of none; what cannot be read is no help."""
        with suppress(RunError):
            result = read_result(folder)
            if result is not None:
                name = ("", folder.name)
                job = Job(Cell(name, ()), result.seed, (), read_config(folder), folder, None)
                self._learn(job, result, self._past)

    def add(self, job: Job, result: Result) -> None:
        """Learn from a run that ended now."""
        if job.config is None:
            return
        before = _from(self._past, job)
        if before:
            self._paces.append(result.time["total"] / before)
        self._learn(job, result, self._now)

    @staticmethod
    def _learn(job: Job, result: Result, seen: list[tuple[Job, float]]) -> None:
        if job.config is not None:
            seen.append((job, result.time["total"]))

    def expected(self, job: Job) -> float | None:
        """Seconds for one whole run; none before anything like it has ended."""
        before = None if any(other.cell == job.cell for other, _ in self._now) else _from(self._past, job)
        if before is None:
            return _from(self._now, job)
        return before * (statistics.median(self._paces) if self._paces else 1.0)

    def left(
        self, jobs: Iterable[Job], workers: int, elapsed: Mapping[Path | None, float] | None = None
    ) -> float | None:
        """Seconds until all are done; none if that cannot be told yet.

        Args:
            elapsed: of the jobs that run now.
        """
        each = []
        for job in jobs:
            seconds = self.expected(job)
            if seconds is None:
                return None
            passed = min(ALMOST, (elapsed or {}).get(job.folder, 0.0) / max(seconds, 1e-9))
            each.append(seconds * (1 - max(done(job), passed)))
        return max([sum(each) / workers, *each])


def _from(seen: list[tuple[Job, float]], job: Job) -> float | None:
    """Seconds for a run, by those that were seen; none if there are none."""
    same = [seconds for other, seconds in seen if other.cell == job.cell]
    if same:
        return statistics.fmean(same)
    own = work(job)
    for alike in (_same_kind, _same_model, _same_precision):
        rates = [seconds / work(other) for other, seconds in seen if alike(job, other)]
        if rates:
            return statistics.median(rates) * own
    return None


def done(job: Job) -> float:
    """The share of a run's steps that its last evaluation had behind it; 0 to 1."""
    if job.folder is None or job.config is None:
        return 0.0
    lines = [line for line in read_lines(job.folder / "metrics.jsonl") if "dev" in line]
    if not lines:
        return 0.0
    trainer = job.config.trainer
    if trainer.max_steps is not None:
        return min(1.0, float(lines[-1]["step"]) / trainer.max_steps)
    return min(1.0, float(lines[-1].get("epoch", 0)) / trainer.epochs)


def work(job: Job) -> float:
    """About how much a run computes, to compare runs of one backbone with each other."""
    config = job.config
    assert config is not None
    tokens = _tokens(job) * config.trainer.epochs
    if config.trainer.max_steps is not None:
        tokens = min(tokens, config.trainer.max_steps * config.trainer.batch_size * config.task.max_length)
    return tokens * METHODS[config.method].operations


def _tokens(job: Job) -> float:
    """About how many an epoch has: by the size of the training file, or what the hub's set is known to have."""
    config = job.config
    assert config is not None
    sources, limit = config.task.sources, config.data.limit.get("train")
    most = float(limit * config.task.max_length) if limit else float("inf")
    if config.data.source == "files" and sources.files is not None and config.data.dir is not None:
        try:
            path: Path = find_files(sources.files, config.data.dir)["train"]
        except Ptv2Error:
            return most if limit else 1.0
        files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
        return min(most, sum(file.stat().st_size for file in files) / BYTES_A_TOKEN)
    if config.data.source == "hub" and sources.hub is not None and sources.hub.examples is not None:
        return min(most, float(sources.hub.examples * config.task.max_length))
    return min(most, 1000.0 * config.task.max_length)


def _same_kind(one: Job, other: Job) -> bool:
    assert one.config is not None
    assert other.config is not None
    return _same_model(one, other) and one.config.method == other.config.method


def _same_model(one: Job, other: Job) -> bool:
    assert one.config is not None
    assert other.config is not None
    return one.config.model == other.config.model and _same_precision(one, other)


def _same_precision(one: Job, other: Job) -> bool:
    assert one.config is not None
    assert other.config is not None
    return one.config.trainer.precision == other.config.trainer.precision
