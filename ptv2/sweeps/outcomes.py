"""How the jobs of a sweep ended, whatever process or machine ran them.

A job returns its `Outcome`, which every launcher of Hydra hands to the process that began the sweep. That process keeps
them in a variable of this module, since Hydra makes the sweeper and does not return what it gives.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from traceback import walk_tb
from types import FrameType
from typing import Any

from hydra.core.utils import JobReturn

from ptv2.errors import Interrupted, RunError, first_line
from ptv2.report.formats import count_of
from ptv2.run_folders.processes import is_main_process
from ptv2.sweeps.launching import explain_launching

LAUNCHERS = ("joblib", "submitit", "ray")  # whose own errors mean that a worker was lost
GROUP = "group"  # key below hydra.sweeper: the name of a sweep, for trackers
COLOURS = {"failed": "red", "interrupted": "yellow", "running": "yellow", "pruned": "blue"}


@dataclass(frozen=True)
class Outcome:
    """How one job ended."""

    job: int
    overrides: list[str]
    state: str  # finished, finished before, pruned, failed, interrupted
    message: str
    score: float | None = None  # the dev headline of a finished run, in percent
    run: str | None = None  # folder of a finished run
    signal: int | None = None  # that interrupted it


_known: dict[int, Outcome] = {}


def remember(outcomes: Iterable[Outcome | None]) -> None:
    """Keep outcomes in this process; None is a job that was not begun."""
    _known.update({outcome.job: outcome for outcome in outcomes if outcome is not None})


def list_known() -> list[Outcome]:
    """The outcomes that this process knows, by job."""
    return [_known[job] for job in sorted(_known)]


def forget() -> None:
    """Forget the outcomes of an earlier sweep in this process."""
    _known.clear()


def read_returned(jobs: Sequence[JobReturn]) -> list[Outcome | None]:
    """Read and remember what a launcher's jobs returned; raises Hydra's error for a job that it could not begin."""
    outcomes = [job.return_value for job in jobs]
    remember(outcomes)
    return outcomes


@contextmanager
def launching() -> Iterator[None]:
    """While a launcher works, let SIGTERM end the sweep with its workers, and name a breakdown in one line.

    Raises:
        Interrupted: on SIGTERM.
        ConfigError: the launcher is not for this machine, or has a setting that it does not take.
        RunError: the launcher lost a worker, or cannot begin for another reason.
    """
    stopped: list[Interrupted] = []

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.append(Interrupted("the sweep was stopped; the same command goes on with it", number))
        raise stopped[-1]

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except Exception as error:
        if stopped:  # OmegaConf makes another error of what is raised while it reads a setting
            raise stopped[0] from None
        if _is_refusal(error):
            known = explain_launching(str(error))
            raise known or RunError(
                f"the launcher cannot begin: {type(error).__name__}: {first_line(error)}"
            ) from error
        if not is_breakdown(error):
            raise
        raise RunError(
            f"the launcher broke down ({type(error).__name__}: {first_line(error)}); the same command goes on"
        ) from error
    finally:
        signal.signal(signal.SIGTERM, before)


def is_breakdown(error: Exception) -> bool:
    """Whether a launcher lost a worker, as when the system kills one for its memory."""
    return type(error).__module__.partition(".")[0] in LAUNCHERS


def _is_refusal(error: Exception) -> bool:
    """Whether a launcher's own code raised an error of Python, here: it did not get as far as a job."""
    if is_breakdown(error) or error.__cause__ is not None:  # a cause: it happened in a worker
        return False
    *_, (frame, _) = walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__")).partition(".")[0] in LAUNCHERS


def repeats(faults: Iterable[tuple[int, str]]) -> dict[int, int]:
    """Of failed jobs and why: those that failed as an earlier one did, and that one, so that it is read once."""
    first: dict[str, int] = {}
    return {job: first[why] for job, why in faults if why and first.setdefault(why, job) != job}


def faults(outcomes: Iterable[Outcome]) -> Iterator[tuple[int, str]]:
    """The jobs that failed, and why."""
    return ((outcome.job, outcome.message) for outcome in outcomes if outcome.state == "failed")


def show(outcomes: list[Outcome]) -> None:
    """Print a table with a row for each job."""
    if not outcomes or not is_main_process():
        return
    from ptv2.console.columns import Column, Table, show_table

    settings_column = Column("settings", fold=24, least=24)
    common, changed = common_settings([outcome.overrides for outcome in outcomes])
    columns = [Column("job"), settings_column, Column("state"), Column(""), Column("", below=True)]
    rows = []
    again = repeats(faults(outcomes))
    for outcome, settings in zip(outcomes, changed, strict=True):
        if outcome.job in again:
            texts = (f"as job {again[outcome.job]}", "")
        else:
            texts = ("", outcome.message) if outcome.score is None else (outcome.message, "")
        rows.append((str(outcome.job), " ".join(settings), coloured(outcome.state), *texts))
    count = count_of(len(outcomes), "job")
    show_table(Table(columns, rows, title=" ".join([f"{count}, all with", *common] if common else [count])))


def common_settings(jobs: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """The settings that all of several jobs have, and the further ones of each job."""
    common = [word for word in jobs[0] if len(jobs) > 1 and all(word in job for job in jobs)]
    return common, [[word for word in job if word not in common] for job in jobs]


def coloured(state: str) -> Any:
    """A state as rich text."""
    from rich.text import Text

    return Text(state, style=COLOURS.get(state, "green"))
