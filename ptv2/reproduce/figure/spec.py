"""The description of a figure, a file of `conf/figure/` or of a user: the x axis and the series."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    StringConstraints,
    field_validator,
    model_validator,
)

from ptv2.config.task_schema import Frozen
from ptv2.report.plots import Scale
from ptv2.reproduce.description import read_description


def _is_setting(word: str) -> str:
    if not re.fullmatch("[^=]+=.+", word):
        raise ValueError("expected key=value, as ptv2 train takes it")
    return word


def _can_be_shown(name: str) -> str:
    if not name or name[0] in "_ ":  # matplotlib leaves names that begin with _ out of a legend
        raise ValueError("expected a name that does not begin with _ or a space")
    return name


Setting = Annotated[str, AfterValidator(_is_setting)]
Label = Annotated[str, StringConstraints(min_length=1)]
Value = StrictInt | StrictFloat | StrictStr
VALUE = "{x}"  # in a setting: the value on the x axis
LAYERS = "{layers}"  # in the label of the x axis: how many layers the backbone has


class Axis(Frozen):
    """The x axis.

    `values` are numbers, words, names that each stand for settings, or one of three words: `layers`, growing numbers of
    the backbone's layers, `evaluations`, those of each run, and `models`, the sizes of backbones; over these the gap to
    fine-tuning is drawn. `{layers}` in the label is the number of layers.
    """

    label: Label
    values: Literal["layers", "evaluations", "models"] | tuple[Value, ...] | dict[str, tuple[Setting, ...]]
    overrides: tuple[Setting, ...] = ()  # with {x} for the value
    scale: Scale | None = None  # None: linear for numbers, category for words

    @field_validator("values")
    @classmethod
    def _values_differ(cls, values: Any) -> Any:
        if not values or (isinstance(values, tuple) and len({format_value(value) for value in values}) < len(values)):
            raise ValueError("expected one or more different values")
        return values

    @model_validator(mode="after")
    def _scale_fits(self) -> Axis:
        if self.scale in ("linear", "log") and not self.numeric:
            raise ValueError(f"scale={self.scale} needs numbers as values; expected category")
        if self.scale == "log" and isinstance(self.values, tuple) and min(map(float, self.values)) <= 0:
            raise ValueError("scale=log needs values above 0")
        if self.values in ("evaluations", "models") and self.scale == "category":
            raise ValueError(f"values={self.values} are numbers; expected scale=linear or log")
        return self

    @property
    def numeric(self) -> bool:
        if isinstance(self.values, tuple):
            return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)
        return isinstance(self.values, str)

    @property
    def needs_layers(self) -> bool:
        """Whether the values or the label depend on the number of the backbone's layers."""
        return self.values == "layers" or LAYERS in self.label

    @property
    def drawn(self) -> Scale:
        """The scale, or its default."""
        if self.values == "models":
            return self.scale or "log"
        return self.scale or ("linear" if self.numeric else "category")


class Series(Frozen):
    """A curve or a horizontal line: its name and the settings of its runs, with {x} for the value on the x axis."""

    name: Annotated[str, AfterValidator(_can_be_shown)]
    overrides: tuple[Setting, ...] = ()


class FigureSpec(Frozen):
    """The description of a figure. `overrides` are settings of all its runs; the user's win over them.

    `levels` are horizontal lines: drawn if their runs are finished, and run if their method is asked for.
    """

    title: Label
    overrides: tuple[Setting, ...] = ()
    x: Axis
    series: tuple[Series, ...] = Field(min_length=1)
    levels: tuple[Series, ...] = ()
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(1, 2, 3), min_length=1)

    @model_validator(mode="after")
    def _series_are_told_apart(self) -> FigureSpec:
        names = [series.name for series in (*self.series, *self.levels)]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"series and levels need different names; '{min(twice)}' is there twice")
        for series in (*self.series, *self.levels):
            self.method_of(series)
        return self

    @model_validator(mode="after")
    def _value_is_used(self) -> FigureSpec:
        if self.x.values == "models" and self.levels:
            raise ValueError("values=models draws the gap to fine-tuning, the only level; expected no levels")
        constant = isinstance(self.x.values, dict) or self.x.values in ("evaluations", "models")
        if not constant:
            for series in self.series:
                if not any(VALUE in word for word in (*self.x.overrides, *series.overrides)):
                    raise ValueError(
                        f"series {series.name}: no setting has {VALUE}, so nothing changes along the x axis"
                    )
        words = [*self.overrides, *(word for level in self.levels for word in level.overrides)]
        if constant:
            words += [*self.x.overrides, *(word for series in self.series for word in series.overrides)]
        if stray := [word for word in words if VALUE in word]:
            raise ValueError(f"{stray[0]}: {VALUE} has no value here")
        return self

    def method_of(self, series: Series) -> str:
        """The method of a series or level, named in its own settings or in those of the figure.

        Raises:
            ValueError: neither names one.
        """
        named = [word.partition("=")[2] for word in (*self.overrides, *series.overrides) if word.startswith("method=")]
        if not named:
            raise ValueError(f"series {series.name}: expected method=NAME among its overrides or the figure's")
        return named[-1]


def read_figure(name: str, changes: Sequence[str] = (), config_dir: str | None = None) -> FigureSpec:
    """Read `figure/<name>.yaml`; raises `ConfigError` for one that is missing or wrong.

    Args:
        changes: `key=value` words for its own keys, such as `x.values=[1,2,4]`.
    """
    inner: dict[str, type[Frozen]] = {"x": Axis, "series": Series, "levels": Series}
    return read_description("figure", FigureSpec, inner, name, config_dir, changes)


def format_value(value: Value) -> str:
    """Format a value of the x axis, as settings and names have it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def fill_in(words: Sequence[str], value: str) -> tuple[str, ...]:
    """Settings with a value of the x axis in place of `{x}`."""
    return tuple(word.replace(VALUE, value) for word in words)


def key_of(word: str) -> str:
    """The key of a setting, without the prefixes of Hydra's grammar."""
    return re.sub(r"^[+~]+", "", word.partition("=")[0])
