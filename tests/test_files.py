"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
from pathlib import Path

import pytest
from commandline import python

from ptv2.files import (
    check_folder,
    check_writable,
    write_bytes_whole,
    write_json_whole,
    write_text_whole,
    write_together,
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_bytes_whole(tmp_path / "new" / "a", b"\x00\xff")
    write_text_whole(tmp_path / "b", "é\n")
    write_json_whole(tmp_path / "c.json", {"name": "é", "n": 1.5})
    assert (tmp_path / "new" / "a").read_bytes() == b"\x00\xff"
    assert (tmp_path / "b").read_bytes() == "é\n".encode()
    assert json.loads((tmp_path / "c.json").read_text(encoding="utf-8")) == {"name": "é", "n": 1.5}
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o666 & ~mask


def test_an_error_names_the_file_that_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system", str(tmp_path / ".page.html.x.tmp"))

    monkeypatch.setattr("tempfile.mkstemp", fail)
    with pytest.raises(OSError, match="Read-only") as caught:
        write_text_whole(tmp_path / "page.html", "text")
    assert caught.value.filename == str(tmp_path / "page.html")


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failure_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "result.json"
    write_text_whole(path, "before")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="No space left"):
        write_text_whole(path, "after")
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["result.json"]


def test_a_file_system_without_modes_or_syncs_of_folders_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def only_files(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(handle)

    def no_modes(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fsync", only_files)
    monkeypatch.setattr(os, "fchmod", no_modes)
    write_text_whole(tmp_path / "a", "whole")
    write_together(tmp_path / "new", {"b": "together"})
    assert (tmp_path / "a").read_text() == "whole"
    assert (tmp_path / "new" / "b").read_text() == "together"


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_files_that_belong_together_are_all_written_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    write_together(tmp_path / "old", {"a": "before"})
    calls = []

    def fail(*arguments: object) -> None:
        calls.append(arguments)
        if failing == "replace" or len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, fail)
    for folder, left in (("old", ["a"]), ("new", None)):
        calls.clear()
        with pytest.raises(OSError, match="No space left") as caught:
            write_together(tmp_path / folder, {"a": "1", "b": "2"})
        assert caught.value.filename == str(tmp_path / folder / ("a" if failing == "replace" else "b"))
        assert left == (os.listdir(tmp_path / folder) if (tmp_path / folder).exists() else None)
    assert (tmp_path / "old" / "a").read_text() == "before"


def test_what_a_killed_process_left_goes_with_the_next_one(tmp_path: Path) -> None:
    """Parts of licensed corpora stayed in hidden folders."""
    begin = "import os, signal; from pathlib import Path; from ptv2.files import write_together\n"
    kill = "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
    write = f"write_together(Path({str(tmp_path)!r}), dict(a='1', b='2'))"
    assert python("-c", begin + kill + write).wait() == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 2
    assert python("-c", begin + write).wait() == 0
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGHUP, -signal.SIGHUP), (signal.SIGINT, 130)]
)
def test_a_signal_leaves_no_temporary_folder(number: int, code: int, tmp_path: Path) -> None:
    """A copy of standard input is perhaps private."""
    script = (
        "import signal, time, sys; from ptv2 import interruption, files\n"
        f"signal.signal({number}, signal.default_int_handler if {number} == 2 else signal.SIG_DFL)\n"
        "interruption.install()\n"
        "with files.scratch_folder() as folder:\n"
        "    (folder / 'stdin.jsonl').touch(); print('begun', flush=True); time.sleep(60)"
    )
    with python("-c", script, TMPDIR=str(tmp_path)) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert os.listdir(tmp_path)
        process.send_signal(number)
        assert process.wait(30) == code
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127])
def test_a_name_may_be_as_long_as_any(name: str, tmp_path: Path) -> None:
    write_text_whole(tmp_path / name, "whole")
    assert os.listdir(tmp_path) == [name]


def test_a_name_that_is_too_long_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="File name too long"):
        check_writable(tmp_path / ("x" * 256), tmp_path / "input")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        check_writable(tmp_path / "file" / "a", tmp_path / "input")


def test_a_folder_is_looked_at_before_anything_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for there in (tmp_path, tmp_path / "new" / "below"):
        check_folder(there)
    for other in ("file", "file/below"):
        with pytest.raises(NotADirectoryError) as caught:
            check_folder(tmp_path / other)
        assert caught.value.filename == str(tmp_path / "file")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError) as denied:
        check_folder(tmp_path / "new")
    assert denied.value.filename == str(tmp_path / "new")
    assert os.listdir(tmp_path) == ["file"]


def test_numbers_that_json_has_not(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json_whole(tmp_path / "x.json", {"loss": float("nan")})
    assert os.listdir(tmp_path) == []


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """So are devices: as root, a rename to /dev/null would put a file in its place."""
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_bytes_whole(tmp_path / "pipe", b"a", b"b")
    assert os.read(reader, 9) == b"ab"
    assert (tmp_path / "pipe").is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]
    write_bytes_whole("/dev/null", b"a")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OSError, match=r"No space left"):
        write_bytes_whole("/dev/full", b"a")
    assert Path("/dev/full").is_char_device()
