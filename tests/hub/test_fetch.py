"""Fetching from the hub: what is shown, and that what comes is whole, whatever else happens at the time."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commandline import TIMEOUT, wait_until

sys.path.append(str(Path(__file__).parents[1]))
from hub_files import revision_folder
from hub_server import Fault, HubServer

SIZE = 12_000_000
FETCH = """
import sys
from ptv2.config.schema import ModelConfig
from ptv2.errors import Ptv2Error
from ptv2.models.checkpoints import hash_weights, resolve
try:
    folder, _ = resolve(ModelConfig(name="x", path=sys.argv[1]))
    print(hash_weights(folder, sys.argv[1]))
except Ptv2Error as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.fixture(scope="module")
def weights() -> bytes:
    return os.urandom(1000) * (SIZE // 1000)


@pytest.fixture
def hub(weights: bytes, tmp_path: Path) -> Iterator[HubServer]:
    """A hub with one model."""
    folder = revision_folder(tmp_path / "hub", "models", "someone/model")
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    with HubServer(tmp_path / "hub") as server:
        yield server


def environment(hub: HubServer, home: Path, **more: str) -> dict[str, str]:
    names = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS_"))}
    return {**names, "HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DOWNLOAD_TIMEOUT": "5", **more}


def start(hub: HubServer, home: Path, **more: str) -> subprocess.Popen[str]:
    """A process that fetches the model and says the SHA-256 of its weights, or why not."""
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, "someone/model"],
        env=environment(hub, home, **more),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def fetch(hub: HubServer, home: Path, **more: str) -> tuple[int, str, list[str]]:
    """Exit code, output, and the lines that a person sees of a fetch."""
    process = start(hub, home, **more)
    out, err = process.communicate(timeout=TIMEOUT)
    return process.returncode, out.strip(), err.splitlines()


def files_of(home: Path) -> list[str]:
    """The kinds of files that the cache keeps contents in."""
    names = [name for folder, _, names in os.walk(home) if folder.endswith("blobs") for name in names]
    return sorted(Path(name).suffix for name in names)


def asked_for(hub: HubServer, name: str) -> list[str]:
    return [line for line in hub.requests if line.startswith("GET") and line.endswith(name)]


def until(condition: Callable[[], bool]) -> None:
    assert wait_until(condition, lambda: True)


def test_what_is_large_is_told(hub: HubServer, weights: bytes, tmp_path: Path) -> None:
    expected = hashlib.sha256(weights).hexdigest()
    hub.faults["someone/model"] = Fault(drip=1.5)
    assert fetch(hub, tmp_path) == (0, expected, [f"someone/model: fetching 12.0MB from {hub.url}"])
    assert fetch(hub, tmp_path) == (0, expected, []), "what is in the cache is not fetched again"
    assert len(asked_for(hub, "model.safetensors")) == 1


def test_a_bar_on_a_terminal(hub: HubServer, tmp_path: Path) -> None:
    hub.faults["someone/model"] = Fault(drip=2)
    reader, writer = pty.openpty()
    termios.tcsetwinsize(writer, (24, 100))
    process = subprocess.Popen(
        [sys.executable, "-c", FETCH, "someone/model"],
        env=environment(hub, tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=writer,
    )
    os.close(writer)
    shown = b""
    try:
        while piece := os.read(reader, 4096):
            shown += piece
    except OSError:  # how a terminal ends on Linux
        pass
    assert process.wait(TIMEOUT) == 0
    text = shown.decode()
    assert "someone/model: " in text
    assert "/12.0M" in text
    assert "%|" in text
    assert "Fetching" not in text, "one bar, not one for each kind of work"
    assert text.rstrip("\r").rsplit("\r", 1)[-1].strip() == "", "nothing is left of the bar"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("[Errno -2] Name or service not known", "x: https://huggingface.co is not reachable"),
        ("[Errno -3] Temporary failure in name resolution", "x: https://huggingface.co is not reachable"),
        ("[Errno 111] Connection refused", "x: https://huggingface.co is not reachable"),
        ("[Errno 101] Network is unreachable", "x: https://huggingface.co is not reachable"),
        ("The read operation timed out", "x: no answer in time"),
        ("peer closed connection without sending complete message body", "x: the connection broke off"),
    ],
)
def test_why_it_is_tried_again(fault: str, said: str) -> None:
    """Without a network no connection breaks off: there is none."""
    from ptv2.hub.progress import _reason

    assert _reason(f"'{fault}' thrown while requesting HEAD https://huggingface.co/a/b/resolve/main/x") == said


def test_retries_that_help_are_told(hub: HubServer, weights: bytes, tmp_path: Path) -> None:
    hub.faults["someone/model"] = Fault(503, files=True, times=4)
    code, out, lines = fetch(hub, tmp_path)
    assert (code, out) == (0, hashlib.sha256(weights).hexdigest())
    assert [line for line in lines if f": {hub.url} answered with status 503; trying again in 1 s (1/5)" in line]
    hub.faults["someone/model"] = Fault(503, files=True, times=4)
    assert fetch(hub, tmp_path / "other", RANK="1")[2] == [], "one process of several tells of it"


def test_two_processes_fetch_the_same(hub: HubServer, weights: bytes, tmp_path: Path) -> None:
    hub.faults["someone/model"] = Fault(drip=0.5)
    both = [start(hub, tmp_path / "home") for _ in range(2)]
    outputs = [process.communicate(timeout=TIMEOUT) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert {out.strip() for out, _ in outputs} == {hashlib.sha256(weights).hexdigest()}
    assert files_of(tmp_path / "home") == ["", ""], "two files, nothing half"


def test_a_killed_fetch_is_taken_up_again(hub: HubServer, weights: bytes, tmp_path: Path) -> None:
    hub.faults["someone/model"] = Fault(drip=60)
    process = start(hub, tmp_path / "home")
    until(lambda: files_of(tmp_path / "home") == ["", ".incomplete"])
    process.kill()
    process.wait(TIMEOUT)
    hub.faults.clear()
    code, out, _ = fetch(hub, tmp_path / "home")
    assert (code, out) == (0, hashlib.sha256(weights).hexdigest())
    assert len(asked_for(hub, "config.json")) == 1, "what was whole is not fetched again"


def test_ctrl_c_ends_a_fetch_at_once(hub: HubServer, tmp_path: Path) -> None:
    hub.faults["someone/model"] = Fault(drip=60)
    process = subprocess.Popen(
        [sys.executable, "-m", "ptv2", "train", "model.path=someone/model", f"out={tmp_path / 'runs'}"],
        env=environment(hub, tmp_path / "home"),
        text=True,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in the background of a shell
    )
    until(lambda: files_of(tmp_path / "home") == ["", ".incomplete"])
    before = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=TIMEOUT)
    assert time.monotonic() - before < 30, "the rest of the file was not waited for"
    assert process.returncode == 130
    assert "Traceback" not in err
    assert files_of(tmp_path / "home") == [""]


def test_another_host_gets_no_token(hub: HubServer, weights: bytes, tmp_path: Path) -> None:
    with HubServer(hub.root) as storage:
        hub.storage = storage.url.replace("127.0.0.1", "localhost")
        code, out, _ = fetch(hub, tmp_path, HF_TOKEN="hf_aSecretOfMine")
    assert (code, out) == (0, hashlib.sha256(weights).hexdigest())
    assert "Bearer hf_aSecretOfMine" in hub.tokens
    assert storage.tokens == {None}


def test_a_damaged_file_of_the_cache_is_fetched_again(hub: HubServer, weights: bytes, tmp_path: Path) -> None:
    expected = hashlib.sha256(weights).hexdigest()
    assert fetch(hub, tmp_path)[:2] == (0, expected)
    (blob,) = tmp_path.rglob(f"blobs/{expected}")
    blob.write_bytes(b"x" + weights[1:])
    code, out, _ = fetch(hub, tmp_path, HF_HUB_OFFLINE="1")
    assert code == 69
    assert out == (
        "someone/model: model.safetensors is not what the hub has (wrong SHA-256); it is removed from the cache, and "
        "the same command fetches it again"
    )
    code, out, _ = fetch(hub, tmp_path, HF_HUB_OFFLINE="1")
    assert code == 2
    assert "HF_HUB_OFFLINE is set and the files are not in the cache" in out
    assert fetch(hub, tmp_path)[:2] == (0, expected)


def test_what_was_fetched_in_part_is_told_when_the_hub_is_gone(hub: HubServer, tmp_path: Path) -> None:
    folder = hub.root / "models/someone/model/main"
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    (folder / "model-00002-of-00002.safetensors").write_bytes(b"b")
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert fetch(hub, tmp_path)[0] == 0
    (shard,) = tmp_path.rglob("snapshots/*/model-00002-of-00002.safetensors")
    shard.unlink()
    code, out, _ = fetch(hub, tmp_path, HF_HUB_OFFLINE="1")
    assert (code, "HF_HUB_OFFLINE is set and the files are not in the cache" in out) == (2, True)
    code, out, _ = fetch(hub, tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    assert (code, "not reachable (Connection refused) and the files are not in the cache" in out) == (69, True)
