"""A mixture's batches are of one task each, tasks have their shares, and the order is a function of seed and epoch."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ptv2.data.encode import TextSet
from ptv2.data.mixture import Mixture, OfHead
from ptv2.data.tokens import Tokens


def texts(count: int, first: int = 0) -> TextSet:
    """`count` texts of one to four tokens, which all say the number of their row, from `first`."""
    lengths = np.arange(count) % 4 + 1
    ids = np.repeat(np.arange(first, first + count, dtype=np.int32), lengths)
    tokens = Tokens(ids, None, np.cumsum([0, *lengths]), pad_id=-1)
    return TextSet(tokens, labels=np.arange(count), width=1, truncated=0)


def mixture(*sizes: int, temperature: float = 2.0) -> Mixture:
    starts = np.cumsum([0, *sizes])
    return Mixture([texts(size, int(start)) for size, start in zip(sizes, starts, strict=False)], temperature)


def heads(found: Mixture, batches: list[list[int]]) -> list[int]:
    return [int(found.batch(batch)["head"]) for batch in batches]


@pytest.mark.parametrize(
    ("temperature", "shares"),
    [
        (1.0, [640, 160, 40]),  # by size
        (2.0, [480, 240, 120]),  # by its square root: 4 to 2 to 1
        (1e9, [280, 280, 280]),  # all alike
    ],
)
def test_shares_by_temperature(temperature: float, shares: list[int]) -> None:
    found = mixture(6400, 1600, 400, temperature=temperature)
    assert found.counts(10) == shares
    assert Counter(heads(found, found.epoch_batches(10, seed=1, epoch=0))) == dict(enumerate(shares))


def test_a_small_task_is_not_left_out() -> None:
    assert mixture(1000, 2, temperature=1.0).counts(10) == [100, 1]
    assert mixture(16, 16, 1, temperature=1.0).counts(10) == [1, 2, 1]
    assert sum(mixture(3, 3, 3).counts(10)) == 1  # fewer batches than tasks


def test_a_batch_is_of_one_task_and_says_which() -> None:
    found = mixture(50, 30, 20)
    for batch in found.epoch_batches(7, seed=3, epoch=0):
        made = found.batch(batch)
        head = int(made["head"])
        start = [0, 50, 80][head]
        rows = made["input_ids"][:, 0].tolist()
        assert rows == batch
        assert made["labels"].tolist() == [row - start for row in rows]
        assert all(start <= row < start + [50, 30, 20][head] for row in rows)
        assert found.targets(batch) == len(batch)
    with pytest.raises(ValueError, match="one part"):
        found.batch([49, 50])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 60), min_size=2, max_size=4),
    st.floats(0.5, 5),
    st.integers(1, 9),
    st.integers(0, 3),
)
def test_an_epoch_has_as_many_batches_as_all_rows(
    sizes: list[int], temperature: float, batch_size: int, epoch: int
) -> None:
    found = mixture(*sizes, temperature=temperature)
    batches = found.epoch_batches(batch_size, 5, epoch)
    assert len(batches) == -(-sum(sizes) // batch_size)
    assert batches == mixture(*sizes, temperature=temperature).epoch_batches(batch_size, 5, epoch)
    assert all(0 < len(batch) <= batch_size for batch in batches)


def test_every_row_comes_before_any_comes_again() -> None:
    """The small task is gone through many times, the large one goes on where the epoch before ended."""
    found = mixture(120, 12, temperature=3.0)
    seen: list[Counter[int]] = [Counter(), Counter()]
    for epoch in range(6):
        for batch in found.epoch_batches(4, seed=9, epoch=epoch):
            seen[0 if batch[0] < 120 else 1].update(batch)
            for rows, count in zip(seen, (120, 12), strict=True):
                times = [rows[row] for row in (range(120) if count == 120 else range(120, 132))]
                assert max(times) - min(times) <= 1
    assert min(seen[1].values()) > 2 * max(seen[0].values())


def test_seeds_and_epochs_differ() -> None:
    found = mixture(40, 40)
    orders = [heads(found, found.epoch_batches(4, seed, epoch)) for seed in (1, 2) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4


def test_a_set_of_one_head_is_the_set() -> None:
    plain, marked = texts(9), OfHead(texts(9), 2)
    assert (len(marked), marked.truncated, marked.targets([1, 2])) == (9, 0, 2)
    assert marked.epoch_batches(4, 1, 0) == plain.epoch_batches(4, 1, 0)
    batch = marked.batch([3, 1])
    assert int(batch.pop("head")) == 2
    for name, tensor in plain.batch([3, 1]).items():
        assert torch.equal(batch[name], tensor)
