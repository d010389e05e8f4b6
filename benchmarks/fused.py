"""Sweeps of K jobs trained together over one backbone, against the same jobs one after the other.

    python benchmarks/fused.py [--counts 1,4,16] [SETTING=VALUE ...]

The settings are those of `ptv2 train`, such as `model=roberta-large trainer.batch_size=16`. Both sweeps run in turns in
processes of their own. The table has seconds of wall time and CPU from start to end, how many times longer the jobs
take one after the other, and the peak memory of each process.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

SETTINGS = ["task=mini-inference", "trainer.max_steps=60", "trainer.evaluate_every=60", "trainer.batch_size=16"]


def measure(settings: list[str], count: int, out: Path, *launcher: str) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak memory in MB of a sweep over `count` seeds, in a process of its own."""
    seeds = f"seed={','.join(map(str, range(1, count + 1)))}"
    words = [sys.executable, "-m", "ptv2", "train", *settings, seeds, f"out={out}", "-m", *launcher]
    started = time.perf_counter()
    sweep = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(sweep.pid, 0)
    if status:
        raise SystemExit(f"exit {os.waitstatus_to_exitcode(status)} of {' '.join(words)}")
    return time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", default="1,4,16", help="jobs of a sweep (default: 1,4,16)")
    parser.add_argument("settings", nargs="*", metavar="SETTING=VALUE")
    arguments = parser.parse_args()
    counts = [int(count) for count in arguments.counts.split(",")]
    settings = [*SETTINGS, *arguments.settings]
    print(f"`{' '.join(['python', 'benchmarks/fused.py', *sys.argv[1:]])}`\n\n`ptv2 train {' '.join(settings)}`\n")
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    print(f"{platform.machine()}, {os.cpu_count()} cores; python {platform.python_version()}, {versions}\n")
    heads = "jobs | alone, s | together, s | ratio | alone, CPU s | together, CPU s | ratio | alone, MB | together, MB"
    print(f"| {heads} |\n|{'---|' * 9}")
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            alone = measure(settings, count, Path(folder, f"alone-{count}"))
            launcher = ("hydra/launcher=fused", f"hydra.launcher.together={count}")
            fused = measure(settings, count, Path(folder, f"fused-{count}"), *launcher)
            wall, cpu = alone[0] / fused[0], alone[1] / fused[1]
            times = f"{alone[0]:.1f} | {fused[0]:.1f} | {wall:.2f} | {alone[1]:.1f} | {fused[1]:.1f} | {cpu:.2f}"
            print(f"| {count} | {times} | {alone[2]:.0f} | {fused[2]:.0f} |", flush=True)


if __name__ == "__main__":
    main()
