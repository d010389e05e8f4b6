"""Figures as data: `conf/figure/<name>.yaml` says what stands on the x axis, and which series there are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import (
    AfterValidator,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from yaml import YAMLError

from ptv2.config import paths
from ptv2.config.schema import Frozen
from ptv2.errors import ConfigError, first_line, unknown
from ptv2.report.plots import Scale


def _is_setting(word: str) -> str:
    if not re.fullmatch("[^=]+=.+", word):
        raise ValueError(f"{word}: expected key=value, as ptv2 train takes it")
    return word


def _can_be_shown(name: str) -> str:
    if not name or name[0] in "_ ":  # matplotlib leaves names that begin with _ out of a legend
        raise ValueError(f"'{name}': expected a name that does not begin with _ or a space")
    return name


Setting = Annotated[str, AfterValidator(_is_setting)]
Label = Annotated[str, StringConstraints(min_length=1)]
Value = StrictInt | StrictFloat | StrictStr
PLACE = "{x}"  # in a setting: the value on the x axis
LAYERS = "{layers}"  # in the label of the x axis: how many layers the backbone has


class Axis(Frozen):
    """The x axis.

    `values` are numbers, words, names that each stand for settings, or one of two words: `layers`, growing numbers of
    the backbone's layers, and `evaluations`, the course of each run. `{layers}` in the label is the number of layers.
    """

    label: Label
    values: Literal["layers", "evaluations"] | tuple[Value, ...] | dict[str, tuple[Setting, ...]]
    overrides: tuple[Setting, ...] = ()  # with {x} for the value
    scale: Scale | None = None  # none: linear for numbers, category for words

    @field_validator("values")
    @classmethod
    def _values_differ(cls, values: Any) -> Any:
        if not values or (isinstance(values, tuple) and len({written(value) for value in values}) < len(values)):
            raise ValueError("expected one or more different values")
        return values

    @model_validator(mode="after")
    def _scale_fits(self) -> Axis:
        if self.scale in ("linear", "log") and not self.numeric:
            raise ValueError(f"scale={self.scale} needs numbers as values; expected category")
        if self.scale == "log" and isinstance(self.values, tuple) and min(map(float, self.values)) <= 0:
            raise ValueError("scale=log needs values above 0")
        if self.values == "evaluations" and self.scale == "category":
            raise ValueError("values=evaluations are numbers; expected scale=linear or log")
        return self

    @property
    def numeric(self) -> bool:
        if isinstance(self.values, tuple):
            return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)
        return isinstance(self.values, str)

    @property
    def needs_layers(self) -> bool:
        """Whether the number of the backbone's layers is asked for, in the values or in the label."""
        return self.values == "layers" or LAYERS in self.label

    @property
    def drawn(self) -> Scale:
        """The scale in force."""
        return self.scale or ("linear" if self.numeric else "category")


class Series(Frozen):
    """A curve, or a horizontal line: its name and what its runs are set to, with {x} for the value on the x axis."""

    name: Annotated[str, AfterValidator(_can_be_shown)]
    overrides: tuple[Setting, ...] = ()


class FigureSpec(Frozen):
    """One figure. `overrides` hold for all its runs, and the user's own win over them.

    `levels` are horizontal lines: drawn where their runs are there, and run where their method is asked for.
    """

    title: Label
    overrides: tuple[Setting, ...] = ()
    x: Axis
    series: tuple[Series, ...] = Field(min_length=1)
    levels: tuple[Series, ...] = ()
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(1, 2, 3), min_length=1)

    @model_validator(mode="after")
    def _series_are_told_apart(self) -> FigureSpec:
        names = [part.name for part in (*self.series, *self.levels)]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"series and levels need different names; '{min(twice)}' is there twice")
        for part in (*self.series, *self.levels):
            self.method_of(part)
        return self

    @model_validator(mode="after")
    def _place_is_used(self) -> FigureSpec:
        if not isinstance(self.x.values, dict) and self.x.values != "evaluations":
            for part in self.series:
                if not any(PLACE in word for word in (*self.x.overrides, *part.overrides)):
                    raise ValueError(f"series {part.name}: no setting has {PLACE}, so nothing changes along the x axis")
        words = [*self.overrides, *(word for level in self.levels for word in level.overrides)]
        if self.x.values == "evaluations" or isinstance(self.x.values, dict):
            words += [*self.x.overrides, *(word for part in self.series for word in part.overrides)]
        if stray := [word for word in words if PLACE in word]:
            raise ValueError(f"{stray[0]}: {PLACE} has no value here")
        return self

    def method_of(self, part: Series) -> str:
        """The method that a series or level names, itself or through the figure.

        Raises:
            ValueError: none does.
        """
        named = [word.partition("=")[2] for word in (*self.overrides, *part.overrides) if word.startswith("method=")]
        if not named:
            raise ValueError(f"series {part.name}: expected method=NAME among its overrides or the figure's")
        return named[-1]


def read_figure(name: str, changes: Sequence[str] = (), config_dir: str | None = None) -> FigureSpec:
    """A figure by name, shipped or from the user's folder.

    Args:
        changes: `key=value` words for its own keys, such as `x.values=[1,2,4]`.

    Raises:
        ConfigError: no such figure, or all that is wrong with its file.
    """
    known = paths.choices("figure", config_dir)
    if name not in known:
        raise ConfigError(unknown("figure", name, known))
    try:
        tree = OmegaConf.load(known[name])
        if not isinstance(tree, DictConfig):
            raise ConfigError(f"{known[name]}: expected keys such as title, x and series")
        for change in changes:
            key, _, value = change.partition("=")
            OmegaConf.update(tree, key, OmegaConf.from_dotlist([f"value={value}"]).value, merge=False)
        return FigureSpec.model_validate(OmegaConf.to_container(tree, resolve=True))
    except ValidationError as error:
        raise ConfigError(f"figure {name}: {_faults(error)}") from error
    except (OmegaConfBaseException, YAMLError, ValueError) as error:
        raise ConfigError(f"figure {name}: {first_line(error)}") from error


def written(value: Value) -> str:
    """A value of the axis as a setting has it, and as its place is named."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def filled(words: Sequence[str], value: str) -> tuple[str, ...]:
    """Settings with the value on the x axis in its place."""
    return tuple(word.replace(PLACE, value) for word in words)


def key_of(word: str) -> str:
    """The key of a setting, without the marks of Hydra's grammar."""
    return re.sub(r"^[+~]+", "", word.partition("=")[0])


def _faults(error: ValidationError) -> str:
    """All that is wrong, by key; what the members of a union say of one value is joined by "or"."""
    said: dict[str, list[str]] = {}
    for fault in error.errors():
        parts = [str(part) for part in fault["loc"] if not _is_type(part)]
        if fault["type"] == "extra_forbidden":
            kinds: dict[str, type[Frozen]] = {"x": Axis, "series": Series, "levels": Series}
            kind = kinds.get(parts[0], FigureSpec) if len(parts) > 1 else FigureSpec
            said[unknown("key", ".".join(parts), kind.model_fields)] = []
            continue
        message = str(fault["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
        message = message.replace("valid tuple", "list").replace("valid dictionary", "mapping")
        said.setdefault(".".join(parts), []).append(message)
    return "; ".join(": ".join(part for part in (key, " or ".join(texts)) if part) for key, texts in said.items())


def _is_type(part: int | str) -> bool:
    """Whether a part of a fault's place is pydantic's name of a type that it tried."""
    kinds = ("int", "float", "str", "literal[", "tuple[", "dict[")
    return isinstance(part, str) and (part in kinds or part.startswith(kinds[3:]))
