"""A server on 127.0.0.1 in the shape of the model and dataset hub, for tests of code that downloads or pushes.

It answers what `huggingface_hub` asks for when it lists and downloads: repository information, file trees, path
information, and files with entity tags, commits and ranges. Contents come from a folder, one subfolder a revision
(slashes in its name written %2F):

    ROOT/datasets/OWNER/NAME/main/data/train.parquet
    ROOT/datasets/OWNER/NAME/refs%2Fconvert%2Fparquet/default/train/0000.parquet
    ROOT/models/OWNER/NAME/main/config.json

A revision is asked for by name or by its commit, a digest of its contents. Use it as a context manager and point
`HF_ENDPOINT` at `url`; `requests` holds what was asked, `tokens` who asked. By hand: `python tests/hub_server.py ROOT`.
Models are pushed to it as `huggingface_hub` does it without Xet: create, validate-yaml, preupload, LFS batch, commit.
`writers` says which tokens may write to which owner's repositories; `commits` holds what was committed.

`faults` says which repositories are served wrongly, and how. Large kinds of files have their SHA-256 as entity tag, as
on the hub, and come from `storage` where that is the address of another server.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import yaml
from hub_files import LARGE, commit, entry, files, revision_folder, sibling, tag, upload_mode

ID = r"(?P<id>[^/]+/[^/]+)"
API = re.compile(
    rf"/api/(?P<kind>models|datasets)/{ID}(?:/(?P<verb>revision|tree|paths-info|preupload|commit)/(?P<rest>.+))?"
)
FILE = re.compile(rf"/(?:(?P<kind>datasets)/)?{ID}/resolve/(?P<rest>.+)")
LARGE_FILES = re.compile(rf"/{ID}(?:\.git/info/lfs/objects/batch|/upload/(?P<oid>[0-9a-f]+))")
LICENCES = ("apache-2.0", "mit", "cc-by-4.0", "other")  # some of those that the hub knows


@dataclass
class Fault:
    """How a repository is served wrongly.

    Attributes:
        status: what is answered in the place of what was asked for; 0: what was asked for.
        headers: of that answer.
        body: of that answer.
        files: whether only files are served wrongly, and listings as they should be.
        at: only addresses that have this in them are served wrongly.
        times: how many requests are; those after them get what they ask for.
        wait: seconds before any answer.
        end: the connection ends at this byte of a file, whatever part of it was asked for.
        length: the length that is told of a file whose connection ends; None: the right one.
        spoil: whether the first byte of a large file is another.
        drip: seconds over which a large file comes, in small pieces.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    files: bool = False
    at: str = ""
    times: float = float("inf")
    wait: float = 0.0
    end: int | None = None
    length: int | None = None
    spoil: bool = False
    drip: float = 0.0


class MissingError(Exception):
    """What was asked for is not there; `code` is the hub's word for it, `status` its HTTP status."""

    def __init__(self, code: str, status: int = 404, tree: dict | None = None) -> None:
        super().__init__(code)
        self.code, self.status, self.tree = code, status, tree or {"error": code}


class HubServer:
    """Serve the repositories below `root` in a thread of this process."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.requests: list[str] = []
        self.tokens: set[str | None] = set()
        self.faults: dict[str, Fault] = {}
        self.storage: str | None = None
        self.writers: dict[str, set[str]] = {}
        self.private: set[str] = set()
        self.commits: list[dict[str, bytes]] = []
        self.uploads: dict[str, bytes] = {}
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> HubServer:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Answer nobody any more; nothing happens a second time."""
        self._server.shutdown()
        self._server.server_close()

    def revision(self, kind: str, repository: str, name: str) -> tuple[Path, str]:
        """Return the folder and the commit of a revision, given its name or its commit."""
        home = self.root / kind / repository
        if not home.is_dir():
            raise MissingError("RepoNotFound", 401)  # the hub does not tell missing from private
        for folder in sorted(home.iterdir()):
            if name in (unquote(folder.name), commit(folder)):
                return folder, commit(folder)
        raise MissingError("RevisionNotFound")


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Say nothing; `HubServer.requests` keeps the record."""

    def _answer(self) -> None:
        if self._hangs_up():
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.requests.append(f"{self.command} {self.path}")
        self.hub.tokens.add(self.headers.get("Authorization"))
        url = urlsplit(self.path)
        try:
            if self._is_refused(url.path, body):
                return
            if self.command in ("POST", "PUT") and (value := self._write(url.path, body)) is not None:
                self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})
            elif found := API.fullmatch(url.path):
                value = self._api(
                    found["kind"], found["id"], found["verb"], found["rest"] or "", parse_qs(url.query), body
                )
                self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})
            elif found := FILE.fullmatch(url.path):
                self._file(found["kind"] or "models", found["id"], found["rest"])
            else:
                raise MissingError("EntryNotFound")
        except MissingError as missing:
            headers = {"X-Error-Code": missing.code, "X-Error-Message": missing.code} if missing.code else {}
            self._send(missing.status, json.dumps(missing.tree).encode(), headers)

    def _hangs_up(self) -> bool:
        """Whether a fault has ended the connection in the middle of an upload."""
        fault = self._fault(urlsplit(self.path).path)
        if self.command != "PUT" or fault is None or fault.end is None:
            return False
        fault.times -= 1
        self.rfile.read(fault.end)
        self.close_connection = True
        return True

    def _is_refused(self, path: str, body: bytes) -> bool:
        """Whether a fault has answered already."""
        if path == "/api/repos/create":
            tree = json.loads(body)
            path = f"/api/models/{tree['organization']}/{tree['name']}/revision/create"
        fault = self._fault(path)
        if fault is None or (fault.files and "/resolve/" not in path) or fault.at not in path:
            return False
        fault.times -= 1
        time.sleep(fault.wait)
        if fault.status:
            self._send(fault.status, fault.body, fault.headers)
        return bool(fault.status)

    def _fault(self, path: str) -> Fault | None:
        """The fault of the repository that a path is about."""
        found = API.fullmatch(path) or FILE.fullmatch(path) or LARGE_FILES.fullmatch(path)
        fault = self.hub.faults.get(found["id"]) if found else None
        return fault if fault is not None and fault.times > 0 else None

    def _write(self, path: str, body: bytes) -> object:
        """The answer to a request that writes; None for any other."""
        if path == "/api/validate-yaml":
            metadata = yaml.safe_load(json.loads(body)["content"].split("---\n")[1])
            licence, base = metadata.get("license"), metadata.get("base_model", "a")
            errors = [] if licence in LICENCES else [f'"license" must be one of [{", ".join(LICENCES)}]']
            errors += (
                [] if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", base) else [f'"base_model" with value "{base}" is not valid.']
            )
            if errors:
                raise MissingError("", 400, {"errors": [{"message": error} for error in errors]})
            return {"errors": [], "warnings": []}
        if path == "/api/repos/create":
            tree = json.loads(body)
            return self._create(f"{tree['organization']}/{tree['name']}", tree.get("visibility") == "private")
        if found := LARGE_FILES.fullmatch(path):
            return self._large_file(found["id"], found["oid"], body)
        found = API.fullmatch(path)
        if found is None or found["verb"] not in ("preupload", "commit"):
            return None
        self._check_writer(found["id"])
        folder, sha = self.hub.revision("models", found["id"], found["rest"])
        if found["verb"] == "preupload":
            return {"files": [upload_mode(folder, file["path"]) for file in json.loads(body)["files"]]}
        lines = [json.loads(line) for line in body.splitlines()]
        if lines[0]["value"].get("parentCommit", sha) != sha:
            raise MissingError("", 412)
        change = {}
        for line in lines[1:]:
            value = line["value"]
            change[value["path"]] = (
                self.hub.uploads[value["oid"]] if line["key"] == "lfsFile" else base64.b64decode(value["content"])
            )
        for name, content in change.items():
            (folder / name).write_bytes(content)
        self.hub.commits.append(change)
        return {"commitUrl": f"{self.hub.url}/{found['id']}/commit/{commit(folder)}", "commitOid": commit(folder)}

    def _create(self, repository: str, private: bool) -> object:
        self._check_writer(repository)
        if (self.hub.root / "models" / repository).exists():
            raise MissingError("", 409, {"url": f"{self.hub.url}/{repository}"})
        folder = revision_folder(self.hub.root, "models", repository)
        (folder / ".gitattributes").write_text("*.safetensors filter=lfs diff=lfs merge=lfs -text\n")
        self.hub.private |= {repository} if private else set()
        return {"url": f"{self.hub.url}/{repository}", "name": repository}

    def _large_file(self, repository: str, oid: str | None, body: bytes) -> object:
        if oid is not None:
            assert hashlib.sha256(body).hexdigest() == oid
            self.hub.uploads[oid] = body
            return {}
        self._check_writer(repository)
        return {
            "objects": [
                {**each, "actions": {"upload": {"href": f"{self.hub.url}/{repository}/upload/{each['oid']}"}}}
                for each in json.loads(body)["objects"]
            ]
        }

    def _check_writer(self, repository: str) -> None:
        owners = self.hub.writers.get((self.headers.get("Authorization") or "").removeprefix("Bearer "))
        owner = repository.partition("/")[0]
        if owners is None:
            raise MissingError("", 401, {"error": "Invalid username or password."})
        if owner not in owners:
            words = f'You don\'t have the rights to create a model under the namespace "{owner}"'
            raise MissingError("", 403, {"error": words})

    def _api(self, kind: str, repository: str, verb: str | None, rest: str, query: dict, body: bytes) -> object:
        name, _, below = rest.partition("/")  # the revision comes quoted, so its own slashes are %2F
        folder, sha = self.hub.revision(kind, repository, unquote(name) or "main")
        if verb == "tree":
            return self._tree(folder, unquote(below), query.get("recursive", ["false"])[0].lower() == "true")
        if verb == "paths-info":
            asked = json.loads(body)["paths"] if body[:1] == b"{" else parse_qs(body.decode())["paths"]
            return [entry(folder, folder / path) for path in asked if (folder / path).exists()]
        blobs, private = "blobs" in query, repository in self.hub.private
        siblings = [
            sibling(folder, path) if blobs else {"rfilename": path.relative_to(folder).as_posix()}
            for path in files(folder)
        ]
        return {"_id": sha, "id": repository, "sha": sha, "private": private, "gated": False, "disabled": False,
                "downloads": 0, "likes": 0, "tags": [], "siblings": siblings}  # fmt: skip

    def _tree(self, folder: Path, below: str, recursive: bool) -> list[dict]:
        top = folder / below
        if not top.is_dir():
            raise MissingError("EntryNotFound")
        return [entry(folder, path) for path in sorted(top.rglob("*") if recursive else top.iterdir())]

    def _file(self, kind: str, repository: str, rest: str) -> None:
        name, _, below = rest.partition("/")
        folder, sha = self.hub.revision(kind, repository, unquote(name))
        path = folder / unquote(below)
        if folder.resolve() not in path.resolve().parents or not path.is_file():
            raise MissingError("EntryNotFound")
        data, headers = path.read_bytes(), {"ETag": f'"{tag(path)}"', "X-Repo-Commit": sha, "Accept-Ranges": "bytes"}
        if self.hub.storage and path.suffix in LARGE:
            headers |= {"X-Linked-ETag": f'"{tag(path)}"', "X-Linked-Size": str(len(data))}
            self._send(302, b"", {**headers, "Location": f"{self.hub.storage}{self.path}"})
            return
        fault = self._fault(urlsplit(self.path).path)
        if fault is not None and fault.spoil and path.suffix in LARGE:
            data = bytes([data[0] ^ 1]) + data[1:]
        if fault is not None and fault.end is not None and self.command == "GET":
            self._break_off(data, fault, headers)
        elif fault is not None and fault.drip and path.suffix in LARGE and self.command == "GET":
            self._drip(data, fault.drip, headers)
        elif asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(asked[1]), min(int(asked[2] or len(data) - 1), len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            self._send(206, data[first : last + 1], headers)
        else:
            self._send(200, data, headers)

    def _break_off(self, data: bytes, fault: Fault, headers: dict[str, str]) -> None:
        """Send a file up to a byte, and hang up."""
        assert fault.end is not None
        asked = re.fullmatch(r"bytes=(\d+)-.*", self.headers.get("Range", ""))
        first = int(asked[1]) if asked else 0
        if asked:
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        self.send_response(206 if asked else 200)
        length = len(data) - first if fault.length is None else fault.length
        for key, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(data[first : fault.end])
        self.close_connection = True

    def _drip(self, data: bytes, seconds: float, headers: dict[str, str], pieces: int = 50) -> None:
        """Send a file slowly, until the other side hangs up."""
        self.send_response(200)
        for key, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(key, value)
        self.end_headers()
        size = -(-len(data) // pieces)
        for first in range(0, len(data), size):
            time.sleep(seconds / pieces)
            try:
                self.wfile.write(data[first : first + size])
            except OSError:
                self.close_connection = True
                return

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


if __name__ == "__main__":
    with HubServer(sys.argv[1]) as server:
        print(f"HF_ENDPOINT={server.url}", flush=True)
        threading.Event().wait()
