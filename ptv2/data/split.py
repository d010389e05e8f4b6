"""One file of examples as two: a dev set is taken out of the training examples."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence

from ptv2.data.records import Record
from ptv2.errors import DataError


def split_records(
    records: Sequence[Record],
    share: float,
    seed: int,
    group: Callable[[Record], Hashable],
    stratum: Callable[[Record], Hashable],
) -> tuple[list[Record], list[Record]]:
    """Training and dev examples, each in the order of `records`; the same for the same content, share and seed.

    Args:
        share: of the groups of each stratum that become dev (rounded; of two or more groups at least one, never all).
        group: what stays together, such as the questions about one text.
        stratum: what both sides get the same share of, such as a class; that of a group is its first record's.

    Raises:
        DataError: nothing is left for one of the sides.
    """
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for number, record in enumerate(records):
        groups[group(record)].append(number)
    strata: dict[Hashable, list[list[int]]] = defaultdict(list)
    for members in groups.values():
        strata[stratum(records[members[0]])].append(members)
    draw = random.Random(seed)
    dev: set[int] = set()
    for one in strata.values():
        count = min(max(round(share * len(one)), 1), len(one) - 1)
        for members in draw.sample(one, count):
            dev.update(members)
    if not dev:
        raise DataError(f"{records[0].where}: data.split={share}: too few examples to take a dev set from")
    return (
        [record for number, record in enumerate(records) if number not in dev],
        [record for number, record in enumerate(records) if number in dev],
    )
