"""`ptv2 train --help`: a screen or two on what can be chosen and set, without Hydra, which is slow to import."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import yaml

from ptv2.config.paths import choices, conf_dir
from ptv2.config.spelling import options_first
from ptv2.console.arguments import in_one_grammar
from ptv2.console.common import COMMON
from ptv2.screen import folded, width_of

HEADER = """\
ptv2 train: train and evaluate one run, or a sweep of runs (-m)

  ptv2 train                                 the embedded default
  ptv2 train task=rte model=roberta-large    data and backbone from the hub
  ptv2 train task=rte data.dir=DIR           the official files
  ptv2 train task=classification data.dir=DIR task.text=COLUMN task.label=COLUMN
                                             train.csv and dev.csv of your own
  ptv2 train task=boolq method=fine-tuning,p-tuning-v2 seed=1,2,3 -m
"""
GROUPS = ("task", "model", "method", "trainer", "sweep")
RECIPE = "used by itself where there is one for this task, model and method; recipe=none uses none"
OPTIONS = (
    ("-m, --multirun", "a run for every combination of values with commas between them"),
    ("--cfg job", "print all settings with their values, and train nothing"),
    ("--config-dir DIR", "your own tasks, models and recipes; searched before PTV2_CONFIG_DIR or ~/.config/ptv2"),
)
NAMING = {"task": ("name",), "model": ("name", "path")}  # settings that conf/config.yaml leaves to other files
MARGIN = 20


def show_help(words: Sequence[str]) -> None:
    """Print the page, with the tasks, models and sweeps of the user's own folder.

    Raises:
        ConfigError: an unknown option, no such folder, or a file in it that is more than settings.
    """
    _, config_dir = options_first(in_one_grammar(words, keys=("out",)))
    tree = yaml.safe_load((conf_dir() / "config.yaml").read_text(encoding="utf-8"))
    settings = {key: value for key, value in tree.items() if key not in ("defaults", "hydra")}
    alone = [key for key, value in settings.items() if not isinstance(value, dict)]
    groups = {group: ", ".join(choices(group, config_dir)) for group in GROUPS}
    groups["sweep"] += " (+sweep=NAME)"
    print(HEADER)
    _show("Choices (KEY=CHOICE); `ptv2 list` has a line on each:", {**groups, "recipe": RECIPE})
    parts = {
        f"{key}.": ", ".join([*NAMING.get(key, ()), *value])
        for key, value in settings.items()
        if isinstance(value, dict)
    }
    title = "Settings (as trainer.epochs=3), explained by `ptv2 list settings`:"
    _show(title, {", ".join(alone): "", **parts})
    _show("Options:", dict(OPTIONS))
    print(COMMON, end="")


def _show(title: str, rows: dict[str, str]) -> None:
    print(title)
    for name, text in rows.items():
        print(folded(f"  {name:{MARGIN - 2}}{text}".rstrip(), width_of(sys.stdout), MARGIN))
    print()
