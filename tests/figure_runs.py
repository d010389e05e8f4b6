"""Runs of figures, made up on disk, and the CSV files that are drawn of them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import yaml

from ptv2.files import write_text_whole
from ptv2.reproduce.figure.make import list_figure_jobs, read_figure_request
from ptv2.reproduce.jobs.list_jobs import Job
from ptv2.reproduce.options import Options
from ptv2.run_folders.record import Result, write_result

SMALL = ("data.limit.train=8", "data.limit.dev=4")
Value = Callable[[Job], float]


def made_up(job: Job, dev: float, **more: Any) -> Result:
    """Write what a finished run of `job` would leave."""
    assert job.folder is not None
    assert job.config is not None
    config = job.config.model_dump(mode="json")
    result = Result(
        name=job.folder.name,
        task=job.config.task.name,
        model=job.config.model.name,
        method=job.config.method,
        seed=job.seed,
        headline="accuracy",
        dev={"accuracy": dev, "loss": 1.0},
        dev_last={"accuracy": dev - 1},
        test={"accuracy": dev - 10},
        best_step=2,
        best_epoch=1.0,
        steps=4,
        steps_planned=4,
        evaluations=2,
        parameters={"trained": 100 + job.seed, "total": 10000, "percent": 1.0},
        data={"fingerprint": "f", "examples": {"train": 8, "dev": 4}, "predicted": {}},
        time={"train": 1.0, "evaluate": 1.0, "total": 2.0, "examples_per_second": 4.0},
        memory={},
        runtime={},
        backbone={"sha256": "b"},
        config=config,
    )
    result = replace(result, **more)
    write_text_whole(job.folder / "config.yaml", yaml.safe_dump({"config": config}))
    write_result(job.folder, result)
    return result


def fill(options: Options, value: Value, *, lines: bool = False, **more: Any) -> list[Job]:
    """Make up the runs of a figure, of its horizontal lines with `lines`; `more` replaces parts of their results."""
    jobs, looked_for = list_figure_jobs(read_figure_request(str(options.figure), options), options)
    for job in [*jobs, *(looked_for if lines else ())]:
        made_up(job, value(job), **more)
    return jobs


def table(options: Options, name: str) -> list[dict[str, str]]:
    with (options.results / "figures" / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))
