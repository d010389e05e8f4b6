"""Compare what conf/ says of the hub with the hub: repositories, revisions, files, columns, class names, safetensors.

    python scripts/check_hub.py [--conf DIR]

Reads the `sources.hub` block of every task and the hub id of every model, fetches listings and the footers of Parquet
files (no data, no weights), and prints one table. Exit code 1: something does not match; 69: the hub cannot be reached.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import yaml
from datasets import Features
from huggingface_hub import HfApi, HfFileSystem, constants
from huggingface_hub.errors import HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils import filter_repo_objects, httpx
from pyarrow import ArrowException, parquet
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from ptv2.config.task_schema import HubSource
from ptv2.data.hub import class_names, faults
from ptv2.errors import NetworkError
from ptv2.hub.causes import find_cause

CONF = Path(__file__).parents[1] / "conf"
EMBEDDED = ("embedded:", "config:")  # model paths that are not on the hub
NEEDED = ("config.json", "tokenizer.json")
WIDTH = 240  # of a table that goes to a file, so that no line is broken
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
Found = tuple[str, list[str]]  # the commit, and what does not match
Entry = tuple[str, str, str, Callable[[], Found]]  # name, repository, revision, check


def main() -> int:
    """Check every task and model of `--conf`; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conf", type=Path, default=CONF, help="folder with task/ and model/")
    conf = parser.parse_args().conf
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    table = Table("name", "repository", "revision", "commit", "result", title=f"conf against {constants.ENDPOINT}")
    wrong = 0
    try:
        for name, repository, revision, check in entries(conf):
            commit, problems = answered(check)
            wrong += bool(problems)
            table.add_row(name, repository, revision, commit[:12], "\n".join(problems) or "ok")
    except NetworkError as error:
        console.print(str(error), markup=False)
        return error.exit_code
    console.print(table)
    console.print(f"{table.row_count} checked, {wrong} do not match")
    return 1 if wrong else 0


def entries(conf: Path) -> list[Entry]:
    """List everything below `conf` that comes from the hub."""
    api = HfApi()
    listed: list[Entry] = []
    for path in sorted(conf.glob("task/*.yaml")):
        block = (read(path).get("sources") or {}).get("hub")
        if block is not None:
            check = partial(check_dataset, api, block, named_column(read(path)))
            listed.append((f"task/{path.stem}", str(block.get("repository")), str(block.get("revision")), check))
    for path in sorted(conf.glob("model/*.yaml")):
        model = read(path)
        name, revision = str(model.get("path", "")), model.get("revision") or "main"
        if name and not name.startswith(EMBEDDED):
            listed.append((f"model/{path.stem}", name, revision, partial(check_model, api, name, revision)))
    return listed


def read(path: Path) -> dict:
    """Read one file of conf/ as plain YAML."""
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def answered(check: Callable[[], Found]) -> Found:
    """Run a check; what the hub refuses is a mismatch, what keeps it from answering is a `NetworkError`."""
    try:
        return check()
    except ValidationError as error:
        return "", [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
    except (HFValidationError, OSError, ValueError, httpx.HTTPError) as error:
        cause = find_cause(error)
        if cause.network or isinstance(error, OfflineModeIsEnabled):
            raise NetworkError(cause.text) from error
        return "", [cause.text]


def named_column(task: dict) -> str | None:
    """The column whose values must have names; None for a task that takes numbers, as tags of words may be."""
    words = any(isinstance(label, str) and not label.isdigit() for label in task.get("labels") or [])
    return task.get("label", "label") if words and task.get("shape") != "tag" else None


def check_dataset(api: HfApi, block: dict, named: str | None) -> Found:
    """Compare the `hub` block of a task with its repository."""
    source = HubSource(**block)
    commit = str(api.dataset_info(source.repository, revision=source.revision).sha)
    names = sorted(api.list_repo_files(source.repository, repo_type="dataset", revision=commit))
    problems = []
    for split, pattern in source.files.items():
        fitting = list(filter_repo_objects(names, allow_patterns=[pattern]))
        if not fitting:
            problems.append(f"{split}: no file fits '{pattern}'")
        elif others := [name for name in fitting if not name.endswith(".parquet")]:
            problems.append(f"{split}: '{pattern}' also fits {others[0]}, which is not Parquet")
        else:
            problems += [f"{split}: {fault}" for fault in check_schema(source, named, commit, fitting[0])]
    return commit, problems


def check_schema(source: HubSource, named: str | None, commit: str, name: str) -> list[str]:
    """Compare columns and class names with the footer of one Parquet file; all shards of a split share them.

    Args:
        named: the column that may not hold numbers without names.
    """
    try:
        with HfFileSystem().open(f"datasets/{source.repository}@{commit}/{name}", "rb") as file:
            features = Features.from_arrow_schema(parquet.read_schema(file))
    except ArrowException as error:
        return [f"{name} is not a Parquet file: {error}"]
    found = faults(source, features)
    dtype = getattr(features.get(named or ""), "dtype", "")  # of a plain column; a list has none
    if source.labels is not None and not any(map(class_names, features.values())) and "int" in dtype:
        found.append(f"{name} carries no class names; expected {', '.join(source.labels)}")
    return found


def check_model(api: HfApi, name: str, revision: str) -> Found:
    """Make sure a model repository holds a configuration, a fast tokenizer and safetensors at its top."""
    info = api.model_info(name, revision=revision)
    names = {sibling.rfilename for sibling in info.siblings or []}
    problems = [f"no {file}" for file in NEEDED if file not in names]
    if not names.intersection(WEIGHTS):
        problems.append(f"no {' or '.join(WEIGHTS)}; weights in other formats are not read")
    return str(info.sha), problems


if __name__ == "__main__":
    sys.exit(main())
