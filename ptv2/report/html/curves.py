"""Learning curves from `metrics.jsonl`, thinned out to what a chart can show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from ptv2.run_folders.metrics_log import is_number, read_lines


@dataclass(frozen=True)
class Curves:
    """Training loss by step, and the headline metric on dev by step and epoch."""

    loss: tuple[tuple[int, float], ...] = ()  # step, mean of the losses that were logged since the previous point
    dev: tuple[tuple[int, float, float], ...] = ()  # step, epoch, headline in percent
    step: int = 0  # the last one that was logged


def read_curves(path: Path, headline: str, points: int) -> Curves:
    """Read the curves of one metrics file; empty if there is none.

    Each is thinned to at most `points` points; of the evaluations the first, the last and the best one stay.
    """
    loss: list[tuple[int, float]] = []
    dev: list[tuple[int, float, float]] = []
    step = 0
    for line in read_lines(path):
        step = line["step"]
        if "dev" not in line:
            loss.append((step, line["loss"]))
        elif headline in line["dev"] and is_number(line.get("epoch"), int | float):
            dev.append((step, line["epoch"], line["dev"][headline]))
    return Curves(tuple(_means(loss, points)), tuple(_chosen(dev, points)), step)


def _means(values: Sequence[tuple[int, float]], points: int) -> list[tuple[int, float]]:
    """At most `points` means over neighbouring values, each at the last step of its group."""
    width = max(1, math.ceil(len(values) / points))
    groups = (values[start : start + width] for start in range(0, len(values), width))
    return [(group[-1][0], fmean(value for _, value in group)) for group in groups]


def _chosen(values: Sequence[tuple[int, float, float]], points: int) -> list[tuple[int, float, float]]:
    """At most `points` of the values, evenly spread and with both ends; the nearest one is swapped for the best."""
    count = len(values)
    if count <= points:
        return list(values)
    indices = {round(i * (count - 1) / (points - 1)) for i in range(points)}
    best = max(range(count), key=lambda i: values[i][2])
    if best not in indices:
        inner = sorted(indices)[1:-1]
        indices -= {min(inner, key=lambda i: abs(i - best))}
        indices |= {best}
    return [values[i] for i in sorted(indices)]
