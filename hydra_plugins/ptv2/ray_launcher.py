"""`hydra/launcher=ray`: the jobs of a sweep as tasks of Ray, on this machine or on a cluster.

Ray's own plugin for Hydra (1.2) needs a cloudpickle that joblib's plugin refuses, and thirty further packages.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from ptv2.config.plugins import broken_plugins
from ptv2.errors import ConfigError, RunError, first_line
from ptv2.sweeps.launching import compose_jobs

TRIES = 3  # to start Ray, which waits for itself for 30 seconds; too short on a busy machine
STOPPING = 60  # seconds that jobs have to save their state when the sweep is stopped


class RayLauncher(Launcher):
    """Hands jobs to Ray, which runs as many at a time as it has CPUs and GPUs for; see conf/hydra/launcher/ray.yaml."""

    def __init__(self, init: DictConfig, remote: DictConfig) -> None:
        """Args: keywords of `ray.init`, and those of `ray.remote` for a job."""
        self._init: Any = OmegaConf.to_container(init, resolve=True)
        self._remote: Any = OmegaConf.to_container(remote, resolve=True)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what the jobs need.

        Raises:
            ConfigError: Ray is not installed.
        """
        if find_spec("ray") is None:
            raise ConfigError("hydra/launcher=ray needs Ray: pip install 'ptv2[ray]'")
        self._context, self._task, self._config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run jobs and wait for them; when this process is stopped, they are, too, and save what they have."""
        import ray

        self._start()
        setup_globals()
        job, state = ray.remote(**self._remote)(_run), Singleton.get_state()
        jobs = [
            job.options(name=f"job {number}").remote(self._context, config, self._task, state, os.getcwd())
            for number, config in compose_jobs(self._context, self._config, job_overrides, initial_job_idx).items()
        ]
        try:
            return ray.get(jobs)
        except BaseException:
            for begun in jobs:
                ray.cancel(begun, force=False)
            ray.wait(jobs, num_returns=len(jobs), timeout=STOPPING)
            raise

    def _start(self) -> None:
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what Ray announces to become its default
        import ray

        for tries in range(TRIES):
            if ray.is_initialized():
                return
            try:
                ray.init(**self._init)
            except Exception as error:  # Ray has no class of its own for this
                ray.shutdown()
                if tries == TRIES - 1:
                    raise RunError(f"hydra/launcher=ray: Ray did not start ({first_line(error)})") from error


def _run(
    context: HydraContext, config: DictConfig, task: TaskFunction, state: Mapping[type, Singleton], folder: str
) -> JobReturn:
    """One job, in a process of Ray's; `folder` is where relative paths begin, which all machines see."""
    os.chdir(folder)
    broken_plugins()
    setup_globals()
    Singleton.set_state(state)
    HydraConfig.instance().set_config(config)
    return run_job(
        hydra_context=context,
        task_function=task,
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
