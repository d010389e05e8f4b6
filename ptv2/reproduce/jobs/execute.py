"""Make the runs of a table or figure: finished ones are found, interrupted ones go on, a failing one stops no other."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ptv2.errors import Interrupted, RunError
from ptv2.report.formats import group_by
from ptv2.reproduce.jobs import children
from ptv2.reproduce.jobs.children import Child
from ptv2.reproduce.jobs.list_jobs import Job
from ptv2.reproduce.jobs.progress import Progress
from ptv2.reproduce.jobs.timing import Clock
from ptv2.run_folders.directory import is_run, state_of
from ptv2.run_folders.record import Result, fault_of_files, read_result, read_status
from ptv2.training.stop import StopRequest
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


def execute(jobs: Sequence[Job], workers: int, title: str) -> list[JobStatus]:
    """Run the jobs that are not finished, `workers` at a time, and return the status of all.

    The first seed of every cell comes first, so that there is soon something to look at everywhere.

    Args:
        title: for the progress bar, and of the runs' group in trackers.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; the runs were stopped at a step and the same command goes on.
    """
    name_group(title.replace(" ", "-"))
    waiting = _unfinished(jobs)
    failures: dict[Path, str] = {}
    if waiting:
        clock = Clock([(job, status.result) for job, status in zip(jobs, collect(jobs), strict=True)])
        with StopRequest() as stop, Progress(title, clock, waiting, workers) as progress:
            _Pool(waiting, workers, progress, clock, failures).run(stop)
            stopped = stop.signal
        if stopped is not None:
            raise Interrupted("stopped; the same command goes on", stopped)
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


@dataclass
class _Training:
    """A run in a process of its own."""

    job: Job
    child: Child


class _Pool:
    """Keeps `workers` runs going; all in one thread, so that signals and children need no locks."""

    def __init__(
        self, waiting: list[Job], workers: int, progress: Progress, clock: Clock, failures: dict[Path, str]
    ) -> None:
        self._waiting, self._workers = list(waiting), workers
        self._progress, self._clock, self._failures = progress, clock, failures
        self._trainings: list[_Training] = []

    def run(self, stop: StopRequest) -> None:
        """Run until nothing is left, or until asked to stop; then stop all children."""
        try:
            while (self._waiting or self._trainings) and stop.signal is None:
                self._reap()
                self._start()
                now = time.monotonic()
                self._progress.show({one.job.folder: now - one.child.began for one in self._trainings}, self._clock)
                time.sleep(POLL_SECONDS)
        finally:
            children.stop([training.child for training in self._trainings])

    def _start(self) -> None:
        """Start as many runs as there are workers for; one that another process is training waits until that ends."""
        for job in list(self._waiting):
            if len(self._trainings) >= self._workers:
                return
            assert job.folder is not None
            if state_of(job.folder) == "running":
                continue
            self._waiting.remove(job)
            if _result_of(job.folder) is not None:  # by that other process
                self._progress.ended(job, "finished", self._clock)
                continue
            log = job.folder.parent / ".reproduce" / f"{job.folder.name}.log"
            running = [training.child for training in self._trainings]
            self._trainings.append(_Training(job, children.start(command(job), log, self._workers, running)))
            self._progress.began(job)

    def _reap(self) -> None:
        for training in [training for training in self._trainings if training.child.ended]:
            self._trainings.remove(training)
            training.child.output.close()
            self._note(training.job, training.child)

    def _note(self, job: Job, child: Child) -> None:
        assert job.folder is not None
        result = _result_of(job.folder)
        if result is not None:
            child.log.unlink(missing_ok=True)
            self._clock.add(job, result)
            text = f"dev {result.headline} {result.dev[result.headline]:.2f}"
        else:
            text = children.error_of(child) or (
                "finished, but not in its folder: the code may have changed meanwhile; run the same command again "
                f"({child.log})"
            )
            self._failures[job.folder] = text
        self._progress.ended(job, text, self._clock, failed=result is None)


def command(job: Job) -> list[str]:
    """The command of a run."""
    return children.ptv2("train", *job.overrides)


def _result_of(folder: Path) -> Result | None:
    """The result of a run; None unless it is finished and undamaged."""
    with suppress(RunError):
        result = read_result(folder)
        return None if result is None or fault_of_files(folder, result) else result
    return None
