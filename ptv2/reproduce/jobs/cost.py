"""The counted cost of a run, as `ptv2 plan` counts it: once for each kind of run, and cached between commands."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ptv2.models
from ptv2.config.schema import RunConfig
from ptv2.data.cache import cache_folder
from ptv2.data.sources import open_source
from ptv2.files import write_json_whole

if TYPE_CHECKING:
    from ptv2.models.heads import HeadKind

HEADS: dict[str, HeadKind] = {"classify": "classification", "choose": "choice", "tag": "tagging", "extract": "span"}


@dataclass(frozen=True)
class PassCost:
    """One pass over `rows` texts of the task's greatest length: peak in bytes, floating-point operations."""

    rows: int
    trained: int
    parameters: int
    peak: int
    operations: int

    @property
    def each(self) -> float:
        """Operations for one example, forward and backward."""
        return self.operations / self.rows


def pass_cost(config: RunConfig) -> PassCost:
    """Count one pass of training, or read its count from the cache.

    Raises:
        Ptv2Error: the run would be refused too.
    """
    return PassCost(**_cached(_key(config), lambda: asdict(_count(config))))


def example_count(config: RunConfig) -> int:
    """The number of training examples: as published for sets of the hub, else counted, or read from the cache.

    Raises:
        DataError: the data are not right.
    """
    hub = config.task.sources.hub
    if config.data.source == "hub" and hub is not None and hub.examples is not None:
        return config.data.most(hub.examples, label_count(config) if config.task.shape == "classify" else 1)
    source = open_source(config)
    data = config.data.model_dump_json(exclude={"dir", "workers"})  # a limit, or the part that is dev
    key = hashlib.sha256(f"{source.fingerprint} {data} {config.task.model_dump_json()}".encode()).hexdigest()[:32]

    def count() -> dict[str, Any]:
        from ptv2.tasks.load import load_task

        return {"examples": sum(1 for _ in load_task(config.task, source).make_examples(source.read("train")))}

    return int(_cached(key, count)["examples"])


def label_count(config: RunConfig) -> int:
    """About how many outputs the head has, without reading data: the backbone matters far more."""
    if config.task.shape == "extract":
        return 2
    named = len(config.task.labels or ()) or 4
    return 2 * named + 1 if config.task.shape == "tag" else named


def _cached(key: str, count: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Read counts from the cache, or make them and write them there; without a cache, make them."""
    folder = cache_folder()
    if folder is None:
        return count()
    path = folder / f"plan-{key}.json"
    with suppress(OSError, ValueError):
        tree = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(tree, dict):
            return tree
    counts = count()
    with suppress(OSError):
        write_json_whole(path, counts)
    return counts


def _count(config: RunConfig) -> PassCost:
    from ptv2.models.outline import count_pass, find_config, pass_rows

    sizes, _ = find_config(config.model)
    head: HeadKind = "verbalizer" if config.head.kind == "verbalizer" else HEADS[config.task.shape]
    rows = pass_rows(config)
    step = count_pass(config, head, label_count(config), rows, config.task.max_length, sizes)
    return PassCost(rows, step.trained, step.parameters, step.peak, step.operations)


def _key(config: RunConfig) -> str:
    """A hash over the settings that the count depends on, and the code that counts."""
    tree: dict[str, Any] = config.model_dump(mode="json", include={"model", "method", "prompt", "lora", "head"})
    trainer, task = config.trainer, config.task
    tree["trainer"] = [trainer.batch_size, trainer.accumulation, trainer.precision]
    tree["task"] = [task.shape, task.max_length, len(task.choices), label_count(config)]
    digest = hashlib.sha256(json.dumps(tree, sort_keys=True).encode())
    for file in sorted(Path(next(iter(ptv2.models.__path__))).glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:32]
