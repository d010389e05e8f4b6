"""Names on the hub, as people write them: `OWNER/NAME`, with `@REVISION` behind it or not."""

from __future__ import annotations

import re
from pathlib import Path

_NAME = re.compile(r"(?P<repository>\w[\w.-]*(?:/[\w.-]+)?)@(?P<revision>[^@\s]+)")


def last_part(path: str) -> str:
    """What a path or a name of the hub ends in; Windows parts its folders by backslashes."""
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]


def split_revision(text: str) -> tuple[str, str | None]:
    """The repository and the revision (branch, tag, refs/... or commit) behind its name; a folder here stays whole."""
    match = _NAME.fullmatch(text)
    if match is None or Path(text).is_dir():
        return text, None
    return match["repository"], match["revision"]
