"""Dataclasses of numpy arrays: joined, for sets encoded in parts, and taken apart, for a file.

What a field is follows from its name, the same in every set: `starts` are the bounds of sequences in flat arrays,
`owners` number the examples that rows come from, `truncated` counts; any other array has a row an item, and any other
value belongs to the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

import numpy as np

T = TypeVar("T")
Scalar = int | float | str | bool | None


def concatenated(sets: Sequence[T], examples: Sequence[int]) -> T:
    """One set of several of the same kind: what encoding all their examples at once would have given.

    Args:
        examples: how many examples each of `sets` was made from, by which `owners` are numbered on.

    Raises:
        ValueError: a value that belongs to the whole differs, or only some sets have an array.
    """
    names = [field.name for field in fields(sets[0])]  # type: ignore[arg-type]
    found = {name: [getattr(one, name) for one in sets] for name in names}
    return type(sets[0])(**{name: _joined(name, values, examples) for name, values in found.items()})


def flatten(value: Any, prefix: str = "") -> tuple[dict[str, np.ndarray], dict[str, Scalar]]:
    """The arrays and the other values of a dataclass by dotted name (`tokens.ids`), nested ones included."""
    arrays: dict[str, np.ndarray] = {}
    scalars: dict[str, Scalar] = {}
    for field in fields(value):
        name, found = prefix + field.name, getattr(value, field.name)
        if is_dataclass(found):
            more_arrays, more_scalars = flatten(found, f"{name}.")
            arrays |= more_arrays
            scalars |= more_scalars
        elif isinstance(found, np.ndarray):
            arrays[name] = found
        else:
            scalars[name] = found.item() if isinstance(found, np.generic) else found
    return arrays, scalars


def unflatten(kind: type[T], arrays: dict[str, np.ndarray], scalars: dict[str, Scalar], prefix: str = "") -> T:
    """The dataclass that `flatten` took apart; `KeyError` where a field is missing."""
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
    """`arange(begins[i], ends[i])` for every i, one after the other; ranges may be empty."""
    lengths = ends - begins
    return np.repeat(begins - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())


def _joined(name: str, found: list[Any], examples: Sequence[int]) -> Any:
    if is_dataclass(found[0]):
        return concatenated(found, examples)
    if isinstance(found[0], np.ndarray) and all(isinstance(one, np.ndarray) for one in found):
        if name == "starts":
            shifts = np.cumsum([0] + [one[-1] for one in found[:-1]])
            return np.concatenate([found[0][:1], *(one[1:] + shift for one, shift in zip(found, shifts, strict=True))])
        if name == "owners":
            shifts = np.cumsum([0, *examples[:-1]])
            return np.concatenate([one + shift for one, shift in zip(found, shifts, strict=True)])
        return np.concatenate(found)
    if name == "truncated":
        return sum(found)
    if any(isinstance(one, np.ndarray) or one != found[0] for one in found):
        raise ValueError(f"{name}: encoded sets that differ in it cannot be joined")
    return found[0]
