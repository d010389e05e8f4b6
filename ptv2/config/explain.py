"""What is wrong with words and files that Hydra or OmegaConf refuses, in one line with the valid or nearest choices."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import yaml
from hydra.core.override_parser.overrides_parser import OverrideParseException
from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel

from ptv2.config import paths
from ptv2.config.schema import MULTITASK_ONLY, RunConfig
from ptv2.errors import ConfigError, shorten, unknown

_LIBRARY = re.compile("hydra|omegaconf|pydantic|lexer|struct", re.IGNORECASE)  # words that say nothing to a user
SWEEP = "several values are a sweep; add -m"
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
        f"{{0}}: {SWEEP}, or write a list as KEY=[a,b]",
    ),
    (r"Sweep parameters '([^']+)' requires --multirun", f"{{0}}: {SWEEP}"),
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
# What Hydra raises for wrong input; ValueError: a group that is set to null.
COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException, ValueError, yaml.YAMLError, RecursionError)


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
        return ConfigError(unknown_key(f"{override[1]}{inside}"))
    if match := re.search(r"Could not find '([^'/]+)/([^']+)'", text):
        return ConfigError(unknown(match[1], match[2], paths.choices(match[1], config_dir)))
    if match := re.search(r"No match in the defaults list for '([^']+)'|Could not override '([^']+)'\.", text):
        return ConfigError(unknown_key(match[1] or match[2]))
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


def unknown_key(key: str) -> str:
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
