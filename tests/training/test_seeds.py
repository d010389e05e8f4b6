"""Random streams of the processes of several runs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ptv2.training.seeds import process_seed

SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS)
def test_the_first_process_draws_what_a_run_of_one_process_draws(seed: int) -> None:
    assert process_seed(seed, 0) == seed


@given(SEEDS, st.integers(0, 64), SEEDS, st.integers(0, 64))
def test_no_two_processes_share_a_stream(seed: int, process: int, other_seed: int, other_process: int) -> None:
    same = (seed, process) == (other_seed, other_process)
    assert (process_seed(seed, process) == process_seed(other_seed, other_process)) == same


def test_neighbouring_seeds() -> None:
    """The case that was wrong: process 1 of seed 1 and process 0 of seed 2."""
    drawn = {process_seed(seed, process) for seed in range(64) for process in range(8)}
    assert len(drawn) == 64 * 8
