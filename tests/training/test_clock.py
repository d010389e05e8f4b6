"""The clock of a training leaves out the time in which its process is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from trainers import make_trainer

from ptv2.training.clock import working_seconds

ROOT = Path(__file__).parents[2]
STOPPED = 2.0
WORKER = """
import time
from ptv2.training.clock import working_seconds
from ptv2.training.stop import StopRequest

with StopRequest():
    begun, worked = time.perf_counter(), working_seconds()
    print("ready", flush=True)
    for _ in range(100):
        time.sleep(0.01)
        working_seconds()
    print(time.perf_counter() - begun, working_seconds() - worked, flush=True)
"""


def test_a_stopped_process_does_not_work() -> None:
    worker = subprocess.Popen([sys.executable, "-c", WORKER], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    worker.send_signal(signal.SIGSTOP)
    time.sleep(STOPPED)
    worker.send_signal(signal.SIGCONT)
    passed, worked = map(float, worker.communicate(timeout=60)[0].split())
    assert passed - worked > STOPPED - 0.2
    assert worked > 0.5  # of 1 s, less what was under way at the stop: a busy machine is late


def test_without_a_stop_all_the_time_counts() -> None:
    begun, worked = time.perf_counter(), working_seconds()
    time.sleep(0.2)
    assert working_seconds() - worked == pytest.approx(time.perf_counter() - begun, abs=0.01)


def test_a_training_counts_no_stop(tmp_path: Path) -> None:
    """Sleep stands for a stop here, which ends with the same signal."""

    def evaluate(model: object, check: object) -> dict[str, float]:
        time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGCONT)
        return {"accuracy": 50.0}

    before = signal.getsignal(signal.SIGCONT)
    at = make_trainer(tmp_path / "run", evaluate=evaluate, epochs=1).fit()
    assert at.evaluations == 1
    assert at.evaluate_seconds < 0.5
    assert signal.getsignal(signal.SIGCONT) is before
