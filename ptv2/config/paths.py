"""Where the configuration files are."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from ptv2.config.own_files import check_files
from ptv2.errors import ConfigError


def conf_dir() -> Path:
    """Folder of the shipped configuration: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


def choices(group: str, config_dir: str | None = None) -> dict[str, Path]:
    """List the files that can be chosen in `group` (task, model, method, trainer) by name, those of the user included.

    Raises:
        ConfigError: no such folder `config_dir`.
    """
    own_first = reversed(folders(config_dir))  # so that the shipped replaces it
    return {path.stem: path for folder in own_first for path in sorted((folder / group).glob("*.yaml"))}


def folders(config_dir: str | None = None) -> list[Path]:
    """List the folders of configuration files in order of search: of one name in both, Hydra takes the shipped file.

    Raises:
        ConfigError: no such folder `config_dir`, or a file in it holds more than settings.
    """
    if config_dir is not None and not Path(config_dir).is_dir():
        raise ConfigError(f"--config-dir: no folder {config_dir}")
    if config_dir is not None:
        check_files(Path(config_dir))
        _check_names(Path(config_dir))
    return [conf_dir(), *([Path(config_dir)] if config_dir else [])]


def _check_names(folder: Path) -> None:
    """Refuse files that would not be read, as ptv2's own of the same name are; a recipe can be asked for by its place.

    Raises:
        ConfigError: with the file.
    """
    for group in ("task", "model", "method", "trainer", "sweep", "table", "figure"):
        for path in sorted((folder / group).glob("*.yaml")):
            shipped = conf_dir() / group / path.name
            if shipped.is_file() and not shipped.samefile(path):
                raise ConfigError(f"{path}: ptv2 has a {group} of this name, which would be taken; choose another")


def summary(path: Path) -> str:
    """Return the first line of a configuration file's comment."""
    comments = takewhile(lambda line: line.startswith("#"), path.read_text(encoding="utf-8").splitlines())
    texts = (line.lstrip("# ").rstrip() for line in comments)
    return next((text for text in texts if text and not text.startswith("@package")), "")


def with_defaults(name: str, files: Mapping[str, Path], above: tuple[str, ...] = ()) -> dict[str, Any]:
    """Read a task's file, over the files of the tasks in its defaults list."""
    tree = yaml.safe_load(files[name].read_text(encoding="utf-8")) or {}
    begun: dict[str, Any] = {}
    names = tree.get("defaults")
    for other in names if isinstance(names, list) else []:
        if isinstance(other, str) and other in files and other not in (*above, name):
            begun |= with_defaults(other, files, (*above, name))
    return begun | tree
