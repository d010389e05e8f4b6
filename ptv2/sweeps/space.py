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
DIGITS = 4  # of a rate that is tried, so that the printed command line gives the same run again
# Settings that decide what is measured: a study that chose among them would choose the easier question.
NOT_SEARCHED = ("task", "data", "seed", "out")


def split_space(overrides: Sequence[Override]) -> tuple[dict[str, Distribution], list[str]]:
    """Split overrides into distributions of settings to search, by key, and the others; a key's last one counts.

    Raises:
        ConfigError: a setting that must not be searched, or a wrong interval.
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
    """One point of the space: first choices, least whole numbers, and rates off the ends, which may be whole."""
    point: dict[str, Value] = {}
    for key, values in space.items():
        if isinstance(values, CategoricalDistribution):
            point[key] = str(values.choices[0])
        elif isinstance(values, IntDistribution) or values.step is not None:
            point[key] = values.low
        else:
            point[key] = values.low + (values.high - values.low) / math.pi
    return point


def as_overrides(values: Mapping[str, Value]) -> list[str]:
    """Format values as overrides; rates have `DIGITS` significant digits."""
    return [
        f"{key}={value:.{DIGITS}g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()
    ]
