"""Where the configuration files are: those of the user, and those that come with ptv2."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ptv2.config.own_files import check_files
from ptv2.errors import ConfigError, first_line
from ptv2.files import from_home

if TYPE_CHECKING:
    from hydra.conf import RuntimeConf

VARIABLE = "PTV2_CONFIG_DIR"
log = logging.getLogger(__name__)
before_shipped: list[Path] = []  # what Hydra searches before conf/ now; hydra_plugins/ptv2/own_folders.py reads it


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
    shipped_first = reversed(folders(config_dir))  # so that the user's replaces it
    files = {path.stem: path for folder in shipped_first for path in (folder / group).glob("*.yaml")}
    return dict(sorted(files.items()))


def noted_choices(group: str, config_dir: str | None = None) -> dict[str, Path]:
    """As `choices`; each file that counts in the place of a shipped one is logged."""
    files = choices(group, config_dir)
    for name in files:
        note_taken(group, name, folders(config_dir))
    return files


def folders(config_dir: str | None = None) -> list[Path]:
    """List the folders of configuration files in order of search: of files with one name, the first counts.

    Raises:
        ConfigError: as `own_folders`.
    """
    return [*own_folders(config_dir), conf_dir()]


def own_folders(config_dir: str | None = None) -> list[Path]:
    """List the user's folders in order of search: `--config-dir`, then `PTV2_CONFIG_DIR`, or else ~/.config/ptv2.

    Raises:
        ConfigError: no such folder, or a file in it is not readable or holds more than settings.
    """
    places = [("--config-dir", Path(config_dir))] if config_dir is not None else []
    if given := os.environ.get(VARIABLE, "").strip():
        places.append((VARIABLE, from_home(given)))
    elif os.path.exists(folder := _of_user()):  # not Path.exists, which fails where a home cannot be entered
        places.append(("", folder))
    distinct: dict[Path, Path] = {}
    for name, folder in places:
        _check(name, folder)
        distinct.setdefault(folder.resolve(), folder)
        log.debug("searched for your own files: %s", folder)
    return list(distinct.values())


def _of_user() -> Path:
    """The folder that the XDG standard gives to ptv2 for a user's configuration."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return Path(base if os.path.isabs(base) else os.path.expanduser("~/.config"), "ptv2")


def _check(name: str, folder: Path) -> None:
    """Refuse a folder that is none, or has files that cannot be read; the line names the variable that gives it."""
    start = f"{name}: " if name else ""
    if not os.path.isdir(folder):
        is_file = os.path.exists(folder)
        raise ConfigError(start + (f"{folder} is a file; expected a folder" if is_file else f"no folder {folder}"))
    try:
        check_files(folder)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") if name == VARIABLE else error from error
    except OSError as error:
        raise ConfigError(f"{start}{error.filename}: {error.strerror or first_line(error)}") from error


@contextmanager
def searching(folders: Sequence[Path]) -> Iterator[None]:
    """Let Hydra search these folders before the shipped configuration while the context is open."""
    outer = before_shipped[:]
    before_shipped[:] = folders
    try:
        yield
    finally:
        before_shipped[:] = outer


def searched(runtime: RuntimeConf) -> list[Path]:
    """The folders that Hydra searched, in order, by its account (`hydra.runtime`)."""
    return [Path(source.path) for source in runtime.config_sources if source.schema == "file"]


def note_taken(group: str, name: str, searched: Sequence[Path]) -> None:
    """Log, once in a process, that a file of the user's counts in the place of a shipped one, or its defaults do so.

    Args:
        searched: folders in order of search, the shipped one among them.
    """
    path = next((path for folder in searched if (path := folder / group / f"{name}.yaml").is_file()), None)
    if path is None or len(searched) == 1:
        return
    shipped = conf_dir() / group / f"{name}.yaml"
    if shipped.is_file() and not shipped.samefile(path):
        _log_taken(f"{group}/{name}.yaml", path.parents[len(Path(group, name).parts) - 1])
    names = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("defaults")
    for other in names if isinstance(names, list) else []:
        if isinstance(other, str) and other != name:
            note_taken(group, other, searched)


@cache
def _log_taken(name: str, folder: Path) -> None:
    log.warning("%s is taken from %s", name, folder)


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
