"""Settings by their full keys ("optim.lr"), and their values as text. Imports nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested settings into values by full key; lists and empty mappings are values."""
    pairs: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            pairs |= flat(value, f"{prefix}{key}.")
        else:
            pairs[f"{prefix}{key}"] = value
    return pairs


def nested(pairs: Mapping[str, Any]) -> dict[str, Any]:
    """Turn values by full key into nested settings, as `flat` reversed."""
    tree: dict[str, Any] = {}
    for key, value in pairs.items():
        *parents, leaf = key.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return tree


def short_value(value: Any) -> str:
    """Format a setting's value as a recipe or a command writes it."""
    if value is None:
        return "null"
    return f"{value:g}" if isinstance(value, float) else str(value)
