"""Metrics: one module each, with a pure `score(predictions, references)`, the names of its scores, what `load_metric`
makes a local `evaluate.Metric` of, and `fractions`: what each unit adds to them, for a bootstrap over a test set's
units. `OTHER_NAMES`, where a metric has it, are further names of its scores.

Scores are fractions from 0 to 1 (the Matthews correlation from -1), and for every metric here higher is better. Nothing
is fetched from the hub, so a number does not depend on what a metric script there looks like today. A module imports
nothing of this package but another metric, and can be used alone, for example in a notebook.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ptv2.errors import ConfigError, unknown

if TYPE_CHECKING:
    import evaluate


def known_metrics() -> list[str]:
    """The names `load_metric` takes, sorted: the modules of this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load_metric(name: str) -> evaluate.Metric:
    """Import `ptv2.metrics.<name>` and return its metric, which works in memory, offline and in several processes.

    The import is left until here because `evaluate` takes seconds to import.

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
                inputs_description=module.INPUTS,
                features=module.features(),
            )

        def _compute(self, *, predictions: list[Any], references: list[Any], **_: Any) -> dict[str, float]:
            scores: dict[str, float] = module.score(predictions, references)
            return scores

    # evaluate creates a cache folder for every metric, also for one that never writes to it: let it vanish at once.
    with TemporaryDirectory(prefix="ptv2-metric-") as folder:
        return Metric(keep_in_memory=True, cache_dir=folder)


def score_names(name: str) -> tuple[str, ...]:
    """The names of the scores of metric `name`; one of them can be a task's headline."""
    scores: tuple[str, ...] = import_module(f"{__name__}.{name}").SCORES
    return scores


def find_score(metric: str, name: str) -> str:
    """The score of `metric` that `name` stands for: itself, or what the metric calls it.

    Raises:
        ConfigError: the metric has no such score; the message lists those it has.
    """
    known = score_names(metric)
    found: str = getattr(import_module(f"{__name__}.{metric}"), "OTHER_NAMES", {}).get(name, name)
    if found not in known:
        raise ConfigError(unknown(f"score of metric {metric}", name, known))
    return found
