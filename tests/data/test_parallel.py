"""Encoding in several processes: the same as in one. No torch up here, as the processes import this file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from ptv2.data.arrays import flatten
from ptv2.data.parallel import in_processes
from ptv2.errors import DataError, TrainingError

TIMEOUT = 1500  # seconds; as in commandline.py, which these processes would import with torch


@dataclass(frozen=True)
class Squares:
    squares: np.ndarray
    owners: np.ndarray
    processes: np.ndarray


def square(numbers: Sequence[int]) -> Squares:
    time.sleep(0.02 * (numbers[0] == 0))  # the first part is not the first to be done
    return Squares(np.array(numbers) ** 2, np.arange(len(numbers)), np.full(len(numbers), os.getpid()))


def refuse(numbers: Sequence[int]) -> Squares:
    if 3 in numbers:
        raise DataError("train.txt:3: expected another number")
    return square(numbers)


def die(numbers: Sequence[int]) -> Squares:
    os.kill(os.getpid(), signal.SIGKILL)
    return square(numbers)


def encode(examples: Sequence[tuple[list[str], list[int], list[str]]], tokenizer: Any) -> Any:
    from ptv2.data.words import encode_words

    words, tags, suffixes = zip(*examples, strict=True)
    return encode_words(words, tags, tokenizer, 12, 3, suffixes)


def words_tokenizer() -> Any:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(WordLevel({f"w{n}": n for n in range(9)} | {"[CLS]": 9, "[SEP]": 10}, unk_token="w0"))
    backend.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 9), ("[SEP]", 10)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="w0")


@pytest.mark.parametrize("workers", [1, 3])
def test_the_parts_are_joined_in_order(workers: int) -> None:
    parts, calls = [[0, 1, 2], [3], [4, 5], [6, 7]], []
    found = in_processes(square, parts, workers, done=lambda size: calls.append((os.getpid(), size)))
    assert found.squares.tolist() == [n * n for n in range(8)]
    assert found.owners.tolist() == list(range(8))
    assert calls == [(os.getpid(), size) for size in (3, 1, 2, 2)]
    here = set(found.processes.tolist()) == {os.getpid()}
    assert here == (workers == 1)


def test_words_encoded_by_two_processes_are_those_of_one() -> None:
    examples = [
        ([f"w{(n + i) % 9}" for i in range(3 + 7 * (n % 4))], list(range(3 + 7 * (n % 4))), ["[SEP]", f"w{n}"])
        for n in range(8)
    ]
    tokenizer = words_tokenizer()
    whole = encode(examples, tokenizer)
    assert len(whole) > len(examples)
    parts = in_processes(partial(encode, tokenizer=tokenizer), [examples[:3], examples[3:4], examples[4:]], 2)
    (arrays, values), (others, more) = flatten(whole), flatten(parts)
    assert values == more
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name])
        assert array.dtype == others[name].dtype


def test_a_fault_in_the_data_comes_through() -> None:
    with pytest.raises(DataError, match=r"^train\.txt:3: expected another number$"):
        in_processes(refuse, [[n] for n in range(6)], 2)


def test_a_killed_process_is_said() -> None:
    with pytest.raises(TrainingError, match=r"^one of 2 encoding processes was killed"):
        in_processes(die, [[0], [1]], 2)


def test_no_process_outlives_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "wait.py"
    script.write_text(
        "import os, time\n"
        "from pathlib import Path\n"
        "from ptv2.data.parallel import in_processes\n"
        "def wait(numbers):\n"
        "    Path(__file__).with_name(f'{os.getpid()}.started').touch()\n"
        "    time.sleep(3000)\n"
        "if __name__ == '__main__':\n"
        "    in_processes(wait, [[0], [1], [2]], 2)\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)])
    try:
        until = time.monotonic() + TIMEOUT
        while len(started := list(tmp_path.glob("*.started"))) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        workers = [psutil.Process(int(path.stem)) for path in started]
        assert len(workers) == 2
    finally:
        parent.kill()
        parent.wait()
    _, alive = psutil.wait_procs(workers, timeout=TIMEOUT)
    for process in alive:
        process.kill()
    assert not alive
