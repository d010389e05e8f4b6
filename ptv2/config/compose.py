"""Compose and check a `RunConfig` with Hydra, and turn Hydra's errors into one line each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.conf import RuntimeConf
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverrideParseException
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError

from ptv2.config import multitask, paths, recipes
from ptv2.config.faults import describe_faults
from ptv2.config.hub_names import split_revision
from ptv2.config.own_files import SETTINGS
from ptv2.config.plugins import broken_plugins
from ptv2.config.schema import MULTITASK_ONLY, RunConfig
from ptv2.config.spelling import spelled
from ptv2.errors import ConfigError, quote, shorten, unknown

_LIBRARY = re.compile("hydra|omegaconf|pydantic|lexer|struct", re.IGNORECASE)  # words that say nothing to a user
_SWEEP = "several values are a sweep; add -m"
_KINDS = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false"}  # OmegaConf's names
# What Hydra and OmegaConf say, and what a user is told; {key} is the setting that the message is about.
_ANSWERS = (
    (r"Missing mandatory value: .*full_key: (\S+)", "{0} has no default; expected {0}=VALUE"),
    (
        r"Interpolation key '([\w.]+)' not found",
        "{key} is taken from {0}, which has no value; expected it on the command line or in a file",
    ),
    ("Recursive interpolation", "{key} is taken from itself; expected a value or another setting"),
    (
        r"Environment variable '([^']+)' not found",
        "{key} is taken from the environment variable {0}, which is not set",
    ),
    (
        r"Ambiguous value for argument '([^']+)'",
        f"{{0}}: {_SWEEP}, or write a list as KEY=[a,b]",
    ),
    (r"Sweep parameters '([^']+)' requires --multirun", f"{{0}}: {_SWEEP}"),
    (
        "must be a string|must be a list",
        "task, model and method are chosen by name; expected task=NAME (ptv2 list tasks)",
    ),
    (
        r"In '([\w/.-]+)': .*Cannot merge",
        "{0}.yaml: a list, mapping or single value where another of these is expected",
    ),
)
# What other programs call a setting, by the last part of its name here.
_OTHER_NAMES = {
    "learning_rate": "lr",
    "num_epochs": "epochs",
    "num_train_epochs": "epochs",
    "batch": "batch_size",
    "per_device_train_batch_size": "batch_size",
    "max_seq_length": "max_length",
    "steps": "max_steps",
}
# Sections of settings that are no group, whose name alone would choose a file.
_SECTIONS = frozenset(
    name
    for name, field in RunConfig.model_fields.items()
    if isinstance(kind := field.annotation, type) and issubclass(kind, BaseModel) and name not in SETTINGS
)
# What Hydra raises for wrong input; ValueError: a group that is set to null.
COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException, ValueError, yaml.YAMLError, RecursionError)


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
        fault = explain(error, next(map(str, folders), None))
        raise ConfigError(str(fault).replace(_SWEEP, "expected one value")) from error  # of a command without -m
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
        raise ConfigError(describe_faults(error, tree, _unknown_key)) from error


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
    elif isinstance(value, str) and re.search("[\ud800-\udfff]", value):
        raise ConfigError(f"{above.strip(', ')}: {quote(value)} is not text in UTF-8")


def explain(error: Exception, config_dir: str | None = None) -> ConfigError:
    """Turn an error of Hydra or OmegaConf into one line that names the key and the valid or nearest choices."""
    if isinstance(error, OverrideParseException):
        return ConfigError(_unreadable(str(error.override)))
    if isinstance(error, RecursionError):
        return ConfigError("files of --config-dir name one another, or themselves, in their defaults")
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    text = f"{error} {cause}"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options is not None:
        return ConfigError(_unknown_choice(str(error.missing_cfg_file), error.options, config_dir))
    if match := re.search(r"In '([\w/.-]+)': Could not load '([\w/. -]+)'", text):
        group, _, name = match[2].rpartition("/")
        return ConfigError(f"{match[1]}.yaml: defaults: {unknown(group, name, paths.choices(group, config_dir))}")
    if match := re.search(r"Error resolving interpolation .*, possible interpolation keys: (.*)", text):
        needed = [group for group in ("task", "model", "method") if group not in match[1].split(", ")]
        return ConfigError(f"a run needs {' and '.join(f'{group}=NAME' for group in needed)}")
    override = re.search(r"Could not override '([^']+)'", text)
    absent = re.search(r"Key '([^']+)' is not in struct", text)
    if override and absent:
        inside = "" if absent[1] in override[1].split(".") else f".{absent[1]}"  # KEY={NAME: VALUE}
        return ConfigError(_unknown_key(f"{override[1]}{inside}"))
    if match := re.search(r"Could not find '([^'/]+)/([^']+)'", text):
        return ConfigError(unknown(match[1], match[2], paths.choices(match[1], config_dir)))
    if match := re.search(r"No match in the defaults list for '([^']+)'|Could not override '([^']+)'\.", text):
        return ConfigError(_unknown_key(match[1] or match[2]))
    if other := re.search(r"Error merging override (.+)", str(error)):
        kind = re.search(r"could not be converted to (\w+)", text)
        expected = _KINDS.get(kind[1] if kind else "", "another kind of value")
        shows = "the same command with --cfg hydra" if other[1].startswith("hydra.") else "`ptv2 train --help`"
        return ConfigError(f"{shorten(other[1], 60)}: expected {expected}; {shows} shows each setting")
    key = re.search(r"full_key: (\S+)", text)
    for pattern, answer in _ANSWERS:
        if match := re.search(pattern, text, re.DOTALL):
            return ConfigError(answer.format(*match.groups(), key=key[1] if key else "a setting"))
    if _LIBRARY.search(str(error)) or not str(error).strip():
        return ConfigError("the settings cannot be read together; `ptv2 train --help` shows each with its choices")
    return ConfigError(shorten(" ".join(str(error).split()), 250))


def _unknown_choice(file: str, options: Sequence[str], config_dir: str | None) -> str:
    """Name the file GROUP/NAME that a group does not have, and what it has."""
    group, _, name = file.partition("/") if file.startswith("model/") else file.rpartition("/")
    if group == "model" and "/" in name:
        path, known = shorten(name), "no model of `ptv2 list models`"
        return f"model={path}: {known}; a folder or a name of the hub is given as model.path={path}"
    return unknown(group or "config", name, set(options) | set(paths.choices(group, config_dir)))


def _unreadable(word: str) -> str:
    """Explain a word that does not follow the grammar of settings."""
    key, equals, value = word.partition("=")
    if not equals or "=" in value:
        return f"{shorten(word)}: expected key=value"
    if inner := re.fullmatch(r"\[([^\[\]{}'\"]+)\]", value):
        quoted = ",".join(f"'{one.strip()}'" for one in inner[1].split(","))
        return f'{shorten(word)}: names with blanks or other signs stand in quotes: "{key}=[{quoted}]"'
    quoted = shorten(value).replace("'", "")
    return f"{shorten(word)}: a value with blanks, brackets or other signs stands in quotes: \"{key}='{quoted}'\""


def _unknown_key(key: str) -> str:
    """Name the first part of `key` that does not exist, with its neighbours."""
    kind: Any = RunConfig
    prefix = ""
    for word in key.split("."):
        known = _below(kind)
        if not known and get_origin(kind) is dict:
            return f"{key}: does not exist yet; +{key}=VALUE adds it"
        if word not in known:
            names, near = [prefix + name for name in known], _elsewhere(word)
            below = prefix if names else ""
            return unknown("config key", prefix + word, names or [prefix.rstrip(".")], below, near=near)
        kind, prefix = known[word], f"{prefix}{word}."
    if key.startswith("multitask."):
        return f"{key}: {MULTITASK_ONLY}"
    if key.startswith("task.sources.files."):
        return f"{key}: the task's file does not have it yet; +{key}=VALUE adds it"
    return f"config key '{key}' cannot be set here"


def _elsewhere(word: str) -> str | None:
    """The settings whose last part is `word`, or what other programs call by it; None if there are none."""
    name = _OTHER_NAMES.get(word, word)
    keys = [key for key in _all_keys(RunConfig) if not key.startswith("multitask.") and key.rpartition(".")[2] == name]
    return " or ".join(keys[:3]) or None


def _all_keys(kind: Any, prefix: str = "") -> Iterator[str]:
    """The names of all settings of this type."""
    for name, inner in _below(kind).items():
        yield prefix + name
        yield from _all_keys(inner, f"{prefix}{name}.")


def _below(kind: Any) -> dict[str, Any]:
    """The keys below a setting of this type, each with its type; empty for a value or a free mapping."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        written = dict.fromkeys(getattr(kind, "written", ()))
        return {name: field.annotation for name, field in kind.model_fields.items()} | written
    if isinstance(kind, UnionType):
        return {name: inner for member in get_args(kind) for name, inner in _below(member).items()}
    if get_origin(kind) is dict and get_origin(get_args(kind)[0]) is Literal:
        return dict.fromkeys(get_args(get_args(kind)[0]))
    return {}


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
        last = str(model["path"]).rstrip("/").rpartition("/")[2]  # the name is hashed, and a path must not be
        name = re.sub(r"[^A-Za-z0-9.]+", "-", last).lower()[-60:]
        model["name"] = name.strip("-.") or "model"
    for key, default in (("sha256", None), ("revision", revision), ("pooler", "published")):
        if f"model.{key}" not in keys:
            model[key] = default
    if model["path"] != "config:" and not any(key.startswith("model.config") for key in keys):
        model["config"] = {}
