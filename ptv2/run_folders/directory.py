"""One directory per run: found by its identity, locked while it is trained, never mixed with another."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ptv2.config.identity import deciding, drop_config_hash, run_name, shared_deciding, shared_name
from ptv2.config.multitask import shared_parts
from ptv2.config.rules import read_settings
from ptv2.config.schema import RunConfig
from ptv2.errors import RunError, UnreadableError, kind_of, unknown
from ptv2.files import set_aside, write_json_whole, write_text_whole
from ptv2.run_folders.altered import FILES, check_readable, is_altered, with_checksum
from ptv2.run_folders.lock import hold, is_held
from ptv2.run_folders.record import AGAIN, LOST_RESULT, Result, cure, fault_of_files, read_result, read_status
from ptv2.run_folders.sharing import shareable_text, without_paths
from ptv2.run_folders.weights import ARTIFACT, fault_of_weights

# Folder, below that of the runs, of their shared parts; commands read it only where a user names it.
SHARED = "shared"
# Two of these files make a folder without config.yaml a run; one is not enough, as other programs use such names.
RECORDS = ("result.json", "status.json", "env.json", "metrics.jsonl", "log.txt")
STATES = ("state-*.safetensors", "best-*.safetensors")  # of a training that is not finished
MOST_LISTED = 8  # runs that a message names
HASHED = re.compile("-[0-9a-f]{10}$")  # how the name of a run ends


class RunDirectory:
    """`<out>/<task>-<model>-<method>-<hash>/` with config.yaml, env.json, metrics.jsonl, predictions, artifact, log."""

    def __init__(self, config: RunConfig, data: str, model: str, shared: str | None = None) -> None:
        """Find the directory's name.

        Args:
            data, model: fingerprints, which replace paths in the identity.
            shared: hash of the shared part that a run of method multitask-p-tuning-v2 begins with.
        """
        out = Path(config.out)
        weights, earlier = drop_config_hash(model), False
        for known, of_0_1 in ((weights, True), (weights, False)):  # names that earlier versions gave
            if (out / run_name(config, data, known, shared, earlier=of_0_1)).is_dir():
                model, earlier = known, of_0_1
                break
        self.path = out / run_name(config, data, model, shared, earlier=earlier)
        self.config = config.model_dump(mode="json")  # as in config.yaml
        self._deciding = deciding(config, data, model, shared, earlier=earlier)

    @property
    def result(self) -> Result | None:
        """The result, if this run is finished and whole; None if it is to be trained."""
        return None if self.fault is not None else read_result(self.path)

    @property
    def fault(self) -> str | None:
        """Why the run is to be trained again: what is damaged; empty if it never finished, None if it is whole.

        Raises:
            UnreadableError: a file cannot be read now, and may be whole.
        """
        try:
            result = read_result(self.path)
        except UnreadableError:
            raise
        except RunError as error:
            return str(error).removeprefix(f"{self.path}/")
        if result is None:
            return ""
        check_readable(self.path, result.files)
        return fault_of_weights(self.path) or fault_of_files(self.path, result)

    @contextlib.contextmanager
    def locked(self, waiting: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold the directory for this process; the lock goes with the process, however it ends.

        Args:
            waiting: called every few seconds while another process trains this run; None: do not wait for it.

        Raises:
            RunError: another process trains this run, and `waiting` is None.
        """
        with hold(self.path, waiting):
            self._begin()
            yield

    def _begin(self) -> None:
        """Remove what a kill has left and what is damaged, set folders aside that block files, write config.yaml."""
        for leftover in self.path.rglob(".*.tmp"):  # a kill between write and rename
            if leftover.is_file():
                leftover.unlink(missing_ok=True)
        if [path for pattern in FILES for path in self.path.glob(pattern) if set_aside(path)]:
            set_aside(self.path / "result.json")
            (self.path / "result.json").unlink(missing_ok=True)  # its files are lost, though nobody removed them
        for pattern in ("config.yaml", *RECORDS, ARTIFACT, *STATES):
            for path in self.path.glob(pattern):
                set_aside(path)
        try:
            read_result(self.path)
        except UnreadableError:
            raise
        except RunError:
            (self.path / "result.json").unlink()
        recorded = _deciding_of(self.path / "config.yaml")
        if recorded is not None and recorded != self._deciding:
            raise RunError(f"{self.path}: belongs to another configuration; move it away or choose another out=DIR")
        if recorded is None:
            write_config(self.path, self.config, self._deciding)

    def tidy(self) -> None:
        """Complete the folder of a finished run whose process was killed at the very end, or that lost small files.

        Does nothing while another process holds it, or where the folder cannot be written.
        """
        with contextlib.suppress(RunError, OSError), self.locked():
            self.clear_states()
            if read_status(self.path).get("state") != "finished":
                self.write_status("finished")

    def write_status(self, state: str, message: str = "", **more: Any) -> None:
        """Write `status.json`: running, interrupted, pruned, failed or finished."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        status = {"state": state, "message": shareable_text(message), "time": now}
        write_json_whole(self.path / "status.json", {**status, **more})

    def clear_states(self) -> None:
        """Remove the training states of a finished run; the trained weights are in the artifact."""
        for pattern in STATES:
            for path in self.path.glob(pattern):
                path.unlink(missing_ok=True)


class SharedDirectory(RunDirectory):
    """`<out>/shared/<tasks>-<model>-<hash>/`: the shared part of several runs of method multitask-p-tuning-v2.

    It has the files of a run's directory, but its configuration is of several tasks.
    """

    def __init__(self, config: RunConfig, data: Mapping[str, str], model: str) -> None:
        """Find the directory's name.

        Args:
            config: of any of the runs.
            data: fingerprint of each task's data, by its name.
        """
        folder, weights = Path(config.out) / SHARED, drop_config_hash(model)
        if (folder / shared_name(config, data, weights)).is_dir():  # the name that earlier versions gave
            model = weights
        self.path = folder / shared_name(config, data, model)
        self._deciding = shared_deciding(config, data, model)
        runs = shared_parts(config)
        common = next(iter(runs.values())).model_dump(mode="json", exclude={"task", "data", "multitask", "recipe"})
        tasks = {name: run.model_dump(mode="json", include={"task", "data"}) for name, run in runs.items()}
        self.config = {**common, SHARED: {"tasks": tasks, "temperature": self._deciding["temperature"]}}

    @property
    def hash(self) -> str:
        """The `shared_hash` that is in its name."""
        return _hash_of(self.path)


def write_config(folder: Path, config: Mapping[str, Any], deciding: Mapping[str, Any]) -> None:
    """Write config.yaml: the resolved configuration, and the settings and fingerprints that decide the numbers."""
    tree = with_checksum({"config": config, "deciding": deciding}, _checked(config, deciding))
    write_text_whole(folder / "config.yaml", yaml.safe_dump(tree, sort_keys=False, allow_unicode=True))


def read_config(folder: Path) -> RunConfig:
    """Read the resolved configuration of a run from config.yaml; without that file, from the result.

    Raises:
        RunError: `folder` is no run, or its config.yaml is damaged.
    """
    path = folder / "config.yaml"
    config: Any
    if not path.is_file():
        result = read_result(folder)
        if result is None:
            hint = f"; {AGAIN}" if is_run(folder) else ""
            raise RunError(f"{folder}: no run (it has no config.yaml){hint}")
        path, config = folder / "result.json", result.config
    else:
        tree = _read_yaml(path)
        config = tree.get("config")
        if _is_altered(tree):
            raise RunError(f"{path}: damaged (its checksum is another); {cure(folder)}")
    if isinstance(config, dict) and SHARED in config:
        raise RunError(f"{folder}: the shared part of several runs; expected one of these runs")
    try:
        return read_settings(RunConfig, config)
    except ValidationError as error:
        raise RunError(
            f"{path}: not the configuration of a run ({len(error.errors())} settings are not valid)"
        ) from error


def _deciding_of(path: Path) -> dict[str, Any] | None:
    """Read `deciding` of a config.yaml; None if the file is missing or damaged."""
    try:
        tree = _read_yaml(path)
    except (OSError, RunError):
        return None
    deciding = tree.get("deciding")
    if not isinstance(deciding, dict) or _is_altered(tree):
        return None
    try:
        if SHARED not in tree["config"]:
            RunConfig.model_validate(tree["config"])
    except (KeyError, TypeError, ValidationError):
        return None
    return deciding


def _is_altered(tree: Mapping[str, Any]) -> bool:
    """Whether a config.yaml is damaged, so that its run can be made again; another run's must not be overwritten.

    Version 0.1.0 had a checksum of `deciding` alone.
    """
    return is_altered(tree, _checked(tree.get("config"), tree.get("deciding")), tree.get("deciding"))


def _checked(config: Any, deciding: Any) -> dict[str, Any]:
    """The content that the checksum of config.yaml covers: all but folders, which may change where a run is moved."""
    return {"config": without_paths(config), "deciding": deciding}


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, or a date that is none
        raise RunError(f"{path}: not the configuration of a run (no YAML)") from error
    if not isinstance(tree, dict):
        raise RunError(f"{path}: not the configuration of a run ({kind_of(tree)}, expected settings)")
    return tree


def find_run(name: str, out: str = "runs") -> Path:
    """Find a run by its folder, its name or its hash, or by a beginning of these that no other run has.

    Args:
        name: a folder before it, as in `runs/rte-min`, is searched.
        out: the folder that is searched otherwise.

    Raises:
        RunError: no run matches, or several do.
    """
    path = Path(name)
    if is_run(path):
        return path
    folder = str(path.parent) if len(path.parts) > 1 else out
    runs = find_runs([folder])
    whole = [run for run in runs if path.name in (run.name, _hash_of(run))]
    begun = [
        run for run in runs if path.name and (run.name.startswith(path.name) or _hash_of(run).startswith(path.name))
    ]
    matches = whole or begun
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise RunError(f"'{name}' fits {len(matches)} runs; expected more of the name: {_listed(matches)}")
    if len(runs) <= MOST_LISTED:
        raise RunError(f"{unknown('run', name, [run.name for run in runs])} (looked in {folder}/)")
    near = get_close_matches(path.name, [run.name for run in runs], n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else f"`ptv2 list runs --out {shlex.quote(folder)}` lists them"
    raise RunError(f"unknown run '{name}'; {hint} (looked at {len(runs)} runs in {folder}/)")


def _hash_of(run: Path) -> str:
    return run.name.rpartition("-")[2]


def _listed(runs: list[Path]) -> str:
    more = f" and {len(runs) - MOST_LISTED} more" if len(runs) > MOST_LISTED else ""
    return ", ".join(run.name for run in runs[:MOST_LISTED]) + more


def is_run(folder: Path) -> bool:
    """Whether a folder is a run, perhaps a damaged one: it has a config.yaml, or two other records of a run."""
    if (folder / "config.yaml").is_file():
        return True
    return sum((folder / name).is_file() for name in RECORDS) > 1


def _is_run_below(folder: Path) -> bool:
    """`is_run`, but one into which this user may not look is told by its name: it must not hide the other runs."""
    try:
        (folder / "config.yaml").stat()
    except PermissionError:
        return HASHED.search(folder.name) is not None
    except OSError:
        pass
    return is_run(folder)


def find_runs(folders: list[str]) -> list[Path]:
    """Find all runs at or directly below the folders, sorted by name.

    Raises:
        RunError: one of them is a file.
    """
    runs: set[Path] = set()
    for folder in map(Path, folders):
        if folder.is_file():
            raise RunError(f"{folder}: a file; expected a folder with runs")
        if is_run(folder):
            runs.add(folder)
        elif folder.is_dir():
            runs |= {path for path in folder.iterdir() if _is_run_below(path)}
    return sorted(runs)


def chosen_runs(names: list[str], out: str = "runs") -> list[Path]:
    """Find the runs that a command's words name: runs or folders of runs, in that order; without words all of `out`.

    Raises:
        RunError: a word matches no run, or several.
    """
    if not names:
        return find_runs([out])
    runs = [folder for name in names for folder in find_runs([name]) or [find_run(name, out)]]
    return list(dict.fromkeys(runs))


def state_of(folder: Path) -> str:
    """Return finished, failed, interrupted, pruned, running, unreadable, or unknown (no readable status.json).

    A run whose process was killed is interrupted; one with a damaged or lost result.json is unreadable.
    """
    return look_at(folder)[0]


def look_at(folder: Path) -> tuple[str, Result | None, str]:
    """Return the state of a run as `state_of` says it, its result if it is finished, and else its message or fault."""
    state, result, text = _look_once(folder)
    if result is None and state in ("finished", "interrupted"):  # it may have ended while its files were read
        state, result, text = _look_once(folder)
    if result is None and state == "finished":
        return "unreadable", None, LOST_RESULT
    return state, result, text


def _look_once(folder: Path) -> tuple[str, Result | None, str]:
    try:
        result = read_result(folder)
    except RunError as error:
        fault = str(error).removeprefix(f"{folder}/")
        return ("running" if is_held(folder) else "unreadable"), None, fault
    if result is not None:
        return "finished", result, ""
    status = read_status(folder)
    state = str(status["state"])
    state = "interrupted" if state == "running" and not is_held(folder) else state
    return state, None, str(status.get("message", ""))
