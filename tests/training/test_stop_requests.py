"""Signals that ask a training to stop: what the first does, and when a second one ends the process."""

from __future__ import annotations

import signal

import pytest
from commandline import python

TWICE = """
import signal, sys
from ptv2.training.stop import StopRequest
number = signal.Signals[sys.argv[1]]
def tell():
    print("told", flush=True)
    signal.raise_signal(number)  # as a second Ctrl-C that comes while children are told of the first
with StopRequest(tell) as asked:
    signal.raise_signal(number)
    print("went on", asked.signal == number, flush=True)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_second_one_acts_though_it_comes_while_the_first_is_handled(name: str) -> None:
    with python("-c", TWICE, name) as process:
        out, _ = process.communicate(timeout=60)
        assert (process.returncode, out) == (-signal.Signals[name], "told\n")


def test_a_cluster_may_warn_more_than_once() -> None:
    with python("-c", TWICE, "SIGUSR1") as process:
        out, _ = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, "told\nwent on True\n")
