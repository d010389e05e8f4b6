"""Encode examples in parts, in several processes if wanted."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from ptv2.data.arrays import concatenated
from ptv2.errors import TrainingError

E = TypeVar("E")
T = TypeVar("T")


def in_processes(
    encode_part: Callable[[Sequence[E]], T],
    parts: Sequence[Sequence[E]],
    workers: int = 1,
    done: Callable[[], None] = lambda: None,
) -> T:
    """Encode examples in parts, and join the sets in the order of the parts.

    Fast tokenizers use all cores by themselves, and a process takes seconds to start: several processes are faster only
    where most time goes into the Python around the tokenizer, for a hundred thousand examples or more.

    Args:
        encode_part: a function at the top of a module, or a `functools.partial` of one, if `workers` is not 1.
        parts: slices of the examples, at least one.
        workers: number of processes; with 1 no other is started.
        done: called in this process after each part, for a progress bar.

    Raises:
        TrainingError: a process was killed. Errors of `encode_part` are raised as they are.
    """
    sets: list[T] = []
    if workers == 1 or len(parts) == 1:
        for examples in parts:
            sets.append(encode_part(examples))
            done()
    else:
        # Spawned, as a fork of a process with threads may hang.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(workers, len(parts)), context, initializer=_start_worker) as pool:
            try:
                for encoded in pool.map(encode_part, parts):
                    sets.append(encoded)
                    done()
            except BrokenProcessPool as error:
                raise TrainingError(
                    f"one of {workers} encoding processes was killed, perhaps for memory; take fewer of them"
                ) from error
            finally:
                pool.shutdown(cancel_futures=True)
    return concatenated(sets, [len(examples) for examples in parts])


def _start_worker() -> None:
    """Leave cores to the other processes and Ctrl-C to the parent, and end with it."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End with the parent: a pool's process would wait for work for ever once the parent has been killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
