"""What a run costs by count: `ptv2 plan`'s reckoning, made once for each kind of run and kept between commands."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ptv2.models
from ptv2.config.schema import RunConfig
from ptv2.files import write_json_whole

if TYPE_CHECKING:
    from ptv2.models.heads import HeadKind

HEADS: dict[str, HeadKind] = {"classify": "classification", "choose": "choice", "tag": "tagging", "extract": "span"}


@dataclass(frozen=True)
class Cost:
    """Of one optimizer pass over `rows` texts of the task's longest length: bytes, and floating-point operations."""

    rows: int
    trained: int
    parameters: int
    peak: int
    operations: int

    @property
    def each(self) -> float:
        """Operations for one example, forward and backward."""
        return self.operations / self.rows


def pass_cost(config: RunConfig) -> Cost:
    """Count one pass of training, or find it counted before.

    Raises:
        Ptv2Error: the run would be refused too.
    """
    from ptv2.data.cache import cache_folder

    key = _key(config)
    folder = cache_folder()
    path = None if folder is None else folder / f"cost-{key}.json"
    if path is not None and path.is_file():
        with suppress(OSError, ValueError, TypeError):
            return Cost(**json.loads(path.read_text(encoding="utf-8")))
    cost = _count(config)
    if path is not None:
        with suppress(OSError):  # a cache only saves time
            write_json_whole(path, asdict(cost))
    return cost


def label_count(config: RunConfig) -> int:
    """About how many outputs the head has, without reading data; it hardly matters beside the backbone."""
    if config.task.shape == "extract":
        return 2
    named = len(config.task.labels or ()) or 4
    return 2 * named + 1 if config.task.shape == "tag" else named


def _count(config: RunConfig) -> Cost:
    from huggingface_hub.utils import logging as hub_logging

    from ptv2.commands.plan import count_pass, pass_rows
    from ptv2.models.outline import find_config

    hub_logging.set_verbosity_error()  # ten lines of retries would stand before the answer
    shape, _ = find_config(config.model)
    head: HeadKind = "verbalizer" if config.head.kind == "verbalizer" else HEADS[config.task.shape]
    rows = pass_rows(config)
    step = count_pass(config, head, label_count(config), rows, config.task.max_length, shape)
    return Cost(rows, step.trained, step.parameters, step.peak, step.operations)


def _key(config: RunConfig) -> str:
    """A hash over the settings that the count depends on, and the code that counts."""
    tree: dict[str, Any] = config.model_dump(mode="json", include={"model", "method", "prompt", "head"})
    trainer, task = config.trainer, config.task
    tree["trainer"] = [trainer.batch_size, trainer.accumulation, trainer.precision]
    tree["task"] = [task.shape, task.max_length, len(task.choices), label_count(config)]
    digest = hashlib.sha256(json.dumps(tree, sort_keys=True).encode())
    for file in sorted(Path(next(iter(ptv2.models.__path__))).glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:32]
