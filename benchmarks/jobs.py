"""Jobs of a sweep in one process, beside the same jobs each in a process of its own: CPU seconds of each job.

    python benchmarks/jobs.py [--jobs 20] [--alone 20] [words of `ptv2 train` ...]

A job is one step of `task=mini-inference`, with another seed each; words are added to it. Its start ends where its
first training step begins, and begins where the job before ended; that of the first job has the imports too. The rest
is the step, the scoring and the files.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WORDS = ["task=mini-inference", "trainer.max_steps=1"]
MEASURE = "--measure"  # the file for the times, then the words of ptv2; for a process of our own


def main() -> None:
    """Measure both ways and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=20, help="in one process")
    parser.add_argument("--alone", type=int, default=20, help="jobs in processes of their own")
    parser.add_argument("words", nargs="*", help="more words of ptv2 train")
    options = parser.parse_args()
    print(f"`{' '.join(['python', 'benchmarks/jobs.py', *sys.argv[1:]])}`\n")
    print("| CPU seconds, median (least to most) | jobs | start | rest |\n|---|---:|---:|---:|")
    words = [*WORDS, *options.words]
    first, *later = measure([*words, f"seed={','.join(map(str, range(1, options.jobs + 1)))}", "-m"])
    print_line("first job of a process", [first])
    if later:
        print_line("later jobs of the same process", later)
    alone = [time for seed in range(1, options.alone + 1) for time in measure([*words, f"seed={seed}"])]
    if alone:
        print_line("jobs in processes of their own", alone)


def print_line(name: str, times: list[tuple[float, float]]) -> None:
    """Print a line of the table; `times` are start and rest of each job."""
    cells = []
    for values in zip(*times, strict=True):
        spread = f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else ""
        cells.append(f"{statistics.median(values):.2f}{spread}")
    print(f"| {name} | {len(times)} | {' | '.join(cells)} |", flush=True)


def measure(words: list[str]) -> list[tuple[float, float]]:
    """Start and rest of each job of `ptv2 train WORDS`, CPU seconds; the process writes them to a file."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(Path(__file__).resolve()), MEASURE, f"{folder}/times", "train", *words]
        surroundings = {**os.environ, "PTV2_CACHE": f"{folder}/cache"}
        done = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"ptv2 train {' '.join(words)}: exit {done.returncode}\n{done.stderr[-2000:]}")
        moments = json.loads(Path(folder, "times").read_text(encoding="utf-8"))
    ends = [0.0, *(end for _, end in moments)]
    return [(step - before, end - step) for before, (step, end) in zip(ends, moments, strict=False)]


def run_measured(file: str, words: list[str]) -> int:
    """Run `ptv2 WORDS` here, and write when each job's first step began and the job ended, by the process's clock."""
    from ptv2 import cli

    moments: list[list[float]] = []
    watch_jobs(moments)
    code = cli.main(words)
    Path(file).write_text(json.dumps(moments), encoding="utf-8")
    return code


def watch_jobs(moments: list[list[float]]) -> None:
    """Let each job add its two moments to a list."""
    from ptv2.collector import collector_paused

    with collector_paused():  # as `ptv2 train` imports torch
        from ptv2.sweeps import job
        from ptv2.training.trainer import Trainer

    run, step = job._run, Trainer._train_step
    begun: list[float] = []

    def watched_step(trainer: Trainer) -> None:
        begun.append(time.process_time())
        step(trainer)

    def watched_run(*words: Any) -> Any:
        begun.clear()
        result = run(*words)
        moments.append([begun[0], time.process_time()])
        return result

    job._run = watched_run  # type: ignore[assignment]
    Trainer._train_step = watched_step  # type: ignore[assignment, method-assign]


if __name__ == "__main__":
    if sys.argv[1:2] == [MEASURE]:
        sys.exit(run_measured(sys.argv[2], sys.argv[3:]))
    main()
