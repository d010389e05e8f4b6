"""Make the searches that are not finished, some side by side; the same command goes on with them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState
from rich.text import Text

from ptv2.console.output import tell
from ptv2.errors import Interrupted
from ptv2.report.formats import count_of
from ptv2.reproduce.compare.search import Search, pick, words_of
from ptv2.reproduce.jobs import children
from ptv2.reproduce.jobs.children import Child
from ptv2.sweeps.study import MESSAGE
from ptv2.training.stop import StopRequest

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
        with StopRequest() as stop:
            _Pool(waiting, workers, failures).run(stop)
            if stop.signal is not None:
                raise Interrupted("stopped; the same command goes on", stop.signal)
    return failures


class _Pool:
    """Keeps `workers` studies going, and prints each trial that ends."""

    def __init__(self, waiting: list[Search], workers: int, failures: dict[str, str]) -> None:
        self._waiting, self._workers, self._failures = waiting, workers, failures
        self._running: list[tuple[Search, Child]] = []
        self._shown = {search.name: len(search.trials) for search in waiting}

    def run(self, stop: StopRequest) -> None:
        """Run until nothing is left, or until asked to stop; then stop all children."""
        try:
            while (self._waiting or self._running) and stop.signal is None:
                self._reap()
                self._start()
                time.sleep(POLL_SECONDS)
        finally:
            children.stop([child for _, child in self._running])

    def _start(self) -> None:
        """Start as many as there are workers for; one that another process goes on with waits until that ends."""
        for search in list(self._waiting):
            if len(self._running) >= self._workers:
                return
            if search.is_open:
                continue
            self._waiting.remove(search)
            if len(search.trials) < search.budget:  # else by that other process
                log = search.folder / f"{search.name}.log"
                running = [child for _, child in self._running]
                self._running.append((search, children.start(search.command, log, self._workers, running)))

    def _reap(self) -> None:
        for search, child in list(self._running):
            has_ended = child.ended  # before its trials are read
            self._show(search)
            if has_ended:
                self._running.remove((search, child))
                child.output.close()
                self._note(search, child)

    def _note(self, search: Search, child: Child) -> None:
        picked = pick(search)
        if len(picked.trials) < search.budget:
            why = children.error_of(child) or "ended before all trials were made; run the same command again"
            self._failures[search.name] = why
            tell(Text.assemble(("failed", "red"), f"  {search.label}  {why}"))
            return
        child.log.unlink(missing_ok=True)
        if picked.best is None:
            tell(Text.assemble(("failed", "red"), f"  {search.label}  {picked.why_none}"))
        else:
            text = f"  {search.label}  dev {picked.best.value:.2f}  {' '.join(picked.settings)}"
            tell(Text.assemble(("picked", "green"), text))

    def _show(self, search: Search) -> None:
        """Print the trials that ended since the last time."""
        trials = search.trials
        for number in range(self._shown[search.name], len(trials)):
            tell(f"{number + 1}/{search.budget}  {search.label}  {describe_trial(trials[number])}")
        self._shown[search.name] = len(trials)


def describe_trial(trial: FrozenTrial) -> str:
    """What a trial tried, and how it ended, in one line."""
    if trial.state == TrialState.COMPLETE:
        return f"{' '.join(words_of(trial))}  dev {trial.value:.2f}"
    state = "pruned" if trial.state == TrialState.PRUNED else "failed"
    return f"{' '.join(words_of(trial))}  {state}: {trial.user_attrs.get(MESSAGE)}"
