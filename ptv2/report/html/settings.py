"""Configurations by what differs: the settings that most runs share, and those of each run that differ."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

Flat = dict[str, Any]  # dotted key: value


def common(configs: Iterable[Flat]) -> Flat:
    """The most frequent value of each key that most configurations have; the first seen of equally frequent ones."""
    configs = list(configs)
    counts: dict[str, Counter[str]] = {}
    for config in configs:
        for key, value in config.items():
            counts.setdefault(key, Counter())[_text(value)] += 1
    half = len(configs) / 2
    return {key: json.loads(seen.most_common(1)[0][0]) for key, seen in counts.items() if seen.total() > half}


def difference(config: Flat, base: Flat) -> tuple[Flat, list[str]]:
    """The settings of `config` that differ from those of `base`, and the keys of `base` that it lacks."""
    differing = {key: value for key, value in config.items() if key not in base or _text(value) != _text(base[key])}
    return differing, [key for key in base if key not in config]


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
