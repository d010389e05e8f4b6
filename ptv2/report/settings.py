"""The settings of runs that decide their numbers, by key; without those that name the task, its data and the model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ptv2.config import identity
from ptv2.config.keys import flat
from ptv2.config.schema import RunConfig

# Settings that name the task, data, model and run; a recipe may hold the rest.
NAMING = (
    *("seed", "out", "recipe", "method", "data"),
    *("task.name", "task.source", "task.sources", "task.templates"),
    *("model.name", "model.path", "model.revision", "model.sha256", "model.config", "model.trust_remote_code"),
    *("multitask.tasks", "multitask.only_shared"),
)


def decisive(config: RunConfig) -> dict[str, Any]:
    """The settings that decide numbers, by key; without those that name the task, its data, the model and the run."""
    naming = tuple(f"{key}." for key in NAMING)
    pairs = flat(identity.decisive(config))
    return {key: value for key, value in pairs.items() if not f"{key}.".startswith(naming)}


def beyond(settings: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that differ from a default."""
    return {key: value for key, value in settings.items() if key not in default or default[key] != value}


def varying(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys whose values differ among several settings, in the order of the configuration."""
    keys = dict.fromkeys(key for one in settings for key in one)
    values = {key: {json.dumps(one.get(key)) for one in settings} for key in keys}
    return [key for key in keys if len(values[key]) > 1]
