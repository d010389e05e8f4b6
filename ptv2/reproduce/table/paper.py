"""The paper's published numbers: `conf/paper/results.csv`."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache

from ptv2.config.paths import conf_dir


@dataclass(frozen=True)
class Published:
    """A number of the paper, in percent; `checked`: it was seen again in a second public source."""

    value: float
    checked: bool


def published(table: int | None, column: str, metric: str, row: str, method: str) -> Published | None:
    """The paper's number for a place of one of its tables; none where it has none."""
    return None if table is None else _numbers().get((str(table), column, metric, row, method))


@cache
def _numbers() -> dict[tuple[str, str, str, str, str], Published]:
    with (conf_dir() / "paper" / "results.csv").open(encoding="utf-8", newline="") as stream:
        return {
            (line["table"], line["dataset"], line["metric"], line["model"], line["method"]): Published(
                float(line["value"]), line["cross_checked"] == "yes"
            )
            for line in csv.DictReader(stream)
        }
