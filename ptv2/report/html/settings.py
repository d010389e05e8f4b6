"""Configurations told by what differs: one common setting for many runs, and for each run its own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

Flat = dict[str, Any]  # dotted key: value


def common(configs: Iterable[Flat]) -> Flat:
    """For each key that most of the configurations have, its most frequent value; the first seen of equals."""
    configs = list(configs)
    counts: dict[str, Counter[str]] = {}
    for config in configs:
        for key, value in config.items():
            counts.setdefault(key, Counter())[_text(value)] += 1
    half = len(configs) / 2
    return {key: json.loads(seen.most_common(1)[0][0]) for key, seen in counts.items() if seen.total() > half}


def difference(config: Flat, base: Flat) -> tuple[Flat, list[str]]:
    """What `config` sets otherwise than `base`, and which keys of `base` it lacks."""
    own = {key: value for key, value in config.items() if key not in base or _text(value) != _text(base[key])}
    return own, [key for key in base if key not in config]


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
