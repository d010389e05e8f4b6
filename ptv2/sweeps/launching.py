"""Say in the user's words why Hydra refuses a launcher or sweeper."""

from __future__ import annotations

import re

from ptv2.config.plugins import broken_plugins
from ptv2.errors import ConfigError

LAUNCHER_EXTRAS = {"joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit"}  # extras of ptv2


def explain_launching(message: str) -> ConfigError | None:
    """Our error for Hydra's about a launcher that is not installed or a setting that it does not have; else None."""
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
    if "INTERVAL_SWEEP" in message:
        return ConfigError("an interval has no end of values to combine; expected hydra/sweeper=optuna, or values")
    return None
