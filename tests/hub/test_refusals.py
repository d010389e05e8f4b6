"""What the hub and the way to it can do to a command: one line with the cause and what mends it, and an exit code."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pytest
from commandline import Done
from pyarrow import parquet

sys.path.append(str(Path(__file__).parents[1]))
from hub_commands import Commands, run_all
from hub_files import revision_folder
from hub_server import Fault, HubServer

TOKEN = "hf_aSecretOfMine"
LOGIN = b"<html>Welcome to the hotel. Please log in.</html>"
NOBODY = "http://127.0.0.1:9"
# repository: (how the server fails, exit code, what the message says)
FAULTS: dict[str, tuple[Fault, int, list[str]]] = {
    "gated": (Fault(403, {"X-Error-Code": "GatedRepo"}, files=True), 2, ["restricted; accept its terms", "HF_TOKEN"]),
    "denied": (Fault(403), 2, ["status 403", "accept its terms", "HF_TOKEN"]),
    "token": (
        Fault(401, {"X-Error-Message": "Invalid credentials in Authorization header"}),
        2,
        ["status 401", "does not take this HF_TOKEN"],
    ),
    "disabled": (Fault(403, {"X-Error-Message": "Access to this resource is disabled."}), 2, ["has disabled this"]),
    "gone": (Fault(404), 2, ["status 404", "no such repository, revision or file"]),
    "teapot": (Fault(418), 2, ["status 418", "HF_ENDPOINT"]),
    "busy": (Fault(429), 69, ["status 429", "too many requests; wait some minutes"]),
    "broken": (Fault(500), 69, ["status 500", "try again later"]),
    "closed": (Fault(503, files=True), 69, ["status 503", "try again later"]),
    "slow": (Fault(wait=1.5), 69, ["no answer in time", "HF_HUB_DOWNLOAD_TIMEOUT"]),
    "half": (Fault(end=1000, files=True), 69, ["broke off; try again"]),
    "short": (Fault(end=1000, length=1000, files=True), 69, ["broke off; try again"]),
    "login": (Fault(200, {"Content-Type": "text/html"}, LOGIN), 69, ["is no hub", "HF_ENDPOINT"]),
    "nameless": (Fault(200, {"ETag": '"x"'}, LOGIN, files=True), 69, ["is no hub", "HF_ENDPOINT"]),
    "circle": (Fault(302, {"Location": "CIRCLE"}), 69, ["redirects in circles"]),
    "elsewhere": (Fault(302, {"Location": f"{NOBODY}/x"}), 69, ["127.0.0.1:9, where http://127.", "is not reachable"]),
}
DATA = ["gated", "busy", "half", "spoiled", "login", "absent"]
TASK = """\
name: {name}
shape: classify
source: hub
text: [sentence]
sources:
  hub:
    repository: someone/{name}
    revision: main
    files: {{train: train.parquet, dev: dev.parquet}}
    columns: [label]
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub whose repositories are models and data sets at once, of which nothing can be trained."""
    root = tmp_path_factory.mktemp("hub")
    for name in [*FAULTS, "good", "spoiled", "pickled", "bare"]:
        model = revision_folder(root, "models", f"someone/{name}")
        (model / "config.json").write_text('{"model_type": "bert", "vocab_size": 30522}')
        (model / "tokenizer.json").write_text("{}")
        (model / "model.safetensors").write_bytes(os.urandom(40_000))
        data = revision_folder(root, "datasets", f"someone/{name}")
        for split in ("train", "dev"):
            rows = [{"sentence": f"word {n} " + "and more " * 90, "label": str(n % 2)} for n in range(40)]
            parquet.write_table(pa.Table.from_pylist(rows), data / f"{split}.parquet", compression="none")
    for name in ("pickled", "bare"):
        (root / "models/someone" / name / "main" / "model.safetensors").unlink()
    (root / "models/someone/pickled/main/pytorch_model.bin").write_bytes(b"pickle")
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[HubServer]:
    with HubServer(root) as server:
        for name, (fault, _, _) in FAULTS.items():
            if fault.headers.get("Location") == "CIRCLE":
                fault.headers["Location"] = f"{server.url}/api/models/someone/{name}"
            server.faults[f"someone/{name}"] = fault
        server.faults["someone/spoiled"] = Fault(spoil=True, files=True)
        yield server


def of_model(name: str, out: Path) -> list[str]:
    return ["train", f"model.path={name}", f"out={out / 'runs'}"]


def of_data(name: str, out: Path) -> list[str]:
    return ["train", "--config-dir", str(out), f"task={name}", "model=tiny", f"out={out / 'runs'}"]


@pytest.fixture(scope="module")
def refused(server: HubServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """A command for each repository, with its model or its data, with and without a token."""
    out = tmp_path_factory.mktemp("refused")
    (out / "task").mkdir()
    commands: Commands = {
        f"model {name}": (of_model(f"someone/{name}", out), {}) for name in [*FAULTS, "absent", "pickled", "bare"]
    }
    for name in DATA:
        (out / "task" / f"{name}.yaml").write_text(TASK.format(name=name))
        commands[f"data {name}"] = (of_data(name, out), {})
    for name in ("gated", "absent", "busy"):
        commands[f"with token {name}"] = (of_model(f"someone/{name}", out), {"HF_TOKEN": TOKEN})
    commands["revision"] = ([*of_model("someone/good", out), "model.revision=v7"], {})
    commands["commit"] = ([*of_model("someone/good", out), f"model.revision={'a' * 40}"], {})
    commands["long"] = ([*of_model("someone/absent", out), f"model.revision={'v' * 400}"], {})
    commands["name"] = (of_model("some one", out), {})
    commands["plan"] = (["plan", "model.path=someone/absent", "--examples", "9"], {})
    done = run_all(out / "streams", commands, "hub", HF_ENDPOINT=server.url)
    assert not (out / "runs").exists(), "nothing is written into a run"
    return done


def message(done: Done, code: int) -> str:
    """The line of the error, which is the last one, short, and without anything secret."""
    assert done.code == code, done
    assert done.err.splitlines()[-1] == f"ptv2: error: {done.error}"
    assert len(done.err.splitlines()[-1]) <= 300
    assert "secret" not in done.err.lower()
    assert done.out == ""
    return done.error


@pytest.mark.parametrize("name", FAULTS)
def test_a_model(refused: dict[str, Done], server: HubServer, name: str) -> None:
    _, code, parts = FAULTS[name]
    text = message(refused[f"model {name}"], code)
    assert text.startswith(f"someone/{name}: ")
    assert [part for part in [*parts, server.url, "model.path=FOLDER", "model=minilm"] if part not in text] == []


@pytest.mark.parametrize("name", [name for name in DATA if name in FAULTS])
def test_data(refused: dict[str, Done], server: HubServer, name: str) -> None:
    _, code, parts = FAULTS[name]
    text = message(refused[f"data {name}"], code)
    assert text.startswith(f"someone/{name}@main: ")
    assert [part for part in [*parts, server.url, "data.dir=DIR", "task=mini-inference"] if part not in text] == []


def test_a_file_with_another_checksum_is_removed(refused: dict[str, Done]) -> None:
    text = message(refused["data spoiled"], 69)
    assert text.startswith("someone/spoiled@main: train.parquet is not what the hub has (wrong SHA-256); it is removed")


def test_names_that_are_not_there(refused: dict[str, Done], server: HubServer) -> None:
    there = f"no such repository on {server.url} (or a private one, "
    assert f"someone/absent: {there}which needs HF_TOKEN); or give model.path=" in message(refused["model absent"], 2)
    assert f"someone/absent@main: {there}which needs HF_TOKEN); or use local" in message(refused["data absent"], 2)
    assert f"{there}that this HF_TOKEN may not read)" in message(refused["with token absent"], 2)
    assert "someone/good@v7: the repository has no such revision, v7 (a branch" in message(refused["revision"], 2)
    assert "someone/good: the repository has no such revision, aaaaaaaa" in message(refused["commit"], 2)
    assert "neither a folder here nor a name on the hub (owner/name)" in message(refused["name"], 2)
    assert f"someone/absent: {there}" in message(refused["plan"], 2)
    text = message(refused["long"], 2)
    assert "vvv...: no such repository on " in text
    assert text.endswith("which needs no network")


def test_a_token_is_used_and_not_shown(refused: dict[str, Done], server: HubServer) -> None:
    assert f"Bearer {TOKEN}" in server.tokens
    assert "with the account of this HF_TOKEN" in message(refused["with token gated"], 2)
    assert "status 429" in message(refused["with token busy"], 69)


def test_retries_are_told(refused: dict[str, Done], server: HubServer) -> None:
    lines = refused["model closed"].err.splitlines()
    assert f"someone/closed: config.json: {server.url} answered with status 503; trying again in 1 s (1/5)" in lines
    lines = refused["model half"].err.splitlines()
    assert "someone/half: model.safetensors: the connection broke off; going on with it" in lines


# The way to the hub


class Proxy(BaseHTTPRequestHandler):
    """A proxy that wants a password."""

    def do_CONNECT(self) -> None:
        self.send_response(407)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_CONNECT  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def proxy() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://me:secret@127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


FAR = "https://hub.invalid"
CACHE = "the files are not in the cache"
# name: (environment, exit code, what the message says)
WAYS: dict[str, tuple[dict[str, str], int, list[str]]] = {
    "refused": ({"HF_ENDPOINT": NOBODY}, 69, [f"{NOBODY} is not reachable (Connection refused) and {CACHE}"]),
    "no such host": ({"HF_ENDPOINT": FAR}, 69, [f"{FAR} is not reachable", CACHE]),
    "password in address": (
        {"HF_ENDPOINT": "http://me:secret@127.0.0.1:9"},
        69,
        [f"the hub at {NOBODY} is not reachable"],
    ),
    "not https": ({"HF_ENDPOINT": "HTTPS"}, 69, ["https://127.0.0.1", "is not reachable"]),
    "no address": ({"HF_ENDPOINT": "hub.example"}, 2, ["HF_ENDPOINT=hub.example is no address; expected https://HOST"]),
    "proxy with password": ({"HF_ENDPOINT": FAR, "HTTPS_PROXY": "PROXY"}, 69, ["a proxy asks for a password"]),
    "http proxy": ({"HF_ENDPOINT": "http://hub.invalid", "HTTP_PROXY": "PROXY"}, 69, ["a proxy asks for a password"]),
    "dead proxy": (
        {"HF_ENDPOINT": FAR, "HTTPS_PROXY": "http://me:secret@127.0.0.1:9"},
        69,
        [f"{FAR} through the proxy {NOBODY} is not reachable (Connection refused)"],
    ),
    "proxy of no kind": (
        {"HF_ENDPOINT": FAR, "HTTPS_PROXY": "foo://me:secret@127.0.0.1:9"},
        2,
        ["the proxy setting is not usable", "HTTPS_PROXY"],
    ),
    "no certificates": (
        {"HF_ENDPOINT": FAR, "SSL_CERT_FILE": "/nowhere.pem"},
        2,
        ["SSL_CERT_FILE=/nowhere.pem: no file with certificates"],
    ),
    "empty certificates": ({"HF_ENDPOINT": FAR, "SSL_CERT_FILE": "FILE"}, 2, ["/file: no file with certificates"]),
    "token with a letter of its own": ({"HF_TOKEN": "hf_sécret"}, 2, ["HF_TOKEN has a character that no token has"]),
    "token folder": ({"HF_TOKEN_PATH": "FOLDER"}, 2, ["/folder: the hub's token cannot be read (Is a directory)"]),
    "token bytes": ({"HF_TOKEN_PATH": "BYTES"}, 2, ["/bytes: the hub's token cannot be read (it is no text)"]),
    "cache in a file": ({"HF_HOME": "FILE"}, 2, ["the hub's cache cannot be used: ", "set HF_HOME to a folder"]),
    "cache on a full disk": ({"FILE_SIZE": "20000"}, 74, ["no space left for the hub's cache in ", "set HF_HOME"]),
    "offline": ({"HF_HUB_OFFLINE": "1"}, 2, [f"HF_HUB_OFFLINE is set and {CACHE}; unset it"]),
    "offline by another name": ({"TRANSFORMERS_OFFLINE": "1"}, 2, [f"TRANSFORMERS_OFFLINE is set and {CACHE}"]),
}
WAYS_OF_DATA = ["no such host", "proxy with password", "cache on a full disk", "cache in a file", "offline"]


@pytest.fixture(scope="module")
def lost(server: HubServer, proxy: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    out = tmp_path_factory.mktemp("lost")
    (out / "folder").mkdir()
    (out / "file").touch()
    (out / "bytes").write_bytes(b"\xff\xfe\x00")
    (out / "task").mkdir()
    (out / "task" / "good.yaml").write_text(TASK.format(name="good"))
    places = {
        "PROXY": proxy,
        "HTTPS": server.url.replace("http:", "https:"),
        **{name.upper(): str(out / name) for name in ("folder", "file", "bytes")},
    }
    commands: Commands = {}
    for name, (environment, _, _) in WAYS.items():
        given = {key: places.get(value, value) for key, value in environment.items()}
        given.setdefault("HF_HOME", str(out / "home" / name))
        commands[f"model {name}"] = (of_model("someone/good", out), given)
        if name in WAYS_OF_DATA:
            commands[f"data {name}"] = (of_data("good", out), given)
    commands["no number"] = (of_model("someone/good", out), {"HF_HUB_DOWNLOAD_TIMEOUT": "soon"})
    return run_all(out / "streams", commands, "little", HF_ENDPOINT=server.url)


@pytest.mark.parametrize(
    ("name", "kind"), [(name, "model") for name in WAYS] + [(name, "data") for name in WAYS_OF_DATA]
)
def test_the_way_to_the_hub(lost: dict[str, Done], name: str, kind: str) -> None:
    _, code, parts = WAYS[name]
    text = message(lost[f"{kind} {name}"], code)
    assert [part for part in parts if part not in text] == [], text
    assert text.startswith("someone/good: " if kind == "model" else "someone/good@main: ")


def test_a_value_that_the_library_cannot_be_imported_with(lost: dict[str, Done]) -> None:
    done = lost["no number"]
    assert (done.code, done.error) == (2, "HF_HUB_DOWNLOAD_TIMEOUT=soon: expected a number; change it, or unset it")
