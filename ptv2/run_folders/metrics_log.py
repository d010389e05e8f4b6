"""`metrics.jsonl`: one JSON object per line, by step."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ptv2.files import naming, write_text_whole


class MetricsLog:
    """Append lines; after an interruption, remove those that the continued run will write again."""

    def __init__(
        self, path: Path, *, writes: bool = True, follow: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        """Write nothing yet.

        Args:
            writes: whether this is the main process.
            follow: told of every line, those that are kept after an interruption included; in the main process only.
        """
        self.path = path
        self._follow = follow if writes else None
        self._writes = writes
        self._waiting: list[str] = []
        self._lines = 0
        self._hash = hashlib.sha256()

    def start_at(self, step: int, evaluated_at: int, saved: dict[str, Any] | None = None) -> int:
        """Keep the lines older than a state: losses up to `step`, evaluations up to `evaluated_at`.

        Args:
            step: the step of the state.
            evaluated_at: the step of its last evaluation.
            saved: the `fingerprint()` that the state was saved with.

        Returns:
            The number of damaged, altered or lost lines. A last line that a kill has cut short does not count.
        """
        if not self._writes:
            return 0
        lines, damaged = _parse(self.path)
        older = [line for line in lines if line["step"] <= (evaluated_at if "dev" in line else step)]
        text = "".join(json.dumps(line) + "\n" for line in older)
        write_text_whole(self.path, text)
        self._lines, self._hash = 0, hashlib.sha256()
        self._count(text)
        if self._follow is not None:
            for line in older:
                self._follow(line)
        if saved is None or self.fingerprint() == saved:
            return damaged
        return max(1, damaged, saved["lines"] - len(older))

    def fingerprint(self) -> dict[str, Any]:
        """Return the number of written lines and their SHA-256, by which altered ones are noticed."""
        return {"lines": self._lines, "sha256": self._hash.hexdigest()}

    def add(self, line: dict[str, Any]) -> None:
        """Add a line; those of evaluations are written at once, so that they can be watched."""
        self._waiting.append(json.dumps(line) + "\n")
        if "dev" in line:
            self.flush()
        if self._follow is not None:
            self._follow(line)

    def flush(self) -> None:
        """Write the lines that wait."""
        if self._writes and self._waiting:
            text = "".join(self._waiting)
            with naming(self.path), self.path.open("a", encoding="utf-8") as stream:
                stream.write(text)
            self._count(text)
        self._waiting.clear()

    def _count(self, text: str) -> None:
        self._lines += text.count("\n")
        self._hash.update(text.encode())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a metrics file, without damaged ones; empty if there is no such file."""
    return _parse(path)[0]


def _parse(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Read the whole lines, and count the damaged ones but for a last line that a kill has cut short."""
    if not path.is_file():
        return [], 0
    lines, damaged = [], 0
    *ended, _ = path.read_bytes().split(b"\n")
    for text in ended:
        line = _line(text)
        if line is None:
            damaged += 1
        else:
            lines.append(line)
    return lines, damaged


def _line(text: bytes) -> dict[str, Any] | None:
    """One line's object: its step with a loss or the scores of an evaluation, finite numbers all; else None."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):  # no UTF-8 is a ValueError too
        return None
    if not isinstance(line, dict) or not is_number(line.get("step"), int):
        return None
    scores = line["dev"] if "dev" in line else {"loss": line.get("loss")}
    good = isinstance(scores, dict) and all(is_number(score, int | float) for score in scores.values())
    return line if good else None


def is_number(value: Any, kind: Any) -> bool:
    """Whether a value is a finite number of this kind, and no truth value."""
    finite = not isinstance(value, float) or math.isfinite(value)
    return isinstance(value, kind) and not isinstance(value, bool) and finite
