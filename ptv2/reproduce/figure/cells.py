"""From a figure's description to its cells: one for each series at each place of the x axis."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from ptv2.config.compose import compose
from ptv2.errors import ConfigError
from ptv2.reproduce.figure.spec import FigureSpec, Series, Setting, filled, key_of, written
from ptv2.reproduce.jobs.plan import Cell

GROUPS = 6  # of layers, at most: the paper has six of BERT-large's 24


def layer_groups(layers: int) -> list[int]:
    """Growing numbers of layers, all of them last: 4, 8, ..., 24 of 24; 2, 4, ..., 12 of 12; 1, 2, ..., 6 of 6."""
    step = math.ceil(layers / GROUPS)
    return [*range(step, layers, step), layers]


def cells_of(spec: FigureSpec, series: Sequence[Series], base: Sequence[str], layers: int | None = None) -> list[Cell]:
    """The cells of some of a figure's series; a cell's key is the series' name and the place's.

    Args:
        base: the task and the model.
        layers: how many the backbone has, where the figure asks for it (`Axis.needs_layers`).
    """
    found = []
    for part in series:
        for place, own in _places(spec, layers):
            words = (*spec.overrides, *part.overrides, *spec.x.overrides, *own)
            found.append(Cell((part.name, place), (*base, *_plain(filled(words, place), layers))))
    return found


def level_cells(spec: FigureSpec, levels: Sequence[Series], base: Sequence[str]) -> list[Cell]:
    """One cell for each horizontal line; its place is empty."""
    return [Cell((level.name, ""), (*base, *spec.overrides, *level.overrides)) for level in levels]


def refuse_fixed_axis(spec: FigureSpec, overrides: Sequence[str]) -> None:
    """The user's settings win over a figure's; those that tell its places and series apart must stay its own.

    Raises:
        ConfigError: one of them would make all curves the same.
    """
    varied = [*spec.x.overrides, *(word for part in spec.series for word in part.overrides)]
    if isinstance(spec.x.values, dict):
        varied += [word for words in spec.x.values.values() for word in words]
    keys = set(map(key_of, varied))
    for word in overrides:
        if key_of(word) in keys:
            raise ConfigError(
                f"{word}: the figure itself varies {key_of(word)}; expected figure.x.values=[...] or a figure file of "
                "your own"
            )


def layers_of(model: str | None, overrides: Sequence[str], config_dir: str | None = None) -> int:
    """How many layers a backbone has, by its configuration; none named is the default one.

    Raises:
        ModelError: its configuration is not to be had.
    """
    from ptv2.models.outline import find_config  # imports transformers

    words = [*([f"model={model}"] if model else []), *(w for w in overrides if key_of(w).startswith("model."))]
    return int(find_config(compose(words, config_dir).model)[0].num_hidden_layers)


def _places(spec: FigureSpec, layers: int | None) -> list[tuple[str, Sequence[Setting]]]:
    """Names of the places on the x axis, with the settings that stand for each beside the figure's own."""
    values = spec.x.values
    if isinstance(values, dict):
        return list(values.items())
    if values == "evaluations":
        return [("", ())]
    if values == "layers":
        assert layers is not None
        return [(str(count), ()) for count in layer_groups(layers)]
    return [(written(value), ()) for value in values]


def _plain(words: Sequence[str], layers: int | None) -> tuple[str, ...]:
    """The first or last of all layers are all: one run, and one name for it."""
    whole = re.compile(rf"^prompt\.layers=(first|last)-{layers}$")
    return tuple(whole.sub("prompt.layers=all", word) for word in words)
