"""Every combination of the values asked for: Hydra's own sweeper, with what its jobs return."""

from __future__ import annotations

import hashlib
import re

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

from ptv2.config.identity import BOOKKEEPING
from ptv2.errors import ConfigError
from ptv2.sweeps import outcomes


class GridSweeper(BasicSweeper):
    """Runs all combinations and shows how each ended."""

    def sweep(self, arguments: list[str]) -> None:
        """Run the jobs of these overrides.

        Raises:
            ConfigError: `hydra.sweeper.max_batch_size` is no number of jobs.
        """
        most: object = self.max_batch_size
        if most is not None and not (type(most) is int and most > 0):
            raise ConfigError(f"hydra.sweeper.max_batch_size={most}: expected a whole number from 1")
        try:
            named = [*arguments, f"+hydra.sweeper.{outcomes.GROUP}={_name(arguments)}"]
            with outcomes.launching():
                for jobs in super().sweep(named):
                    outcomes.read_returned(jobs)
        finally:
            outcomes.show(outcomes.list_known())


def _name(arguments: list[str]) -> str:
    """A name for a sweep, the same whenever it is begun: the settings that it varies, and a hash of all."""
    settings = sorted(word for word in arguments if word.lstrip("+~").partition("=")[0] not in BOOKKEEPING)
    varied = [word.partition("=")[0].lstrip("+") for word in settings if "," in word or "(" in word]
    digest = hashlib.sha256("\n".join(settings).encode()).hexdigest()[:6]
    return re.sub(r"[^\w.-]+", "-", "-".join(["sweep", *varied, digest]))


def make_default() -> None:
    """Let `hydra/sweeper=basic`, the default, be this sweeper in this process.

    A line in conf/config.yaml would do the same, but no sweep's file could then choose another sweeper.
    """
    Plugins.instance()  # finds Hydra's own sweeper, which would take the name again
    settings = {"_target_": f"{__name__}.{GridSweeper.__name__}", "max_batch_size": None, "params": None}
    ConfigStore.instance().store(group="hydra/sweeper", name="basic", node=settings, provider="ptv2")
