"""Settings as people type them, in the words that Hydra reads."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ptv2.config.multitask import in_override
from ptv2.errors import ConfigError

PATHS = ("data.dir", "model.path", "out")  # settings whose value is a folder
FIELDS = ("task.text", "task.choices")  # settings whose value is a list of a record's fields
TEXTS = ("task.name", "model.name", "task.label")  # settings that are text also where they look like a number
SWEEP = ("-m", "--multirun")

_READ_AS_IT_IS = re.compile(r"[A-Za-z0-9_./:@%+-]+")
_WRITTEN_OUT = re.compile(r"""['"\[{]|\w+\(.*\)$|.*\$\{""")  # quoted, a list, a sweep's choice(...), an interpolation
_FIELD = re.compile(r"[\w.-]+")


def spelled(words: Sequence[str]) -> list[str]:
    """The words of a command, with folders quoted and `~` replaced, and fields as a list.

    Raises:
        ConfigError: a setting that is written like an option, as `--seed 3`.
    """
    sweep = any(word in SWEEP for word in words)
    return [_spelled(word, sweep) for word in words]


def _spelled(word: str, sweep: bool) -> str:
    key, equals, value = word.partition("=")
    option = re.fullmatch(r"--([a-z_]+(\.[a-z_]+)*)", key)
    if (option and "." in option[1]) or key in ("--seed", "--task", "--model", "--method", "--out"):
        name = key.removeprefix("--")
        raise ConfigError(f"{key}: settings are written without dashes: {name}={value or 'VALUE'}")
    setting = key.lstrip("+")
    if not equals or not value or _WRITTEN_OUT.match(value):
        return word
    if setting in PATHS:
        return f"{key}={_folder(value, sweep)}"
    if setting in FIELDS and all(_FIELD.fullmatch(field) for field in value.split(",")) and value != "null":
        return f"{key}=[{value}]"
    if setting in TEXTS and re.fullmatch(r"[\w.+-]+", value) and value != "null":
        return f"{key}={in_override(value)}"
    return word


def _folder(value: str, sweep: bool) -> str:
    """One folder, or in a sweep several with commas between them."""
    expanded = os.path.expanduser(value)
    if sweep and "," in value and not Path(expanded).exists():
        return ",".join(_folder(part, False) for part in value.split(","))
    return expanded if _READ_AS_IT_IS.fullmatch(expanded) else in_override(expanded)
