"""`ptv2 compare --plan`: the trials and runs of each method, and a guess of their time; nothing is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ptv2.console.columns import Column, Table, show_table
from ptv2.console.output import clock, out, tell
from ptv2.report.formats import count_of
from ptv2.reproduce.compare.options import CompareOptions
from ptv2.reproduce.compare.search import Search, typical_job
from ptv2.reproduce.jobs.execute import collect
from ptv2.reproduce.jobs.fuse import group_jobs
from ptv2.reproduce.jobs.list_jobs import Job
from ptv2.reproduce.jobs.show_plan import seconds_of
from ptv2.reproduce.jobs.timing import Clock

COLUMNS = (
    Column("task", group=True),
    Column("method"),
    Column("trials", fold=9),
    Column("runs", fold=9),
    Column("a run about"),
    Column("searched", below=True),
)


def show_plan(searches: Sequence[Search], runs: Sequence[Sequence[Job]], options: CompareOptions) -> None:
    """Print a line for each search.

    Args:
        runs: the runs of its picked settings, by search.
    """
    known = Clock([(status.job, status.result) for search in searches for status in collect([search.job])])
    rows, trials_left, each, counted = [], 0, [], False
    runs_left: list[Job] = []
    for search, jobs in zip(searches, runs, strict=True):
        trials = search.budget - len(search.trials)
        job = typical_job(search)
        open_jobs = [status.job for status in collect(jobs) if status.state != "finished"]
        runs_left += _with_settings(open_jobs, job)
        left = len(open_jobs)
        seconds = seconds_of(job, known) if trials or left else None
        counted = counted or (seconds is not None and known.expected(job) is None)
        if trials or left:
            each.append(None if seconds is None else seconds * (trials + left))
        trials_left += trials
        counts = (_count(trials, search.budget), _count(left, len(jobs)))
        space = " ".join(f"{key}={value}" for key, value in search.space.items())
        rows.append((*search.job.cell.key[1:], *counts, "" if seconds is None else clock(seconds), space))
    show_table(Table(COLUMNS, rows))
    if not trials_left and not runs_left:
        tell("No runs to make: all are finished.", out)
        return
    for line in group_jobs(runs_left, options.fuse)[1]:
        tell(line, out)
    times = [seconds for seconds in each if seconds is not None]
    guess = "time not known"
    if len(times) == len(each):
        origin = "at most, for texts of full length" if counted else "by finished runs"
        guess = f"about {clock(max(sum(times) / options.jobs, *times, 0.0))} ({origin})"
    to_make = f"{count_of(trials_left, 'trial')} and {count_of(len(runs_left), 'run')} to make"
    tell(f"{to_make}; {guess}. Trials differ in epochs, and pruned ones end early.", out)


def _count(left: int, of: int) -> str:
    return f"{left} to make" if left else f"{of} finished"


def _with_settings(jobs: Sequence[Job], typical: Job) -> list[Job]:
    """The jobs, with settings in place of those that a search will pick: other ones for each finalist."""
    assert typical.config is not None
    config, told, before = typical.config, list[Job](), Counter[int]()
    for job in jobs:
        before[job.seed] += 1
        optim = config.optim.model_copy(update={"lr": config.optim.lr * before[job.seed]})
        guessed = config.model_copy(update={"seed": job.seed, "optim": optim})
        told.append(job if job.config else replace(typical, config=guessed))
    return told
