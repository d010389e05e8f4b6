"""Dataclasses of numpy arrays: join sets that were encoded in parts, and take sets apart for a file.

The name of a field tells how to join it, the same in every set: `starts` are the bounds of sequences in flat arrays,
`owners` number the examples that rows come from, `truncated` is a count; any other array has one row per item, and any
other value belongs to the whole set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

import numpy as np

T = TypeVar("T")
Scalar = int | float | str | bool | None


def concatenated(sets: list[T], examples: Sequence[int]) -> T:
    """Join sets of the same kind into the one that encoding all their examples at once would give.

    Args:
        sets: at least one; the list is emptied, so that no array need be in memory twice.
        examples: the number of examples in each of `sets`, by which `owners` are shifted.

    Raises:
        ValueError: a value that belongs to the whole set differs, or only some sets have an array.
    """
    kind = type(sets[0])
    columns: dict[str, list[Any]] = {}
    sets.reverse()
    while sets:
        arrays, scalars = flatten(sets.pop())
        for name, value in (arrays | scalars).items():
            columns.setdefault(name, []).append(value)
    del arrays, value
    joined = {name: _joined(name.rpartition(".")[2], columns.pop(name), examples) for name in list(columns)}
    arrays = {name: value for name, value in joined.items() if isinstance(value, np.ndarray)}
    return unflatten(kind, arrays, {name: value for name, value in joined.items() if name not in arrays})


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


def _joined(name: str, values: list[Any], examples: Sequence[int]) -> Any:
    """Join the values of one field, and empty the list."""
    if all(isinstance(value, np.ndarray) for value in values):
        shifts = np.zeros(len(values), dtype=np.int64)
        if name == "starts":
            shifts = np.cumsum([0, *(value[-1] for value in values[:-1])])
            values[1:] = [value[1:] for value in values[1:]]
        elif name == "owners":
            shifts = np.cumsum([0, *examples[:-1]])
        whole = np.empty((sum(map(len, values)), *values[0].shape[1:]), np.result_type(*values))
        end = len(whole)
        while values:  # each array is let go once it is copied
            value = values.pop()
            whole[end - len(value) : end] = value
            if shift := shifts[len(values)]:
                whole[end - len(value) : end] += shift
            end -= len(value)
        return whole
    if name == "truncated":
        return sum(values)
    if any(isinstance(value, np.ndarray) or value != values[0] for value in values):
        raise ValueError(f"{name}: encoded sets with different values cannot be joined")
    return values[0]
