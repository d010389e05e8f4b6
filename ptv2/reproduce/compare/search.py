"""The search of each method on each task: its space, its study on disk, and what it picks by dev."""

from __future__ import annotations

import hashlib
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from ptv2.config import paths
from ptv2.config.compose import compose_with_hydra
from ptv2.config.explain import explain
from ptv2.errors import ConfigError
from ptv2.reproduce.compare.options import CompareOptions
from ptv2.reproduce.jobs.children import ptv2
from ptv2.reproduce.jobs.list_jobs import Job
from ptv2.sweeps.space import Distribution, as_overrides, split_space
from ptv2.sweeps.study import MESSAGE, is_open, list_trials

ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass(frozen=True)
class Edge:
    """A picked setting that is the largest or smallest of those tried, so that others might be better still."""

    key: str
    value: str
    which: str  # largest, smallest


@dataclass(frozen=True)
class Search:
    """A study: the trials of one method on one task."""

    job: Job  # its runs' settings where the space says nothing, at the seed of all trials
    space: dict[str, str]  # what is searched, in Hydra's words
    words: tuple[str, ...]  # of `ptv2 train`
    name: str
    folder: Path  # of studies
    budget: int

    @property
    def label(self) -> str:
        return " ".join(self.job.cell.key[1:])

    @property
    def trials(self) -> list[FrozenTrial]:
        """The trials that ended, with or without a score; those beyond the budget are of another command."""
        return [trial for trial in list_trials(self.folder, self.name) if trial.state in ENDED][: self.budget]

    @property
    def is_open(self) -> bool:
        """Whether a process goes on with it now."""
        return is_open(self.folder, self.name)

    @property
    def distributions(self) -> dict[str, Distribution]:
        return split_space(OverridesParser.create().parse_overrides([f"{key}={v}" for key, v in self.space.items()]))[0]

    def most_finalists(self, asked: int) -> int:
        """How many different settings can be picked at most, where so many are asked for."""
        values = [one.choices for one in self.distributions.values() if isinstance(one, CategoricalDistribution)]
        listed = math.prod(map(len, values)) if len(values) == len(self.space) else self.budget
        return min(asked, self.budget, listed)

    def is_listed(self, key: str) -> bool:
        """Whether the command lists the values of a setting, as `trainer.epochs=4,8`."""
        of_command = f"{key}={self.space.get(key)}" in self.words
        return of_command and isinstance(self.distributions[key], CategoricalDistribution)

    @property
    def command(self) -> list[str]:
        """The command that makes the trials which are left; the sweeper does not count failed ones."""
        failed = sum(trial.state == TrialState.FAIL for trial in self.trials)
        study = (f"hydra.sweeper.study={self.name}", f"hydra.sweeper.trials={self.budget - failed}")
        return ptv2("train", *self.words, *study)


@dataclass(frozen=True)
class Pick:
    """What a search found."""

    search: Search
    trials: tuple[FrozenTrial, ...]
    taken: int = 0  # of the `ranked` ones

    @property
    def ranked(self) -> list[FrozenTrial]:
        """The trials with a dev score, one of each setting, the highest first and of equals the first."""
        scored = [trial for trial in self.trials if trial.state == TrialState.COMPLETE]
        best_first = sorted(scored, key=lambda trial: (-(trial.value or 0.0), trial.number))
        ranked: dict[str, FrozenTrial] = {}
        for trial in best_first:
            ranked.setdefault(json.dumps(trial.params, sort_keys=True), trial)
        return list(ranked.values())

    @property
    def best(self) -> FrozenTrial | None:
        """The trial whose settings are taken; None if no trial has a score."""
        return next(iter(self.ranked[self.taken :]), None)

    def finalists(self, most: int) -> list[Pick]:
        """The picks among which all seeds decide; itself alone if trials are left to make, or none has a score."""
        count = min(most, len(self.ranked)) if len(self.trials) >= self.search.budget else 0
        return [replace(self, taken=place) for place in range(count)] or [self]

    @property
    def settings(self) -> list[str]:
        """The picked settings as words."""
        return [] if self.best is None else words_of(self.best)

    @property
    def edges(self) -> list[Edge]:
        """The picked numbers that lie at the edge of what was tried, but for choices that the command lists."""
        edges = []
        for key, value in ({} if self.best is None else self.best.params).items():
            if self.search.is_listed(key):
                continue
            tried = [number for trial in self.trials if (number := _number(trial.params.get(key))) is not None]
            mine = _number(value)
            if mine is None or min(tried) == max(tried) or mine not in (min(tried), max(tried)):
                continue
            word = as_overrides({key: value})[0].partition("=")[2]
            edges.append(Edge(key, word, "largest" if mine == max(tried) else "smallest"))
        return edges

    def count(self, state: TrialState) -> int:
        return sum(trial.state == state for trial in self.trials)

    @property
    def why_none(self) -> str:
        """Why no trial has a score."""
        messages = dict.fromkeys(str(t.user_attrs.get(MESSAGE, "")) for t in self.trials if t.state == TrialState.FAIL)
        return f"no trial has a dev score: {'; '.join(messages) or f'{len(self.trials)} were pruned'}"


def pick(search: Search) -> Pick:
    """Read a search from disk and pick its best."""
    return Pick(search, tuple(search.trials))


def words_of(trial: FrozenTrial) -> list[str]:
    """The settings that a trial tried, as words."""
    return as_overrides(trial.params)


def list_searches(jobs: Sequence[Job], options: CompareOptions) -> list[Search]:
    """List the search of each of `jobs`, which have the settings that hold where a space says nothing.

    Raises:
        ConfigError: a space that is wrong, or of which fixed settings leave nothing.
    """
    searches = []
    for job in jobs:
        assert job.folder is not None
        words = [f"+sweep={options.sweep}", *job.overrides, *options.ranges, *options.of_search]
        space = _space(words, options)
        fixed = {word.partition("=")[0].lstrip("+") for word in options.overrides}
        searched = {key: value for key, value in space.items() if key not in fixed}
        if not searched:
            raise ConfigError(
                f"methods={job.cell.key[2]}: nothing is left to search, as {', '.join(space)} are fixed; expected "
                "fewer fixed settings, or several values: optim.lr=1e-3,1e-2"
            )
        split_space(OverridesParser.create().parse_overrides([f"{key}={v}" for key, v in searched.items()]))
        digest = hashlib.sha256(json.dumps([job.folder.name, searched, options.of_search]).encode()).hexdigest()[:10]
        name = f"{job.folder.name.rpartition('-')[0]}-{digest}"
        searches.append(Search(job, searched, tuple(words), name, job.folder.parent / ".sweeps", options.budget))
    return searches


def fixed_of(searches: Sequence[Search], options: CompareOptions) -> list[str]:
    """The words of the command that fix a setting which some method would search."""
    spaces: set[str] = set()
    for search in searches:
        spaces |= _space([word for word in search.words if word not in options.overrides], options).keys()
    return [word for word in options.overrides if word.partition("=")[0].lstrip("+") in spaces]


def _space(words: Sequence[str], options: CompareOptions) -> dict[str, str]:
    """The search space that a sweep's file has for the method which `words` name, with the ranges of the command."""
    leading = words.index("--config-dir") if "--config-dir" in words else None
    plain = list(words) if leading is None else [*words[:leading], *words[leading + 2 :]]
    settings = [word for word in plain if word not in options.ranges]
    config = compose_with_hydra(settings, paths.own_folders(options.config_dir))
    sweeper = config.hydra.sweeper
    if "trials" not in sweeper:
        raise ConfigError(
            f"sweep={options.sweep}: no search with Optuna; expected `override /hydra/sweeper: optuna` in it"
        )
    spaces = sweeper.get("spaces")
    if spaces is not None and config.method not in spaces and "hydra.sweeper.spaces." in _unresolved(sweeper, "params"):
        raise ConfigError(
            f"methods={config.method}: sweep={options.sweep} has no space for it; expected some of "
            f"methods={','.join(map(str, spaces))}, or a sweep/NAME.yaml of your own with --config-dir"
        )
    try:
        space = OmegaConf.to_container(sweeper.params, resolve=True)
    except OmegaConfBaseException as error:
        raise explain(error) from error
    assert isinstance(space, dict)
    ranges = dict(word.partition("=")[::2] for word in options.ranges)
    return {**{str(key): str(value) for key, value in space.items()}, **ranges}


def _unresolved(node: DictConfig, key: str) -> str:
    """The text of a value that is taken from elsewhere, `${...}`; that of any other value says nothing."""
    return str(OmegaConf.to_container(node, resolve=False)[key])  # type: ignore[index, call-overload]


def mean_epochs(search: Search) -> float:
    """The mean of the epochs that a search tries, to guess its time; those of its settings if it tries none."""
    assert search.job.config is not None
    values = search.distributions.get("trainer.epochs")
    if isinstance(values, CategoricalDistribution):
        numbers = [number for choice in values.choices if (number := _number(choice)) is not None]
        return statistics.fmean(numbers or [search.job.config.trainer.epochs])
    if values is None or values.low == values.high:
        return search.job.config.trainer.epochs if values is None else values.low
    if values.log:
        return (values.high - values.low) / math.log(values.high / values.low)
    return (values.low + values.high) / 2


def typical_job(search: Search) -> Job:
    """A run of about the length of a search's, to guess times by."""
    config = search.job.config
    assert config is not None
    trainer = config.trainer.model_copy(update={"epochs": max(1, round(mean_epochs(search)))})
    return replace(search.job, config=config.model_copy(update={"trainer": trainer}))


def trial_counts(picked: Pick) -> Mapping[str, int]:
    """How many trials ended without a score, by what became of them."""
    counts = {"pruned": picked.count(TrialState.PRUNED), "failed": picked.count(TrialState.FAIL)}
    return {state: count for state, count in counts.items() if count}


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None
