"""Every example once an epoch, similar lengths together, the same again for the same seed."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ptv2.data.batches import epoch_batches, shares, sorted_batches

QUICK = settings(max_examples=100, deadline=None)
LENGTHS = st.lists(st.integers(1, 200), min_size=1, max_size=400).map(np.array)
SIZE = st.integers(1, 40)


def lengths_of(number: int) -> np.ndarray:
    return np.random.default_rng(0).integers(5, 120, size=number)


def padded(lengths: np.ndarray, batches: list[list[int]]) -> int:
    """Tokens that all batches have, padding included."""
    return sum(len(batch) * int(lengths[batch].max()) for batch in batches)


@QUICK
@given(LENGTHS, SIZE, st.integers(0, 5), st.integers(0, 5))
def test_an_epoch_is_a_permutation_in_full_batches(lengths: np.ndarray, size: int, seed: int, epoch: int) -> None:
    batches = epoch_batches(lengths, size, seed, epoch)
    assert sorted(n for batch in batches for n in batch) == list(range(len(lengths)))
    sizes = sorted(map(len, batches), reverse=True)
    assert all(one == size for one in sizes[:-1])
    assert len(batches) == -(-len(lengths) // size)


@QUICK
@given(LENGTHS, SIZE, st.integers(0, 2**32 - 1), st.integers(0, 1000))
def test_the_same_seed_and_epoch_give_the_same_batches(lengths: np.ndarray, size: int, seed: int, epoch: int) -> None:
    assert epoch_batches(lengths, size, seed, epoch) == epoch_batches(lengths.copy(), size, seed, epoch)


def test_seed_and_epoch_change_order_and_company() -> None:
    lengths = lengths_of(2000)
    orders = [epoch_batches(lengths, 16, seed, epoch) for seed in (1, 2) for epoch in (0, 1)]
    assert len({str(order) for order in orders}) == 4


def test_an_epoch_does_not_go_from_short_to_long_texts() -> None:
    lengths = lengths_of(2000)
    longest = [int(lengths[batch].max()) for batch in epoch_batches(lengths, 16, 1, 0)]
    grows = np.mean(np.diff(longest) > 0)
    assert 0.35 < grows < 0.65


def test_a_small_set_is_not_cut_into_the_same_batches_in_every_epoch() -> None:
    """With one pool for all examples, sorting would give the same neighbours each time, in another order."""
    for number, size in ((92, 32), (113, 16), (250, 8), (1439, 32)):
        lengths = lengths_of(number)
        epochs = [{frozenset(batch) for batch in epoch_batches(lengths, size, 11, epoch)} for epoch in range(10)]
        full = [{batch for batch in epoch if len(batch) == size} for epoch in epochs]
        assert sum(map(len, full)) == 10 * (number // size) == len(frozenset().union(*full))


def test_padding_is_little_where_there_are_many_examples() -> None:
    lengths = lengths_of(8000)
    batches = epoch_batches(lengths, 32, 11, 0)
    assert padded(lengths, batches) < 1.05 * lengths.sum()
    order = np.random.default_rng(1).permutation(len(lengths))
    unsorted = [order[i : i + 32].tolist() for i in range(0, len(order), 32)]
    assert padded(lengths, unsorted) > 1.7 * lengths.sum()  # what it would be


def test_long_and_short_batches_come_mixed() -> None:
    lengths = lengths_of(8000)
    means = [lengths[batch].mean() for batch in epoch_batches(lengths, 32, 11, 0)]
    first, last = np.mean(means[: len(means) // 2]), np.mean(means[len(means) // 2 :])
    assert abs(first - last) < 15


@QUICK
@given(LENGTHS, SIZE)
def test_evaluation_goes_from_long_to_short(lengths: np.ndarray, size: int) -> None:
    batches = sorted_batches(lengths, size)
    order = [n for batch in batches for n in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert list(lengths[order]) == sorted(lengths, reverse=True)
    assert all(len(batch) == size for batch in batches[:-1])


@QUICK
@given(st.lists(st.integers(0, 1000), unique=True, max_size=40), st.integers(1, 9))
def test_shares_partition_a_batch_evenly(batch: list[int], parts: int) -> None:
    found = shares(batch, parts)
    assert len(found) == parts
    assert sorted(n for share in found for n in share) == sorted(batch)
    sizes = [len(share) for share in found]
    assert max(sizes) - min(sizes) <= 1
