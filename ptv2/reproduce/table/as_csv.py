"""All that is known of a table's numbers, for other programs: records for JSON, and CSV made of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from ptv2.reproduce.table.entries import Entry

COLUMNS = (
    "row",
    "model",
    "column",
    "task",
    "split",
    "metric",
    "method",
    "mean",
    "sd",
    "seeds",
    "values",
    "last_epoch_mean",
    "paper",
    "cross_checked",
    "ours_less_paper",
    "difference",
    "p",
    "bootstrap_low",
    "bootstrap_high",
    "bootstrap_p",
    "margin",
    "equivalence_p",
    "bootstrap_within_margin",
    "trained_parameters",
    "trained_percent",
    "train_seconds",
    "shared_seconds",
    "memory_bytes",
    "why_missing",
)


def comma_separated(records: Sequence[dict[str, Any]]) -> str:
    """One line a number, from what `as_records` gives."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for record in records:
        values = " ".join(f"{seed}:{value}" for seed, value in record["values"].items())
        flat = {**record, **(record["against"] or {}), **(record["cost"] or {}), "values": values}
        flat["why_missing"] = "; ".join(record["why_missing"])
        writer.writerow({key: "" if value is None else value for key, value in flat.items()})
    return stream.getvalue()


def as_records(entries: Sequence[Entry], clean: Callable[[str], str]) -> list[dict[str, Any]]:
    """All that is known of each number, in values that JSON can hold.

    Args:
        clean: takes the places of this machine out of a text.
    """
    return [_record(entry, clean) for entry in entries]


def _record(entry: Entry, clean: Callable[[str], str]) -> dict[str, Any]:
    place = entry.place
    config = next((job.config for job in entry.jobs if job.config is not None), None)
    return {
        "row": place.row.name,
        "column": place.column.name,
        "task": place.column.of_task,
        "model": config.model.name if config else None,
        "split": entry.split,
        "metric": entry.metric,
        "method": place.method.name,
        "mean": _rounded(entry.mean),
        "sd": _rounded(entry.spread),
        "seeds": len(entry.values),
        "seeds_asked": entry.asked,
        "values": {str(seed): _rounded(value) for seed, value in entry.values.items()},
        "last_epoch_mean": _rounded(entry.last_mean),
        "paper": entry.paper.value if entry.paper else None,
        "cross_checked": entry.paper.checked if entry.paper else None,
        "ours_less_paper": _rounded(entry.difference),
        "against": _against(entry),
        "cost": _cost(entry),
        "recipe": config.recipe.model_dump(mode="json") if config and config.recipe else None,
        "head": config.head.kind if config else None,
        "notes": list(dict.fromkeys(note for result in entry.results for note in result.all_notes)),
        "one_answer_seeds": entry.one_answer,
        "runs": [result.name for result in entry.results],
        "why_missing": [clean(reason) for reason in entry.reasons],
    }


def _against(entry: Entry) -> dict[str, Any] | None:
    found = entry.comparison
    if found is None:
        return None
    drawn = found.bootstrap
    return {
        "difference": _rounded(found.difference),
        "common_seeds": list(found.seeds),
        "p": _rounded(found.p),
        "margin": found.margin,
        "equivalence_p": _rounded(found.equivalence_p),
        "bootstrap_low": _rounded(drawn.low) if drawn else None,
        "bootstrap_high": _rounded(drawn.high) if drawn else None,
        "bootstrap_low_90": _rounded(drawn.low_90) if drawn else None,
        "bootstrap_high_90": _rounded(drawn.high_90) if drawn else None,
        "bootstrap_p": _rounded(drawn.p) if drawn else None,
        "bootstrap_units": drawn.units if drawn else None,
        "bootstrap_unit": drawn.unit if drawn else None,
        "bootstrap_within_margin": found.within,
    }


def _cost(entry: Entry) -> dict[str, Any] | None:
    if entry.cost is None:
        return None
    cost = asdict(entry.cost)
    return {
        "trained_parameters": cost["trained"],
        "trained_percent": _rounded(cost["trained_percent"]),
        "train_seconds": _rounded(cost["train_seconds"]),
        "total_seconds": _rounded(cost["total_seconds"]),
        "shared_seconds": _rounded(cost["shared_seconds"]),
        "memory_bytes": cost["memory"],
        "memory_of": cost["memory_of"],
        "device": cost["device"],
    }


def _rounded(value: float | None) -> float | None:
    """Four digits: more than anyone reads, few enough to not depend on the order of a sum."""
    return None if value is None else round(value, 4)
