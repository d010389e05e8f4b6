"""How long a newcomer waits: help, refusals, the first line, the first training step, two predictions.

    python benchmarks/first_hour.py [--rounds 3]

Every figure is the median over rounds of a command as a user types it, in a process of its own, in an empty folder.
Seconds are by the clock; of `ptv2 predict` those of the processor too (user and system, with its children).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from ptv2.run_folders.environment import environment

PTV2 = [sys.executable, "-m", "ptv2"]
GOALS = {  # seconds
    "`ptv2 --help`": 1.0,
    "`ptv2 train --help`": 1.0,
    "a wrong setting: `ptv2 train trainer.epoch=3`": 1.5,
    "a wrong folder: `ptv2 train task=ner data.dir=nowhere`": 1.5,
    "an unfinished run: `ptv2 evaluate RUN`": 1.5,
    "`ptv2 train`: first line": 1.0,
    "`ptv2 train`: first step done": 8.0,
    "`ptv2 predict RUN` of two rows": None,
    "`ptv2 predict RUN` of two rows, processor": 8.0,
}


def main() -> int:
    """Measure everything and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, list[float]] = {what: [] for what in GOALS}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        finished, unfinished = make_runs()
        for _ in range(options.rounds):
            for what, seconds in measure(finished, unfinished):
                found[what].append(seconds)
    print(f"`python benchmarks/first_hour.py --rounds {options.rounds}`\n")
    print(describe_machine() + "\n")
    print("| what | seconds | least | most | goal |")
    print("|---|---|---|---|---|")
    for what, goal in GOALS.items():
        values = found[what]
        row = [statistics.median(values), min(values), max(values)]
        print(f"| {what} | {' | '.join(f'{value:.1f}' for value in row)} | {'' if goal is None else f'{goal:.1f}'} |")
    return 0


def describe_machine() -> str:
    """Processor, its instruction sets, and the versions."""
    flags = {word for line in Path("/proc/cpuinfo").read_text().splitlines() for word in line.split()}
    known = [flag for flag in ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "datasets", "accelerate"))
    return (
        f"{environment()['processor']}, {os.cpu_count()} cores ({', '.join(known)}), "
        f"load {os.getloadavg()[0]:.1f} at the end; python {platform.python_version()}, {versions}."
    )


def make_runs() -> tuple[str, str]:
    """Folders of a finished and of an unfinished run of sentences with labels."""
    Path("data").mkdir()
    for split, count in (("train", 64), ("dev", 16)):
        rows = [{"sentence": f"sentence {n} is {'good' if n % 2 else 'bad'}", "label": n % 2} for n in range(count)]
        Path("data", f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    Path("new.jsonl").write_text('{"sentence": "this is good"}\n{"sentence": "this is bad"}\n', encoding="utf-8")
    words = ["train", "task=classification", "data.dir=data", "trainer.max_steps=2", "out=mine"]
    subprocess.run([*PTV2, *words], check=True, capture_output=True)
    (finished,) = (path.parent for path in Path("mine").glob("*/result.json"))
    unfinished = Path("begun", finished.name)
    unfinished.mkdir(parents=True)
    (unfinished / "config.yaml").write_bytes((finished / "config.yaml").read_bytes())
    return str(finished), str(unfinished)


def measure(finished: str, unfinished: str) -> Iterator[tuple[str, float]]:
    """One round: what was measured, and its seconds."""
    names = list(GOALS)
    yield names[0], seconds_of(["--help"])
    yield names[1], seconds_of(["train", "--help"])
    yield names[2], seconds_of(["train", "trainer.epoch=3"], code=2)
    yield names[3], seconds_of(["train", "task=ner", "data.dir=nowhere"], code=2)
    yield names[4], seconds_of(["evaluate", unfinished], code=2)
    yield from zip(names[5:7], first_line_and_step(), strict=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    yield names[7], seconds_of(["predict", finished, "--input", "new.jsonl"])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    yield names[8], after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def seconds_of(words: Sequence[str], code: int = 0) -> float:
    """Seconds of a command that ends with `code`."""
    started = time.perf_counter()
    done = subprocess.run([*PTV2, *words], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode != code:
        raise SystemExit(f"ptv2 {' '.join(words)}: exit {done.returncode}, expected {code}\n{done.stderr}")
    return seconds


def first_line_and_step() -> tuple[float, float]:
    """Seconds until the default training shows anything on a terminal, and until its log has the loss of a step."""
    with tempfile.TemporaryDirectory() as out:
        master, terminal = os.openpty()
        started = time.perf_counter()
        words = [*PTV2, "train", f"out={out}", "trainer.max_steps=1"]  # trainings below 20 steps log each of them
        process = subprocess.Popen(words, stdout=terminal, stderr=terminal)
        os.close(terminal)
        os.read(master, 1)
        line = time.perf_counter() - started
        os.set_blocking(master, False)
        while not any(path.stat().st_size for path in Path(out).glob("*/metrics.jsonl")):
            if process.poll() is not None:
                raise SystemExit(f"ptv2 train: exit {process.returncode} before its first step")
            time.sleep(0.02)
            with contextlib.suppress(BlockingIOError):
                os.read(master, 1 << 16)
        step = time.perf_counter() - started
        process.kill()
        process.wait()
        os.close(master)
    return line, step


if __name__ == "__main__":
    sys.exit(main())
