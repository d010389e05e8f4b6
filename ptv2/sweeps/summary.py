"""The closing lines of a study: every trial, and the best settings as words for the command line."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState
from rich.text import Text

from ptv2.console.columns import Column, Table, show_table
from ptv2.console.output import out, tell, tell_command
from ptv2.report.best_recipe import recipe_place
from ptv2.run_folders.record import read_result
from ptv2.sweeps.outcomes import coloured, repeats
from ptv2.sweeps.study import MESSAGE, OVERRIDES, RUN, Search

STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "interrupted",
    TrialState.WAITING: "waiting",
}


def show_study(search: Search, fixed: list[str]) -> None:
    """Print the trials, the best of them and its recipe.

    Args:
        fixed: overrides that all trials share.
    """
    trials = search.trials
    if not trials:
        return
    best = search.best
    settings = Column("settings", fold=24, least=24)
    columns = [Column("trial"), settings, Column("state"), Column("dev"), Column("", below=True)]
    again = repeats((trial.number, _message(trial)) for trial in trials if trial.state == TrialState.FAIL)
    rows = [_row(trial, fixed, again, bold=best is not None and trial.number == best.number) for trial in trials]
    show_table(Table(columns, rows, title=f"study {search.name}, {len(trials)} trials"))
    if best is None:
        tell("no trial has a dev score yet", out)
        return
    tell(f"best on dev: trial {best.number}, {best.value:.2f}: {' '.join(_searched(best, fixed))}", out)
    run = Path(best.user_attrs[RUN])
    tell(f"its run: {run}", out)
    if (result := read_result(run)) is not None:
        asked = f"task={result.task} model={result.model} method={result.method} {shlex.quote(f'out={run.parent}')}"
        has_place = not isinstance(recipe_place(result, None), str)
        tell("as a recipe:" if has_place else "all settings, ranked:", out)
        tell_command(f"ptv2 best {asked}{' --write DIR' if has_place else ''}", out)


def _message(trial: FrozenTrial) -> str:
    return str(trial.user_attrs.get(MESSAGE, ""))


def _row(trial: FrozenTrial, fixed: list[str], again: Mapping[int, int], *, bold: bool) -> list[Text]:
    score = f"{trial.value:.2f}" if trial.state == TrialState.COMPLETE else ""
    message = "" if trial.state == TrialState.COMPLETE else _message(trial)
    if trial.number in again:
        score, message = f"as trial {again[trial.number]}", ""
    style = "bold" if bold else ""
    texts = [Text(text, style) for text in (str(trial.number), " ".join(_searched(trial, fixed)), score, message)]
    return [*texts[:2], coloured(STATES[trial.state]), *texts[2:]]


def _searched(trial: FrozenTrial, fixed: list[str]) -> list[str]:
    return [word for word in trial.user_attrs.get(OVERRIDES, []) if word not in fixed]
