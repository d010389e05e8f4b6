"""A run's directory: found by identity, locked by one process, never another configuration's."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from commandline import holder
from records import result

from ptv2 import file_locks, tensor_files
from ptv2.config.compose import compose
from ptv2.config.identity import run_name
from ptv2.config.schema import RunConfig
from ptv2.errors import RunError, UnreadableError
from ptv2.report.usable import usable_results
from ptv2.run_folders import directory, lock
from ptv2.run_folders.directory import RunDirectory, find_runs, read_config, state_of
from ptv2.run_folders.lock import is_held
from ptv2.run_folders.record import write_result
from ptv2.run_folders.weights import ARTIFACT, HEADER
from ptv2.tensor_files import write_tensors

OTHER_PROCESS = """
import pathlib, sys
from ptv2.config.schema import RunConfig
from ptv2.errors import RunError
from ptv2.run_folders.directory import RunDirectory
run = RunDirectory(RunConfig.model_validate_json(sys.stdin.readline()), "data", "model")
try:
    with run.locked():
        print("locked", flush=True)
        sys.stdin.readline()
except RunError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def base() -> RunConfig:
    return compose(["model=tiny"])


@pytest.fixture
def config(base: RunConfig, tmp_path: Path) -> RunConfig:
    return base.model_copy(update={"out": str(tmp_path / "runs")})


@pytest.fixture
def run(config: RunConfig) -> RunDirectory:
    return RunDirectory(config, "data", "model")


def other_process(config: RunConfig) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write(config.model_dump_json() + "\n")
    process.stdin.flush()
    return process


def finish(folder: Path) -> None:
    """Its presence is what says that a run is finished."""
    write_result(folder, result("p-tuning-v2", 1, 70.0))


def test_the_directory_is_named_by_identity(run: RunDirectory, config: RunConfig) -> None:
    assert run.path == Path(config.out) / run_name(config, "data", "model")
    assert not run.path.exists()  # nothing is written before there is something to train
    assert run.result is None


def test_a_run_is_trained_where_the_file_system_has_no_flock(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`FileLock` makes a lock of another kind there."""

    def refuse(handle: int, kind: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(file_locks.fcntl, "flock", refuse)
    with lock.hold(run.path):
        assert not is_held(run.path)
        with pytest.raises(RunError, match="another process is training this run"), lock.hold(run.path):
            pass
    (run.path / lock.RUNNING).touch()  # a killed process left it
    assert not is_held(run.path)


def test_where_no_run_can_be_written(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that others own, a user has named no folder for the runs, and is told how."""

    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with (
        pytest.raises(RunError, match=r"^\S+: Permission denied; out=DIR names another folder for the runs$"),
        run.locked(),
    ):
        pass


def test_where_a_run_that_began_cannot_be_written(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(run.path / ".lock"))

    monkeypatch.setattr(lock.FileLock, "acquire", refuse)
    expected = f"^{run.path}: Permission denied; out=DIR names another folder for the runs$"
    with pytest.raises(RunError, match=expected), run.locked():
        pass


def test_a_locked_run_keeps_its_configuration(run: RunDirectory, config: RunConfig) -> None:
    with run.locked():
        assert read_config(run.path) == config
    with run.locked():  # and may be taken up again
        assert read_config(run.path) == config


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of files and folders that this user may not read; for root there are none."""
    names: set[str] = set()
    opened, looked_at = Path.open, Path.stat

    def refusing(usual: Callable[..., Any], checked: Callable[[Path], Collection[str]]) -> Callable[..., Any]:
        def act(path: Path, *arguments: Any, **more: Any) -> Any:
            if not names.isdisjoint(checked(path)):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return usual(path, *arguments, **more)

        return act

    monkeypatch.setattr(Path, "open", refusing(opened, lambda path: path.parts))
    monkeypatch.setattr(Path, "stat", refusing(looked_at, lambda path: path.parts[:-1]))
    return names


@pytest.mark.parametrize("name", ["result.json", "artifact.safetensors", "predictions-dev.jsonl"])
def test_a_finished_run_that_cannot_be_read_is_not_made_again(name: str, run: RunDirectory, closed: set[str]) -> None:
    """It may be another user's, or a network drive may fail for a moment."""
    write_tensors(run.path / ARTIFACT, {}, HEADER, "{}")
    (run.path / "predictions-dev.jsonl").write_text("")
    finish(run.path)
    assert run.result is not None
    closed.add(name)
    tensor_files._read_text.cache_clear()
    with pytest.raises(UnreadableError, match=rf"/{name}: cannot be read \(Permission denied\)$"):
        assert run.result
    if name == "result.json":
        with pytest.raises(UnreadableError), run.locked():
            pass
    closed.clear()
    assert run.result is not None


def test_a_run_into_which_a_user_may_not_look_hides_no_other(tmp_path: Path, closed: set[str]) -> None:
    names = ["mine-tiny-p-tuning-v2-0123456789", "mine-tiny-p-tuning-v2-9876543210", "lost+found"]
    for name in names:
        finish(tmp_path / name)
        (tmp_path / name / "config.yaml").touch()
    closed |= set(names[1:])
    found = find_runs([str(tmp_path)])
    assert [path.name for path in found] == names[:2]
    results, faults = usable_results(found)
    assert (len(results), [fault.folder for fault in faults]) == (1, [found[1]])
    assert faults[0].reason == "result.json: cannot be read (Permission denied)"
    assert [state_of(path) for path in found] == ["finished", "unreadable"]


def test_two_processes_do_not_train_one_run(run: RunDirectory, config: RunConfig) -> None:
    process = other_process(config)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    run.write_status("running")
    assert state_of(run.path) == "running"
    assert holder(run.path) == process.pid
    with pytest.raises(RunError, match="another process is training this run"), run.locked():
        pass
    process.kill()  # the lock goes with the process, however it ends
    process.communicate()
    assert state_of(run.path) == "interrupted"
    with run.locked():
        refused, _ = other_process(config).communicate("\n")
        assert refused == f"{run.path}: another process is training this run\n"


def test_states(run: RunDirectory) -> None:
    with run.locked():
        assert state_of(run.path) == "unknown"
        run.write_status("failed", "step 7: the loss is not finite", step=7)
    assert state_of(run.path) == "failed"
    status = json.loads((run.path / "status.json").read_text())
    assert (status["message"], status["step"]) == ("step 7: the loss is not finite", 7)
    run.write_status("interrupted")
    assert state_of(run.path) == "interrupted"
    run.write_status("running")  # killed: nobody said how it ended
    assert state_of(run.path) == "interrupted"
    (run.path / "status.json").write_text('{"state": "fini')
    assert state_of(run.path) == "unknown"
    finish(run.path)
    assert state_of(run.path) == "finished"


def test_looking_never_makes_a_run_fail(run: RunDirectory) -> None:
    """A look that lasts, as on a slow disk, is waited for; and none writes anything."""
    run.path.mkdir(parents=True)
    assert not is_held(run.path)
    assert list(run.path.iterdir()) == []
    (run.path / ".running").touch()  # of a process that was killed
    with (run.path / ".running").open() as look:
        fcntl.flock(look, fcntl.LOCK_SH)
        threading.Timer(0.3, fcntl.flock, (look, fcntl.LOCK_UN)).start()
        with run.locked():
            assert is_held(run.path)
    assert not is_held(run.path)
    assert not (run.path / ".running").exists()


def test_records_say_nothing_of_their_maker(run: RunDirectory, tmp_path: Path) -> None:
    one = result("p-tuning-v2", 1, 70.0, config={"out": str(tmp_path), "data": {"dir": str(tmp_path / "my data")}})
    source = {"train": str(tmp_path / "my data" / "train.tsv"), "repository": "a/b"}
    with run.locked():
        run.write_status("failed", f"DataError: {tmp_path}/my/train.tsv:3: no label; known: /people/person, and/or")
        write_result(run.path, replace(one, data={**one.data, "source": source}))
    text = (run.path / "status.json").read_text() + (run.path / "result.json").read_text()
    for secret in (str(tmp_path), str(Path.home()), socket.gethostname(), f'"{os.getpid()}"', str(Path.cwd())):
        assert secret not in text
    assert "DataError: train.tsv:3: no label; known: /people/person, and/or" in text
    assert json.loads((run.path / "result.json").read_text())["data"]["source"] == {
        "train": "train.tsv",
        "repository": "a/b",
    }


def test_leftovers_of_a_kill_are_removed(run: RunDirectory) -> None:
    run.path.mkdir(parents=True)
    leftover = run.path / ".status.json.ab12.tmp"
    kept = run.path / "state-00000010.safetensors"
    for path in (leftover, kept):
        path.write_bytes(b"torn")
    with run.locked():
        assert not leftover.exists()
        assert kept.exists()


@pytest.mark.parametrize("seen", ["running", "finished"])
def test_a_run_that_ends_while_it_is_looked_at_is_finished(
    seen: str, run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its result is not there yet when it is looked for, and its process is gone when its status is read."""
    run.path.mkdir(parents=True)
    run.write_status("running")

    def end_meanwhile(folder: Path) -> dict[str, str]:
        write_result(folder, result("p-tuning-v2", 1, 70.0))
        return {"state": seen}

    monkeypatch.setattr(directory, "read_status", end_meanwhile)
    state, found, text = directory.look_at(run.path)
    assert (state, text) == ("finished", "")
    assert found is not None


def test_states_are_cleared_when_a_run_is_finished(run: RunDirectory) -> None:
    with run.locked():
        for name in ("state-00000010.safetensors", "best-00000010.safetensors", "metrics.jsonl"):
            (run.path / name).write_bytes(b"")
        run.clear_states()
    left = {path.name for path in run.path.iterdir()} - {".lock"}
    assert left == {"config.yaml", "metrics.jsonl"}


def test_a_directory_of_another_configuration_is_refused(run: RunDirectory) -> None:
    with run.locked():
        pass
    path = run.path / "config.yaml"
    tree = yaml.safe_load(path.read_text())
    tree["deciding"]["seed"] = 12
    tree.pop("checksum")  # as version 0.1.0 wrote it
    path.write_text(yaml.safe_dump(tree))
    before = path.read_bytes()
    with (
        pytest.raises(RunError, match="belongs to another configuration; move it away or choose another out=DIR"),
        run.locked(),
    ):
        pass
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["", "- 1\n", "{", "config: 3\n"])
def test_a_configuration_that_is_none(run: RunDirectory, config: RunConfig, text: str) -> None:
    run.path.mkdir(parents=True)
    (run.path / "config.yaml").write_text(text)
    with pytest.raises(RunError, match="not the configuration of a run"):
        read_config(run.path)
    with run.locked():  # the folder's name says whose it is, and what to write
        assert read_config(run.path) == config


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run \(it has no config\.yaml\)"):
        read_config(tmp_path)
