"""A signal whose handler raises inside of a library that makes exceptions anew, as OmegaConf does."""

import os
import signal
from collections.abc import Iterator

import pytest
from omegaconf import OmegaConf

from ptv2.errors import Interrupted
from ptv2.sweeps.outcomes import launching


@pytest.fixture
def _resolver() -> Iterator[None]:
    """A value of settings whose reading is met by SIGTERM."""
    OmegaConf.register_new_resolver("met_by_sigterm", lambda: os.kill(os.getpid(), signal.SIGTERM))
    yield
    OmegaConf.clear_resolver("met_by_sigterm")


@pytest.mark.usefixtures("_resolver")
def test_sigterm_while_settings_are_read_stops_the_sweep() -> None:
    config = OmegaConf.create({"value": "${met_by_sigterm:}"})
    with pytest.raises(Interrupted, match="the sweep was stopped") as caught, launching():
        config.value  # noqa: B018
    assert caught.value.exit_code == 128 + signal.SIGTERM
