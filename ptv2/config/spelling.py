"""Turn settings as people type them into words that Hydra reads."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ptv2.config.multitask import in_override
from ptv2.errors import ConfigError, shorten, unknown

PATHS = ("data.dir", "model.path", "out")  # settings whose value is a folder
FIELDS = ("task.text", "task.choices")  # settings whose value is a list of a record's fields
LISTS = ("track",)  # settings whose value may be several names, which no sweep tries one by one
TEXTS = ("task.name", "model.name", "task.label")  # settings that are text also where they look like a number
SWEEP = ("-m", "--multirun")
CONFIG_DIR = ("--config-dir", "-cd")
# Hydra's options that `ptv2 train` takes.
WITH_VALUE = (*CONFIG_DIR, "--cfg", "-c", "--package", "-p", "--info", "-i")
ALONE = (*SWEEP, "--help", "-h", "--resolve", "--run", "-r", "--version")
# What a command does instead of another.
MODES = {"--multirun": "-m", "--cfg": "-c", "--info": "-i", "--run": "-r"}

MOST_FOLDS = 100
_SHOWN = ("job", "hydra", "all")
_INFORMED = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
CHOICES = {"--cfg": _SHOWN, "-c": _SHOWN, "--info": _INFORMED, "-i": _INFORMED}

_READ_AS_IT_IS = re.compile(r"[A-Za-z0-9_./:@%+-]+")
_WRITTEN_OUT = re.compile(r"""['"\[{]|\w+\(.*\)$|.*\$\{""")  # quoted, a list, a sweep's choice(...), an interpolation
_DASHED_SETTING = re.compile(r"--(seed|task|model|method|out|[a-z_]+(\.[a-z_]+)+)")
_FIELD = re.compile(r"[\w.-]+( [\w.-]+)*")


def refuse_sweeps(words: Sequence[str], instead: str) -> None:
    """Refuse settings that say how many runs are made, and how, for a command that makes one or chooses them itself.

    Args:
        instead: what the message says after the word.

    Raises:
        ConfigError: `sweep=NAME`, or a setting of Hydra.
    """
    for word in words:
        key = word.lstrip("+~").partition("=")[0]
        if key == "sweep" or key.startswith(("hydra/", "hydra.")):
            raise ConfigError(f"{word}: {instead}")


def spelled(words: Sequence[str]) -> list[str]:
    """Spell the words of a command for Hydra: folders quoted and without `~`, fields as a list.

    Raises:
        ConfigError: a setting is written like an option, as `--seed 3`.
    """
    sweep = any(word in SWEEP for word in words)
    return [_spelled(word, sweep) for word in words]


def every_fold(words: Sequence[str]) -> list[str]:
    """Make `data.folds=5` without `data.fold` a sweep over the five; leave other words as they are.

    Raises:
        ConfigError: several numbers of folds, or a search, whose trials are single runs.
    """
    values = {key: value for key, _, value in (word.partition("=") for word in words)}
    folds = values.get("data.folds", "null")
    if folds in ("", "null") or "data.fold" in values or {"--cfg", "-c", "--info", "-i", "--help", "-h"} & set(words):
        return list(words)
    if not re.fullmatch("[0-9]{1,6}", folds) or not 2 <= int(folds) <= MOST_FOLDS:
        raise ConfigError(f"data.folds={shorten(folds)}: expected one number from 2 to {MOST_FOLDS}")
    if values.get("+sweep", values.get("sweep")) == "optuna" or values.get("hydra/sweeper") == "optuna":
        raise ConfigError(f"data.folds={folds}: a trial of a search is one run; expected data.fold=0 beside it")
    sweep = [] if {*SWEEP} & set(words) else ["-m"]
    return [*sweep, *words, f"data.fold={','.join(map(str, range(int(folds))))}"]


def options_first(words: Sequence[str]) -> tuple[list[str], str | None]:
    """Put the options of `ptv2 train` before its settings; returns the words without `--config-dir`, and its folder.

    Hydra takes settings in one stretch only. Its options that would read another configuration (`--config-path`,
    `--config-name`) or a pickle (`--experimental-rerun`) are refused.

    Raises:
        ConfigError: an unknown option, one without its value, or `--config-dir` given twice.
    """
    options: list[str] = []
    settings: list[str] = []
    folders: list[str] = []
    waiting = iter(words)
    for word in waiting:
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            settings.append(word)
        elif word in ALONE:
            options.append(word)
        elif name in ALONE:
            raise ConfigError(f"{name}: takes no value")
        elif name in WITH_VALUE:
            value = value if equals else next(waiting, "")
            if not value:
                raise ConfigError(f"{name}: expected a value")
            if value not in CHOICES.get(name, [value]):
                raise ConfigError(unknown(f"value of {name}", value, CHOICES[name]))
            if name in CONFIG_DIR:
                folders.append(value)
            else:
                options += [name, value]
        elif _DASHED_SETTING.fullmatch(name):
            raise ConfigError(f"{name}: settings are written without dashes: {name[2:]}={value or 'VALUE'}")
        else:
            raise ConfigError(unknown("option", name, [*WITH_VALUE, *ALONE]))
    if len(folders) > 1:
        raise ConfigError(f"--config-dir: given {len(folders)} times; expected one folder")
    _check_modes(options)
    return [*options, *settings], folders[0] if folders else None


def _check_modes(options: Sequence[str]) -> None:
    modes = [name for name, short in MODES.items() if name in options or short in options]
    if len(modes) > 1:
        raise ConfigError(f"{' and '.join(modes)}: expected one of them")
    for name, short in (("--package", "-p"), ("--resolve", "--resolve")):
        if (name in options or short in options) and "--cfg" not in modes:
            raise ConfigError(f"{name}: says what --cfg shows; expected --cfg job beside it")


def _spelled(word: str, sweep: bool) -> str:
    key, equals, value = word.partition("=")
    if _DASHED_SETTING.fullmatch(key):
        raise ConfigError(f"{key}: settings are written without dashes: {key[2:]}={value or 'VALUE'}")
    if equals and not key:
        raise ConfigError(f"{word}: expected key=value")
    setting = key.lstrip("+~")
    if setting.startswith("hydra.searchpath"):  # its files would not be checked
        raise ConfigError("hydra.searchpath: expected --config-dir DIR for a folder with files of your own")
    if not equals or not value or _WRITTEN_OUT.match(value):
        return word
    if setting in PATHS:
        return f"{key}={_folder(value, sweep)}"
    if setting in FIELDS and all(_FIELD.fullmatch(field) for field in value.split(",")) and value != "null":
        return f"{key}=[{','.join(field if ' ' not in field else in_override(field) for field in value.split(','))}]"
    if setting in LISTS and "," in value:
        return f"{key}=[{value}]"
    if setting in TEXTS and re.fullmatch(r"[\w.+-]+", value) and value != "null":
        return f"{key}={in_override(value)}"
    return word


def _folder(value: str, sweep: bool) -> str:
    """Spell one folder, or in a sweep several with commas between them."""
    expanded = os.path.expanduser(value)
    if sweep and "," in value and not Path(expanded).exists():
        return ",".join(_folder(folder, False) for folder in value.split(","))
    return expanded if _READ_AS_IT_IS.fullmatch(expanded) else in_override(expanded)
