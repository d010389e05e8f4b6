"""The GPUs of this machine, known without torch, and which of them a job takes that runs beside others."""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable
from functools import cache

VISIBLE = "CUDA_VISIBLE_DEVICES"  # the variable by which CUDA shows a process some of the GPUs


@cache
def ask(what: str) -> list[str]:
    """What `nvidia-smi` says of each GPU, such as `index` or `memory.total` in MiB; empty where it says nothing."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    asked = [tool, f"--query-gpu={what}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, by the names that `VISIBLE` takes."""
    shown = os.environ.get(VISIBLE)
    return ask("index") if shown is None else [name.strip() for name in shown.split(",") if name.strip()]


def visible_memory() -> list[int]:
    """The memory of each GPU that this process may use, in MiB."""
    lines = [[part.strip() for part in line.split(",")] for line in ask("index,uuid,memory.total")]
    sized = [(line[0], line[1], int(line[2])) for line in lines if len(line) == 3 and line[2].isdigit()]
    shown = visible_gpus()
    if any(name.startswith("MIG-") for name in shown):  # parts of GPUs, of which this says nothing
        return [size for _, _, size in sized]
    return [size for index, uuid, size in sized if any(name == index or uuid.startswith(name) for name in shown)]


def least_used(taken: Iterable[str | None]) -> str | None:
    """The GPU that fewest of the running jobs have; None where there are not several to choose from."""
    gpus = visible_gpus()
    if len(gpus) < 2:
        return None
    jobs = Counter(taken)
    return min(gpus, key=lambda name: (jobs[name], gpus.index(name)))


@cache
def take_by_worker() -> None:
    """Give each worker of joblib a GPU of its own, in turn, before torch looks for one."""
    number = re.fullmatch(r"Loky\w*-(\d+)", multiprocessing.current_process().name)
    gpus = visible_gpus()
    if number is not None and len(gpus) > 1:
        os.environ[VISIBLE] = gpus[(int(number[1]) - 1) % len(gpus)]
