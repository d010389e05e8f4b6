"""Dataclasses of numpy arrays: take them apart, for a file or to join them, and build them again."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

import numpy as np

T = TypeVar("T")
Scalar = int | float | str | bool | None


def flatten(value: Any, prefix: str = "") -> tuple[dict[str, np.ndarray], dict[str, Scalar]]:
    """Take a dataclass apart: its arrays and its other values by dotted name (`tokens.ids`), nested ones included."""
    arrays: dict[str, np.ndarray] = {}
    scalars: dict[str, Scalar] = {}
    for field in fields(value):
        name, member = prefix + field.name, getattr(value, field.name)
        if is_dataclass(member):
            more_arrays, more_scalars = flatten(member, f"{name}.")
            arrays |= more_arrays
            scalars |= more_scalars
        elif isinstance(member, np.ndarray):
            arrays[name] = member
        else:
            scalars[name] = member.item() if isinstance(member, np.generic) else member
    return arrays, scalars


def unflatten(kind: type[T], arrays: dict[str, np.ndarray], scalars: dict[str, Scalar], prefix: str = "") -> T:
    """Build the dataclass that `flatten` took apart; `KeyError` where a field is missing."""
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]
        name, hint = prefix + field.name, hints[field.name]
        if is_dataclass(hint):
            values[field.name] = unflatten(hint, arrays, scalars, f"{name}.")  # type: ignore[arg-type]
        else:
            values[field.name] = arrays[name] if name in arrays else scalars[name]
    return kind(**values)


def ranges(begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Join `arange(begins[i], ends[i])` of every i; ranges may be empty."""
    lengths = ends - begins
    return np.repeat(begins - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
