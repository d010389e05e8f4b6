"""The three sources of data: `hub`, `files` and `mini`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import get_args

from ptv2.config.schema import RunConfig
from ptv2.config.task_schema import Split
from ptv2.data.formats import read_split
from ptv2.data.labels import read_label
from ptv2.data.records import Record, find_files, fingerprint
from ptv2.data.shards import SplitFiles
from ptv2.data.split import choose_shots, split_records, take_fold
from ptv2.errors import DataError
from ptv2.files import from_home

ORDER: tuple[Split, ...] = get_args(Split)
SPLITS: tuple[Split, ...] = ("train", "dev", "test")
_COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class Source:
    """An opened source of data: its splits, how to read one, and what identifies the content."""

    fingerprint: str
    splits: tuple[Split, ...]
    read: Callable[[Split], Iterable[Record]]
    label_names: tuple[str, ...] = ()  # the source's names of the classes, in their order
    provenance: dict[str, str] = field(default_factory=dict)  # for the run's record; filled while reading
    notes: dict[str, None] = field(default_factory=dict)  # guesses about the files; filled while reading
    files: dict[str, str] = field(default_factory=dict)  # names of the files of each split, below `data.dir`
    paths: dict[str, tuple[Path, ...]] = field(default_factory=dict)  # those files, of a split in shards all of them
    moving: bool = False  # whether the fingerprint names a branch of the hub, whose content may change
    check: Callable[[], None] = lambda: None  # raises `DataError` if files changed since they were opened
    whole: Callable[[], Iterable[Record]] | None = None  # all that dev is taken from, where that is done
    cut: str | None = None  # the setting that leaves training examples out

    def naming(self) -> Iterable[Record]:
        """The records whose labels are the classes: all that train and dev are taken from, unless they are cut."""
        return self.read("train") if self.whole is None or self.cut else self.whole()


def open_source(config: RunConfig, needed: Sequence[Split] = ("train", "dev")) -> Source:
    """Open the source that `config.data` names; nothing large is read yet.

    Args:
        needed: splits that files must have; those of a training by itself.

    Raises:
        DataError: folder or file missing.
    """
    kind = config.data.source
    source = _files(config, needed) if kind == "files" else {"mini": _mini, "hub": _hub}[kind](config)
    limits = config.data.limit

    def read(split: Split) -> Iterable[Record]:
        records = islice(source.read(split), limits.get(split))
        if split == "train" and config.data.shots is not None:
            return _few(list(records), config.data.shots, config, source.notes)
        return records

    if limits.get("train") is not None:
        source = replace(source, cut=f"data.limit.train={limits['train']}")
    if config.data.shots is None:
        return replace(source, read=read)
    chosen = f"{config.data.shots} shots by {config.data.seed}"
    return replace(source, read=read, fingerprint=f"{source.fingerprint}, {chosen}")


def open_split(config: RunConfig, split: str) -> Source:
    """Open the source of a run whose split `split` alone is needed; it has to have that.

    Raises:
        DataError: folder or file missing, or the task has no such split.
    """
    files = config.task.sources.files if config.data.source == "files" else None
    source = open_source(config, [name for name in ORDER if name == split and (files is None or name in files.files)])
    if split not in source.splits:
        known = ", ".join(source.splits) or "none"
        raise DataError(f"task {config.task.name}: no {split} split; it has: {known}")
    return source


def _few(records: list[Record], shots: int, config: RunConfig, notes: dict[str, None]) -> list[Record]:
    """The `data.shots` training examples of each class."""
    seed = config.data.seed
    few, counts = choose_shots(records, shots, seed, lambda record: _class_of(record, config))
    classes = [name for name in counts if name is not None]
    what = f"{shots} examples of each class" if classes else f"{shots} examples"
    short = [f"{name or 'all'} has {count}" for name, count in counts.items() if count < shots]
    missing = f"; fewer: {', '.join(short)}" if short else ""
    notes[f"train is {what}, drawn by data.seed={seed} (data.shots){missing}"] = None
    return few


def _class_of(record: Record, config: RunConfig) -> str | None:
    """The label of a record of a task with classes; None where it has none of its own."""
    task = config.task
    label = record.fields.get(task.label) if task.shape in ("classify", "choose") else None
    return None if label is None else read_label(label, record, task.label)


def _files(config: RunConfig, needed: Sequence[Split]) -> Source:
    described = config.task.sources.files
    assert described is not None
    assert config.data.dir is not None
    notes: dict[str, None] = {}

    def note(text: str) -> None:
        notes[text] = None

    share, folds = config.data.split, config.data.folds
    setting = f"data.split={share}" if share else f"data.folds={folds}" if folds else None  # takes dev from train
    files = find_files(described, config.data.dir, ("train",) if setting else needed, note)
    if setting and "dev" in files:
        raise DataError(f"{files['dev'].place}: {setting} takes dev from the training file, but there is a dev file")

    def read(split: Split) -> Iterable[Record]:
        if setting is None or split not in ("train", "dev"):
            return read_split(files[split], config.task, note)
        train, dev = _split(list(read_split(files["train"], config.task, note)), config)
        return train if split == "train" else dev

    def whole() -> Iterable[Record]:
        return read_split(files["train"], config.task, note)

    before = _states(files)

    def check() -> None:
        after = _states(files)
        if changed := [path for path in {**before, **after} if before.get(path) != after.get(path)]:
            raise DataError(f"{changed[0]}: the file changed while it was read; the same command reads it again")

    base = from_home(config.data.dir)
    named: dict[str, str] = {split: found.place.relative_to(base).as_posix() for split, found in files.items()}
    provenance: dict[str, str] = {split: str(found.place) for split, found in files.items()}
    paths: dict[str, tuple[Path, ...]] = {split: found.paths for split, found in files.items()}
    digest = fingerprint(files)
    if described.columns is not None:
        digest = f"{digest}, columns {json.dumps(described.columns)}"
    if setting:
        what = f"{share:g}" if share else f"fold {config.data.fold} of {folds}"
        note(
            f"{what} of {named['train']} is the dev set ({setting.partition('=')[0]}; by class where there are classes)"
        )
        named["dev"], provenance["dev"] = named["train"], provenance["train"]
        paths["dev"] = paths["train"]
    splits = tuple(split for split in ORDER if split in named)
    return Source(
        digest,
        splits,
        read,
        provenance=provenance,
        notes=notes,
        files=named,
        paths=paths,
        check=check,
        whole=whole if setting else None,
    )


def _states(files: Mapping[Split, SplitFiles]) -> dict[Path, tuple[int, int]]:
    """Size and time of change, in nanoseconds, of each file that is there; a folder's files stand for it."""
    states: dict[Path, tuple[int, int]] = {}
    for path in (path for found in files.values() for path in found.paths):
        for file in path.rglob("*") if path.is_dir() else [path]:
            with suppress(FileNotFoundError):
                state = file.stat()
                states[file] = state.st_size, state.st_mtime_ns
    return states


def _split(records: list[Record], config: RunConfig) -> tuple[list[Record], list[Record]]:
    """Split into training and dev examples; those of one text or sentence stay together, classes keep their shares."""
    task, data = config.task, config.data
    together = {"extract": "context", "tag": "sentence"}.get(task.shape)

    def group(record: Record) -> str:
        value = record.fields.get(together) if together else None
        return record.where if value is None else f"{together} {value}"

    def stratum(record: Record) -> str | None:
        return _class_of(record, config)

    if data.folds is not None and data.fold is not None:
        return take_fold(records, data.folds, data.fold, data.seed, group, stratum)
    assert data.split is not None
    return split_records(records, data.split, data.split_seed, group, stratum)


def _mini(config: RunConfig) -> Source:
    from ptv2.data.mini import generate

    kind = config.task.sources.mini
    assert kind is not None

    def read(split: Split) -> Iterable[Record]:
        return (Record(row, f"mini {kind} {split} {i}") for i, row in enumerate(generate(kind, split)))

    content = json.dumps([generate(kind, split) for split in SPLITS], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    return Source(digest, SPLITS, read, provenance={"mini": kind})


def _hub(config: RunConfig) -> Source:
    described = config.task.sources.hub
    assert described is not None
    provenance = {"repository": described.repository, "revision": described.revision}

    def read(split: Split) -> Iterable[Record]:
        from ptv2.data.hub import load_hub  # imports datasets, which takes a second

        pinned = described.model_copy(update={"revision": provenance.get("commit", described.revision)})
        rows, commit = load_hub(pinned, split)
        provenance["commit"] = commit  # a branch may move between two splits
        return (Record(row, f"{described.repository} {split} {i}") for i, row in enumerate(rows))

    name = f"{described.repository}@{described.revision}"
    moving = _COMMIT.fullmatch(described.revision) is None
    return Source(name, tuple(described.files), read, tuple(described.labels or ()), provenance, moving=moving)
