"""Taking a dev set out of the training examples."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptv2.data.records import Record
from ptv2.data.split import split_records
from ptv2.errors import DataError

ROWS = st.lists(st.tuples(st.integers(0, 20), st.sampled_from("ab")), min_size=1, max_size=60)


def records(rows: list[tuple[int, str]]) -> list[Record]:
    return [Record({"text": text, "label": label}, f"train.csv:{n + 2}") for n, (text, label) in enumerate(rows)]


def split(rows: list[Record], share: float, seed: int = 1) -> tuple[list[Record], list[Record]]:
    return split_records(rows, share, seed, lambda r: r.fields["text"], lambda r: r.fields["label"])


@given(rows=ROWS, share=st.floats(0.01, 0.99), seed=st.integers(0, 3))
def test_every_record_is_on_one_side_and_groups_stay_whole(
    rows: list[tuple[int, str]], share: float, seed: int
) -> None:
    given_records = records(rows)
    try:
        train, dev = split(given_records, share, seed)
    except DataError:  # every class is one group
        assert len({text for text, _ in rows}) <= 2
        return
    assert train
    assert dev
    assert sorted(train + dev, key=given_records.index) == given_records
    assert not {r.fields["text"] for r in train} & {r.fields["text"] for r in dev}
    assert split(given_records, share, seed) == (train, dev)


def test_classes_keep_their_shares_and_seeds_differ() -> None:
    rows = records([(n, "a" if n % 4 else "b") for n in range(400)])
    train, dev = split(rows, 0.1)
    assert Counter(r.fields["label"] for r in dev) == {"a": 30, "b": 10}
    assert Counter(r.fields["label"] for r in train) == {"a": 270, "b": 90}
    assert split(rows, 0.1, seed=2)[1] != dev


def test_a_share_is_rounded_and_a_group_is_of_the_class_of_its_first_record() -> None:
    assert len(split(records([(n, "a") for n in range(7)]), 0.25)[1]) == 2
    rows = records([(n // 2, "ab"[n % 2]) for n in range(40)] + [(20, "b"), (21, "b")])
    for seed in range(5):
        _, dev = split(rows, 0.5, seed)
        assert len(dev) == 21  # ten of the 20 pairs, which count as "a", and one of the two that are "b"


def test_one_group_cannot_be_split() -> None:
    with pytest.raises(DataError, match=r"^train\.csv:2: data\.split=0\.5: too few examples"):
        split(records([(1, "a"), (1, "a")]), 0.5)
