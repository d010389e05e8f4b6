"""The best trials of a search with all seeds: a setting that only one seed likes is not taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean

from ptv2.report.formats import format_score, group_by
from ptv2.report.statistics import spread_of
from ptv2.reproduce.compare.search import Pick
from ptv2.reproduce.jobs.execute import JobStatus
from ptv2.reproduce.jobs.list_jobs import Job


@dataclass(frozen=True)
class Finalist:
    """A trial's settings with their runs, one for each seed."""

    pick: Pick
    statuses: tuple[JobStatus, ...]

    @property
    def dev(self) -> dict[int, float]:
        """The headline on dev of each finished run, by seed."""
        results = [status.result for status in self.statuses if status.result is not None]
        return {result.seed: result.dev[result.headline] for result in results}

    @property
    def note(self) -> str:
        """What became of it, for the table that took another one."""
        scores = list(self.dev.values())
        score = f"dev {format_score(fmean(scores), spread_of(scores))}" if scores else "no dev score"
        settings, seeds = " ".join(self.pick.settings), ", ".join(map(str, self.dev)) or "none"
        return f"{self.pick.search.label}, finalist not taken: {settings}  {score} (seeds {seeds})"


def run_finalists(
    picks: Sequence[Pick],
    most: int,
    jobs_of: Callable[[Pick], list[Job]],
    run: Callable[[list[Job]], list[JobStatus]],
) -> tuple[list[Finalist], list[Finalist]]:
    """Run the `most` best trials of each search with all seeds.

    Args:
        jobs_of: the runs of a trial's settings.
        run: runs jobs, and returns their states in the same order.

    Returns:
        Of each search the finalist with the most finished seeds, of equal ones the best by mean dev; and the others.
    """
    finalists = [one for picked in picks for one in picked.finalists(most)]
    jobs = [jobs_of(one) for one in finalists]
    statuses = iter(run([job for of_one in jobs for job in of_one]))
    tried = [Finalist(one, tuple(islice(statuses, len(of_one)))) for one, of_one in zip(finalists, jobs, strict=True)]
    taken = [max(of_search, key=_rank) for of_search in group_by(tried, lambda one: one.pick.search.name).values()]
    return taken, [one for one in tried if one not in taken]


def _rank(finalist: Finalist) -> tuple[int, float]:
    scores = finalist.dev.values()
    return len(scores), fmean(scores) if scores else 0.0
