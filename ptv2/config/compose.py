"""Compose and check a `RunConfig` with Hydra."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.conf import RuntimeConf
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError

from ptv2.config import multitask, paths, recipes
from ptv2.config.explain import COMPOSITION_ERRORS, SWEEP, explain, unknown_key
from ptv2.config.faults import describe_faults
from ptv2.config.hub_names import last_part, split_revision
from ptv2.config.own_files import SETTINGS
from ptv2.config.plugins import broken_plugins
from ptv2.config.schema import RunConfig
from ptv2.config.spelling import spelled
from ptv2.errors import ConfigError, is_text, quote, shorten
from ptv2.interruption import was_raised

# Sections of settings that are no group, whose name alone would choose a file.
_SECTIONS = frozenset(
    name
    for name, field in RunConfig.model_fields.items()
    if isinstance(kind := field.annotation, type) and issubclass(kind, BaseModel) and name not in SETTINGS
)


def compose(overrides: list[str], config_dir: str | None = None) -> RunConfig:
    """Compose `conf/` with `overrides` as the command line does.

    Raises:
        ConfigError: a name, key or value that is not valid, in one line.
    """
    config, runtime = _compose(overrides, paths.own_folders(config_dir))
    return to_run_config(config, overrides, runtime)


def compose_with_hydra(overrides: list[str], folders: Sequence[Path]) -> DictConfig:
    """Compose with Hydra, with its own settings below `hydra`. A Hydra that runs around this stays unchanged.

    Args:
        folders: the user's, in order of search.

    Raises:
        ConfigError: a name, key or value that is not valid, in one line.
    """
    broken_plugins()  # Hydra must not see these either
    running = GlobalHydra.instance()
    outer, running.hydra = running.hydra, None
    try:
        with paths.searching(folders), initialize_config_dir(str(paths.conf_dir()), version_base="1.3"):
            return hydra_compose("config", overrides=implied(overrides), return_hydra_config=True)
    except COMPOSITION_ERRORS as error:
        if was_raised():
            raise KeyboardInterrupt from error
        fault = explain(error, next(map(str, folders), None))
        raise ConfigError(str(fault).replace(SWEEP, "expected one value")) from error  # of a command without -m
    finally:
        GlobalHydra.instance().hydra = outer


def _compose(overrides: list[str], folders: Sequence[Path]) -> tuple[DictConfig, RuntimeConf]:
    """Compose with Hydra; returns its account (`hydra.runtime`) too."""
    config = compose_with_hydra(overrides, folders)
    runtime = config.hydra.runtime
    OmegaConf.set_struct(config, False)
    del config["hydra"]
    return config, runtime


def implied(overrides: list[str]) -> list[str]:
    """Spell overrides as Hydra reads them, with `model=other` first where only `model.path` names a model.

    So what conf/ knows of the default model is not taken as known of the user's.

    Raises:
        ConfigError: a value for a whole section, such as `data=DIR`.
    """
    overrides = spelled(overrides)
    _refuse_whole_sections(overrides)
    keys = {override.partition("=")[0] for override in overrides}
    return ["model=other", *overrides] if "model.path" in keys and "model" not in keys else overrides


def _refuse_whole_sections(overrides: list[str]) -> None:
    """Refuse a single value for a section of settings before Hydra takes the other settings of it for unknown."""
    for word in overrides:
        key, _, value = word.lstrip("+").partition("=")
        if key == "data.limit" and value.isdigit():
            raise ConfigError(f"{word}: expected a split: data.limit.train={value}, data.limit.dev or data.limit.test")
        if key in _SECTIONS and value and not value.startswith(("{", "[", "$")):
            hint = f"; data.dir={shorten(value)} names the folder of your files" if key == "data" else ""
            raise ConfigError(f"{shorten(word, 60)}: expected settings below it: {key}.NAME=VALUE{hint}")


def to_run_config(config: DictConfig, overrides: list[str], runtime: RuntimeConf) -> RunConfig:
    """Check a composed configuration and freeze it; all faults are reported, not only the first.

    Args:
        runtime: Hydra's account of what it composed (`hydra.runtime`), for the recipe and the folders that it searched.

    Raises:
        ConfigError: with each faulty key, its value and what was expected.
    """
    tree = _to_tree(config)
    for group, name in runtime.choices.items():
        paths.note_taken(group, str(name), paths.searched(runtime))
    if isinstance(tree.get("model"), dict):
        _name_a_foreign_model(tree["model"], overrides)
    if isinstance(tree.get("multitask"), dict):
        multitask.resolve(tree, partial(_others, overrides=overrides, runtime=runtime))
    try:
        recipe = recipes.chosen(runtime)
        if recipe is not None:
            tree["recipe"] = recipe.record(tree).model_dump()
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(describe_faults(error, tree, unknown_key)) from error


def _others(task: list[str], overrides: list[str], runtime: RuntimeConf) -> dict[str, Any]:
    """Compose the configuration of another task, given by the overrides `task`; model and method as in `overrides`."""
    same = [word for word in overrides if re.match(r"method=|model[.=]", word)]  # recipes depend on these
    folders = [folder for folder in paths.searched(runtime) if folder != paths.conf_dir()]
    return _to_tree(_compose([*same, *task], folders)[0])


def _to_tree(config: DictConfig) -> dict[str, Any]:
    try:
        composed = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise explain(error) from error
    assert isinstance(composed, dict)
    _check_texts(composed)
    _read_files_of_a_folder(composed, config)
    return {str(key): value for key, value in composed.items() if key != "ours"}


def _read_files_of_a_folder(tree: dict[Any, Any], config: DictConfig) -> None:
    """Make files the source where `data.dir` names a folder, the task reads files and no source was chosen."""
    data, task = tree.get("data"), tree.get("task")
    if not isinstance(data, dict) or not isinstance(task, dict) or data.get("dir") is None:
        return
    written = OmegaConf.to_container(config["data"], resolve=False)
    is_chosen = (
        not isinstance(written, dict) or written.get("source") != "${oc.select:task.source,files}"
    )  # as in config.yaml
    if not is_chosen and isinstance(sources := task.get("sources"), dict) and sources.get("files") is not None:
        data["source"] = "files"


def _check_texts(value: Any, above: str = "") -> None:
    """Refuse texts that are no UTF-8: bytes of the command line, or half a character in a file."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_texts(str(key), f"{above}, a key")
            _check_texts(inner, f"{above}.{key}".strip("."))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            _check_texts(inner, f"{above}.{number}")
    elif isinstance(value, str) and not is_text(value):
        raise ConfigError(f"{above.strip(', ')}: {quote(value)} is not text in UTF-8")


def _name_a_foreign_model(model: dict[str, Any], overrides: list[str]) -> None:
    """Give a model that is named by `model.path=...` only a name of its own, the usual pooler and no checksum.

    A model of the hub with a checksum (`model=mpnet-base`) keeps all that in a folder: the checksum tells whether it is
    the same.

    Raises:
        ConfigError: `model.path` ends in one revision, and `model.revision` is another.
    """
    keys = {override.partition("=")[0].lstrip("+") for override in overrides}
    given, revision = model.get("path"), None
    if isinstance(given, str):
        model["path"], revision = split_revision(given)
    if "model.path" not in keys:
        model["revision"] = revision or model.get("revision")
        return
    if model.get("sha256") and model.get("config") and Path(str(model["path"])).is_dir():
        return
    if revision is not None and "model.revision" in keys and str(model["revision"]) != revision:
        raise ConfigError(f"model.path={given} and model.revision={model['revision']}: expected one of them")
    if "model.name" not in keys:
        last = last_part(str(model["path"]))  # the name is hashed, and a path must not be
        name = re.sub(r"[^A-Za-z0-9.]+", "-", last).lower()[-60:]
        model["name"] = name.strip("-.") or "model"
    for key, default in (("sha256", None), ("revision", revision), ("pooler", "published")):
        if f"model.{key}" not in keys:
            model[key] = default
    if model["path"] != "config:" and not any(key.startswith("model.config") for key in keys):
        model["config"] = {}
