"""The metric without the prompts of a layer, and with those of one layer only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ptv2.analysis.passes import Done, nothing, only_at
from ptv2.models.build import PromptedModel
from ptv2.models.prompts import DeepPrompts

Metrics = dict[str, float]


@dataclass(frozen=True)
class Ablation:
    """Metrics in percent. Layers without prompts of their own are in neither mapping; shallow prompts have no layer."""

    whole: Metrics
    none: Metrics
    without: dict[int, Metrics]  # all prompts but this layer's
    only: dict[int, Metrics]  # this layer's prompts and no others


def ablate(model: PromptedModel, score: Callable[[], Metrics], done: Done = nothing) -> Ablation:
    """Score the model with some of its prompts taken away; nothing is trained again, and positions stay.

    Args:
        score: the metrics of the model as it is when called.
        done: called with 1 after each of `count_scores(model)` scores.
    """
    layers = model.prompts.layers if isinstance(model.prompts, DeepPrompts) else ()

    def scored(kept: tuple[int, ...] | None) -> Metrics:
        if kept is None:
            found = score()
        else:
            with only_at(model, kept):
                found = score()
        done(1)
        return found

    return Ablation(
        whole=scored(None),
        none=scored(()),
        without={layer: scored(tuple(other for other in layers if other != layer)) for layer in layers},
        only={layer: scored((layer,)) for layer in layers},
    )


def count_scores(model: PromptedModel) -> int:
    """How often `ablate` scores."""
    return 2 + 2 * (len(model.prompts.layers) if isinstance(model.prompts, DeepPrompts) else 0)
