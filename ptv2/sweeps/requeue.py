"""Jobs that a cluster takes back: after the state is saved, submitit puts the job into the queue again.

In a job of submitit, its handler of SIGUSR1 or SIGUSR2 requeues the job and ends the process. While a model trains, the
trainer catches the signals instead (`ptv2.training.stop`) to save the state, and this module then raises them again.
"""

from __future__ import annotations

import os
import signal
import subprocess


def requeue_if_preempted(number: int) -> None:
    """Let submitit requeue this job after signal `number`; if it does, this does not return.

    Nothing happens outside a job of submitit, on Ctrl-C or a closed terminal, and when SIGTERM came because the user
    cancelled the job.

    Raises:
        submitit.core.utils.UncompletedJobError: submitit refuses, as after too many timeouts.
    """
    if "SUBMITIT_EXECUTOR" not in os.environ or signal.Signals(number).name in ("SIGINT", "SIGHUP"):
        return
    if number == signal.SIGTERM and _was_cancelled():
        return
    for name in ("SIGUSR2", "SIGUSR1"):  # which of them is up to submitit; see its job_environment
        requeuing = signal.Signals[name]
        if callable(signal.getsignal(requeuing)):
            signal.raise_signal(requeuing)


def _was_cancelled() -> bool:
    """Whether SLURM ends this job for good: `scancel` and preemption send the same signal."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return False
    try:
        shown = subprocess.run(
            ["scontrol", "show", "job", "--oneliner", job], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return "JobState=CANCELLED" in shown.stdout.split()
