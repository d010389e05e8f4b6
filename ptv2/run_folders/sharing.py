"""Make records fit to share: remove folders of this machine, and with them the user's name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ptv2.files import home_folder

# Settings that hold a path on this machine; fingerprints identify data and weights.
PATHS = {"out", "dir", "path"}
# An absolute path in a sentence, if its first folders exist: "/people/person" is a label.
BEFORE_A_PATH = r"(?<![\w.~/-])"
_ABSOLUTE = re.compile(r"(?<![\w.~:/-])/(?!/)[^\s'\"`,;()\[\]{}<>|]+")


def shareable_path(path: str) -> str:
    """Make a path relative to the current folder; of an absolute path elsewhere keep the last name only."""
    if not Path(path).is_absolute():
        return path
    return _relative(Path(path))


def shareable_config(value: Any) -> Any:
    """Copy a configuration, or a part of it, without absolute paths."""
    if isinstance(value, Mapping):
        return {
            key: shareable_path(item) if key in PATHS and isinstance(item, str) else shareable_config(item)
            for key, item in value.items()
        }
    return [shareable_config(item) for item in value] if isinstance(value, list | tuple) else value


def without_paths(value: Any) -> Any:
    """Copy a configuration, or a part of it, without the settings that hold a path on this machine."""
    if isinstance(value, Mapping):
        return {key: without_paths(item) for key, item in value.items() if key not in PATHS}
    return [without_paths(item) for item in value] if isinstance(value, list | tuple) else value


def shareable_text(text: str) -> str:
    """Remove absolute paths of this machine and the name of the home folder from a message."""
    for folder in (Path.cwd(), home_folder()):
        if folder is not None:
            text = replace_folder(text, folder, "")
    return _ABSOLUTE.sub(lambda match: _shareable_match(match.group()), text)


def replace_folder(text: str, folder: Path, instead: str) -> str:
    """Put other words in the place of a folder and its slash, where an absolute path in a text begins with it.

    Nothing changes for a root, with which every path begins.
    """
    if len(folder.parts) < 2:
        return text
    return re.sub(rf"{BEFORE_A_PATH}{re.escape(str(folder))}/", lambda _: instead, text)


def _shareable_match(text: str) -> str:
    path = text.rstrip(".:")
    if len(Path(path).parts) < 3 or not Path(*Path(path).parts[:2]).is_dir():
        return text
    return _relative(Path(path)) + text[len(path) :]


def _relative(path: Path) -> str:
    try:
        return path.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path.name
