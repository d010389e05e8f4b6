"""From Hydra's composed configuration to a checked `RunConfig`, and from Hydra's errors to one line each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from ptv2.config import paths
from ptv2.config.schema import RunConfig
from ptv2.errors import ConfigError, unknown


def compose(overrides: list[str], config_dir: str | None = None) -> RunConfig:
    """Compose `conf/` with `overrides` as the command line does.

    Raises:
        ConfigError: a name, key or value that is not valid, in one line.
    """
    GlobalHydra.instance().clear()
    search = [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"] if config_dir else []
    try:
        with initialize_config_dir(str(paths.conf_dir()), version_base="1.3"):
            config = hydra_compose("config", overrides=[*search, *overrides])
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, config_dir) from error
    return to_run_config(config, overrides)


def to_run_config(config: DictConfig, overrides: list[str]) -> RunConfig:
    """Check a composed configuration and freeze it; every fault is reported, not only the first.

    Raises:
        ConfigError: with each faulty key, its value and what was expected.
    """
    try:
        tree = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise explain(error) from error
    assert isinstance(tree, dict)
    tree = {str(key): value for key, value in tree.items()}
    _name_a_foreign_model(tree["model"], overrides)
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError("; ".join(_fault(fault) for fault in error.errors())) from error


def explain(error: Exception, config_dir: str | None = None) -> ConfigError:
    """Turn an error of Hydra or OmegaConf into one line that names the key and the valid or nearest choices."""
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    text = f"{error} {cause}"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options is not None:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        return ConfigError(unknown(group or "config", name, set(error.options) | set(paths.choices(group, config_dir))))
    override = re.search(r"Could not override '([^']+)'", text)
    absent = re.search(r"Key '([^']+)' is not in struct", text)
    if override and absent:
        return ConfigError(_unknown_key(override[1]))
    if group := re.search(r"Could not find '([^'/]+)/([^']+)'", text):
        return ConfigError(unknown(group[1], group[2], paths.choices(group[1], config_dir)))
    if group := re.search(r"No match in the defaults list for '([^']+)'|Could not override '([^']+)'\.", text):
        return ConfigError(_unknown_key(group[1] or group[2]))
    return ConfigError(" ".join(str(error).split()))


def _unknown_key(key: str) -> str:
    tree = OmegaConf.load(paths.conf_dir() / "config.yaml")
    assert isinstance(tree, DictConfig)
    trainer = OmegaConf.load(paths.conf_dir() / "trainer" / "default.yaml")
    keys = {*_leaves(tree), *(f"trainer.{leaf}" for leaf in _leaves(trainer)), "task", "model", "trainer", "method"}
    keys |= {"task.name", "task.text", "task.source", "model.name", "model.path"}
    prefix = key.rpartition(".")[0]
    below = {name for name in keys if name.rpartition(".")[0] == prefix}
    return unknown("config key", key, below or keys)


def _leaves(tree: Any, prefix: str = "") -> list[str]:
    names: list[str] = []
    for name in tree:
        if not prefix and name in ("defaults", "hydra"):
            continue
        child = tree._get_node(name)
        path = f"{prefix}{name}"
        names += _leaves(child, f"{path}.") if isinstance(child, DictConfig) and len(child) else [path]
    return names


def _name_a_foreign_model(model: dict[str, Any], overrides: list[str]) -> None:
    """`model.path=...` on the command line is another model: it gets a name of its own, no revision or checksum."""
    keys = {override.partition("=")[0].lstrip("+") for override in overrides}
    if "model.path" not in keys:
        return
    if "model.name" not in keys:
        model["name"] = re.sub(r"[^A-Za-z0-9.]+", "-", str(model["path"]).rstrip("/")).strip("-.").lower()[-60:]
    for key in ("sha256", "revision"):
        if f"model.{key}" not in keys:
            model[key] = None


def _fault(fault: Any) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"{key}={fault['input']!r}: {message}" if key and not isinstance(fault["input"], dict) else message
