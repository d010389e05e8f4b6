"""The metrics without the prompts of one layer, and with those of one layer only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ptv2.analysis.passes import Done, nothing, only_at
from ptv2.models.build import PromptedModel
from ptv2.models.prompts import DeepPrompts

Metrics = dict[str, float]


@dataclass(frozen=True)
class Ablation:
    """Metrics in percent, by layer where layers have prompts; shallow prompts belong to no layer."""

    whole: Metrics
    none: Metrics
    without: dict[int, Metrics]  # without this layer's prompts
    only: dict[int, Metrics]  # with this layer's prompts alone


def ablate(model: PromptedModel, score: Callable[[], Metrics], done: Done = nothing) -> Ablation:
    """Score the model with some of its prompts removed; nothing is trained again, and positions stay.

    Args:
        score: returns the metrics of the model as it is at the time.
        done: called with 1 after each of `count_scores(model)` scores.
    """
    layers = model.prompts.layers if isinstance(model.prompts, DeepPrompts) else ()

    def score_with(*chosen: int) -> Metrics:
        with only_at(model, chosen):
            metrics = score()
        done(1)
        return metrics

    whole = score()
    done(1)
    return Ablation(
        whole,
        none=score_with(),
        without={layer: score_with(*(other for other in layers if other != layer)) for layer in layers},
        only={layer: score_with(layer) for layer in layers},
    )


def count_scores(model: PromptedModel) -> int:
    """How many scores `ablate` computes."""
    return 2 + 2 * (len(model.prompts.layers) if isinstance(model.prompts, DeepPrompts) else 0)
