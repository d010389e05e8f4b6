"""How long runs will take, estimated from finished ones of the same precision."""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ptv2.config.methods import METHODS
from ptv2.config.schema import RunConfig
from ptv2.data.records import find_files
from ptv2.errors import Ptv2Error, RunError
from ptv2.reproduce.jobs.cost import label_count
from ptv2.reproduce.jobs.list_jobs import Cell, Job
from ptv2.run_folders.directory import find_runs, read_config
from ptv2.run_folders.metrics_log import read_lines
from ptv2.run_folders.record import Result, read_result

BYTES_A_TOKEN = 4  # about
OF_BACKBONE, ANY = (3, 2), (3, 2, 1)
ALMOST = 0.95  # a run that takes longer than expected is never taken for more done than this


class Took(NamedTuple):
    """A finished job with a configuration, and the seconds that it took."""

    job: Job
    seconds: float
    start: float  # of these, what any run takes, however long it trains: loading and reading


Finished = list[Took]


class Clock:
    """Seconds that jobs take: the mean of the same cell's runs, else of similar ones in proportion to their work.

    Earlier runs of other backbones say nothing: these may be a hundred times as large. Runs that ended now do, until
    one of the same backbone has. Earlier runs may come from a busier or another machine, so those that end now correct
    the estimate.
    """

    def __init__(self, known: Iterable[tuple[Job, Result | None]]) -> None:
        """Learn from finished runs: of the jobs, and of all runs in the folders where theirs will be."""
        self._past: Finished = []
        self._now: Finished = []
        self._paces: list[float] = []  # the seconds of each run that ended now, divided by the estimate from the past
        folders: set[Path] = set()
        for job, result in known:
            _learn(job, result, self._past)
            if job.folder is not None:
                folders.add(job.folder.parent)
        known_folders = {past.job.folder for past in self._past}
        for folder in find_runs(sorted(map(str, folders))):
            if folder not in known_folders:
                with suppress(RunError):  # runs that cannot be read are no help
                    if (result := read_result(folder)) is not None:
                        other = Job(Cell(("", folder.name), ()), result.seed, (), read_config(folder), folder, None)
                        _learn(other, result, self._past)

    def add(self, job: Job, result: Result) -> None:
        """Learn from a run that ended now."""
        if job.config is not None and (before := _estimate(self._past, job, OF_BACKBONE)):
            self._paces.append(_seconds_of(result) / before)
        _learn(job, result, self._now)

    def expected(self, job: Job) -> float | None:
        """Seconds for one whole run; None until a similar one has ended."""
        before = None if any(now.job.cell == job.cell for now in self._now) else _estimate(self._past, job, OF_BACKBONE)
        if before is None:
            return _estimate(self._now, job, ANY)
        return before * (statistics.median(self._paces) if self._paces else 1.0)

    def left(
        self, jobs: Iterable[Job], workers: int, elapsed: Mapping[Path | None, float] | None = None
    ) -> float | None:
        """Seconds until all jobs are done; None if that is not known yet.

        Args:
            elapsed: seconds since the running jobs were started, by folder.
        """
        each = []
        for job in jobs:
            seconds = self.expected(job)
            if seconds is None:
                return None
            passed = min(ALMOST, (elapsed or {}).get(job.folder, 0.0) / max(seconds, 1e-9))
            each.append(seconds * (1 - max(done(job), passed)))
        return max([sum(each) / workers, *each])


def _learn(job: Job, result: Result | None, finished: Finished) -> None:
    if job.config is not None and result is not None:
        busy = (result.time["train"] + result.time.get("evaluate", 0.0)) / max(result.time["total"], 1e-9)
        seconds = _seconds_of(result)
        finished.append(Took(job, seconds, seconds * (1 - busy) if 0 < busy < 1 else 0.0))


def _seconds_of(result: Result) -> float:
    """The seconds of a run; its share of those that it took together with others."""
    return result.time["total"] / int(result.runtime.get("together") or 1)


def _estimate(finished: Finished, job: Job, depths: Sequence[int]) -> float | None:
    """Seconds for a run, by finished ones of its cell, else by the most similar ones; None without any.

    Args:
        depths: how many parts of `_kind` must be the same, the most first.
    """
    if same := [took.seconds for took in finished if took.job.cell == job.cell]:
        return statistics.fmean(same)
    if (own := work(job)) is None:
        return None
    for depth in depths:
        similar = [took for took in finished if _kind(took.job)[:depth] == _kind(job)[:depth]]
        if known := [(took, its) for took in similar if (its := work(took.job)) is not None]:
            return statistics.median(took.start + (took.seconds - took.start) / its * own for took, its in known)
    return None


def _kind(job: Job) -> tuple[object, ...]:
    """What makes runs similar, the most important first."""
    config = job.config
    assert config is not None
    return config.trainer.precision, config.model, config.method


def done(job: Job) -> float:
    """The share of a run's steps that were done at its last evaluation, 0 to 1."""
    if job.folder is None or job.config is None:
        return 0.0
    lines = [line for line in read_lines(job.folder / "metrics.jsonl") if "dev" in line]
    if not lines:
        return 0.0
    trainer = job.config.trainer
    if trainer.max_steps is not None:
        return min(1.0, float(lines[-1]["step"]) / trainer.max_steps)
    return min(1.0, float(lines[-1].get("epoch", 0)) / trainer.epochs)


def work(job: Job) -> float | None:
    """About how much a run computes, to compare runs of the same backbone; None where its data are not there now."""
    config = job.config
    assert config is not None
    if (an_epoch := _tokens(config)) is None:
        return None
    tokens = an_epoch * config.trainer.epochs
    if config.trainer.max_steps is not None:
        tokens = min(tokens, config.trainer.max_steps * config.trainer.batch_size * config.task.max_length)
    return tokens * METHODS[config.method].operations


def _tokens(config: RunConfig) -> float | None:
    """About how many tokens an epoch has: by the size of the training file, or the published size of a hub's set.

    None where the file is not there, as of an earlier run on data that were moved.
    """
    sources, limited = config.task.sources, config.data.limit.get("train") or config.data.shots
    classes = label_count(config) if config.task.shape == "classify" else 1
    most = float(config.data.most(sys.maxsize, classes) * config.task.max_length) if limited else math.inf
    if config.data.source == "files" and sources.files is not None and config.data.dir is not None:
        try:
            found = find_files(sources.files, config.data.dir)["train"]
        except Ptv2Error:
            return most if limited else None
        return min(most, sum(file.stat().st_size for file in found.files()) / BYTES_A_TOKEN)
    if config.data.source == "hub" and sources.hub is not None and sources.hub.examples is not None:
        return min(most, float(sources.hub.examples * config.task.max_length))
    return min(most, 1000.0 * config.task.max_length)
