"""What a study says at its end: every trial, and the best settings as words for the command line."""

from __future__ import annotations

from pathlib import Path

from optuna.trial import FrozenTrial, TrialState
from rich.table import Table
from rich.text import Text

from ptv2.commands.console import out
from ptv2.runs.record import read_result
from ptv2.sweeps.outcomes import coloured
from ptv2.sweeps.study import MESSAGE, OVERRIDES, RUN, Search

STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "interrupted",
    TrialState.WAITING: "waiting",
}


def show_study(search: Search, fixed: list[str]) -> None:
    """Print the trials, the best one and what to do with it.

    Args:
        fixed: overrides that all trials have in common.
    """
    trials = search.trials
    if not trials:
        return
    best = search.best
    table = Table(box=None, pad_edge=False, title=f"study {search.name}, {len(trials)} trials", title_justify="left")
    for name in ("trial", "settings", "state", "dev", ""):
        table.add_column(name, overflow="fold")
    for trial in trials:
        table.add_row(*_row(trial, fixed), style="bold" if best is not None and trial.number == best.number else None)
    out.print(table)
    if best is None:
        out.print("no trial has a dev score yet")
        return
    out.print(f"best on dev: trial {best.number}, {best.value:.2f}: {' '.join(_searched(best, fixed))}")
    run = Path(best.user_attrs[RUN])
    out.print(f"its run: {run}", soft_wrap=True)
    if (result := read_result(run)) is not None:
        asked = f"task={result.task} model={result.model} method={result.method} out={run.parent}"
        out.print(f"as a recipe: ptv2 best {asked} --write DIR", soft_wrap=True)


def _row(trial: FrozenTrial, fixed: list[str]) -> tuple[str | Text, ...]:
    score = f"{trial.value:.2f}" if trial.state == TrialState.COMPLETE else ""
    said = "" if trial.state == TrialState.COMPLETE else str(trial.user_attrs.get(MESSAGE, ""))
    return str(trial.number), " ".join(_searched(trial, fixed)), coloured(STATES[trial.state]), score, said


def _searched(trial: FrozenTrial, fixed: list[str]) -> list[str]:
    return [word for word in trial.user_attrs.get(OVERRIDES, []) if word not in fixed]
