"""What a person sees while runs are made: one bar over all with the time left, a line for each that ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.text import Text

from ptv2.console.output import clock as as_clock
from ptv2.console.output import draws, err, tell
from ptv2.reproduce.jobs.plan import Job
from ptv2.reproduce.jobs.timing import Clock, done


class Progress:
    """A bar over all runs of a table or figure."""

    def __init__(self, title: str, clock: Clock, jobs: Sequence[Job], workers: int = 1) -> None:
        """`jobs` are those to be run."""
        self._jobs, self._workers = list(jobs), workers
        self._left = list(jobs)
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
        self._title = title
        self._say(f"{title}: {_counted(len(jobs))} to make{_about(clock.left(jobs, workers))}")

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._bars.stop()

    def began(self, job: Job) -> None:
        """A run begins."""
        self._begun += 1
        self._say(f"{self._begun}/{len(self._jobs)}  {label(job)}")

    def ended(self, job: Job, said: str, clock: Clock, *, failed: bool = False) -> None:
        """A run ended, here or in another process."""
        self._left.remove(job)
        end = _about(clock.left(self._left, self._workers)) if self._left else ""
        style = "red" if failed else "green"
        word = "failed" if failed else "done"
        tell(Text.assemble((word, style), f"  {label(job)}  {said}{end}"))

    def show(self, running: Mapping[Path | None, float], clock: Clock) -> None:
        """Move the bar; `running` has the folders of the runs that are made now, and for how many seconds."""
        if self._bars.disable:
            return
        seconds = clock.left(self._left, self._workers, running)
        now = [job for job in self._left if job.folder in running]
        part = sum(done(job) for job in now)
        self._bars.update(
            self._task,
            completed=len(self._jobs) - len(self._left) + part,
            left="?" if seconds is None else as_clock(seconds),
            now=", ".join(label(job) for job in now),
        )

    def _say(self, text: str) -> None:
        tell(text)


def label(job: Job) -> str:
    """A job in few words."""
    return " ".join([*filter(None, job.cell.key), "seed", str(job.seed)])


def _counted(count: int) -> str:
    return f"{count} run{'' if count == 1 else 's'}"


def _about(seconds: float | None) -> str:
    return "" if seconds is None else f", about {as_clock(seconds)} left"
