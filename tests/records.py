"""Records of runs that nobody made, for what only reads them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ptv2.config.compose import compose
from ptv2.run_folders.record import Result

CONFIG = {
    method: compose(["model=tiny", "task=mini-inference", f"method={method}"]).model_dump(mode="json")
    for method in ("fine-tuning", "prompt-tuning", "p-tuning-v2")
}
TOGETHER = "multitask-p-tuning-v2"
CONFIG[TOGETHER] = compose(["model=tiny", "task=mini-entities", f"method={TOGETHER}"]).model_dump(mode="json")


def result(method: str, seed: int, dev: float, *, test: float | None = None, **more: Any) -> Result:
    """A finished run as its directory would tell it; `config` entries of `more` replace settings."""
    config = {**CONFIG[method], "seed": seed}
    for key, value in more.pop("config", {}).items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    counts = {"yes": 5, "no": 5}
    made = Result(
        name=f"made-tiny-{method}-{seed:010}",
        task="made",
        model="tiny",
        method=method,
        seed=seed,
        headline="accuracy",
        dev={"accuracy": dev, "extra": dev / 2},
        dev_last={"accuracy": dev - 1, "extra": dev / 2},
        test=None if test is None else {"accuracy": test},
        best_step=10,
        best_epoch=1.0,
        steps=20,
        steps_planned=20,
        evaluations=2,
        parameters={"trained": 10, "total": 1000, "percent": 1.0},
        data={
            "fingerprint": "f00",
            "examples": {"train": 100, "dev": 10},
            "predicted": {"dev": counts, "test": counts},
        },
        time={"train": 90.0 + seed, "evaluate": 1.0, "total": 95.0, "examples_per_second": 10.0},
        memory={"peak": 2**20, "before_training": 0, "what": "test"},
        runtime={},
        backbone={},
        config=config,
    )
    return replace(made, **more)
