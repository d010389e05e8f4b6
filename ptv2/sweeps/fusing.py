"""Which jobs of a sweep can be trained together over one frozen backbone. Imports no torch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ptv2.config.identity import decisive, run_hash
from ptv2.config.schema import RunConfig

NO_OTHER = (
    "no other with the same model, task.shape, task.max_length, kind of prompts and trainer.precision "
    "(random weights: and seed)"
)


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
        "task": [config.task.shape, config.task.max_length],
        "prompts": [config.tuning.prompts, *(tree["prompt"][name] for name in names)],
        "trainer": [config.trainer.precision, config.trainer.device],
        "seed": config.seed if config.model.path == "config:" else None,  # draws the weights
    }
    return json.dumps(shared, sort_keys=True, default=str)


@dataclass
class _Group:
    """Jobs that are trained together: their numbers, what they have in common, and what tells them apart."""

    jobs: list[int]
    shared: str
    task: str
    runs: set[str]

    def take(self, other: _Group, together: int) -> bool:
        """Take the jobs of another group, if they fit; equal jobs do not: the second finds the run finished."""
        if self.shared != other.shared or len(self.jobs) + len(other.jobs) > together or self.runs & other.runs:
            return False
        self.jobs += other.jobs
        self.runs |= other.runs
        return True


def choose_groups(jobs: Mapping[int, RunConfig | None], together: int) -> tuple[list[list[int]], dict[str, list[int]]]:
    """Groups of at most `together` jobs, in order of their first ones, and which jobs are alone for what reason.

    Jobs of one task, whose texts are of similar length, go together before jobs of several.
    """
    alone: list[list[int]] = []
    reasons: dict[str, list[int]] = {}
    single: list[_Group] = []
    for number, config in jobs.items():
        reason = None if config is None else why_alone(config)
        if config is None or reason is not None:
            alone.append([number])
            if reason is not None:
                reasons.setdefault(reason, []).append(number)
            continue
        task = json.dumps(decisive(config)["task"], sort_keys=True, default=str)
        single.append(_Group([number], shared_settings(config), task, {run_hash(config, "", "")}))
    of_tasks = _join(single, together, lambda one, other: one.task == other.task)
    groups = _join(of_tasks, together, lambda one, other: True)
    alike = Counter(one.shared for one in single)
    lonely = [one.jobs[0] for one in single if alike[one.shared] == 1]
    if lonely and len(alike) > 1:
        reasons[NO_OTHER] = sorted(lonely)
    return sorted([*alone, *(sorted(group.jobs) for group in groups)]), reasons


def _join(groups: Sequence[_Group], together: int, fits: Callable[[_Group, _Group], bool]) -> list[_Group]:
    """Put each group into the first before it that takes it."""
    joined: list[_Group] = []
    for group in groups:
        if not any(fits(one, group) and one.take(group, together) for one in joined):
            joined.append(group)
    return joined
