"""Which jobs of a sweep are trained together over one backbone."""

from __future__ import annotations

import json
from typing import Any

from ptv2.config.schema import RunConfig
from ptv2.sweeps.fusing import NO_OTHER, choose_groups


def configs(*changes: dict[str, Any]) -> dict[int, RunConfig | None]:
    from tiny import run_config

    def change(tree: dict[str, Any], words: dict[str, Any]) -> RunConfig:
        for key, value in words.items():
            section, _, leaf = key.partition(".")
            if leaf:
                tree[section][leaf] = value
            else:
                tree[section] = value
        return RunConfig.model_validate(tree)

    base = run_config({"model_type": "bert"}).model_dump(mode="json")
    base["model"]["path"] = "folder"
    return {number: change(json.loads(json.dumps(base)), words) for number, words in enumerate(changes)}


def groups(together: int, *changes: dict[str, Any]) -> tuple[list[list[int]], dict[str, list[int]]]:
    return choose_groups(configs(*changes), together)


def test_groups() -> None:
    seeds: list[dict[str, Any]] = [{"seed": seed} for seed in range(5)]
    assert groups(2, *seeds)[0] == [[0, 1], [2, 3], [4]]
    assert groups(8, *seeds, {"prompt.form": "hidden"}, {"seed": 7})[0] == [[0, 1, 2, 3, 4, 6], [5]]
    assert groups(8, {"seed": 1}, {"seed": 1, "trainer.device": "auto"}, {"seed": 2})[0] == [[0, 2], [1]]
    assert groups(8, {"seed": 1}, {"method": "bitfit"}, {"seed": 2}) == (
        [[0, 2], [1]],
        {"method=bitfit": [1]},
    )
    for alone in ({"model.compile": True}, {"track": ["tensorboard"]}, {"model.gradient_checkpointing": True}):
        assert groups(8, {"seed": 1}, alone, alone, {"seed": 2})[0] == [[0, 3], [1], [2]]


def test_jobs_of_one_task_go_together_before_those_of_several() -> None:
    tasks = [{"task.name": name, "seed": seed} for seed in (1, 2, 3) for name in ("a", "b")]
    assert groups(2, *tasks)[0] == [[0, 2], [1, 3], [4, 5]]
    assert groups(8, *tasks)[0] == [[0, 1, 2, 3, 4, 5]]
    for other in ({"task.max_length": 7}, {"trainer.precision": "bf16"}, {"method": "prompt-tuning"}):
        assert groups(8, {"seed": 1}, {"seed": 2}, other) == ([[0, 1], [2]], {NO_OTHER: [2]})


def test_random_weights_of_other_seeds_are_other_backbones() -> None:
    changes = [{"model.path": "config:", "seed": seed, "optim.lr": rate} for seed in (1, 2) for rate in (0.1, 0.2)]
    assert groups(8, *changes)[0] == [[0, 1], [2, 3]]
