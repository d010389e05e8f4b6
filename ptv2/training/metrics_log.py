"""`metrics.jsonl`: one JSON object a line, by step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ptv2.files import naming, write_text_whole


class MetricsLog:
    """Appends lines; after an interruption it forgets those that the continued run will write again."""

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        """`writes` is false on all processes but the main one."""
        self.path = path
        self._writes = writes
        self._waiting: list[str] = []

    def start_at(self, step: int, evaluated_at: int) -> None:
        """Keep what is older than a state: losses up to `step`, evaluations up to `evaluated_at`, no torn last line."""
        if self._writes:
            kept = [line for line in read_lines(self.path) if line["step"] <= (evaluated_at if "dev" in line else step)]
            write_text_whole(self.path, "".join(json.dumps(line) + "\n" for line in kept))

    def add(self, line: dict[str, Any]) -> None:
        """Add a line; an evaluation's is written at once, so that it can be watched."""
        self._waiting.append(json.dumps(line) + "\n")
        if "dev" in line:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._writes and self._waiting:
            with naming(self.path), self.path.open("a", encoding="utf-8") as stream:
                stream.write("".join(self._waiting))
        self._waiting.clear()


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a metrics file; none if it is not there."""
    if not path.is_file():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break  # torn by a kill while it was written; nothing after it can be whole
    return lines
