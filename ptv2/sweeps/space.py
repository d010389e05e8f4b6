"""Search spaces in Hydra's words: `interval(a, b)`, `tag(log, interval(a, b))`, `range(a, b, step)`, `choice(a, b)`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from ptv2.errors import ConfigError

Value = str | int | float
Distribution = CategoricalDistribution | FloatDistribution | IntDistribution
DIGITS = 4  # of a rate that is tried: the command line that is printed gives the same run again
# What decides what is measured: a study that chose among these would choose the easier question.
NOT_SEARCHED = ("task", "data", "seed", "out")


def split_space(overrides: Sequence[Override]) -> tuple[dict[str, Distribution], list[str]]:
    """Distributions of the settings to search, by key, and the other overrides as they are.

    The last word on a key counts.

    Raises:
        ConfigError: a setting that must not be searched, or an interval that is none.
    """
    last = {override.get_key_element(): override for override in overrides}
    space: dict[str, Distribution] = {}
    fixed: list[str] = []
    for key, override in last.items():
        if not override.is_sweep_override():
            fixed.append(f"{key}={override.get_value_element_as_str()}")
            continue
        if key.lstrip("+").partition(".")[0] in NOT_SEARCHED:
            raise ConfigError(
                f"{override.input_line}: Optuna chooses by the dev score, and {key} changes what is scored; expected "
                "one value (a study each, or a sweep without Optuna)"
            )
        try:
            space[key] = _distribution(override)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{override.input_line}: {error}") from error
    return space, fixed


def _distribution(override: Override) -> Distribution:
    value = override.value()
    if isinstance(value, IntervalSweep):
        if isinstance(value.start, int) and isinstance(value.end, int):
            return IntDistribution(value.start, value.end, log="log" in value.tags)
        return FloatDistribution(float(value.start or 0), float(value.end or 0), log="log" in value.tags)
    if isinstance(value, RangeSweep) and not value.shuffle:
        numbers: list[Any] = list(value.range())
        if len(numbers) > 1 and numbers[0] < numbers[-1]:
            kind: Any = IntDistribution if isinstance(numbers[0], int) else FloatDistribution
            return kind(numbers[0], numbers[-1], step=value.step)
    return CategoricalDistribution(list(override.sweep_string_iterator()))


def a_point(space: Mapping[str, Distribution]) -> dict[str, Value]:
    """One point of the space: the first choice, the least whole number, a rate off the ends (they may be whole)."""
    point: dict[str, Value] = {}
    for key, found in space.items():
        if isinstance(found, CategoricalDistribution):
            point[key] = str(found.choices[0])
        elif isinstance(found, IntDistribution) or found.step is not None:
            point[key] = found.low
        else:
            point[key] = found.low + (found.high - found.low) / math.pi
    return point


def as_overrides(values: Mapping[str, Value]) -> list[str]:
    """The words that set these values; rates are rounded to `DIGITS` significant digits."""
    return [
        f"{key}={value:.{DIGITS}g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()
    ]
