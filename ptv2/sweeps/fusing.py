"""Which jobs of a sweep can be trained together over one frozen backbone. Imports no torch."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from ptv2.config.compose import to_run_config
from ptv2.config.identity import decisive, run_hash
from ptv2.config.schema import RunConfig

NO_OTHER = "no other with the same model, task, kind of prompts and trainer.precision (random weights: and seed)"


def settings_of(composed: DictConfig) -> RunConfig | None:
    """The settings of a job that Hydra composed; None if they are wrong, which the job itself says."""
    config = copy.deepcopy(composed)
    runtime, words = config.hydra.runtime, [str(word) for word in config.hydra.overrides.task]
    with open_dict(config):
        del config["hydra"]
    OmegaConf.set_struct(config, False)
    try:
        return to_run_config(config, words, runtime)
    except Exception:
        return None


def why_alone(config: RunConfig) -> str | None:
    """Why a job cannot be trained together with any other; None: it can."""
    if config.tuning.backbone is not None or config.multitask is not None:
        return f"method={config.method}"
    if config.head.kind != "linear":
        return f"head.kind={config.head.kind}"
    if config.model.path == "config:" and config.model.pooler == "trained":
        return "model.pooler=trained on random weights"
    if config.model.attention not in ("sdpa", "eager"):
        return f"model.attention={config.model.attention}"
    switched = {
        "model.compile": config.model.compile,
        "model.gradient_checkpointing": config.model.gradient_checkpointing,
        "trainer.shard": config.trainer.shard,
    }
    if on := [name for name, value in switched.items() if value]:
        return f"{on[0]}=true"
    return f"track={','.join(config.track)}" if config.track else None


def shared_settings(config: RunConfig) -> str:
    """A text that jobs have in common exactly if one pass can serve them."""
    tree = decisive(config)
    names = {"deep": ("form", "layers"), "shallow": ("embedding",)}.get(config.tuning.prompts or "", ())
    shared: dict[str, Any] = {
        "model": [tree["model"], config.model.trust_remote_code],
        "task": tree["task"],
        "prompts": [config.tuning.prompts, *(tree["prompt"][name] for name in names)],
        "trainer": [config.trainer.precision, config.trainer.device],
        "seed": config.seed if config.model.path == "config:" else None,  # draws the weights
    }
    return json.dumps(shared, sort_keys=True, default=str)


def choose_groups(jobs: Mapping[int, RunConfig | None], together: int) -> tuple[list[list[int]], dict[str, list[int]]]:
    """Groups of at most `together` jobs, in order of their first ones, and which jobs are alone for what reason."""
    groups: list[list[int]] = []
    open_groups: dict[str, list[tuple[list[int], set[str]]]] = {}
    reasons: dict[str, list[int]] = {}
    for number, config in jobs.items():
        reason = None if config is None else why_alone(config)
        if config is None or reason is not None:
            groups.append([number])
            if reason is not None:
                reasons.setdefault(reason, []).append(number)
            continue
        run, known = run_hash(config, "", ""), open_groups.setdefault(shared_settings(config), [])
        for members, runs in known:
            if len(members) < together and run not in runs:  # equal jobs are one run: the second finds it finished
                members.append(number)
                runs.add(run)
                break
        else:
            groups.append([number])
            known.append((groups[-1], {run}))
    lonely = [known[0][0][0] for known in open_groups.values() if len(known) == len(known[0][0]) == 1]
    if lonely and len(open_groups) > 1:
        reasons[NO_OTHER] = sorted(lonely)
    return groups, reasons
