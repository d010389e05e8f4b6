"""Metrics: one module each.

A module has a pure `score(predictions, references)`, the names of its scores (`SCORES`; further names in
`OTHER_NAMES`), `FEATURES`, the types from which `load_metric` makes a local `evaluate.Metric`, and `fractions`: what
each `UNIT` adds to the scores, for a bootstrap over the units of a test set.

Scores are fractions from 0 to 1 (the Matthews correlation from -1), and for every metric here higher is better. Nothing
is fetched from the hub, so a number does not depend on what a metric script there looks like today. A module imports
only other metrics, and can be used alone, for example in a notebook.
"""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ptv2.errors import ConfigError, unknown
from ptv2.files import scratch_folder

if TYPE_CHECKING:
    import evaluate


def known_metrics() -> list[str]:
    """List the names that `load_metric` takes, sorted: the modules of this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load_metric(name: str) -> evaluate.Metric:
    """Import `ptv2.metrics.<name>` and return its metric, which works in memory, offline and in several processes.

    `evaluate` is imported only here, since that takes seconds.

    Raises:
        ConfigError: there is no such metric; the message lists the known ones.
    """
    if name not in known_metrics():
        raise ConfigError(unknown("metric", name, known_metrics()))
    module = import_module(f"{__name__}.{name}")
    import evaluate

    class Metric(evaluate.Metric):
        """The module's `score` as an `evaluate` metric."""

        def _info(self) -> evaluate.MetricInfo:
            return evaluate.MetricInfo(
                description=module.DESCRIPTION,
                citation=module.CITATION,
                inputs_description=inspect.getdoc(module.score),
                features=_features(module.FEATURES),
            )

        def _compute(self, *, predictions: list[Any], references: list[Any], **_: Any) -> dict[str, float]:
            scores: dict[str, float] = module.score(predictions, references)
            return scores

    # evaluate creates a cache folder for every metric, also for one that never writes: remove it at once.
    with scratch_folder() as folder:
        return Metric(keep_in_memory=True, cache_dir=str(folder))


def _features(types: Any) -> Any:
    """Turn types by name into those of `datasets`; `["string"]` is a list of texts of any length."""
    import datasets

    if isinstance(types, str):
        return datasets.Value(types)
    if isinstance(types, list):
        return datasets.Sequence(_features(types[0]))
    return datasets.Features({name: _features(kind) for name, kind in types.items()})


def score_names(name: str) -> tuple[str, ...]:
    """List the scores of metric `name`; one of them can be a task's headline."""
    scores: tuple[str, ...] = import_module(f"{__name__}.{name}").SCORES
    return scores


def find_score(metric: str, name: str) -> str:
    """Find the score of `metric` that `name` means: the one of that name, or one with that further name.

    Raises:
        ConfigError: the metric has no such score; the message lists those it has.
    """
    known = score_names(metric)
    score: str = getattr(import_module(f"{__name__}.{metric}"), "OTHER_NAMES", {}).get(name, name)
    if score not in known:
        raise ConfigError(unknown(f"score of metric {metric}", name, known))
    return score
