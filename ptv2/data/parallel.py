"""Encode examples in parts, in several processes if wanted."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from itertools import chain, islice
from typing import TypeVar

from ptv2.data.joining import joined
from ptv2.errors import TrainingError

# Parts that wait for each process: enough to keep it busy.
AHEAD = 4

E = TypeVar("E")
T = TypeVar("T")


def in_processes(
    encode_part: Callable[[Sequence[E]], T],
    parts: Iterable[Sequence[E]],
    workers: int = 1,
    done: Callable[[int], None] = lambda count: None,
) -> T:
    """Encode examples in parts, and join the sets in the order of the parts.

    Fast tokenizers use all cores by themselves, and a process takes seconds to start: several processes are faster only
    where most time goes into the Python around the tokenizer, for a hundred thousand examples or more.

    Args:
        encode_part: a function at the top of a module, or a `functools.partial` of one, if `workers` is not 1.
        parts: slices of the examples, at least one; few of them are in memory at once.
        workers: number of processes; with 1 no other is started.
        done: called in this process after each part with its number of examples, for a progress bar.

    Raises:
        TrainingError: a process was killed. Errors of `encode_part` are raised as they are.
    """
    parts = iter(parts)
    first = list(islice(parts, 2))
    waiting = chain(first, parts)
    alone = workers == 1 or len(first) == 1
    encoded = ((encode_part(part), len(part)) for part in waiting) if alone else _spread(encode_part, waiting, workers)

    def counted() -> Iterator[tuple[T, int]]:
        for one, size in encoded:
            yield one, size
            done(size)

    with closing(encoded):
        return joined(counted())


def _spread(
    encode_part: Callable[[Sequence[E]], T], parts: Iterable[Sequence[E]], workers: int
) -> Generator[tuple[T, int], None, None]:
    """Encode parts in several processes; give the sets in the order of the parts, each with its number of examples."""
    # Spawned, as a fork of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    waiting: deque[tuple[Future[T], int]] = deque()
    with ProcessPoolExecutor(workers, context, initializer=_start_worker) as pool:
        try:
            for examples in parts:
                waiting.append((pool.submit(encode_part, examples), len(examples)))
                if len(waiting) > AHEAD * workers:
                    future, size = waiting.popleft()
                    yield future.result(), size
            for future, size in waiting:
                yield future.result(), size
        except BrokenProcessPool as error:
            raise TrainingError(
                f"one of {workers} encoding processes was killed, perhaps for memory; take fewer of them"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


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
