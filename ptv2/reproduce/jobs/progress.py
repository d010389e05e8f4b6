"""The display while runs are made: one bar over all with the time left, and a line for each that ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.text import Text

from ptv2.console.output import clock as as_clock
from ptv2.console.output import draws, err, tell
from ptv2.report.formats import count_of
from ptv2.reproduce.jobs.list_jobs import Job
from ptv2.reproduce.jobs.timing import Clock, done


class Progress:
    """A bar over all runs of a table or figure."""

    def __init__(self, title: str, clock: Clock, jobs: Sequence[Job], workers: int = 1) -> None:
        """Show how many `jobs` there are to run, and about how long they take."""
        self._total, self._left, self._workers = len(jobs), list(jobs), workers
        self._begun = 0
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left {task.fields[left]}"),
            TextColumn("[dim]{task.fields[now]}[/dim]"),
        )
        self._bars = Bars(*columns, console=err, transient=True, disable=not draws(err))
        self._task = self._bars.add_task(title, total=len(jobs), left="?", now="")
        tell(f"{title}: {count_of(len(jobs), 'run')} to make{_about(clock.left(jobs, workers))}")

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._bars.stop()

    def began(self, jobs: Sequence[Job]) -> None:
        """Print that runs begin, in one process."""
        for job in jobs:
            self._begun += 1
            tell(f"{self._begun}/{self._total}  {label(job)}")

    def ended(self, job: Job, message: str, clock: Clock, *, failed: bool = False) -> None:
        """Print that a run ended, here or in another process."""
        self._left.remove(job)
        end = _about(clock.left(self._left, self._workers)) if self._left else ""
        tell(Text.assemble(("failed", "red") if failed else ("done", "green"), f"  {label(job)}  {message}{end}"))

    def show(self, running: Mapping[Path | None, float], clock: Clock) -> None:
        """Move the bar; `running` has the folders of the runs under way, and for how many seconds they ran."""
        if self._bars.disable:
            return
        seconds = clock.left(self._left, self._workers, running)
        now = [job for job in self._left if job.folder in running]
        self._bars.update(
            self._task,
            completed=self._total - len(self._left) + sum(map(done, now)),
            left="?" if seconds is None else as_clock(seconds),
            now=", ".join(label(job) for job in now),
        )


def label(job: Job) -> str:
    """The names of a job's cell, and its seed."""
    return " ".join([*filter(None, job.cell.key), "seed", str(job.seed)])


def _about(seconds: float | None) -> str:
    return "" if seconds is None else f", about {as_clock(seconds)} left"
