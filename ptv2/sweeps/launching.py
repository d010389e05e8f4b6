"""Why Hydra refuses a launcher or sweeper, in the user's words."""

from __future__ import annotations

import re

from ptv2.config.plugins import broken_plugins
from ptv2.errors import ConfigError

LAUNCHER_EXTRAS = {"joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit"}  # extras of ptv2


def explain_launching(said: str) -> ConfigError | None:
    """Hydra's word on a launcher that is not installed, or on a setting that a sweeper or launcher does not have."""
    if found := re.search(r"Could not find 'hydra/(launcher|sweeper)/(\w+)'", said):
        for plugin, reason in broken_plugins().items():
            if plugin.startswith(f"hydra_{found[2].partition('_')[0]}"):
                return ConfigError(f"hydra/{found[1]}={found[2]}: its plugin {plugin} cannot be imported ({reason})")
    if (found := re.search(r"Could not find 'hydra/launcher/(\w+)'", said)) and found[1] in LAUNCHER_EXTRAS:
        return ConfigError(
            f"hydra/launcher={found[1]} is not installed: pip install 'ptv2[{LAUNCHER_EXTRAS[found[1]]}]'"
        )
    if found := re.search(r"Could not override '(hydra\.[\w.]+)'", said):
        return ConfigError(
            f"{found[1]}: no setting of what is chosen; the same command with --cfg hydra shows those there are"
        )
    if "INTERVAL_SWEEP" in said:
        return ConfigError("an interval has no end of values to combine; expected hydra/sweeper=optuna, or values")
    return None
