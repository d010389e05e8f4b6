"""Sweeps of K jobs trained together over one backbone, against the same jobs one after the other.

Run `python benchmarks/fused.py [--counts 1 4 16] [SETTING=VALUE ...]`; the settings are those of `ptv2 train`, such as
`model=roberta-large trainer.batch_size=16`. Both sweeps run in turns in processes of their own, and the table has
seconds of wall time and CPU from start to end.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SETTINGS = ["task=mini-inference", "trainer.max_steps=60", "trainer.evaluate_every=60", "trainer.batch_size=16"]


def measure(settings: list[str], count: int, out: Path, *launcher: str) -> tuple[float, float]:
    seeds = f"seed={','.join(map(str, range(1, count + 1)))}"
    words = [sys.executable, "-m", "ptv2", "train", *settings, seeds, f"out={out}", "-m", *launcher]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - started
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("settings", nargs="*")
    arguments = parser.parse_args()
    settings = [*SETTINGS, *arguments.settings]
    print(f"`{' '.join(settings)}`\n")
    print("| jobs | alone, s | together, s | ratio | alone, CPU s | together, CPU s | ratio |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for count in arguments.counts:
            alone = measure(settings, count, Path(folder, f"alone-{count}"))
            launcher = ("hydra/launcher=fused", f"hydra.launcher.together={count}")
            fused = measure(settings, count, Path(folder, f"fused-{count}"), *launcher)
            wall, cpu = alone[0] / fused[0], alone[1] / fused[1]
            times = f"{alone[0]:.1f} | {fused[0]:.1f} | {wall:.2f} | {alone[1]:.1f} | {fused[1]:.1f} | {cpu:.2f}"
            print(f"| {count} | {times} |", flush=True)


if __name__ == "__main__":
    main()
