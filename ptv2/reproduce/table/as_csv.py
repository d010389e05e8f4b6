"""All that is known of a table's numbers, for other programs: records for JSON, and CSV made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from ptv2.report.formats import format_csv
from ptv2.reproduce.table.entries import Entry

COLUMNS = (
    *("row", "model", "column", "task", "split", "metric", "method"),
    *("mean", "sd", "seeds", "values", "last_epoch_mean", "paper", "cross_checked", "ours_less_paper"),
    *("difference", "p", "bootstrap_low", "bootstrap_high", "bootstrap_p"),
    *("margin", "equivalence_p", "bootstrap_within_margin"),
    *("trained_parameters", "trained_percent", "train_seconds", "shared_seconds", "memory_bytes", "why_missing"),
)
RESAMPLED = ("low", "high", "low_90", "high_90", "p", "units", "unit")  # fields of a bootstrap


def comma_separated(records: Sequence[dict[str, Any]]) -> str:
    """One line per number, from the records of `as_records`."""
    rows = (
        {
            **record,
            **(record["against"] or {}),
            **(record["cost"] or {}),
            "values": " ".join(f"{seed}:{value}" for seed, value in record["values"].items()),
            "why_missing": "; ".join(record["why_missing"]),
        }
        for record in records
    )
    return format_csv(COLUMNS, rows)


def as_records(entries: Sequence[Entry], clean: Callable[[str], str]) -> list[dict[str, Any]]:
    """All that is known of each number, in values that JSON can hold.

    Args:
        clean: removes paths of this machine from a text.
    """
    return [_as_record(entry, clean) for entry in entries]


def _as_record(entry: Entry, clean: Callable[[str], str]) -> dict[str, Any]:
    config, position = entry.config, entry.position
    return {
        "row": position.row.name,
        "column": position.column.name,
        "task": position.column.of_task,
        "model": config.model.name if config else None,
        "split": entry.split,
        "metric": entry.metric,
        "method": position.method.name,
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
        "cost": {key: _rounded(value) for key, value in asdict(entry.cost).items()} if entry.cost else None,
        "recipe": config.recipe.model_dump(mode="json") if config and config.recipe else None,
        "head": config.head.kind if config else None,
        "notes": list(dict.fromkeys(note for result in entry.results for note in result.all_notes)),
        "one_answer_seeds": entry.one_answer,
        "runs": [result.name for result in entry.results],
        "why_missing": [clean(reason) for reason in entry.reasons],
    }


def _against(entry: Entry) -> dict[str, Any] | None:
    comparison = entry.comparison
    if comparison is None:
        return None
    return {
        "difference": _rounded(comparison.difference),
        "common_seeds": list(comparison.seeds),
        "p": _rounded(comparison.p),
        "margin": comparison.margin,
        "equivalence_p": _rounded(comparison.equivalence_p),
        **{f"bootstrap_{key}": _rounded(getattr(comparison.bootstrap, key, None)) for key in RESAMPLED},
        "bootstrap_within_margin": comparison.within,
    }


def _rounded(value: Any) -> Any:
    """A number to four digits: more than anyone reads, few enough not to depend on the order of a sum."""
    return round(value, 4) if isinstance(value, float) else value
