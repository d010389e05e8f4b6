"""Revisions of repositories as folders of files, and what the hub says of them; served by `hub_server.py`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import quote

LARGE = (".safetensors", ".parquet", ".bin")  # kinds of files that git keeps elsewhere


def commit(folder: Path) -> str:
    """The commit of a revision's folder: 40 hex digits made from its name and its files."""
    digest = hashlib.sha1(str(folder.relative_to(folder.parents[2])).encode())
    for path in files(folder):
        digest.update(f"{path.relative_to(folder)} {blob(path)}\n".encode())
    return digest.hexdigest()


def blob(path: Path) -> str:
    """The id that git gives a file's contents."""
    data = path.read_bytes()
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


def tag(path: Path) -> str:
    """The entity tag of a file: what git calls it, or the SHA-256 of a large one."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.suffix in LARGE else blob(path)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def sibling(folder: Path, path: Path) -> dict:
    """One file of a repository's information with `blobs=true`."""
    size = path.stat().st_size
    lfs = {"lfs": {"sha256": tag(path), "size": size, "pointerSize": 134}} if path.suffix in LARGE else {}
    return {"rfilename": path.relative_to(folder).as_posix(), "blobId": blob(path), "size": size, **lfs}


def upload_mode(folder: Path, name: str) -> dict:
    """How a file is to be uploaded, and what it is now."""
    path = folder / name
    mode = "lfs" if path.suffix in LARGE else "regular"
    return {"path": name, "uploadMode": mode, "shouldIgnore": False, "oid": tag(path) if path.is_file() else None}


def entry(folder: Path, path: Path) -> dict:
    """One line of a tree listing."""
    name = path.relative_to(folder).as_posix()
    if path.is_dir():
        return {"type": "directory", "oid": hashlib.sha1(name.encode()).hexdigest(), "size": 0, "path": name}
    size = path.stat().st_size
    lfs = {"lfs": {"oid": tag(path), "size": size, "pointerSize": 134}} if path.suffix in LARGE else {}
    return {"type": "file", "oid": blob(path), "size": size, "path": name, **lfs}


def revision_folder(root: str | Path, kind: str, repository: str, revision: str = "main") -> Path:
    """Make and return the folder of a revision, to be filled with files."""
    folder = Path(root) / kind / repository / quote(revision, safe="")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
