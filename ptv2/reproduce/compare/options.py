"""What the words of `ptv2 compare` ask for: tasks, a backbone, methods, trials, seeds, and settings of all runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from ptv2.config import paths
from ptv2.config.methods import METHODS
from ptv2.config.spelling import refuse_sweeps, spelled
from ptv2.errors import ConfigError, unknown
from ptv2.files import from_home
from ptv2.reproduce.options import LAUNCHER, PARSERS, Options, refuse_beside_records, split_words

SEEDS = (1, 2, 3)
BUDGET = 10
TRIAL_SEED = 11  # none of the seeds that are reported, unless asked for
ALL = tuple(name for name, method in METHODS.items() if not method.several_tasks)
DEFAULT = tuple(name for name in ALL if METHODS[name].of_paper)
# Words for the search alone, not for its runs.
OF_SEARCH = ("hydra/sweeper/", "hydra.sweeper.pruner.", "hydra.sweeper.sampler.")


@dataclass(frozen=True)
class CompareOptions(Options):
    """The choices of one command."""

    tasks: tuple[str, ...] = ()
    budget: int = BUDGET  # trials of each method on each task
    trial_seed: int = TRIAL_SEED
    sweep: str = "optuna"  # the file of sweep/ with the search spaces
    finalists: int = 1  # trials of each search whose settings are run with all seeds; the best of them is taken
    file: Path | None = None  # where the table is written besides `results`
    ranges: tuple[str, ...] = ()  # settings with several values: searched for all methods
    of_search: tuple[str, ...] = ()  # settings of the sweeper


def read_compare_settings(words: Sequence[str], **flags: Any) -> CompareOptions:
    """Read options from `key=value` words; other keys are settings of all runs.

    Args:
        flags: fields that are not given as `key=value`.

    Raises:
        ConfigError: a word that is not `key=value`, a wrong value, or a package that is missing.
    """
    files = [word for word in words if word.startswith("out=") and word.endswith(".md")]
    if len(files) > 1:
        raise ConfigError("out=FILE.md is given twice")
    values, others = split_words([word for word in words if word not in files], COMPARE_PARSERS, INSTEAD)
    if "tasks" not in (values := {FIELDS.get(key, key): value for key, value in values.items()}):
        raise ConfigError("expected task=NAME, or several with commas (ptv2 list tasks)")
    refuse_beside_records(values, flags)
    _check_names(values, flags.get("config_dir"))  # before Optuna is imported
    if files:
        values["file"] = from_home(files[0].removeprefix("out="))
    if len(values["tasks"]) > 1 and (given := [word for word in others if word.startswith("data.dir=")]):
        raise ConfigError(f"{given[0]}: expected data=DIR, the folder that holds a folder for each of several tasks")
    keys = {word.partition("=")[0] for word in others}
    if "data.folds" in keys and "data.fold" not in keys:
        raise ConfigError("data.folds: a trial of a search is one run; expected data.fold=0 beside it")
    of_search = [word for word in others if word.startswith(OF_SEARCH)]
    if refused := [word for word in others if word.startswith("hydra") and word not in of_search]:
        raise ConfigError(f"{refused[0]}: expected only hydra/sweeper/pruner=, sampler= and their settings")
    if find_spec("optuna") is None:
        raise ConfigError("ptv2 compare needs Optuna: pip install 'ptv2[optuna]'")
    refuse_sweeps([word for word in others if word not in of_search], "expected sweep=NAME, without a sign before it")
    settings = spelled([word for word in others if word not in of_search])
    ranges = [word for word in settings if _has_several_values(word)]
    fixed = [word for word in settings if word not in ranges]
    if not any(word.startswith("recipe=") for word in fixed):
        fixed.insert(0, "recipe=none")  # it would be tuned for some of the methods only
    return CompareOptions(
        **{"methods": DEFAULT, "seeds": SEEDS, **values, **flags},
        overrides=tuple(fixed),
        ranges=tuple(ranges),
        of_search=tuple(of_search),
    )


def _check_names(values: Mapping[str, Any], config_dir: str | None) -> None:
    """Raise `ConfigError` for a task or a model that there is not."""
    for kind, names in (("task", values["tasks"]), ("model", [values["model"]] if "model" in values else [])):
        known = paths.choices(kind, config_dir)
        if strange := [name for name in names if name not in known]:
            raise ConfigError(unknown(kind, strange[0], known))


def _has_several_values(word: str) -> bool:
    try:
        return bool(OverridesParser.create().parse_override(word).is_sweep_override())
    except HydraException:
        return False  # composing the settings says what is wrong with it


def _parse_methods(key: str, value: str) -> tuple[str, ...]:
    if value == "all":
        return ALL
    names: tuple[str, ...] = PARSERS["methods"](key, value)
    for name in names:
        if name not in ALL:
            raise ConfigError(unknown("method", name, [*ALL, "all"]))
    return tuple(name for name in ALL if name in names)


def _parse_seeds(key: str, value: str) -> tuple[int, ...]:
    seeds: tuple[int, ...] = PARSERS["seeds"](key, value)
    if len(seeds) < 2:
        raise ConfigError(f"{key}={value}: expected two seeds or more, such as 1,2,3 or 1-5 (one has no spread)")
    return seeds


def _parse_seed(key: str, value: str) -> int:
    if not value.isdecimal():
        raise ConfigError(f"{key}={value}: expected one whole number, for all trials (seeds= is for the table)")
    return int(value)


COMPARE_PARSERS: dict[str, Callable[[str, str], Any]] = {
    "task": PARSERS["columns"],
    "methods": _parse_methods,
    "budget": PARSERS["jobs"],
    "seeds": _parse_seeds,
    "seed": _parse_seed,
    "finalists": PARSERS["jobs"],
    "sweep": PARSERS["table"],
    **{key: PARSERS[key] for key in ("model", "data", "jobs", "fuse", "out", "results", "records", "kept", "margin")},
}
FIELDS = {"task": "tasks", "seed": "trial_seed"}  # names of fields that differ from the words
INSTEAD = {
    "method": "expected methods=NAME,NAME",
    "tasks": "expected task=NAME,NAME",
    "trials": "expected budget=N, the trials of each method",
    "hydra/launcher": LAUNCHER,
    "table": "a table is ptv2 reproduce's; expected task=NAME",
    "figure": "a figure is ptv2 reproduce's; expected task=NAME",
}
