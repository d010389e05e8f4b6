"""Every combination of the values asked for: Hydra's own sweeper, with what its jobs return."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

from ptv2.config.identity import BOOKKEEPING
from ptv2.errors import ConfigError
from ptv2.report.formats import count_of
from ptv2.run_folders.processes import is_main_process
from ptv2.sweeps import outcomes
from ptv2.sweeps.launching import settings_of

SHOWN = 5  # faults, and jobs of each, that a warning names


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

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Compose all jobs before the first begins, and say now which of them will fail over their settings, and why.

        The others run, as after any other failure.

        Raises:
            HydraException: a name or a key that does not exist.
        """
        assert self.hydra_context is not None
        assert self.config is not None
        assert self.overrides is not None
        first = sum(len(jobs) for jobs in self.overrides[: self.batch_index - 1])
        faults: dict[str, list[int]] = {}
        for number, words in enumerate(batch, first):
            composed = self.hydra_context.config_loader.load_sweep_config(self.config, list(words))
            try:
                settings_of(composed)
            except ConfigError as error:
                faults.setdefault(str(error), []).append(number)
        if is_main_process():
            _warn(faults, len(batch))


def _warn(faults: dict[str, list[int]], count: int) -> None:
    """Print which jobs will fail, those with the same fault on one line; nothing if all of them do, and at once."""
    from ptv2.console.output import tell

    wrong = sum(map(len, faults.values()))
    if wrong in (0, count):
        return
    lines = [f"  {_jobs(numbers)}: {fault}" for fault, numbers in faults.items()]
    tell(f"warning: {wrong} of {count_of(count, 'job')} will fail")
    for line in lines[:SHOWN]:
        tell(line, indent=4)
    if len(lines) > SHOWN:
        tell(f"  and for {count_of(len(lines) - SHOWN, 'other reason')}")


def _jobs(numbers: list[int]) -> str:
    """For example "job 3", or "jobs 1, 4, 7"."""
    listed = ", ".join(map(str, numbers[:SHOWN])) + (", ..." if len(numbers) > SHOWN else "")
    return f"job {listed}" if len(numbers) == 1 else f"jobs {listed}"


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
