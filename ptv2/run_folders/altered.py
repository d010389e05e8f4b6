"""Find altered files of a finished run: result.json has a checksum of each, and one of itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ptv2.errors import UnreadableError

FILES = ("env.json", "metrics.jsonl", "predictions-*.jsonl", "fractions-*.json", "official-*")
CHECKSUM = "checksum"  # key in JSON and YAML files; the checksum is over everything else in them


def with_checksum(tree: Mapping[str, Any], checked: Any = None) -> dict[str, Any]:
    """Add a checksum of `checked`, or else of the whole mapping, at the end of a mapping."""
    return {**tree, CHECKSUM: checksum(tree if checked is None else checked)}


def is_altered(tree: Mapping[str, Any], *checked: Any) -> bool:
    """Whether a mapping differs from its checksum; those of early versions have none and count as unaltered.

    Args:
        checked: the values that the checksum may be of; without any, all else in the mapping, which JSON was read into.
    """
    if CHECKSUM not in tree:
        return False
    if checked:
        return tree[CHECKSUM] not in map(checksum, checked)
    return bool(tree[CHECKSUM] != _digest({key: value for key, value in tree.items() if key != CHECKSUM}))


def checksum(tree: Any) -> str:
    """Hash a value of JSON, whatever the order of its keys; an empty text for other values."""
    try:
        return _digest(json.loads(json.dumps(tree)))
    except (TypeError, ValueError, RecursionError):
        return ""


def _digest(plain: Any) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def hash_files(folder: Path) -> dict[str, str]:
    """Hash the files that a run leaves beside its result, with SHA-256, by name."""
    paths = sorted(path for pattern in FILES for path in folder.glob(pattern))
    return {path.name: _hash(path) for path in paths}


def check_readable(folder: Path, files: Iterable[str]) -> None:
    """Raise `UnreadableError` for a file that is there, but cannot be opened now, as by this user."""
    for name in files:
        try:
            (folder / name).open("rb").close()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            pass
        except OSError as error:
            raise UnreadableError(f"{folder / name}: cannot be read ({error.strerror})") from error


def altered_files(folder: Path, files: Mapping[str, str]) -> list[str]:
    """List the files that differ from their hashes; a missing one may have been removed on purpose.

    Args:
        files: SHA-256 by name, as in the result.
    """
    return [name for name, sha256 in files.items() if _is_other(folder / name, sha256)]


def _is_other(path: Path, sha256: str) -> bool:
    try:
        return _hash(path) != sha256
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
