"""`result.json`: the record of a finished run. Tables read nothing else."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from pathlib import Path
from types import UnionType
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from ptv2.errors import RunError, UnreadableError, enumerate_some, kind_of
from ptv2.files import write_json_whole
from ptv2.run_folders.altered import altered_files, hash_files, is_altered, with_checksum
from ptv2.run_folders.sharing import shareable_config, shareable_path, shareable_text

SCHEMA = 1
# How notes on repeated examples begin.
IN_TRAIN = "examples that also stand in train, word for word:"
IN_DEV = "examples that also stand in dev, which chooses, word for word:"
AGAIN = "the same `ptv2 train` command makes it again"
LOST_RESULT = f"result.json: missing, though the run finished; {AGAIN}"


@dataclass(frozen=True)
class Result:
    """A finished run. Metrics are in percent, memory in bytes, times in seconds."""

    name: str
    task: str
    model: str
    method: str
    seed: int
    headline: str  # the dev metric that chose the weights
    dev: dict[str, float]  # of the best evaluation
    dev_last: dict[str, float]  # of the last one
    test: dict[str, float] | None  # of the best weights, scored once; None if there is no labelled test set
    best_step: int
    best_epoch: float
    steps: int  # optimizer steps done; fewer than `steps_planned` after early stopping
    steps_planned: int
    evaluations: int  # the best dev number is the largest of so many
    parameters: dict[str, Any]  # trained, total, percent, by group, prompted layers, pooler
    data: dict[str, Any]  # source, examples, truncated, label counts gold and predicted
    time: dict[str, float]  # train, evaluate, total, examples_per_second
    memory: dict[str, Any]  # peak, what it measures, before training
    runtime: dict[str, Any]  # device, processes, accumulation at the end, how often resumed
    backbone: dict[str, Any]  # name, revision, hashes of weights and other files
    config: dict[str, Any]  # the resolved configuration
    notes: list[str] = field(default_factory=list)  # those on the data stand in data.overview
    tests: dict[str, dict[str, float]] = field(default_factory=dict)  # further test sets, scored once as `test` is
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)  # by split: scores of each class, type of span, ...
    # Of classification, by split: right label, predicted label, how often; without zeros.
    confusion: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)  # SHA-256 of the files beside it, which `write_result` knows
    shared: dict[str, Any] | None = None  # multitask: name, tasks, data, dev, steps, time of what it began with
    schema: int = SCHEMA

    @property
    def splits(self) -> list[str]:
        """The names of the sets that it has scores on: dev, test and further test sets."""
        return ["dev", *(["test"] if self.test is not None else []), *self.tests]

    def scores(self, split: str) -> dict[str, float] | None:
        """The scores on a split, or those of `dev_last`; None if there are none."""
        return {"dev": self.dev, "dev_last": self.dev_last, "test": self.test, **self.tests}.get(split)

    def only_answer(self, split: str | None) -> str | None:
        """The answer that its model gives to every example of a split; None if there are others, or can be none."""
        counts = self.data.get("predicted", {}).get(split) or {}
        answers = [name for name, count in counts.items() if count > 0]
        return str(answers[0]) if len(counts) > 1 and len(answers) == 1 else None

    def single_answer(self, split: str | None, metric: str) -> float | None:
        """What the best single answer to everything scores on a split; None where the record does not say it."""
        overview = self.data.get("overview")
        splits = overview.get("splits") if isinstance(overview, dict) else None
        facts = splits.get(split) if isinstance(splits, dict) else None
        always = facts.get("always") if isinstance(facts, dict) else None
        if not isinstance(always, dict) or always.get("metric") != metric:
            return None
        score = always.get("score")
        return float(score) if isinstance(score, int | float) else None

    @cached_property
    def settings_hash(self) -> str:
        """The same for runs whose configurations have the same text but for a valid seed."""
        config, seed = self.config, self.config.get("seed")
        if type(seed) is int and 0 <= seed < 2**32:
            config = {**config, "seed": 0}
        return hashlib.sha256(to_json(config)).hexdigest()

    @property
    def all_notes(self) -> list[str]:
        """Its notes, after those on its data."""
        return [text for texts in _overview_texts(self.data).values() for text in texts] + self.notes

    @property
    def notes_on_repeats(self) -> list[str]:
        """Those on examples that also stand in train, or of test in dev."""
        return [note for note in _overview_texts(self.data).get("notes", []) if note.startswith((IN_TRAIN, IN_DEV))]


def write_result(folder: Path, result: Result) -> None:
    """Write `result.json`, without paths of this machine; a run that has the file is finished."""
    tree = asdict(result)
    tree["config"] = shareable_config(tree["config"])
    tree["data"] = shareable_data(tree["data"])
    tree["notes"] = [shareable_text(note) for note in tree["notes"]]
    tree["files"] = hash_files(folder)
    write_json_whole(folder / "result.json", with_checksum(tree))


def shareable_data(data: dict[str, Any]) -> dict[str, Any]:
    """Remove folders from the record of data; `fingerprint` identifies the files' content."""
    shareable = dict(data)
    if isinstance(source := data.get("source"), dict):
        shareable["source"] = {key: shareable_path(v) if isinstance(v, str) else v for key, v in source.items()}
    if texts := _overview_texts(data):
        shareable["overview"] = data["overview"] | {
            key: list(map(shareable_text, listed)) for key, listed in texts.items()
        }
    if isinstance(tasks := data.get("tasks"), dict):
        shareable["tasks"] = {name: shareable_data(v) if isinstance(v, dict) else v for name, v in tasks.items()}
    return shareable


def _overview_texts(data: dict[str, Any]) -> dict[str, list[str]]:
    """Return guesses and notes about the data; empty for records without them, or with other values in their place."""
    overview = data.get("overview")
    lists = {key: overview.get(key) for key in ("guesses", "notes")} if isinstance(overview, dict) else {}
    return {key: list(map(str, texts)) for key, texts in lists.items() if isinstance(texts, list)}


def read_result(folder: Path) -> Result | None:
    """Read the result of a finished run; None if `folder` has none.

    Raises:
        RunError: the file lacks something, or has another schema; names the fault.
        UnreadableError: it cannot be read now.
    """
    path = folder / "result.json"
    try:
        text = path.read_bytes().decode()
        tree = from_json(text)
        if not isinstance(tree, dict):
            raise ValueError(f"expected an object, found {_named(tree)}")
        if tree.get("schema") != SCHEMA:
            raise ValueError(f"schema {str(tree.get('schema'))[:20]}, expected {SCHEMA}")
        result = _reader().validate_json(text, strict=True)
        _check(result)
        if is_altered(tree):
            raise ValueError("its checksum is another")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(key)[:40] for key in first["loc"])
        raise RunError(f"{path}: damaged result ({where}: {first['msg']}); {AGAIN}") from error
    except (IsADirectoryError, ValueError, RecursionError) as error:
        what = "no UTF-8" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", None) or str(error)
        raise RunError(f"{path}: damaged result ({what}); {AGAIN}") from error
    except OSError as error:
        raise UnreadableError(f"{path}: cannot be read ({error.strerror})") from error
    return result


def fault_of_files(folder: Path, result: Result) -> str | None:
    """Name the damaged files of a finished run; None if there are none."""
    altered = altered_files(folder, result.files)
    return f"{enumerate_some(altered)}: damaged (altered since the run finished); {AGAIN}" if altered else None


@cache
def _reader() -> TypeAdapter[Result]:
    return TypeAdapter(Result)


# Keys that every table needs, of fields whose other keys are free.
_NEEDED: tuple[tuple[str, str, type | UnionType], ...] = (
    ("parameters", "percent", int | float),
    ("data", "fingerprint", str),
    ("data", "examples", dict),
    ("data", "predicted", dict),
    ("time", "train", int | float),
)


def _check(result: Result) -> None:
    """Raise `ValueError` for a result that tables cannot show."""
    for attribute, key, kind in _NEEDED:
        value = getattr(result, attribute).get(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            expected = kind_of(kind()) if isinstance(kind, type) else "a number"
            raise ValueError(f"{attribute}.{key}: expected {expected}, found {_named(value)}")
    if not isinstance(result.data["examples"].get("train"), int):
        raise ValueError("data.examples.train: expected a count")
    if result.headline not in result.dev:
        raise ValueError(f"dev: expected a score named {result.headline[:40]}")
    splits = {"dev": result.dev, "dev_last": result.dev_last, "test": result.test or {}, **result.tests}
    for name, scores in splits.items():
        for metric, score in scores.items():
            if not math.isfinite(score):
                raise ValueError(f"{name[:40]}.{metric[:40]}: {score} is no score")


def _named(value: Any) -> str:
    return "nothing" if value is None else kind_of(value)


def cure(folder: Path) -> str:
    """Say how to repair a run with damaged files."""
    return "`ptv2 import` writes it again" if read_status(folder).get("state") == "imported" else AGAIN


def read_status(folder: Path) -> dict[str, Any]:
    """Read `status.json` of a run: state (running, interrupted, pruned, failed, finished), message, time; all texts.

    Where the file is missing or damaged the state is "unknown"; a message says that it is damaged.
    """
    path = folder / "status.json"
    try:
        tree = from_json(path.read_bytes())
    except FileNotFoundError:
        return {"state": "unknown"}
    except (OSError, ValueError, RecursionError):
        tree = None
    texts = [tree.get(key, "") for key in ("state", "message", "time")] if isinstance(tree, dict) else [None]
    if not all(isinstance(text, str) for text in texts) or not texts[0]:
        return {"state": "unknown", "message": f"status.json is damaged; {AGAIN}"}
    return tree
