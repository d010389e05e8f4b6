"""The scores of single classes in one line; `result.json` and the report's page have all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ptv2.errors import enumerate_some, shorten

LISTED = 4  # so many classes are listed in their own order; of more than these, the lowest
LOWEST = 3
NAME = 24  # letters of a label


def describe_classes(rows: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Describe F1 of each class, or of the lowest; which classes are never predicted, and which have no examples.

    Args:
        rows: by label `f1` (in percent, or None), `support` and `predicted`; None is returned for other rows.
    """
    if not rows or not all({"f1", "support", "predicted"} <= row.keys() for row in rows.values()):
        return None
    counted = {label: row["f1"] for label, row in rows.items() if row["f1"] is not None}
    if len(rows) <= LISTED:
        parts = [f"F1 {_listed(counted.items())}"]
    else:
        lowest = sorted(counted.items(), key=lambda pair: pair[1])[:LOWEST]  # stable: equals in the order of the labels
        parts = [f"lowest F1 of {len(rows)}: {_listed(lowest)}"]
    if silent := [label for label, row in rows.items() if row["support"] and not row["predicted"]]:
        parts.append(f"never predicted: {enumerate_some(silent, LOWEST)}")
    if absent := [label for label, row in rows.items() if not row["support"]]:
        parts.append(f"no examples of: {enumerate_some(absent, LOWEST)}")
    return "; ".join(parts)


def _listed(scores: Iterable[tuple[str, float]]) -> str:
    return ", ".join(f"{shorten(label, NAME)} {f1:.1f}" for label, f1 in scores)
