"""Make the searches that are not finished, some side by side; the same command goes on with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState
from rich.text import Text

from ptv2.console.output import tell
from ptv2.report.formats import count_of
from ptv2.reproduce.compare.search import Search, pick, words_of
from ptv2.reproduce.jobs.children import Child, Task, error_of, make_all
from ptv2.sweeps.study import MESSAGE

POLL_SECONDS = 0.5


def make_searches(searches: Sequence[Search], workers: int) -> dict[str, str]:
    """Run the trials that are left, each study in a process of its own; return why some did not end, by study.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; the trials were stopped at a step and the same command goes on.
    """
    waiting = [search for search in searches if len(search.trials) < search.budget]
    failures: dict[str, str] = {}
    if waiting:
        left = sum(search.budget - len(search.trials) for search in waiting)
        tell(f"search: {count_of(left, 'trial')} to make, of {count_of(len(waiting), 'method')}")
        make_all([_Trials(search, failures) for search in waiting], workers, POLL_SECONDS)
    return failures


class _Trials(Task):
    """The trials of a study that are left, each printed when it ends."""

    def __init__(self, search: Search, failures: dict[str, str]) -> None:
        self._search, self._failures, self._shown = search, failures, len(search.trials)

    @property
    def is_taken(self) -> bool:
        return self._search.is_open

    def begin(self) -> tuple[list[str], Path] | None:
        if len(self._search.trials) == self._search.budget:  # by that other process
            return None
        return self._search.command, self._search.folder / f"{self._search.name}.log"

    def look(self, child: Child, *, ended: bool) -> None:
        search, trials = self._search, self._search.trials
        for number in range(self._shown, len(trials)):
            tell(f"{number + 1}/{search.budget}  {search.label}  {describe_trial(trials[number])}")
        self._shown = len(trials)
        if not ended:
            return
        picked = pick(search)
        if len(picked.trials) < search.budget:
            why = error_of(child) or "ended before all trials were made; run the same command again"
            self._failures[search.name] = why
            tell(Text.assemble(("failed", "red"), f"  {search.label}  {why}"))
            return
        child.log.unlink(missing_ok=True)
        if picked.best is None:
            tell(Text.assemble(("failed", "red"), f"  {search.label}  {picked.why_none}"))
        else:
            text = f"  {search.label}  dev {picked.best.value:.2f}  {' '.join(picked.settings)}"
            tell(Text.assemble(("picked", "green"), text))


def describe_trial(trial: FrozenTrial) -> str:
    """What a trial tried, and how it ended, in one line."""
    if trial.state == TrialState.COMPLETE:
        return f"{' '.join(words_of(trial))}  dev {trial.value:.2f}"
    state = "pruned" if trial.state == TrialState.PRUNED else "failed"
    return f"{' '.join(words_of(trial))}  {state}: {trial.user_attrs.get(MESSAGE)}"
