"""Tasks of tags over records that a test writes."""

from __future__ import annotations

from typing import Any

from sequences import bio, named

from ptv2.config.compose import compose
from ptv2.config.task_schema import TaskConfig
from ptv2.data.records import Record
from ptv2.data.sources import Source
from ptv2.tasks.load import load_task
from ptv2.tasks.tag import Tag


def configured(name: str, *overrides: str) -> TaskConfig:
    files = [] if name.startswith("mini") else ["data.source=files", "data.dir=."]
    return compose([f"task={name}", *files, *overrides]).task


def records(*fields: dict[str, Any]) -> list[Record]:
    return [Record(one, f"train.txt:{line}") for line, one in enumerate(fields, start=1)]


def tagged(*texts: str) -> list[Record]:
    """Records of the notation `[Anna Berg PER] left .` in BIO."""
    found = [named(text) for text in texts]
    return records(*({"tokens": tokens, "tags": bio(len(tokens), spans)} for tokens, spans in found))


def task_of(name: str, train: list[Record], *overrides: str) -> Tag:
    task = load_task(configured(name, *overrides), Source("", ("train",), lambda split: train))
    assert isinstance(task, Tag)
    return task


TRAIN = tagged("[Anna Berg PER] left [Oslo LOC] .", "The [Lund Choir ORG] sang .")
