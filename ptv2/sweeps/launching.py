"""What our launchers share: the settings of each job, and why Hydra refuses one or a sweeper, in a user's words."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf, open_dict

from ptv2.config.compose import to_run_config
from ptv2.config.plugins import broken_plugins
from ptv2.config.schema import RunConfig
from ptv2.errors import ConfigError

if TYPE_CHECKING:
    from hydra.types import HydraContext

LAUNCHER_EXTRAS = {"joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit"}  # extras of ptv2


def explain_launching(message: str) -> ConfigError | None:
    """Our error for one about a launcher that is not installed, not for this machine, or not so set; else None."""
    if match := re.search(r"Could not find 'hydra/(launcher|sweeper)/(\w+)'", message):
        for plugin, reason in broken_plugins().items():
            if plugin.startswith(f"hydra_{match[2].partition('_')[0]}"):
                return ConfigError(f"hydra/{match[1]}={match[2]}: its plugin {plugin} cannot be imported ({reason})")
    if (match := re.search(r"Could not find 'hydra/launcher/(\w+)'", message)) and match[1] in LAUNCHER_EXTRAS:
        return ConfigError(
            f"hydra/launcher={match[1]} is not installed: pip install 'ptv2[{LAUNCHER_EXTRAS[match[1]]}]'"
        )
    if match := re.search(r"Could not override '(hydra\.[\w.]+)'", message):
        return ConfigError(
            f"{match[1]}: no setting of what is chosen; the same command with --cfg hydra shows those there are"
        )
    if 'Could not detect "srun"' in message:
        return ConfigError(
            "hydra/launcher: srun, a command of SLURM, is not on this machine; hydra/launcher=joblib runs the jobs here"
        )
    if "n_jobs == 0" in message:
        return ConfigError("hydra.launcher.n_jobs=0: expected a number of jobs from 1, or -1 for as many as cores")
    if "INTERVAL_SWEEP" in message:
        return ConfigError("an interval has no end of values to combine; expected hydra/sweeper=optuna, or values")
    return None


def compose_jobs(
    context: HydraContext, config: DictConfig, overrides: Sequence[Sequence[str]], first: int
) -> dict[int, DictConfig]:
    """The composed settings of the jobs of a sweep, by number from `first`, each with its own overrides."""
    jobs = {}
    for number, words in enumerate(overrides, start=first):
        jobs[number] = context.config_loader.load_sweep_config(config, list(words))
        with open_dict(jobs[number]):
            jobs[number].hydra.job.id = str(number)
            jobs[number].hydra.job.num = number
    return jobs


def settings_of(composed: DictConfig) -> RunConfig:
    """The settings of a job that Hydra composed.

    Raises:
        ConfigError: they are wrong.
    """
    config = copy.deepcopy(composed)
    runtime, words = config.hydra.runtime, [str(word) for word in config.hydra.overrides.task]
    with open_dict(config):
        del config["hydra"]
    OmegaConf.set_struct(config, False)
    return to_run_config(config, words, runtime)


def settings_if_right(composed: DictConfig) -> RunConfig | None:
    """The settings of a job that Hydra composed; None if they are wrong, which the job itself says."""
    try:
        return settings_of(composed)
    except Exception:
        return None
