"""From a figure's description to its cells: one for each series at each value of x."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from ptv2.config.compose import compose
from ptv2.errors import ConfigError
from ptv2.reproduce.figure.spec import FigureSpec, Series, Setting, fill_in, format_value, key_of
from ptv2.reproduce.jobs.list_jobs import Cell

GROUPS = 6  # of layers, at most: the paper has six of BERT-large's 24


def layer_groups(layers: int) -> list[int]:
    """Growing numbers of layers, up to all: 4, 8, ..., 24 of 24; 2, 4, ..., 12 of 12; 1, 2, ..., 6 of 6."""
    step = math.ceil(layers / GROUPS)
    return [*range(step, layers, step), layers]


def cells_of(spec: FigureSpec, series: Sequence[Series], base: Sequence[str], layers: int | None = None) -> list[Cell]:
    """The cells of some of a figure's series; a cell's key is the names of the series and of x.

    Args:
        base: the task and the model.
        layers: how many the backbone has, if the figure needs to know (`Axis.needs_layers`).
    """
    cells = []
    for curve in series:
        for x, settings in _values(spec, layers):
            words = (*spec.overrides, *curve.overrides, *spec.x.overrides, *settings)
            cells.append(Cell((curve.name, x), (*base, *_without_range(fill_in(words, x), layers))))
    return cells


def level_cells(spec: FigureSpec, levels: Sequence[Series], base: Sequence[str]) -> list[Cell]:
    """One cell for each horizontal line; its x is empty."""
    return [Cell((level.name, ""), (*base, *spec.overrides, *level.overrides)) for level in levels]


def refuse_fixed_axis(spec: FigureSpec, overrides: Sequence[str]) -> None:
    """Refuse a setting of the user that the figure itself varies, which would make its curves or marks equal.

    Raises:
        ConfigError: there is one.
    """
    varied = [*spec.x.overrides, *(word for series in spec.series for word in series.overrides)]
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
    """How many layers a backbone has, by its configuration; None is the default backbone.

    Raises:
        ModelError: its configuration cannot be had.
    """
    from ptv2.models.outline import find_config  # imports transformers

    words = [*([f"model={model}"] if model else []), *(w for w in overrides if key_of(w).startswith("model."))]
    return int(find_config(compose(words, config_dir).model)[0].num_hidden_layers)


def _values(spec: FigureSpec, layers: int | None) -> list[tuple[str, Sequence[Setting]]]:
    """The values of x by name, each with the settings that it adds."""
    values = spec.x.values
    if isinstance(values, dict):
        return list(values.items())
    if values == "evaluations":
        return [("", ())]
    if values == "layers":
        assert layers is not None
        return [(str(count), ()) for count in layer_groups(layers)]
    return [(format_value(value), ()) for value in values]


def _without_range(words: Sequence[str], layers: int | None) -> tuple[str, ...]:
    """Settings in which the first or last of all layers is `all`, so that it is the same run."""
    whole = re.compile(rf"^prompt\.layers=(first|last)-{layers}$")
    return tuple(whole.sub("prompt.layers=all", word) for word in words)
