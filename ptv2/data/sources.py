"""The three sources of data: `hub`, `files` and `mini`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from ptv2.config.schema import RunConfig, Split
from ptv2.data.formats import read_file
from ptv2.data.records import Record, find_files, fingerprint

SPLITS: tuple[Split, ...] = ("train", "dev", "test")


@dataclass(frozen=True)
class Source:
    """An opened source of data: which splits there are, how to read one, and what identifies the content."""

    fingerprint: str
    splits: tuple[Split, ...]
    read: Callable[[Split], list[Record]]
    label_names: tuple[str, ...] = ()  # the source's own names of the classes, in their order
    provenance: dict[str, str] = field(default_factory=dict)  # for the run's record; filled while reading


def open_source(config: RunConfig) -> Source:
    """Open the source that `config.data` names; nothing large is read yet.

    Raises:
        DataError: folder or file missing.
    """
    kind = config.data.source
    source = {"files": _files, "mini": _mini, "hub": _hub}[kind](config)
    limits = config.data.limit

    def read(split: Split) -> list[Record]:
        return list(islice(source.read(split), limits.get(split)))

    return Source(source.fingerprint, source.splits, read, source.label_names, source.provenance)


def _files(config: RunConfig) -> Source:
    described = config.task.sources.files
    assert described is not None
    assert config.data.dir is not None
    files = find_files(described, config.data.dir)
    provenance: dict[str, str] = {split: str(path) for split, path in files.items()}
    return Source(
        fingerprint(files), tuple(files), lambda split: read_file(files[split], config.task), provenance=provenance
    )


def _mini(config: RunConfig) -> Source:
    from ptv2.data.mini import generate

    kind = config.task.sources.mini
    assert kind is not None

    def read(split: Split) -> list[Record]:
        return [Record(row, f"mini {kind} {split} {i}") for i, row in enumerate(generate(kind, split))]

    content = json.dumps([generate(kind, split) for split in SPLITS], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    return Source(digest, SPLITS, read, provenance={"mini": kind})


def _hub(config: RunConfig) -> Source:
    from ptv2.data.hub import load_hub

    described = config.task.sources.hub
    assert described is not None
    provenance = {"repository": described.repository, "revision": described.revision}

    def read(split: Split) -> list[Record]:
        rows, commit = load_hub(described, split)
        provenance["commit"] = commit
        return [Record(row, f"{described.repository} {split} {i}") for i, row in enumerate(rows)]

    name = f"{described.repository}@{described.revision}"
    return Source(name, tuple(described.files), read, tuple(described.labels or ()), provenance)
