"""One directory a run: found by its identity, locked while it is trained, never mixed with another."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout
from pydantic import ValidationError

from ptv2.config.identity import deciding, run_name, shared_deciding, shared_name
from ptv2.config.multitask import shared_parts
from ptv2.config.schema import RunConfig
from ptv2.errors import RunError, unknown
from ptv2.files import write_json_whole, write_text_whole
from ptv2.runs.record import Result, read_result, read_status

# Folder, below that of the runs, of what several of them begin with; no command takes it for runs of its own accord.
SHARED = "shared"
POLL = 5.0  # seconds between two looks at a directory that another process holds


class RunDirectory:
    """`<out>/<task>-<model>-<method>-<hash>/` with config.yaml, env.json, metrics.jsonl, predictions, artifact, log."""

    def __init__(self, config: RunConfig, data: str, model: str, shared: str | None = None) -> None:
        """Name it.

        Args:
            data, model: fingerprints, which stand for paths in the identity.
            shared: hash of the part that a run of method multitask-p-tuning-v2 begins with.
        """
        out = Path(config.out)
        earlier = (out / run_name(config, data, model, shared, earlier=True)).is_dir()  # made by version 0.1.0
        self.path = out / run_name(config, data, model, shared, earlier=earlier)
        self.config = config.model_dump(mode="json")  # as config.yaml has it
        self._deciding = deciding(config, data, model, shared, earlier=earlier)

    @property
    def result(self) -> Result | None:
        """The result, if this very run was finished before."""
        return read_result(self.path)

    @contextlib.contextmanager
    def locked(self, waiting: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold the directory for this process; the lock goes with the process, however it ends.

        Args:
            waiting: wait for another process that trains this run, and call this every `POLL` seconds meanwhile.

        Raises:
            RunError: another process trains this run, and this one is not to wait.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / ".lock")
        while not lock.is_locked:
            try:
                lock.acquire(timeout=POLL if waiting else 0)
            except Timeout as error:
                if waiting is None:
                    raise RunError(f"{self.path}: another process is training this run") from error
                waiting()
        try:
            self._begin()
            yield
        finally:
            lock.release()

    def _begin(self) -> None:
        for leftover in self.path.rglob(".*.tmp"):  # a kill between write and rename
            leftover.unlink(missing_ok=True)
        path = self.path / "config.yaml"
        if path.is_file():
            if _read_yaml(path).get("deciding") != self._deciding:
                raise RunError(f"{self.path}: belongs to another configuration; move it away or choose another out=DIR")
            return
        tree = {"config": self.config, "deciding": self._deciding}
        write_text_whole(path, yaml.safe_dump(tree, sort_keys=False, allow_unicode=True))

    def write_status(self, state: str, message: str = "", **more: Any) -> None:
        """Write `status.json`: running, interrupted, pruned, failed or finished."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        status = {"state": state, "message": message, "time": now, "host": socket.gethostname(), "pid": os.getpid()}
        write_json_whole(self.path / "status.json", {**status, **more})

    def clear_states(self) -> None:
        """Remove the training states of a finished run; the artifact has what was trained."""
        for pattern in ("state-*.safetensors", "best-*.safetensors"):
            for path in self.path.glob(pattern):
                path.unlink(missing_ok=True)


class SharedDirectory(RunDirectory):
    """`<out>/shared/<tasks>-<model>-<hash>/`: what several runs of method multitask-p-tuning-v2 begin with.

    It holds what a run's directory holds, but its configuration is of several tasks.
    """

    def __init__(self, config: RunConfig, data: Mapping[str, str], model: str) -> None:
        """Name it.

        Args:
            config: of any of the runs.
            data: fingerprint of each task's data, by its name.
        """
        self.path = Path(config.out) / SHARED / shared_name(config, data, model)
        self._deciding = shared_deciding(config, data, model)
        parts = shared_parts(config)
        common = next(iter(parts.values())).model_dump(mode="json", exclude={"task", "data", "multitask", "recipe"})
        tasks = {name: part.model_dump(mode="json", include={"task", "data"}) for name, part in parts.items()}
        self.config = {**common, SHARED: {"tasks": tasks, "temperature": self._deciding["temperature"]}}


def read_config(folder: Path) -> RunConfig:
    """The resolved configuration that a run was made with.

    Raises:
        RunError: `folder` is no run.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        raise RunError(f"{folder}: no run (it has no config.yaml)")
    config = _read_yaml(path).get("config")
    if isinstance(config, dict) and SHARED in config:
        raise RunError(f"{folder}: what several runs begin with, of several tasks; expected one of these runs")
    try:
        return RunConfig.model_validate(config)
    except ValidationError as error:
        raise RunError(
            f"{path}: not the configuration of a run ({len(error.errors())} settings are not valid)"
        ) from error


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: not the configuration of a run (no YAML)") from error
    if not isinstance(tree, dict):
        raise RunError(f"{path}: not the configuration of a run ({type(tree).__name__} for a mapping)")
    return tree


def find_run(name: str, out: str = "runs") -> Path:
    """The run that `name` means: a folder, the name of one below `out`, or the end of such a name (its hash).

    Raises:
        RunError: none, or more than one.
    """
    if (Path(name) / "config.yaml").is_file():
        return Path(name)
    runs = find_runs([out])
    matches = [path for path in runs if path.name == name or path.name.endswith(f"-{name}")]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise RunError(f"'{name}' is the end of {len(matches)} runs: {', '.join(path.name for path in matches)}")
    raise RunError(f"{unknown('run', name, [path.name for path in runs])} (looked in {out}/)")


def find_runs(folders: list[str]) -> list[Path]:
    """All runs at or directly below the folders, sorted by name."""
    found: set[Path] = set()
    for folder in map(Path, folders):
        if (folder / "config.yaml").is_file():
            found.add(folder)
        elif folder.is_dir():
            found |= {path.parent for path in folder.glob("*/config.yaml")}
    return sorted(found)


def chosen_runs(names: list[str], out: str = "runs") -> list[Path]:
    """The runs that a command's words mean: runs or folders of runs, in that order; all below `out` without a word.

    Raises:
        RunError: a word that means no run, or more than one.
    """
    if not names:
        return find_runs([out])
    found = [folder for name in names for folder in find_runs([name]) or [find_run(name, out)]]
    return list(dict.fromkeys(found))


def state_of(folder: Path) -> str:
    """finished, failed, interrupted, pruned, or running; a run whose process has died without a word is interrupted."""
    if (folder / "result.json").is_file():
        return "finished"
    state = str(read_status(folder).get("state", "unknown"))
    return "interrupted" if state == "running" and not _is_locked(folder) else state


def _is_locked(folder: Path) -> bool:
    lock = FileLock(folder / ".lock")
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False
