"""Make the runs of a table or figure: finished ones are found, interrupted ones go on, a failing one stops no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal

from ptv2.errors import Interrupted, RunError, first_line
from ptv2.report.formats import group_by
from ptv2.reproduce.jobs.list_jobs import Job
from ptv2.reproduce.jobs.progress import Progress
from ptv2.reproduce.jobs.timing import Clock
from ptv2.run_folders.directory import is_run, state_of
from ptv2.run_folders.record import Result, fault_of_files, read_result, read_status
from ptv2.training.stop import StopRequest

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
        title: for the progress bar.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; the runs were stopped at a step and the same command goes on.
    """
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
class _Child:
    """A run in a process of its own."""

    job: Job
    process: subprocess.Popen[bytes]
    output: IO[bytes]
    log: Path
    began: float


class _Pool:
    """Keeps `workers` runs going; all in one thread, so that signals and children need no locks."""

    def __init__(
        self, waiting: list[Job], workers: int, progress: Progress, clock: Clock, failures: dict[Path, str]
    ) -> None:
        self._waiting, self._workers = list(waiting), workers
        self._progress, self._clock, self._failures = progress, clock, failures
        self._children: list[_Child] = []

    def run(self, stop: StopRequest) -> None:
        """Run until nothing is left, or until asked to stop; then stop all children."""
        try:
            while (self._waiting or self._children) and stop.signal is None:
                self._reap()
                self._start()
                now = time.monotonic()
                self._progress.show({child.job.folder: now - child.began for child in self._children}, self._clock)
                time.sleep(POLL_SECONDS)
        finally:
            self._stop_children()

    def _start(self) -> None:
        """Start as many runs as there are workers for; one that another process is training waits until that ends."""
        for job in list(self._waiting):
            if len(self._children) >= self._workers:
                return
            assert job.folder is not None
            if state_of(job.folder) == "running":
                continue
            self._waiting.remove(job)
            if _result_of(job.folder) is not None:  # by that other process
                self._progress.ended(job, "finished", self._clock)
                continue
            self._children.append(_begin(job, self._workers))
            self._progress.began(job)

    def _reap(self) -> None:
        for child in [child for child in self._children if child.process.poll() is not None]:
            self._children.remove(child)
            child.output.close()
            self._note(child)

    def _note(self, child: _Child) -> None:
        job, code = child.job, child.process.returncode
        assert job.folder is not None
        result = _result_of(job.folder)
        if result is not None:
            child.log.unlink(missing_ok=True)
            self._clock.add(job, result)
            text = f"dev {result.headline} {result.dev[result.headline]:.2f}"
        else:
            self._failures[job.folder] = text = _message(child.log, code)
        self._progress.ended(job, text, self._clock, failed=result is None)

    def _stop_children(self) -> None:
        """Ask all children to stop at their next step, and wait; a second signal kills them."""
        for child in self._children:
            child.process.send_signal(signal.SIGTERM)
        try:
            for child in self._children:
                child.process.wait()
        except BaseException:
            for child in self._children:
                child.process.kill()
                child.process.wait()
            raise
        finally:
            for child in self._children:
                child.output.close()


def command(job: Job) -> list[str]:
    """The command of a run; each has its own process, so that a crash or full memory of one harms no other."""
    return [sys.executable, "-m", "ptv2", "train", *job.overrides]


def _begin(job: Job, workers: int) -> _Child:
    """Start `ptv2 train` in a session of its own, so that it gets Ctrl-C once, from us."""
    assert job.folder is not None
    log = job.folder.parent / ".reproduce" / f"{job.folder.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    output = log.open("wb")
    environment = dict(os.environ)
    if workers > 1:  # otherwise every run would take all cores
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
    process = subprocess.Popen(
        command(job),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )
    return _Child(job, process, output, log, time.monotonic())


def _result_of(folder: Path) -> Result | None:
    """The result of a run; None unless it is finished and undamaged."""
    with suppress(RunError):
        result = read_result(folder)
        return None if result is None or fault_of_files(folder, result) else result
    return None


def _message(log: Path, code: int) -> str:
    """The error message of a failed run, in one line."""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line.removeprefix("ptv2: error: ") for line in lines if line.startswith("ptv2: error: ")]
    if errors:
        return errors[-1]
    if code == 0:
        return (
            f"finished, but not in its folder: the code may have changed meanwhile; run the same command again ({log})"
        )
    if code < 0:
        name = signal.Signals(-code).name
        return f"killed by {name}" + (" (memory that ran out?)" if name == "SIGKILL" else "")
    return f"{first_line(Exception(lines[-1])) if lines else f'exit code {code}'} ({log})"
