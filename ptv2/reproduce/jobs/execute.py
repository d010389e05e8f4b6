"""Make the runs of a table or figure: finished ones are found, interrupted ones go on, a failing one stops no other."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ptv2.console.output import tell
from ptv2.errors import RunError
from ptv2.report.formats import group_by
from ptv2.reproduce.jobs import children
from ptv2.reproduce.jobs.children import Child, Task
from ptv2.reproduce.jobs.fuse import group_jobs
from ptv2.reproduce.jobs.list_jobs import Job
from ptv2.reproduce.jobs.progress import Progress
from ptv2.reproduce.jobs.timing import Clock
from ptv2.run_folders.directory import is_run, state_of
from ptv2.run_folders.record import Result, fault_of_files, read_result, read_status
from ptv2.sweeps.job import SEPARATOR, TOGETHER, error_start
from ptv2.variables import name_group

State = Literal["finished", "failed", "interrupted", "missing", "impossible"]
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class JobStatus:
    """The state of a job on disk.

    `finished` has a result; `failed` and `interrupted` have a message; `missing` was never started; `impossible` cannot
    be, for the reason in `job.why`.
    """

    job: Job
    state: State
    result: Result | None
    message: str


def collect(jobs: Sequence[Job]) -> list[JobStatus]:
    """Read the status of jobs from disk; nothing is run."""
    known: dict[Path, JobStatus] = {}  # several cells may show the same run
    statuses = []
    for job in jobs:
        status = replace(known[job.folder], job=job) if job.folder in known else _read_status(job)
        statuses.append(status)
        if job.folder is not None:
            known[job.folder] = status
    return statuses


def group_by_cell(statuses: Iterable[JobStatus]) -> dict[tuple[str, ...], list[JobStatus]]:
    """The statuses of each cell's runs, by the cell's key."""
    return group_by(statuses, lambda status: status.job.cell.key)


def execute(jobs: Sequence[Job], workers: int, title: str, together: int = 1) -> list[JobStatus]:
    """Run the jobs that are not finished, in `workers` processes at a time, and return the status of all.

    The first seed of every cell comes first, so that there is soon something to look at everywhere.

    Args:
        title: for the progress bar, and of the runs' group in trackers.
        together: how many jobs one process may train over one backbone.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; the runs were stopped at a step and the same command goes on.
    """
    name_group(title.replace(" ", "-"))
    waiting = _unfinished(jobs)
    failures: dict[Path, str] = {}
    if waiting:
        clock = Clock([(job, status.result) for job, status in zip(jobs, collect(jobs), strict=True)])
        groups, lines = group_jobs(waiting, together)
        with Progress(title, clock, waiting, workers) as progress:
            for line in lines:
                tell(line)
            tasks = [_Runs(group, progress, clock, failures) for group in groups]

            def show() -> None:
                progress.show({folder: passed for task in tasks for folder, passed in task.seconds.items()}, clock)

            children.make_all(tasks, workers, POLL_SECONDS, show)
    # The exit of a run that failed before it had a folder is all there is to know of it.
    return [
        replace(status, state="failed", message=failures[status.job.folder])
        if status.result is None and status.job.folder in failures
        else status
        for status in collect(jobs)
    ]


def _unfinished(jobs: Sequence[Job]) -> list[Job]:
    """The jobs to run, seed by seed; each folder once, since several cells may show the same run."""
    open_jobs: dict[Path, Job] = {}
    for job in jobs:
        if job.why is None and job.folder is not None and _result_of(job.folder) is None:
            open_jobs.setdefault(job.folder, job)
    order = list(dict.fromkeys(job.seed for job in jobs))
    return sorted(open_jobs.values(), key=lambda job: order.index(job.seed))


def _read_status(job: Job) -> JobStatus:
    """Read the status of one job; a result counts, whatever would keep the run from being made now."""
    if job.folder is not None and is_run(job.folder):
        try:
            if (result := read_result(job.folder)) is not None:
                fault = fault_of_files(job.folder, result)
                return JobStatus(job, "failed", None, fault) if fault else JobStatus(job, "finished", result, "")
        except RunError as error:
            return JobStatus(job, "failed", None, str(error))
        if job.why is None:
            state = state_of(job.folder)
            if state == "failed":
                return JobStatus(job, "failed", None, str(read_status(job.folder).get("message", "")))
            return JobStatus(job, "interrupted", None, state)
    return JobStatus(job, "impossible" if job.why else "missing", None, job.why or "not run yet")


class _Runs(Task):
    """Runs that one child makes: a single one, or several over one backbone."""

    def __init__(self, jobs: Sequence[Job], progress: Progress, clock: Clock, failures: dict[Path, str]) -> None:
        self._jobs, self._progress, self._clock, self._failures = list(jobs), progress, clock, failures
        self._begun: list[Job] = []  # the jobs of the child, of which those are in `_jobs` that have not ended

    @property
    def is_taken(self) -> bool:
        return any(state_of(_folder(job)) == "running" for job in self._jobs)

    @property
    def seconds(self) -> dict[Path | None, float]:
        """For how long each of the runs has had the machine, by folder; together they share it."""
        if self.child is None:
            return {}
        each = (time.monotonic() - self.child.began) / len(self._begun)
        return {job.folder: each for job in self._jobs}

    def begin(self) -> tuple[list[str], Path] | None:
        for job in list(self._jobs):
            if _result_of(_folder(job)) is not None:  # by that other process
                self._end(job, "finished")
        if not self._jobs:
            return None
        self._begun = list(self._jobs)
        self._progress.began(self._begun)
        folder = _folder(self._begun[0])
        return command(self._begun), folder.parent / ".reproduce" / f"{folder.name}.log"

    def look(self, child: Child, *, ended: bool) -> None:
        for job in list(self._jobs):
            if ended or (_folder(job) / "result.json").exists():
                self._note(job, child, ended)
        if ended and not any(job.folder in self._failures for job in self._begun):
            child.log.unlink(missing_ok=True)

    def _note(self, job: Job, child: Child, ended: bool) -> None:
        """Say how a run ended, if it has."""
        if (result := _result_of(_folder(job))) is not None:
            self._clock.add(job, result)
            self._end(job, f"dev {result.headline} {result.dev[result.headline]:.2f}")
        elif ended:
            self._failures[_folder(job)] = text = children.error_of(child, error_start(self._begun.index(job))) or (
                "finished, but not in its folder: the code may have changed meanwhile; run the same command again "
                f"({child.log})"
            )
            self._end(job, text, failed=True)

    def _end(self, job: Job, text: str, *, failed: bool = False) -> None:
        self._jobs.remove(job)
        self._progress.ended(job, text, self._clock, failed=failed)


def command(jobs: Sequence[Job]) -> list[str]:
    """The command that makes runs in one process."""
    if len(jobs) == 1:
        return children.ptv2("train", *jobs[0].overrides)
    words = [word for job in jobs for word in (SEPARATOR, *job.overrides)]
    return children.ptv2("train", TOGETHER, *words[1:])


def _folder(job: Job) -> Path:
    assert job.folder is not None
    return job.folder


def _result_of(folder: Path) -> Result | None:
    """The result of a run; None unless it is finished and undamaged."""
    with suppress(RunError):
        result = read_result(folder)
        return None if result is None or fault_of_files(folder, result) else result
    return None
