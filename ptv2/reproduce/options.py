"""What the words of `ptv2 reproduce` ask for: a table or figure, some of its rows or columns, settings of its runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptv2.config.schema import RunConfig
from ptv2.config.spelling import refuse_sweeps
from ptv2.errors import ConfigError, shorten, unknown
from ptv2.files import from_home

if TYPE_CHECKING:
    from ptv2.reproduce.jobs.recorded import RecordedRuns

SHARES = ("family", "table")
LAUNCHER = "expected jobs=N, processes side by side, or fuse=K, runs of one process over one backbone"
MOST_SEEDS = 1000
OF_LAUNCHERS = {"hydra.launcher.together": "fuse", "hydra.launcher.n_jobs": "jobs"}  # words for the same
OF_RUNS, OF_MAKING = ("data", "out", "jobs", "fuse", "kept"), ("plan", "anyway")  # without meaning for records
OF_TABLES = ("rows", "columns", "margin", "share")  # words without meaning for figures
SPLITS = ("dev", "test", "test-brown")
MARGIN = 1.0  # points within which two methods count as equivalent


@dataclass(frozen=True)
class Options:
    """The choices of one command; empty filters and no seeds stand for those in the file of the table or figure."""

    table: str | None = None
    figure: str | None = None
    task: str | None = None  # a figure's
    model: str | None = None  # the only row of a table; a figure's backbone
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    split: str | None = None  # the scores that a figure shows
    data: Path | None = None
    jobs: int = 1
    fuse: int = 1  # runs that one process may train over one backbone
    out: str = "runs"
    results: Path = Path("results")
    name: str | None = None  # of the files of a table or figure, without ending
    records: Path | None = None  # write from the records in this folder; run nothing
    kept: Path | None = None  # the runs of the records in this folder need not be made again
    margin: float = MARGIN
    overrides: tuple[str, ...] = ()  # of every run, as `ptv2 train` takes them
    plan: bool = False  # print runs and cost; run nothing
    collect: bool = False  # write from the runs that there are; run nothing
    share: str | None = None  # which tasks train prompts together (MPT-2): family, table
    anyway: bool = False  # also run what looks too large for this machine
    config_dir: str | None = None
    recorded: RecordedRuns | None = None  # those of `records`, while they are open
    known: RecordedRuns | None = None  # those of `kept`, while they are open

    @property
    def common(self) -> tuple[str, ...]:
        """The settings that all runs share."""
        return (*self.overrides, f"out={self.out}")


def read_settings(words: Sequence[str], **flags: Any) -> Options:
    """Read options from `key=value` words; other keys are settings of the runs.

    Args:
        flags: fields that are not given as `key=value`.

    Raises:
        ConfigError: a word that is not `key=value`, a wrong value, or not exactly one of table and figure.
    """
    values, overrides = split_words(words, PARSERS, INSTEAD)
    if ("table" in values) == ("figure" in values):
        raise ConfigError("expected table=NAME or figure=NAME, one of them (ptv2 reproduce --help says what there is)")
    if "table" in values and "task" in values:
        raise ConfigError(f"task={values['task']}: a table has columns; expected columns={values['task']}")
    if "figure" in values and (given := [key for key in OF_TABLES if key in values]):
        raise ConfigError(f"{given[0]}=: tables have it; a figure takes task=, model=, methods=, seeds= and split=")
    if "table" in values and "split" in values:
        raise ConfigError(
            f"split={values['split']}: each column of a table has a split of its own; figures take split="
        )
    refuse_sweeps(overrides, "a table or figure says itself which runs it has; ptv2 compare searches settings first")
    refuse_beside_records(values, flags)
    return Options(**values, overrides=tuple(overrides), **flags)


def refuse_beside_records(values: Mapping[str, Any], flags: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for what makes or finds runs beside `records`, where it would do nothing."""
    if "records" in values:
        given = [f"{key}=" for key in OF_RUNS if key in values] + [f"--{name}" for name in OF_MAKING if flags.get(name)]
        if given:
            raise ConfigError(f"records=: nothing is run from records; expected no {given[0]}")


def split_words(
    words: Sequence[str], parsers: Mapping[str, Callable[[str, str], Any]], instead: Mapping[str, str]
) -> tuple[dict[str, Any], list[str]]:
    """Split `key=value` words into the values of the keys that have a parser, and the other words.

    Args:
        instead: what is expected instead of keys that are not taken.

    Raises:
        ConfigError: a word that is not `key=value`, a key that is not taken or given twice, or a wrong value.
    """
    values: dict[str, Any] = {}
    others: list[str] = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise ConfigError(f"{word}: expected key=value")
        if key in instead:
            raise ConfigError(f"{word}: {instead[key]}")
        if key.lstrip("+").startswith("hydra.launcher."):
            same = OF_LAUNCHERS.get(key.lstrip("+"))
            raise ConfigError(f"{word}: {f'expected {same}={value}' if same else LAUNCHER}")
        if key not in parsers:
            _refuse_unknown(key, parsers)
            others.append(word)
        elif key in values:
            raise ConfigError(f"{key} is given twice")
        else:
            values[key] = parsers[key](key, value)
    return values, others


def _refuse_unknown(key: str, parsers: Iterable[str]) -> None:
    """Raise `ConfigError` for a single word that is neither of the command nor a setting of its runs."""
    settings = {*RunConfig.model_fields, "recipe", "sweep", "hydra"}
    if re.fullmatch(r"\w+", plain := key.lstrip("+~")) and plain not in settings:
        raise ConfigError(unknown("word", plain, {*parsers, *settings}))


def choose_names(kind: str, asked: Sequence[str], known: Sequence[str]) -> list[str]:
    """Choose the names of `known` that `asked` has, in the order of `known`; all if it is empty.

    Raises:
        ConfigError: a name that is not in `known`.
    """
    if strange := [name for name in asked if name not in known]:
        raise ConfigError(unknown(kind, strange[0], known))
    return [name for name in known if not asked or name in asked]


def _parse_text(key: str, value: str) -> str:
    if not value:
        raise ConfigError(f"{key}=: expected a value")
    return value


def parse_names(key: str, value: str) -> tuple[str, ...]:
    """Parse different names with commas between them; raises `ConfigError` for anything else."""
    names = tuple(name.strip() for name in value.strip("[]").split(","))
    if not all(names) or len(set(names)) < len(names):
        raise ConfigError(f"{key}={value}: expected different names with commas between them")
    return names


def _parse_seeds(key: str, value: str) -> tuple[int, ...]:
    """Parse numbers and ranges of them: `1,2,3` or `1-5`."""
    seeds: list[int] = []
    for word in value.strip("[]").split(","):
        span = re.fullmatch(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", word.strip())
        if span is None or (span[2] and int(span[2]) < int(span[1])):
            raise ConfigError(f"{key}={shorten(value)}: expected whole numbers, such as 1,2,3 or 1-3")
        first, last = int(span[1]), int(span[2] or span[1])
        if last - first >= MOST_SEEDS:
            raise ConfigError(f"{key}={shorten(value)}: expected at most {MOST_SEEDS} seeds")
        seeds += range(first, last + 1)
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"{key}={value}: expected every seed once")
    return tuple(seeds)


def _parse_count(key: str, value: str) -> int:
    if not re.fullmatch("[0-9]{1,6}", value) or int(value) < 1:
        raise ConfigError(f"{key}={shorten(value)}: expected a whole number from 1 on")
    return int(value)


def _parse_points(key: str, value: str) -> float:
    try:
        points = float(value)
    except ValueError:
        points = -1.0
    if not 0 < points < 100:
        raise ConfigError(f"{key}={value}: expected points, more than 0 and less than 100")
    return points


def _parse_share(key: str, value: str) -> str:
    if value not in SHARES:
        raise ConfigError(f"{key}: {unknown('choice', value, SHARES)}")
    return value


def _parse_split(key: str, value: str) -> str:
    if value not in SPLITS:
        raise ConfigError(f"{key}={value}: expected {', '.join(SPLITS[:-1])} or {SPLITS[-1]}")
    return value


def _parse_file_name(key: str, value: str) -> str:
    if not re.fullmatch(r"[\w+=-][\w+=. -]{0,199}", value):
        raise ConfigError(f"{key}={shorten(value)}: expected a name of files without folder and ending")
    return value


def _parse_folder(key: str, value: str) -> Path:
    path = from_home(_parse_text(key, value))
    if key in ("data", "records", "kept") and not path.is_dir():
        raise ConfigError(f"{key}: no folder {path}")
    return path


PARSERS: dict[str, Callable[[str, str], Any]] = {
    "table": _parse_text,
    "figure": _parse_text,
    "task": _parse_text,
    "model": _parse_text,
    "rows": parse_names,
    "columns": parse_names,
    "methods": parse_names,
    "seeds": _parse_seeds,
    "split": _parse_split,
    "data": _parse_folder,
    "jobs": _parse_count,
    "fuse": _parse_count,
    "out": _parse_text,
    "results": _parse_folder,
    "name": _parse_file_name,
    "records": _parse_folder,
    "kept": _parse_folder,
    "margin": _parse_points,
    "share": _parse_share,
}
INSTEAD = {
    "seed": "expected seeds=1,2,3",
    "method": "expected methods=NAME,NAME",
    "row": "expected rows=NAME,NAME",
    "column": "expected columns=NAME,NAME",
    "hydra/launcher": LAUNCHER,
    "data.dir": "expected data=DIR, the folder that holds a folder for each task",
}
assert PARSERS.keys() <= {field.name for field in fields(Options)}
