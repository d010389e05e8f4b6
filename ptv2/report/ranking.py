"""Settings of finished runs, ranked by their mean score on dev. Test scores are never looked at."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ptv2.config.rules import read_settings
from ptv2.config.schema import RunConfig
from ptv2.errors import RunError, enumerate_some, unknown
from ptv2.report.folds import examples_of, pool_folds
from ptv2.report.formats import count_of, format_score, group_by
from ptv2.report.settings import decisive
from ptv2.report.statistics import spread_of
from ptv2.report.tables import same_settings
from ptv2.run_folders.record import Result

CHOOSING = ("task", "model", "method", "headline")  # fields of results by which runs are chosen
NEEDED = ("task", "model")  # those of them without which nothing can be compared


@dataclass(frozen=True)
class Setting:
    """Runs that differ in nothing but the seed, sorted by it."""

    runs: tuple[Result, ...]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The settings that decide their numbers, by key; without those that name task and model."""
        return decisive(read_settings(RunConfig, self.runs[0].config))

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(run.seed for run in self.runs)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.scores)

    @property
    def scores(self) -> list[float]:
        """The headline metric on dev, in percent, by seed."""
        return [run.dev[run.headline] for run in self.runs]

    @property
    def score_text(self) -> str:
        """Mean and, of several runs, standard deviation (n - 1)."""
        return format_score(self.mean, spread_of(self.scores), digits=2)


def ranked(results: Iterable[Result], least_seeds: int = 1) -> list[Setting]:
    """Rank settings with at least `least_seeds` seeds: the best on dev first; of equals the one that trains less."""
    groups = [Setting(tuple(sorted(pool_folds(runs), key=lambda run: run.seed))) for runs in same_settings(results)]

    def rank(setting: Setting) -> tuple[float, int, str]:
        trained = int(setting.runs[0].parameters["trained"])
        return -setting.mean, trained, json.dumps(setting.settings, sort_keys=True)

    return sorted((group for group in groups if len(group.runs) >= least_seeds), key=rank)


def on_most_data(results: Sequence[Result]) -> list[Result]:
    """The runs that share their data: of several data sets those with most training examples, then with most runs."""

    def kind(result: Result) -> str:
        return json.dumps([*examples_of(result), result.headline], sort_keys=True)

    groups = group_by(results, kind)
    return max(groups.values(), key=lambda runs: (runs[0].data["examples"]["train"], len(runs)), default=[])


def describe_choice(results: Sequence[Result], settings: Sequence[Setting]) -> list[str]:
    """What to keep in mind of a ranking: which of the runs it leaves out, and that some settings have fewer seeds."""
    notes = []
    first = settings[0].runs[0]
    for headline in sorted({result.headline for result in results} - {first.headline}):
        others = sum(result.headline == headline for result in results)
        notes.append(
            f"left out: {count_of(others, 'run')} whose checkpoints {headline} chose: headline={headline} ranks them"
        )
    if others := sum(result.headline == first.headline for result in results) - len(on_most_data(results)):
        examples = first.data["examples"]["train"]
        notes.append(f"left out: {count_of(others, 'run')} on other data than these {examples:,} training examples")
    if len({setting.seeds for setting in settings}) > 1:
        counts = [len(setting.seeds) for setting in settings]
        span = f"{min(counts)} to {max(counts)} of them"
        hint = "a mean over few is high by luck more easily; --least-seeds N leaves those with fewer out"
        notes.append(f"warning: settings have different seeds ({span}): {hint}")
    return notes


def choose_results(results: Sequence[Result], asked: Mapping[str, str], folder: str) -> list[Result]:
    """Choose runs by their fields: those of `CHOOSING` that `asked` names.

    Raises:
        RunError: there is none, one of `NEEDED` is not named, or no run has such a value; with those that runs in
            `folder` have.
    """
    if not results:
        raise RunError(f"no finished run in {folder}/")
    chosen = list(results)
    for key in (key for key in CHOOSING if key in asked or key in NEEDED):
        known = {str(getattr(result, key)) for result in chosen}
        if key not in asked:
            raise RunError(f"expected {key}=NAME; known: {enumerate_some(sorted(known))} (finished runs in {folder}/)")
        if asked[key] not in known:
            raise RunError(f"{unknown(key, asked[key], known)} (finished runs in {folder}/)")
        chosen = [result for result in chosen if getattr(result, key) == asked[key]]
    return chosen
