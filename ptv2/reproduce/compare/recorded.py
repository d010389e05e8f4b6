"""The searches of a comparison from kept records: their trials stand in the comparison's own JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from ptv2.errors import RunError
from ptv2.reproduce.compare.options import CompareOptions
from ptv2.reproduce.compare.search import Search
from ptv2.reproduce.jobs.list_jobs import Cell, Job
from ptv2.reproduce.table.cells import TableRequest
from ptv2.sweeps.study import MESSAGE

DAMAGED = (OSError, ValueError, KeyError, TypeError)


@dataclass(frozen=True)
class RecordedSearch(Search):
    """A search whose trials were kept."""

    kept: tuple[FrozenTrial, ...] = ()

    @property
    def trials(self) -> list[FrozenTrial]:
        return list(self.kept[: self.budget])


def recorded_searches(request: TableRequest, cells: list[Cell], options: CompareOptions) -> list[Search]:
    """The searches of a comparison, from the JSON that lies beside the folder of records.

    Raises:
        RunError: there is no such file, it is damaged, or it lacks a search.
    """
    assert options.records is not None
    path = options.records.parent / f"{request.stem}.json"
    try:
        kept = {f"{tree['task']} {tree['method']}": tree for tree in _read_searches(path)}
        return [_search(cell, kept[" ".join(cell.key[1:])], options) for cell in cells]
    except FileNotFoundError as error:
        raise RunError(f"records: no {path}, which has the trials of the searches") from error
    except DAMAGED as error:
        raise _damaged(path, error) from error


def with_kept_trials(searches: Sequence[Search], request: TableRequest, options: CompareOptions) -> list[Search]:
    """The searches; one that is not finished here, and is in the JSON beside the records of `kept=`, as it is there.

    Raises:
        RunError: the JSON is damaged.
    """
    path = (options.kept or Path()).parent / f"{request.stem}.json"
    if options.known is None or not path.is_file():
        return list(searches)
    try:
        kept = {
            tree["study"]: tuple(map(_trial, range(options.budget), tree["trials"])) for tree in _read_searches(path)
        }
    except DAMAGED as error:
        raise _damaged(path, error) from error

    def ready(search: Search) -> Search:
        trials = kept.get(search.name, ())
        if len(search.trials) >= search.budget or len(trials) < search.budget:
            return search
        return RecordedSearch(**{field.name: getattr(search, field.name) for field in fields(search)}, kept=trials)

    return [ready(search) for search in searches]


def _read_searches(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))["searches"]


def _damaged(path: Path, error: Exception) -> RunError:
    return RunError(f"{path}: damaged, or of another comparison ({type(error).__name__}: {error})")


def _search(cell: Cell, tree: dict[str, Any], options: CompareOptions) -> Search:
    return RecordedSearch(
        job=Job(cell, options.trial_seed, cell.overrides, None, None, None),
        space=tree["space"],
        words=options.ranges,
        name=tree["study"],
        folder=Path(),
        budget=options.budget,
        kept=tuple(_trial(number, trial) for number, trial in enumerate(tree["trials"])),
    )


def _trial(number: int, tree: dict[str, Any]) -> FrozenTrial:
    return FrozenTrial(
        number=number,
        state=TrialState[tree["state"].upper()],
        value=tree["dev"],
        datetime_start=None,
        datetime_complete=None,
        params=tree["settings"],
        distributions={},
        user_attrs={MESSAGE: tree["message"]},
        system_attrs={},
        intermediate_values={},
        trial_id=number,
    )
