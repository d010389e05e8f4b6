"""Results for other programs: one JSON document on standard output, in the place of tables."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def json_text(document: Mapping[str, Any]) -> str:
    """A document as JSON: numbers are not rounded, and what is no finite number is null."""
    return json.dumps(_plain(document), indent=1, allow_nan=False) + "\n"


def show_json(document: Mapping[str, Any]) -> None:
    """Print a document."""
    print(json_text(document), end="")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if hasattr(value, "item"):  # numpy's numbers
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
