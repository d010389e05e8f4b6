"""Objects that the collector passes over do not count as leaked when a command ends."""

import subprocess
import sys

import pytest

# Handlers run in the opposite order: the first says what the collector passes over when all others are done.
COMMAND = """
import atexit, gc, sys
from types import ModuleType
atexit.register(lambda: print("frozen" if gc.get_freeze_count() > 1000 else "free"))
from ptv2.collector import collector_off
with collector_off():
    extension = ModuleType("triton._C.libtriton")
    extension.getenv = type("nb_func", (), {"__module__": MAKER})()
    sys.modules[extension.__name__] = extension
"""


@pytest.mark.parametrize(("maker", "end"), [("nanobind", "free"), ("pybind11_builtins", "frozen")])
def test_unfreezes_at_the_end_for_what_nanobind_made_only(maker, end):
    command = COMMAND.replace("MAKER", repr(maker))
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [end]
