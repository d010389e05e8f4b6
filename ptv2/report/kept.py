"""Records of finished runs as one compact file each, without predictions and weights, for keeping and for sharing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ptv2.errors import RunError, quote
from ptv2.files import readable_json, scratch_folder, write_text_whole
from ptv2.report.usable import usable_results
from ptv2.run_folders.altered import with_checksum
from ptv2.run_folders.directory import find_runs
from ptv2.run_folders.record import AGAIN, Result, fault_of_files

BESIDE = "beside"  # key of the files that lie beside result.json, by name
ENVIRONMENT, FRACTIONS = "env.json", "fractions-*.json"  # what tables read besides the result
NAMES = re.compile(r"env\.json|fractions-[\w-]+\.json")
UNREAD = ("labels", "longest")  # keys of `data` that no table reads


def compact(result: Result, folder: Path) -> str:
    """The record of the run in `folder` as one line of JSON: what tables and figures read, and nothing else.

    It leaves out the scores by class and, of the data's overview, all but notes and single answers.

    Raises:
        RunError: a file beside the result is damaged.
    """
    if fault := fault_of_files(folder, result):
        raise RunError(f"{folder}: {fault}")
    tree = {**asdict(result), "parts": {}, "confusion": {}}
    data = {key: value for key, value in tree["data"].items() if key not in UNREAD}
    if isinstance(overview := data.get("overview"), dict):
        splits = overview.get("splits", {})
        always = {split: {"always": facts["always"]} for split, facts in splits.items() if facts.get("always")}
        data["overview"] = {"notes": overview.get("notes", [])} | ({"splits": always} if always else {})
    tree["data"] = data
    if files := {path.name: _read(path) for path in _beside(folder)}:
        tree[BESIDE] = files
    return json.dumps(with_checksum(tree), ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"


def keep(results: Mapping[Path, Result], records: Path) -> int:
    """Write the records of finished runs, given by folder, to RECORDS/TASK/NAME.json; returns how many.

    Raises:
        RunError: a file beside a result is damaged.
    """
    texts = {f"{result.task}/{result.name}.json": compact(result, folder) for folder, result in results.items()}
    for place, text in texts.items():
        write_text_whole(records / place, text)
    return len(texts)


def read_records(paths: Iterable[Path]) -> list[Result]:
    """The results in records, sorted by the names of their runs.

    Raises:
        RunError: a record is damaged, or has another name than its file.
    """
    with as_runs(paths) as runs:
        return usable_results(find_runs([str(runs)]))[0]


@contextmanager
def as_runs(paths: Iterable[Path]) -> Iterator[Path]:
    """Lay records out as folders of runs, FOLDER/NAME, for as long as the context is open.

    Raises:
        RunError: a record is damaged, has another name than its file, or is a run.
    """
    paths = sorted(paths)
    if run := next((path.parent for path in paths if path.name == "result.json"), None):
        raise RunError(f"{run}: a run; expected a folder of records, as ptv2 table --keep makes it")
    with scratch_folder() as scratch:
        by_folder = {scratch / path.stem: path for path in paths}
        for folder, path in by_folder.items():
            _lay_out(path, folder)
        results, faults = usable_results(by_folder)
        if faults:
            why = faults[0].reason.removeprefix("result.json: ").removesuffix(f"; {AGAIN}")
            path = by_folder[faults[0].folder]
            raise RunError(f"{path}: {why}; `ptv2 table RUNS --keep DIR` makes records from runs")
        for path, result in zip(by_folder.values(), results, strict=True):
            if (result.task, result.name) != (path.parent.name, path.stem):
                raise RunError(f"{path}: the record of {result.name}, task {result.task}; expected its own name")
        yield scratch


def _beside(folder: Path) -> list[Path]:
    return [path for name in (ENVIRONMENT, FRACTIONS) for path in sorted(folder.glob(name))]


def _read(path: Path) -> Any:
    """The value in a file of JSON, with whole numbers for equal fractions, which `_lay_out` writes again."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path}: damaged ({error})") from error
    return value if path.name == ENVIRONMENT else _shortened(value)


def _lay_out(path: Path, folder: Path) -> None:
    """Write the files of a run from its record; the hashes in the result then hold for those beside it."""
    folder.mkdir()
    text = path.read_bytes()
    (folder / "result.json").write_bytes(text)
    (folder / "config.yaml").touch()
    try:
        files = dict(json.loads(text).get(BESIDE, {}))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return  # the reader of results says it better
    for name, value in files.items():
        if not NAMES.fullmatch(name):  # the file of a stranger may name any place
            raise RunError(f"{path}: {quote(name)} beside the result; expected env.json or fractions-SPLIT.json")
        again = readable_json(value) if name == ENVIRONMENT else json.dumps(_lengthened(value))
        (folder / name).write_bytes(again.encode("utf-8"))  # a scratch file need not survive a power cut


def _shortened(value: Any) -> Any:
    """Whole numbers in place of fractions that equal them."""
    if isinstance(value, list):
        return [_shortened(inner) for inner in value]
    if isinstance(value, dict):
        return {key: _shortened(inner) for key, inner in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _lengthened(value: Any) -> Any:
    """Fractions in place of whole numbers."""
    if isinstance(value, list):
        return [_lengthened(inner) for inner in value]
    if isinstance(value, dict):
        return {key: _lengthened(inner) for key, inner in value.items()}
    return float(value) if type(value) is int else value
