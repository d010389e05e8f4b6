"""`hydra/launcher=fused`: jobs of a sweep trained together, in this process, over one frozen backbone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from ptv2.errors import ConfigError
from ptv2.run_folders.processes import is_alone
from ptv2.sweeps.launching import compose_jobs, settings_if_right


class FusedLauncher(Launcher):
    """Trains up to `together` jobs at a time; see conf/hydra/launcher/fused.yaml."""

    def __init__(self, together: Any) -> None:
        """`together`: as given, which `setup` checks, since Hydra hides what is raised here."""
        self._together = together

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what the jobs need.

        Raises:
            ConfigError: `together` is no whole number from 1, or there are several processes.
        """
        if isinstance(self._together, bool) or not isinstance(self._together, int) or self._together < 1:
            raise ConfigError(f"hydra.launcher.together={self._together}: expected a whole number from 1")
        if not is_alone():
            raise ConfigError("hydra/launcher=fused trains in one process; expected no torchrun around it")
        self._context, self._task, self._config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run jobs, those that can share a backbone together."""
        from ptv2.collector import collector_paused
        from ptv2.console.output import err, tell
        from ptv2.sweeps.fusing import choose_groups

        setup_globals()
        composed = compose_jobs(self._context, self._config, job_overrides, initial_job_idx)
        groups, alone = choose_groups({n: settings_if_right(config) for n, config in composed.items()}, self._together)
        for reason, jobs in alone.items():
            tell(f"trained alone: job{'s' if len(jobs) > 1 else ''} {', '.join(map(str, jobs))}: {reason}")
        returned: dict[int, JobReturn] = {}
        before, interactive = HydraConfig.instance().cfg, err.is_interactive

        def work(number: int) -> Callable[[], None]:
            def run() -> None:
                returned[number] = self._run(composed[number])

            return run

        for group in groups:
            if len(group) == 1:
                work(group[0])()
                continue
            with collector_paused():
                from ptv2.training.together import Group

            err.is_interactive = False  # one bar for each would take the screen
            Group(tell).run([work(number) for number in group])
            HydraConfig.instance().cfg, err.is_interactive = before, interactive
        return [returned[number] for number in composed]

    def _run(self, config: DictConfig) -> JobReturn:
        return run_job(
            hydra_context=self._context,
            task_function=self._task,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
