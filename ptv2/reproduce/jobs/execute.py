"""Runs of a table or figure: finished ones are found, interrupted ones go on, a failing one stops no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from ptv2.errors import Interrupted, RunError, first_line
from ptv2.reproduce.jobs.plan import Job
from ptv2.reproduce.jobs.progress import Progress
from ptv2.reproduce.jobs.timing import Clock
from ptv2.runs.directory import is_run, state_of
from ptv2.runs.record import Result, fault_of_files, read_result, read_status
from ptv2.training.stop import StopRequest

State = Literal["finished", "failed", "interrupted", "missing", "impossible"]
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Outcome:
    """How a job stands.

    `finished` has a result; `failed` and `interrupted` a message; `missing` was never begun; `impossible` could not be
    (`job.why`).
    """

    job: Job
    state: State
    result: Result | None
    message: str


def collect(jobs: Sequence[Job]) -> list[Outcome]:
    """How the jobs stand on disk; nothing is run."""
    found: dict[Path | None, Outcome] = {}
    return [_standing(job, found) for job in jobs]


def execute(jobs: Sequence[Job], workers: int, title: str) -> list[Outcome]:
    """Run what is not finished yet, `workers` at a time, and say how all jobs stand.

    The first seed of everything comes first, so that there is soon something to look at everywhere.

    Args:
        title: of the whole, for the progress bar.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; the runs were stopped at a step and the same command goes on.
    """
    waiting = _unfinished(jobs)
    failures: dict[Path, str] = {}
    if waiting:
        clock = Clock([(job, outcome.result) for job, outcome in zip(jobs, collect(jobs), strict=True)])
        with StopRequest() as stop, Progress(title, clock, waiting, workers) as progress:
            _Pool(waiting, workers, progress, clock, failures).run(stop)
            stopped = stop.signal
        if stopped is not None:
            raise Interrupted("stopped; the same command goes on", stopped)
    return [_with_failure(outcome, failures) for outcome in collect(jobs)]


def _unfinished(jobs: Sequence[Job]) -> list[Job]:
    """The jobs to run, seed by seed, each folder once: several cells may show numbers of the same run."""
    found: dict[Path, Job] = {}
    for job in jobs:
        if job.why is None and job.folder is not None and _result_of(job.folder) is None:
            found.setdefault(job.folder, job)
    order = list(dict.fromkeys(job.seed for job in jobs))
    return sorted(found.values(), key=lambda job: order.index(job.seed))


def _standing(job: Job, found: dict[Path | None, Outcome]) -> Outcome:
    if job.folder is not None and job.folder in found:
        known = found[job.folder]
        return Outcome(job, known.state, known.result, known.message)
    found[job.folder] = outcome = _look(job)
    return outcome


def _look(job: Job) -> Outcome:
    """How one job stands; a result that is there counts, whatever would keep it from being made now."""
    if job.folder is not None and is_run(job.folder):
        try:
            if (result := read_result(job.folder)) is not None:
                fault = fault_of_files(job.folder, result)
                return Outcome(job, "failed", None, fault) if fault else Outcome(job, "finished", result, "")
        except RunError as error:
            return Outcome(job, "failed", None, str(error))
        if job.why is None:
            state = state_of(job.folder)
            message = str(read_status(job.folder).get("message", ""))
            return (
                Outcome(job, "failed", None, message) if state == "failed" else Outcome(job, "interrupted", None, state)
            )
    return Outcome(job, "impossible" if job.why else "missing", None, job.why or "not run yet")


def _with_failure(outcome: Outcome, failures: dict[Path, str]) -> Outcome:
    """A run that failed before it had a folder is known from its exit only."""
    if outcome.result is None and outcome.job.folder in failures:
        return Outcome(outcome.job, "failed", None, failures[outcome.job.folder])
    return outcome


@dataclass
class _Child:
    """A run in a process of its own."""

    job: Job
    process: subprocess.Popen[bytes]
    output: IO[bytes]
    log: Path
    began: float


class _Pool:
    """Keeps so many runs going; all in one thread, so that signals and children need no locks."""

    def __init__(
        self,
        waiting: list[Job],
        workers: int,
        progress: Progress,
        clock: Clock,
        failures: dict[Path, str],
    ) -> None:
        self._waiting, self._workers = list(waiting), workers
        self._progress, self._clock = progress, clock
        self._failures = failures
        self._children: list[_Child] = []

    def run(self, stop: StopRequest) -> None:
        """Until nothing is left, or until asked to stop; then all children are stopped too."""
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
        """Begin what fits; a run that another process is training waits behind the others, until that has ended."""
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
        """Ask all children to stop at their next step, and wait; a second signal to us ends them at once."""
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
    """What makes a run, in a process of its own: neither memory nor a crash of one can touch another."""
    return [sys.executable, "-m", "ptv2", "train", *job.overrides]


def _begin(job: Job, workers: int) -> _Child:
    """Start `ptv2 train` in a session of its own, so that Ctrl-C reaches it through us and once."""
    assert job.folder is not None
    log = job.folder.parent / ".reproduce" / f"{job.folder.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    output = log.open("wb")
    environment = dict(os.environ)
    if workers > 1:  # else every run would take all cores
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
    """The result of a run that is finished and whole."""
    with suppress(RunError):
        result = read_result(folder)
        return None if result is None or fault_of_files(folder, result) else result
    return None


def _message(log: Path, code: int) -> str:
    """What a failed run said last, in one line."""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    said = [line.removeprefix("ptv2: error: ") for line in lines if line.startswith("ptv2: error: ")]
    if said:
        return said[-1]
    if code == 0:
        return (
            f"finished, but not in its folder: the code may have changed meanwhile; run the same command again ({log})"
        )
    if code < 0:
        name = signal.Signals(-code).name
        return f"killed by {name}" + (" (memory that ran out?)" if name == "SIGKILL" else "")
    return f"{first_line(Exception(lines[-1])) if lines else f'exit code {code}'} ({log})"
