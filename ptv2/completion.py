"""Shell completion: Hydra's for the arguments of `train`, words and runs for the rest."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress

from ptv2.commands.verbs import COMMANDS
from ptv2.config import paths
from ptv2.errors import ConfigError
from ptv2.run_folders.directory import find_runs


def complete(arguments: list[str]) -> int:
    """Answer `ptv2 -sc install=SHELL`, `uninstall=SHELL` and `query=SHELL` (the line is in `COMP_LINE`).

    Raises:
        ConfigError: asked for anything else.
    """
    asked = re.fullmatch(r"(install|uninstall|query)=(bash|zsh|fish)", " ".join(arguments[1:]))
    if asked is None:
        raise ConfigError("-sc: expected install=SHELL, uninstall=SHELL or query=SHELL, SHELL one of bash, zsh, fish")
    line = os.environ.get("COMP_LINE", "")
    words = line.split()
    if asked[1] != "query":
        return _hydra(arguments)
    with suppress(ConfigError):  # a fault in the user's files is said when the command runs, not amid its line
        config_dir = next(iter(re.findall(r"\s(?:--config-dir|-cd)[\s=]+(\S+)\s", line)), None)
        user_folders = paths.own_folders(config_dir)
        if words[1:2] == ["train"] and (len(words) > 2 or line.endswith(" ")):
            os.environ["COMP_LINE"] = re.sub(r"^(\s*\S+)\s+train\b\s*", r"\1 ", line)
            with paths.searching(user_folders):
                return _hydra(arguments)
        candidates = _candidates(words, line.endswith(" "), config_dir)
        print((" " if asked[2] == "bash" else "\n").join(candidates))
    return 0


def _candidates(words: list[str], next_word: bool, config_dir: str | None) -> list[str]:
    if len(words) < 2 or (len(words) == 2 and not next_word):
        return sorted(COMMANDS)
    if words[1] == "list":
        return ["tasks", "models", "methods", "recipes", "settings", "runs"]
    if words[1] == "reproduce":
        return [
            f"{group}={name}" for group in ("table", "figure", "model") for name in paths.choices(group, config_dir)
        ]
    if words[1] == "prepare":
        return ["conll03", "conll05", "conll12", "ontonotes"]
    return [str(path) for path in find_runs(["runs"])]


def _hydra(arguments: list[str]) -> int:
    import hydra

    sys.argv = ["ptv2", *arguments]
    hydra.main(version_base="1.3", config_path=str(paths.conf_dir()), config_name="config")(lambda config: None)()
    return 0
