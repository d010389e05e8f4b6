"""Seeds of the random streams that the processes of one training draw from."""

from __future__ import annotations

import numpy as np


def process_seed(seed: int, process: int) -> int:
    """Seed of one process's stream (dropout), another for every pair of a run's seed and a process number from 0.

    The first process's is the run's own seed. Those of the others are not `seed + process`: process 1 of seed 1 would
    then draw what process 0 of seed 2 draws.
    """
    if process == 0:
        return seed
    return int(np.random.SeedSequence([seed, process]).generate_state(1, np.uint64)[0])
