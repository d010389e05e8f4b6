"""Learning curves from `metrics.jsonl`, thinned out to what a chart can show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from ptv2.run_folders.metrics_log import read_lines


@dataclass(frozen=True)
class Curves:
    """Training loss by step, and the headline metric on dev by step and epoch."""

    loss: tuple[tuple[int, float], ...] = ()  # step, mean of the losses that were logged since the previous point
    dev: tuple[tuple[int, float, float], ...] = ()  # step, epoch, headline in percent
    step: int = 0  # the last one that was logged


def read_curves(path: Path, headline: str, points: int) -> Curves:
    """Read the curves of one metrics file; empty if there is none, or it is no text.

    Each is thinned to at most `points` points; of the evaluations the first, the last and the best one stay.
    """
    loss: list[tuple[int, float]] = []
    dev: list[tuple[int, float, float]] = []
    step = 0
    try:
        lines = read_lines(path)
    except UnicodeDecodeError:
        return Curves()
    for line in lines:
        if not isinstance(line, dict) or not isinstance(line.get("step"), int):
            continue
        step = line["step"]
        scores = line.get("dev")
        if _is_number(line.get("loss")):
            loss.append((step, line["loss"]))
        elif isinstance(scores, dict) and _is_number(scores.get(headline)) and _is_number(line.get("epoch")):
            dev.append((step, line["epoch"], scores[headline]))
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


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
