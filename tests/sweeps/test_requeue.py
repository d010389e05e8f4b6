"""What a signal means in a job of submitit, and outside of one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ptv2.sweeps.requeue import requeue_if_preempted
from ptv2.training.stop import StopRequest


@pytest.fixture
def requeued(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Signals that reach a handler like submitit's."""
    arrived: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: arrived.append(number))
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    yield arrived
    signal.signal(signal.SIGUSR2, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_a_warned_job_is_handed_to_submitit(number: int, requeued: list[int]) -> None:
    requeue_if_preempted(number)
    assert requeued == [signal.SIGUSR2]


def test_ctrl_c_is_no_preemption(requeued: list[int]) -> None:
    requeue_if_preempted(signal.SIGINT)
    requeue_if_preempted(signal.SIGHUP)
    assert requeued == []


def test_nothing_happens_outside_submitit(requeued: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUBMITIT_EXECUTOR")
    requeue_if_preempted(signal.SIGTERM)
    assert requeued == []


@pytest.mark.parametrize(("state", "comes_back"), [("CANCELLED", False), ("PREEMPTED", True), ("RUNNING", True)])
def test_a_job_that_its_user_cancelled_does_not_come_back(
    state: str, comes_back: bool, requeued: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`scontrol` is a made-up one that answers as SLURM's does."""
    command = tmp_path / "scontrol"
    command.write_text(f'#!/bin/sh\necho "JobId=$5 JobName=ptv2 JobState={state} Reason=None Requeue=1"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    requeue_if_preempted(signal.SIGTERM)
    assert bool(requeued) == comes_back


def test_the_trainer_keeps_warnings_from_others_while_it_saves(requeued: list[int]) -> None:
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGUSR2)
        signal.raise_signal(signal.SIGUSR2)
        assert (stop.signal, requeued) == (signal.SIGUSR2, [])
    signal.raise_signal(signal.SIGUSR2)
    assert requeued == [signal.SIGUSR2]
