"""The paper's numbers, `conf/paper/results.csv`."""

from __future__ import annotations

import csv
from functools import cache

from ptv2.config.paths import conf_dir


@cache
def paper_numbers() -> tuple[dict[str, str], ...]:
    """All rows, by column: table, dataset, metric, model, parameters, method, value, cross_checked, ..."""
    with (conf_dir() / "paper" / "results.csv").open(encoding="utf-8", newline="") as stream:
        return tuple(csv.DictReader(stream))
