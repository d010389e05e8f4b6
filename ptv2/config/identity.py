"""The identity of a run: a hash of what decides its numbers, without paths and bookkeeping."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ptv2.config.methods import METHODS, MULTITASK
from ptv2.config.multitask import shared_parts
from ptv2.config.schema import RunConfig

# Settings that change where or how fast a run goes, or what was proposed to it, not what it computes.
BOOKKEEPING = (
    "out",
    "data.dir",
    "data.workers",
    "trainer.device",
    "trainer.checkpoint_minutes",
    "trainer.halve_on_oom",
    "trainer.shard",
    "recipe",
    "task.scale",
    "model.scale",
)

# Settings that change time and memory, and were hashed before they were seen to be no more than that: hashed with these
# values whatever they are, so that runs keep their names and one that ran out of memory can go on with other values.
NEUTRAL = {"trainer.eval_batch_size": 64, "model.gradient_checkpointing": False, "model.compile": False}
# Settings that a machine asks for, not a task: a recipe, which is for every machine, has none of them.
OF_A_MACHINE = (
    *NEUTRAL,
    *("trainer.precision", "trainer.accumulation", "trainer.device", "trainer.halve_on_oom", "trainer.shard"),
    *("model.attention", "model.dtype", "model.quantization"),
)


def deciding(
    config: RunConfig, data: str, model: str, shared: str | None = None, *, earlier: bool = False
) -> dict[str, Any]:
    """What is hashed: the configuration without bookkeeping, with fingerprints in the place of paths.

    Args:
        data: fingerprint of the data source (content, or repository and revision).
        model: fingerprint of the backbone (weights' hash, or id and revision).
        shared: `shared_hash` of what the run begins with, if its method is multitask-p-tuning-v2.
        earlier: with the `NEUTRAL` settings as they are, as version 0.1.0 hashed them.
    """
    if (shared is None) == (config.method == MULTITASK):
        raise ValueError(f"method {config.method} with shared part {shared}")
    tree = config.model_dump(mode="json")
    for key in BOOKKEEPING:
        node, leaf = _parent(tree, key)
        node.pop(leaf)
    if not earlier:
        for key, value in NEUTRAL.items():
            node, leaf = _parent(tree, key)
            node[leaf] = value
    tree["task"].pop("sources")
    tree["task"].pop("source")
    tree["task"]["text"] = config.task.segments
    tree["task"].pop("templates")
    for shape in ("tagging", "extraction"):
        if tree["task"][shape] is None:  # so that other tasks keep their names when a shape is added
            tree["task"].pop(shape)
    if config.head.kind == "linear":
        tree["head"].pop("kind")
        tree["task"].pop("verbalizer")
    if config.head.span_padding == "masked" or config.task.shape != "extract":
        tree["head"].pop("span_padding")
    if config.model.dtype == "float32":
        tree["model"].pop("dtype")
    if config.model.quantization == "none":
        tree["model"].pop("quantization")
    if config.model.path != "config:":
        tree["model"]["config"] = {}  # only `plan` reads it
    tree["data"]["limit"] = {split: n for split, n in config.data.limit.items() if n is not None}
    if config.data.split is None:
        del tree["data"]["split"], tree["data"]["split_seed"]
    tree["data"]["fingerprint"] = data
    for key in ("path", "revision", "sha256", "trust_remote_code"):
        tree["model"].pop(key)
    tree["model"]["fingerprint"] = model
    tree.pop("multitask")
    if shared is not None:
        tree["multitask"] = shared
    method = METHODS[config.method]
    if method.prompts == "shallow":
        tree["prompt"] = {key: tree["prompt"][key] for key in SHALLOW}
    else:
        tree["prompt"].pop("embedding")
    return {key: value for key, value in tree.items() if key not in method.ignored}


# Letters of all tasks' names in the name of a folder, at most.
LONGEST = 80
# The prompt settings that shallow prompts know.
SHALLOW = ("length", "init", "init_std", "embedding", "reparameterization", "mlp_hidden")


def run_hash(config: RunConfig, data: str, model: str, shared: str | None = None, *, earlier: bool = False) -> str:
    """Ten hexadecimal digits that two runs share exactly if they compute the same thing; `earlier`: see `deciding`."""
    return _hash(deciding(config, data, model, shared, earlier=earlier))


def run_name(config: RunConfig, data: str, model: str, shared: str | None = None, *, earlier: bool = False) -> str:
    """Name of the run's directory: task, model, method and the hash; `earlier`: see `deciding`."""
    hashed = run_hash(config, data, model, shared, earlier=earlier)
    return f"{config.task.name}-{config.model.name}-{config.method}-{hashed}"


def _parent(tree: dict[str, Any], key: str) -> tuple[dict[str, Any], str]:
    """The mapping that holds a dotted key, and the key's last part."""
    *parents, leaf = key.split(".")
    for parent in parents:
        tree = tree[parent]
    return tree, leaf


def shared_deciding(config: RunConfig, data: Mapping[str, str], model: str) -> dict[str, Any]:
    """What is hashed of the part that several runs of method multitask-p-tuning-v2 share.

    Args:
        data: fingerprint of each task's data, by its name.
    """
    assert config.multitask is not None
    tree: dict[str, Any] = {"temperature": config.multitask.temperature, "tasks": {}}
    for name, run in sorted(shared_parts(config).items()):
        of_task = deciding(run, data[name], model)
        tree["tasks"][name] = {key: of_task.pop(key) for key in ("task", "data", "head")}
        tree |= of_task  # the same for all
    return tree


def shared_hash(config: RunConfig, data: Mapping[str, str], model: str) -> str:
    """Ten hexadecimal digits that runs have in common exactly if what they begin with is the same."""
    return _hash(shared_deciding(config, data, model))


def shared_name(config: RunConfig, data: Mapping[str, str], model: str) -> str:
    """Name of the shared part's directory: tasks, model and the hash."""
    tasks = "+".join(sorted(data))
    if len(tasks) > LONGEST:
        tasks = f"{len(data)}-tasks"
    return f"{tasks}-{config.model.name}-{shared_hash(config, data, model)}"


def _hash(tree: dict[str, Any]) -> str:
    text = json.dumps(tree, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:10]
