"""The results that tables can show, and why they cannot show others: one bad run never hides the good ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from ptv2.collector import collector_off
from ptv2.errors import RunError
from ptv2.report import tables
from ptv2.run_folders.record import AGAIN, LOST_RESULT, Result, read_result, read_status


@dataclass(frozen=True)
class Fault:
    """A run that is left out; `reason` says why and what mends it, in one line."""

    folder: Path
    reason: str


def usable_results(folders: Iterable[Path]) -> tuple[list[Result], list[Fault]]:
    """The results of finished runs, and the runs whose results are damaged or of another version; no others."""
    results, faults = _usable(folders)
    return list(results.values()), faults


def distinct_results(folders: Iterable[Path]) -> tuple[dict[Path, Result], list[Fault]]:
    """`usable_results` by folder, with each run once: of copies, whatever their folders' names, the first.

    A copy with other scores is among the faults.
    """
    results, faults = _usable(folders)
    first: dict[str, Path] = {}
    for folder, result in results.items():
        kept = first.setdefault(result.name, folder)
        if _scores(result) != _scores(results[kept]):
            faults.append(Fault(folder, f"the run of {kept} again, with other scores"))
    return {folder: results[folder] for folder in first.values()}, faults


def _scores(result: Result) -> tuple[Any, ...]:
    return result.dev, result.dev_last, result.test, result.tests


@collector_off()
def _usable(folders: Iterable[Path]) -> tuple[dict[Path, Result], list[Fault]]:
    results: dict[Path, Result] = {}
    faults: list[Fault] = []
    equals: dict[str | bytes, Any] = {}
    for folder in folders:
        try:
            result = read_result(folder)
        except RunError as error:
            faults.append(Fault(folder, str(error).removeprefix(f"{folder}/")))
            continue
        if result is None:
            if read_status(folder)["state"] == "finished":
                faults.append(Fault(folder, LOST_RESULT))
            continue
        if (reason := why_no_table(result)) is None:
            _share(result, equals)
            results[folder] = result
        else:
            faults.append(Fault(folder, reason.removeprefix(f"{result.name}: ")))
    return results, faults


def _share(result: Result, equals: dict[str | bytes, Any]) -> None:
    """Hold what is equal in many records once, as thousands of them would fill the memory otherwise.

    Args:
        equals: by their text, the values that were seen.
    """
    first = equals.setdefault(result.settings_hash, result.config)
    result.config.update({key: value for key, value in first.items() if key != "seed"})
    for tree in (result.data, result.parameters, result.runtime, result.backbone):
        tree.update({key: equals.setdefault(to_json(value), value) for key, value in tree.items()})


def why_no_table(result: Result) -> str | None:
    """Why no table can show a result; None if tables can, or leave it out as one of several tasks."""
    try:
        tables.rows([result])
    except RunError as error:
        return str(error)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:  # in parts of the record that have no schema
        return f"{result.name}: result.json: damaged result ({type(error).__name__}: {str(error)[:80]}); {AGAIN}"
    return None
