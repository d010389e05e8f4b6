"""Check the user's own configuration files: whoever wrote them, they set settings of ptv2 and nothing else.

Hydra would run code that a file names under `hydra.callbacks` or `_target_`, and resolve `${oc.env:...}` into a run's
record. So the files are checked here before Hydra sees the folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ptv2.errors import ConfigError, first_line, kind_of, shorten

# Folders of settings, and of tables and figures, which hold settings of runs too.
SETTINGS = ("task", "model", "method", "trainer", "recipe", "sweep")
DRAWN = ("table", "figure")
# Keys at the top of a file for the whole configuration; `ours` has the defaults of methods.
TOP = (
    *("task", "data", "model", "method", "prompt", "lora", "head", "optim", "trainer", "multitask"),
    *("seed", "recipe", "ours"),
)
# Keys below `hydra` that a sweep's file may set.
OF_SWEEPS = ("mode", "sweeper")
# What these say must be so for every user: the defaults, and that recipe=none is no recipe.
NEVER_OWN = ("config.yaml", "recipe/none.yaml", "recipe/any/none.yaml")
MOST_VALUES = 100_000  # in one file; an alias in YAML can stand for millions

_INSTANTIATED = re.compile(r"_(target|partial|recursive|convert|args)_")
_RUN_BY_HYDRA = re.compile(r"^[+~]*hydra([./@:=]|$)")
_PLAIN = re.compile(r"\$\{(oc\.select:|(?!hydra)[\w.\[\]]*\})")  # another setting's value, or a default of a method


def check_files(folder: Path) -> None:
    """Check all files below a folder of the user's that can become part of a configuration.

    Raises:
        ConfigError: a file holds more than settings; names the file and the fault.
        OSError: a folder or file cannot be read.
    """
    _check(str(folder.resolve()), str(folder))


@cache
def _check(_resolved: str, shown: str) -> None:
    folder = Path(shown)
    for group in (*SETTINGS, *DRAWN):
        for path in _list_files(folder / group):
            if path.suffix == ".yaml":
                check_file(path, group)
            if path.suffix == ".yml":
                raise ConfigError(f"{path}: expected a name that ends in .yaml; files with others are not read")
    if any(path.suffix == ".yaml" for path in _list_files(folder / "hydra")):
        raise ConfigError(f"{folder / 'hydra'}: expected settings of ptv2; such files would be run by Hydra")
    for name in NEVER_OWN:
        if os.path.lexists(folder / name):
            raise ConfigError(
                f"{folder / name}: only ptv2's own is read; expected another name in {', '.join(SETTINGS)}"
            )


def _list_files(folder: Path) -> list[Path]:
    """List the files below a folder, sorted; none where there is no such folder.

    Raises:
        ConfigError: it is a file.
        OSError: it, or a folder in it, cannot be read.
    """

    def refuse(error: OSError) -> None:
        if isinstance(error, NotADirectoryError):
            raise ConfigError(f"{error.filename}: a file; expected a folder") from error
        if not isinstance(error, FileNotFoundError):
            raise error

    return sorted(Path(place, name) for place, _, names in os.walk(folder, onerror=refuse) for name in names)


def check_file(path: Path, group: str) -> None:
    """Check one file of a group.

    Raises:
        ConfigError: it holds more than settings; names the file and the fault.
    """
    text = _read(path)
    try:
        tree = yaml.safe_load(text)
        _check_doubles(yaml.compose(text, yaml.SafeLoader), path)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"{path}: {_fault(error)}") from error
    if tree is None:
        if group in ("recipe", "sweep") and path.stem != "none":  # it would change nothing, unseen
            raise ConfigError(f"{path}: expected settings (key: value), found nothing; was its copy broken off?")
        return
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected settings (key: value), found {kind_of(tree)}")
    package = _package(text)
    if package not in ("_group_", "_global_"):
        raise ConfigError(f"{path}: # @package {shorten(package)}; expected _global_, or no such line")
    if group in ("recipe", "sweep") and package != "_global_":
        marked = " and no byte order mark first" if text.startswith("\ufeff") else ""
        raise ConfigError(
            f"{path}: expected the line `# @package _global_` at its top{marked}; without it nothing applies"
        )
    if group == "sweep":
        tree = _without_sweeper(path, tree)
    if package == "_global_" and group not in DRAWN:
        for key in tree:
            if key != "defaults" and key not in TOP:
                raise ConfigError(f"{path}: {_named(key)} cannot be set in a file; known: {', '.join(TOP)}")
    for key, value in _values(tree, path):
        _check_value(path, key, value)
    _check_defaults(path, tree.get("defaults"))


def _check_doubles(node: yaml.Node | None, path: Path) -> None:
    """Refuse a key that is twice in one mapping: only one of its values would count."""
    waiting, seen = [node], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue  # an alias
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            names: set[str] = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in names:
                    line = key.start_mark.line + 1
                    raise ConfigError(f"{path}: line {line}: {_named(key.value)} stands twice in one place")
                names.add(str(key.value))
                waiting += [key, value]


def _check_value(path: Path, key: str, value: Any) -> None:
    """Refuse what Hydra would run or resolve, as a key or within a text."""
    for text in (key, value):
        if not isinstance(text, str):
            continue
        if _INSTANTIATED.search(text):
            raise ConfigError(f"{path}: {_named(text)}: a file cannot name code to run")
        if _RUN_BY_HYDRA.search(text):
            raise ConfigError(f"{path}: {_named(text)}: a file cannot set what Hydra does")
        if len(re.findall(r"\$\{", text)) != len(_PLAIN.findall(text)):
            raise ConfigError(f"{path}: {_named(text)}: expected a value, or another setting's as ${{task.name}}")
    trusts = key == "trust_remote_code" and value is not False
    if trusts or (isinstance(value, str) and "trust_remote_code=" in value):
        raise ConfigError(f"{path}: model.trust_remote_code can be set on the command line only")


def _check_defaults(path: Path, defaults: Any) -> None:
    """Refuse a defaults list that chooses anything but files of ptv2's own groups."""
    if not isinstance(defaults, list | None):
        raise ConfigError(f"{path}: defaults: {_named(str(defaults))}; expected a list")
    for entry in defaults or ():
        if not isinstance(entry, str) and not _is_choice(entry):
            raise ConfigError(f"{path}: defaults: {_named(str(entry))}; expected NAME, or GROUP: NAME")
        for name in entry if isinstance(entry, Mapping) else [entry]:
            words = re.sub(r"^\s*(override\s+|optional\s+)*", "", str(name))
            group, _, package = words.strip().partition("@")
            is_relative = not group.startswith("/")  # of the file's own group
            folders = group.strip("/").split("/")
            known = (is_relative or folders[0] in SETTINGS) and not {"hydra", "..", ""} & set(folders)
            if not known or package not in ("", "_global_"):
                raise ConfigError(f"{path}: defaults: {_named(name)}; expected {', '.join(SETTINGS)}")


def _is_choice(entry: Any) -> bool:
    """Whether an entry of a defaults list is one group's name with what is chosen in it."""
    if not isinstance(entry, dict) or len(entry) != 1:
        return False
    ((group, chosen),) = entry.items()
    names = chosen if isinstance(chosen, list) else [chosen]
    return isinstance(group, str) and group == group.strip() and all(isinstance(name, str | None) for name in names)


def _without_sweeper(path: Path, tree: dict[Any, Any]) -> dict[Any, Any]:
    """Check and remove the keys of Hydra in a sweep's file: `hydra.mode`, and values in `hydra.sweeper.params`.

    Raises:
        ConfigError: other keys of Hydra, or values that name code.
    """
    hydra = tree.get("hydra", {})
    known = isinstance(hydra, dict) and set(hydra) <= set(OF_SWEEPS)
    sweeper = hydra.get("sweeper", {}) if known else None
    params = sweeper.get("params", {}) if isinstance(sweeper, dict) and set(sweeper) <= {"params"} else None
    if not isinstance(params, dict) or not isinstance(hydra.get("mode", ""), str):
        raise ConfigError(f"{path}: hydra: a sweep's file may set hydra.mode and hydra.sweeper.params, no more of it")
    for key, value in _values(params, path):
        _check_value(path, key, value)
    return {key: value for key, value in tree.items() if key != "hydra"}


def _values(value: Any, path: Path) -> Iterator[tuple[str, Any]]:
    """Yield each value, mappings included, with its last key."""
    waiting: list[tuple[str, Any]] = [("", value)]
    count = 0
    while waiting:
        key, value = waiting.pop()
        count += 1
        if count > MOST_VALUES:
            raise ConfigError(f"{path}: more than {MOST_VALUES:,} values")
        if isinstance(value, Mapping):
            for name in value:
                if not isinstance(name, str | int | float):
                    raise ConfigError(f"{path}: {_named(name)}: expected a text in its place, the name of a setting")
            waiting += [(str(name), inner) for name, inner in value.items()]
        elif isinstance(value, list | tuple | set):
            waiting += [(key, inner) for inner in value]
            continue
        yield key, value


def _package(text: str) -> str:
    """Find the package as Hydra does, in the first comments."""
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            break
        if match := re.match(r"\s*#\s*@package\s+(.*)", line):
            return match[1].strip()
    return "_group_"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: expected text in UTF-8 (byte {error.start})") from error


def _fault(error: Exception) -> str:
    """Say what is wrong with a YAML file, and where."""
    if isinstance(error, RecursionError):
        return "no YAML (nested too deeply)"
    if isinstance(error, yaml.reader.ReaderError):
        return f"no YAML (character {error.position + 1} is {chr(int(error.character))!r})"
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or first_line(error, 80)
    return f"line {mark.line + 1}: no YAML ({shorten(str(problem))})" if mark is not None else f"no YAML ({problem})"


def _named(text: object) -> str:
    return shorten(" ".join(str(text).split()))
