"""What the words of `ptv2 reproduce` ask for: the table or figure, what is left out of it, and settings of its runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ptv2.errors import ConfigError, unknown

SHARES = ("family", "table")
MARGIN = 1.0  # points within which two methods count as equivalent


@dataclass(frozen=True)
class Options:
    """One request; empty filters and no seeds mean what the table's or figure's own file says."""

    table: str | None = None
    figure: str | None = None
    task: str | None = None  # a figure's
    model: str | None = None  # the only row of a table; a figure's backbone
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    data: Path | None = None
    jobs: int = 1
    out: str = "runs"
    results: Path = Path("results")
    margin: float = MARGIN
    overrides: tuple[str, ...] = ()  # of every run, as `ptv2 train` takes them
    plan: bool = False  # print runs and cost; run nothing
    collect: bool = False  # write from the runs that there are; run nothing
    share: str | None = None  # which tasks train prompts together (MPT-2): family, table
    anyway: bool = False  # also run what looks too large for this machine
    config_dir: str | None = None

    @property
    def common(self) -> tuple[str, ...]:
        """The settings that all runs share."""
        return (*self.overrides, f"out={self.out}")


def read_settings(words: Sequence[str], **flags: Any) -> Options:
    """Options from `key=value` words; keys that are none of ours are settings of the runs.

    Args:
        flags: fields that are not given as `key=value`.

    Raises:
        ConfigError: a word that is no `key=value`, a value that does not fit, or neither or both of table and figure.
    """
    found: dict[str, Any] = {}
    overrides: list[str] = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise ConfigError(f"{word}: expected key=value")
        if key in INSTEAD:
            raise ConfigError(f"{word}: {INSTEAD[key]}")
        if key not in READERS:
            overrides.append(word)
        elif key in found:
            raise ConfigError(f"{key} is given twice")
        else:
            found[key] = READERS[key](key, value)
    if ("table" in found) == ("figure" in found):
        raise ConfigError("expected table=NAME or figure=NAME, one of them (ptv2 reproduce --help says what there is)")
    if "table" in found and "task" in found:
        raise ConfigError(f"task={found['task']}: a table has columns; expected columns={found['task']}")
    return Options(**found, overrides=tuple(overrides), **flags)


def chosen(kind: str, asked: Sequence[str], known: Sequence[str]) -> list[str]:
    """Those of `known` that a filter names, in their own order; all where it names none.

    Raises:
        ConfigError: it names another.
    """
    if strange := [name for name in asked if name not in known]:
        raise ConfigError(unknown(kind, strange[0], known))
    return [name for name in known if not asked or name in asked]


def _text(key: str, value: str) -> str:
    if not value:
        raise ConfigError(f"{key}=: expected a value")
    return value


def _names(key: str, value: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in value.strip("[]").split(","))
    if not all(names) or len(set(names)) < len(names):
        raise ConfigError(f"{key}={value}: expected different names with commas between them")
    return names


def _seeds(key: str, value: str) -> tuple[int, ...]:
    """Numbers, and ranges of them: `1,2,3` or `1-5`."""
    seeds: list[int] = []
    for part in _names(key, value):
        span = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if span is None or (span[2] and int(span[2]) < int(span[1])):
            raise ConfigError(f"{key}={value}: expected whole numbers, such as 1,2,3 or 1-3")
        seeds += range(int(span[1]), int(span[2] or span[1]) + 1)
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"{key}={value}: expected every seed once")
    return tuple(seeds)


def _count(key: str, value: str) -> int:
    if not value.isdigit() or int(value) < 1:
        raise ConfigError(f"{key}={value}: expected a whole number from 1 on")
    return int(value)


def _points(key: str, value: str) -> float:
    try:
        points = float(value)
    except ValueError:
        points = -1.0
    if not 0 < points < 100:
        raise ConfigError(f"{key}={value}: expected points, more than 0 and less than 100")
    return points


def _share(key: str, value: str) -> str:
    if value not in SHARES:
        raise ConfigError(f"{key}: {unknown('choice', value, SHARES)}")
    return value


def _folder(key: str, value: str) -> Path:
    path = Path(_text(key, value)).expanduser()
    if key == "data" and not path.is_dir():
        raise ConfigError(f"data: no folder {path}")
    return path


READERS: dict[str, Callable[[str, str], Any]] = {
    "table": _text,
    "figure": _text,
    "task": _text,
    "model": _text,
    "rows": _names,
    "columns": _names,
    "methods": _names,
    "seeds": _seeds,
    "data": _folder,
    "jobs": _count,
    "out": _text,
    "results": _folder,
    "margin": _points,
    "share": _share,
}
INSTEAD = {
    "seed": "expected seeds=1,2,3",
    "method": "expected methods=NAME,NAME",
    "row": "expected rows=NAME,NAME",
    "column": "expected columns=NAME,NAME",
    "data.dir": "expected data=DIR, the folder that holds a folder for each task",
}
assert READERS.keys() <= {field.name for field in fields(Options)}
