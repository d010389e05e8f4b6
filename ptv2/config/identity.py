"""Which runs are the same: the settings that decide numbers, and the hash that names a run.

"The same settings" is defined once, in `decisive`. Its views: what is hashed (`deciding`), the rows of tables
(`same_but_seed`), the settings of `ptv2 best`, and, before a run is composed, the studies of a sweep.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ptv2.config.keys import flat
from ptv2.config.methods import METHODS, MULTITASK
from ptv2.config.multitask import shared_parts
from ptv2.config.schema import RunConfig

Tree = dict[str, Any]
log = logging.getLogger(__name__)

# Settings that change where or how fast a run goes, or what was proposed to it, not what it computes.
BOOKKEEPING = (
    "out",
    "track",
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

# Settings that change time and memory only, but are in the hashes of earlier runs: always hashed with these values, so
# that runs keep their names and one that ran out of memory can go on with other values.
NEUTRAL = {"trainer.eval_batch_size": 64, "model.gradient_checkpointing": False, "model.compile": False}
# Settings that depend on the machine, not on the task: a recipe, which is for every machine, has none of them.
OF_A_MACHINE = (
    *NEUTRAL,
    *("trainer.precision", "trainer.accumulation", "trainer.device", "trainer.halve_on_oom", "trainer.shard"),
    *("model.attention", "model.dtype", "model.quantization"),
)


# The prompt settings that shallow prompts have.
SHALLOW = ("length", "init", "init_std", "embedding", "reparameterization", "mlp_hidden")


def without_bookkeeping(tree: Mapping[str, Any], prefix: str = "") -> Tree:
    """Copy a configuration, complete or not, without the settings of `BOOKKEEPING`."""
    return {
        key: without_bookkeeping(value, f"{prefix}{key}.") if isinstance(value, Mapping) else value
        for key, value in tree.items()
        if f"{prefix}{key}" not in BOOKKEEPING
    }


def decisive(config: RunConfig) -> Tree:
    """The settings that can change the numbers of a run; those that its method or head does not use are left out."""
    method = METHODS[config.method]
    tree = without_bookkeeping(config.model_dump(mode="json"))
    if config.head.kind == "linear":
        tree["task"].pop("verbalizer")
    if method.prompts == "shallow":
        tree["prompt"] = {key: tree["prompt"][key] for key in SHALLOW}
    else:
        tree["prompt"].pop("embedding")
    for key in _unused(config):
        section, name = key.split(".")
        tree[section][name] = type(getattr(config, section)).model_fields[name].default
    return {key: value for key, value in tree.items() if key not in method.ignored}


def unread(config: RunConfig) -> set[str]:
    """The settings, by key, that change nothing in this run: of other methods, of other heads, of choices not made."""
    every, read = flat(without_bookkeeping(config.model_dump(mode="json"))), flat(decisive(config))
    if config.data.split is None:
        read.pop("data.split_seed")
    if config.data.folds is None and config.data.shots is None:
        read.pop("data.seed")
    if config.task.shape != "extract":
        read.pop("head.span_padding")
    return {*every.keys() - read.keys(), *_unused(config)}


def warn_of_unread(config: RunConfig, words: Sequence[str]) -> None:
    """Say which words of a command set what nothing in its run reads."""
    keys = unread(config)
    for word in words:
        if word.lstrip("+~").partition("=")[0] in keys:
            log.warning("%s: nothing in this run reads it (method=%s)", word, config.method)


def _unused(config: RunConfig) -> list[str]:
    """The settings that say nothing beside others: rates of what is not trained, numbers of what was not chosen.

    They count with their defaults, so that runs which left them alone keep their names.
    """
    is_linear = config.head.kind == "linear"
    used = {
        "optim.prompt_lr": config.tuning.prompts is not None,
        "optim.head_lr": is_linear,
        "optim.backbone_lr": config.tuning.backbone is not None,
        "optim.decay": config.optim.schedule == "exponential",
        "prompt.init_std": config.prompt.init == "normal",
        "prompt.mlp_hidden": config.prompt.reparameterization == "mlp",
        "head.dropout": is_linear,  # of spans too, which have none: two recipes say so, and their runs keep their names
    }
    return [key for key, is_used in used.items() if not is_used]


def deciding(config: RunConfig, data: str, model: str, shared: str | None = None, *, earlier: bool = False) -> Tree:
    """What is hashed: the decisive settings, with fingerprints in the place of paths.

    Settings that came later are left out at the value that all runs had before, so that these keep their names.

    Args:
        data: fingerprint of the data source (content, or repository and revision).
        model: fingerprint of the backbone (hashes of its files, or id and revision).
        shared: `shared_hash` of the shared part that a run of method multitask-p-tuning-v2 begins with.
        earlier: whether to hash the `NEUTRAL` settings as they are, as version 0.1.0 did.

    Raises:
        ValueError: a shared part with another method, or none with this one.
    """
    if (shared is None) == (config.method == MULTITASK):
        raise ValueError(f"method {config.method} with shared part {shared}")
    tree = decisive(config)
    if not earlier:
        for key, value in NEUTRAL.items():
            section, leaf = key.split(".")
            tree[section][leaf] = value
    for key in ("sources", "source", "templates"):
        tree["task"].pop(key)
    tree["task"]["text"] = config.task.segments
    for shape in ("tagging", "extraction"):
        if tree["task"][shape] is None:
            tree["task"].pop(shape)
    if config.head.kind == "linear":
        tree["head"].pop("kind")
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
    if config.data.folds is None:
        del tree["data"]["folds"], tree["data"]["fold"], tree["data"]["seed"]
    del tree["data"]["shots"]  # the fingerprint has them, and their seed
    tree["data"]["fingerprint"] = data
    for key in ("path", "revision", "sha256", "trust_remote_code"):
        tree["model"].pop(key)
    tree["model"]["fingerprint"] = model
    tree.pop("multitask")
    if shared is not None:
        tree["multitask"] = shared
    return tree


def same_but_seed(config: RunConfig, data: Any, model: str, shared_data: Any = None) -> str:
    """A text that runs have in common exactly if no decisive setting but the seed differs.

    Args:
        data: what tells their examples; counts in the place of the settings `data.*`.
        model: what tells their backbone.
        shared_data: what tells the examples of the shared part, if they begin with one.
    """
    shared = None
    if config.multitask is not None:
        unnamed = {entry.task.name: "" for entry in config.multitask.tasks}
        shared = _as_text([shared_deciding(config, unnamed, model) | {"seed": None}, shared_data])
    return _as_text(deciding(config, "", model, shared) | {"seed": None, "data": data})


LONGEST = 80  # most letters of all tasks' names together in the name of a folder


def run_hash(config: RunConfig, data: str, model: str, shared: str | None = None, *, earlier: bool = False) -> str:
    """Hash a run: ten hexadecimal digits that two runs share if they compute the same; `earlier`: see `deciding`."""
    return _hash(deciding(config, data, model, shared, earlier=earlier))


def run_name(config: RunConfig, data: str, model: str, shared: str | None = None, *, earlier: bool = False) -> str:
    """Name of the run's directory: task, model, method and the hash; `earlier`: see `deciding`."""
    hashed = run_hash(config, data, model, shared, earlier=earlier)
    return f"{config.task.name}-{config.model.name}-{config.method}-{hashed}"


def shared_deciding(config: RunConfig, data: Mapping[str, str], model: str) -> Tree:
    """What is hashed of the shared part of several runs of method multitask-p-tuning-v2.

    Args:
        data: fingerprint of each task's data, by its name.
    """
    assert config.multitask is not None
    tree: Tree = {"temperature": config.multitask.temperature, "tasks": {}}
    for name, run in sorted(shared_parts(config).items()):
        of_task = deciding(run, data[name], model)
        tree["tasks"][name] = {key: of_task.pop(key) for key in ("task", "data", "head")}
        tree |= of_task  # the same for all
    return tree


def shared_hash(config: RunConfig, data: Mapping[str, str], model: str) -> str:
    """Hash a shared part: ten hexadecimal digits that runs have in common if they begin with the same."""
    return _hash(shared_deciding(config, data, model))


def shared_name(config: RunConfig, data: Mapping[str, str], model: str) -> str:
    """Name of the shared part's directory: tasks, model and the hash."""
    tasks = "+".join(sorted(data))
    if len(tasks) > LONGEST:
        tasks = f"{len(data)}-tasks"
    return f"{tasks}-{config.model.name}-{shared_hash(config, data, model)}"


def drop_config_hash(model: str) -> str:
    """The fingerprint that a backbone had before config.json and tokenizer counted: of its weights alone."""
    return re.sub("^([0-9a-f]{64}) [0-9a-f]{64}$", r"\1", model)


def _hash(tree: Tree) -> str:
    return hashlib.sha256(_as_text(tree).encode()).hexdigest()[:10]


def _as_text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
