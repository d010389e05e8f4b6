"""What a study says at its end: every trial, and the best settings as words for the command line."""

from __future__ import annotations

from pathlib import Path

from optuna.trial import FrozenTrial, TrialState
from rich.text import Text

from ptv2.commands.columns import Column, Table, show_table
from ptv2.commands.console import out, tell
from ptv2.runs.record import read_result
from ptv2.sweeps.outcomes import LONG, coloured
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
    rows = [_row(trial, fixed) for trial in trials]
    long = max(len(row[-1]) for row in rows) > LONG
    columns = [
        Column("trial"),
        Column("settings", fold=24, least=24),
        Column("state"),
        Column("dev"),
        Column("", below=long, fold=18),
    ]
    show_table(Table(columns, rows, title=f"study {search.name}, {len(trials)} trials"))
    if best is None:
        tell("no trial has a dev score yet", out)
        return
    tell(f"best on dev: trial {best.number}, {best.value:.2f}: {' '.join(_searched(best, fixed))}", out)
    run = Path(best.user_attrs[RUN])
    tell(f"its run: {run}", out)
    if (result := read_result(run)) is not None:
        asked = f"task={result.task} model={result.model} method={result.method} out={run.parent}"
        tell(f"as a recipe: ptv2 best {asked} --write DIR", out)


def _row(trial: FrozenTrial, fixed: list[str]) -> tuple[str | Text, ...]:
    score = f"{trial.value:.2f}" if trial.state == TrialState.COMPLETE else ""
    said = "" if trial.state == TrialState.COMPLETE else str(trial.user_attrs.get(MESSAGE, ""))
    return str(trial.number), " ".join(_searched(trial, fixed)), coloured(STATES[trial.state]), score, said


def _searched(trial: FrozenTrial, fixed: list[str]) -> list[str]:
    return [word for word in trial.user_attrs.get(OVERRIDES, []) if word not in fixed]
