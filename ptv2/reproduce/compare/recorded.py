"""The searches of a comparison from kept records: their trials stand in the comparison's own JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from ptv2.errors import RunError
from ptv2.reproduce.compare.options import CompareOptions
from ptv2.reproduce.compare.search import Search
from ptv2.reproduce.jobs.list_jobs import Cell, Job
from ptv2.reproduce.table.cells import TableRequest
from ptv2.sweeps.study import MESSAGE


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
        searches = json.loads(path.read_text(encoding="utf-8"))["searches"]
        kept = {f"{tree['task']} {tree['method']}": tree for tree in searches}
        return [_search(cell, kept[" ".join(cell.key[1:])], options) for cell in cells]
    except FileNotFoundError as error:
        raise RunError(f"records: no {path}, which has the trials of the searches") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: damaged, or of another comparison ({type(error).__name__}: {error})") from error


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
