"""Take a dev set, or one part in turn, out of the training examples."""

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
    """Split into training and dev examples in the order of `records`; equal content, share and seed split equally.

    Args:
        share: the share of the groups of each stratum that becomes dev (rounded; of two or more groups at least one,
            never all).
        group: names the group of a record, which stays together, such as the questions about one text.
        stratum: names what both sides get the same share of, such as a class; a group's is that of its first record.

    Raises:
        DataError: nothing is left for one of the sides.
    """
    draw = random.Random(seed)
    dev: set[int] = set()
    for members_of_groups in _strata(records, group, stratum):
        count = min(max(round(share * len(members_of_groups)), 1), len(members_of_groups) - 1)
        for members in draw.sample(members_of_groups, count):
            dev.update(members)
    if not dev:
        raise DataError(f"{records[0].where}: data.split={share}: too few examples to take a dev set from")
    return _sides(records, dev)


def take_fold(
    records: Sequence[Record],
    folds: int,
    fold: int,
    seed: int,
    group: Callable[[Record], Hashable],
    stratum: Callable[[Record], Hashable],
) -> tuple[list[Record], list[Record]]:
    """Take one of `folds` parts as dev, and the others for training; every record is in the dev set of one fold.

    Groups and strata are those of `split_records`: a group is in one part, and each part has its share of a stratum.

    Raises:
        DataError: there are fewer groups than folds.
    """
    shuffled: list[list[int]] = []
    draw = random.Random(seed)
    for members_of_groups in _strata(records, group, stratum):
        shuffled += draw.sample(members_of_groups, len(members_of_groups))
    if len(shuffled) < folds:
        unit = "examples" if len(shuffled) == len(records) else "groups of examples that stay together"
        raise DataError(
            f"{records[0].where}: data.folds={folds}: only {len(shuffled)} {unit}; expected no more folds than these"
        )
    return _sides(records, {number for members in shuffled[fold::folds] for number in members})


def _strata(
    records: Sequence[Record], group: Callable[[Record], Hashable], stratum: Callable[[Record], Hashable]
) -> list[list[list[int]]]:
    """The numbers of the records by group, and the groups by stratum."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for number, record in enumerate(records):
        groups[group(record)].append(number)
    strata: dict[Hashable, list[list[int]]] = defaultdict(list)
    for members in groups.values():
        strata[stratum(records[members[0]])].append(members)
    return list(strata.values())


def _sides(records: Sequence[Record], dev: set[int]) -> tuple[list[Record], list[Record]]:
    """The records for training and those for dev, which have the numbers in `dev`."""
    return (
        [record for number, record in enumerate(records) if number not in dev],
        [record for number, record in enumerate(records) if number in dev],
    )


def choose_shots(
    records: Sequence[Record], shots: int, seed: int, class_of: Callable[[Record], str | None]
) -> tuple[list[Record], dict[str | None, int]]:
    """So many records of each class, in the order of `records`; the same for the same content, number and seed.

    More shots with the same seed contain the fewer, so that curves over their number are of one growing set.

    Returns:
        The records, and how many there are of each class.
    """
    classes: dict[str | None, list[int]] = defaultdict(list)
    for number, record in enumerate(records):
        classes[class_of(record)].append(number)
    chosen: set[int] = set()
    for name, numbers in classes.items():
        random.Random(f"{seed} {name}").shuffle(numbers)
        chosen.update(numbers[:shots])
    counts = {name: len(numbers) for name, numbers in classes.items()}
    return [record for number, record in enumerate(records) if number in chosen], counts
