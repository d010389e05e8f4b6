"""Which runs of a table or figure one process trains together over one frozen backbone."""

from __future__ import annotations

from collections.abc import Sequence

from ptv2.report.formats import count_of
from ptv2.reproduce.jobs.list_jobs import Job
from ptv2.sweeps.fusing import choose_groups


def group_jobs(jobs: Sequence[Job], together: int) -> tuple[list[list[Job]], list[str]]:
    """The jobs of each process, at most `together`, in order of their first ones; and lines that say what is fused."""
    if together == 1 or not jobs:
        return [[job] for job in jobs], []
    numbers, alone = choose_groups({number: job.config for number, job in enumerate(jobs)}, together)
    groups = [[jobs[number] for number in group] for group in numbers]
    fused = [len(group) for group in groups if len(group) > 1]
    lines = []
    if fused:
        lines.append(f"fused: {count_of(sum(fused), 'run')} in {count_of(len(fused), 'group')} of up to {max(fused)}")
    return groups, [*lines, *(f"alone: {count_of(len(runs), 'run')}: {why}" for why, runs in alone.items())]
