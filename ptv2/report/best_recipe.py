"""The best of ranked settings as a recipe file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from ptv2.config import paths
from ptv2.config.compose import compose
from ptv2.config.identity import OF_A_MACHINE
from ptv2.config.keys import nested
from ptv2.config.methods import MULTITASK
from ptv2.config.schema import RunConfig
from ptv2.report.formats import count_of
from ptv2.report.ranking import Setting
from ptv2.report.settings import beyond, decisive
from ptv2.report.statistics import spread_of
from ptv2.run_folders.record import Result

# A recipe says these even where they are the defaults, which another version may have otherwise.
ALWAYS = ("prompt.length", "optim.lr", "trainer.epochs", "trainer.batch_size")


def recipe_place(run: Result, config_dir: str | None) -> tuple[str, str, str] | str:
    """The names in conf/ of a run's task, model and method, by which a recipe is found; or why there can be none."""
    names = []
    for group, name in (("task", run.task), ("model", run.model)):
        files = sorted(paths.choices(group, config_dir).items(), key=lambda file: file[0] != name)  # else all are read
        trees = ((stem, yaml.safe_load(path.read_text(encoding="utf-8")) or {}) for stem, path in files)
        file = next((stem for stem, tree in trees if tree.get("name") == name), None)
        if file is None:
            return (
                f"{group} {name} has no file {group}/{name}.yaml, by which a recipe is found (write one into a folder "
                "of yours, and name that by --config-dir)"
            )
        names.append(file)
    return names[0], names[1], run.method


def recipe_text(
    name: str, settings: Sequence[Setting], config: RunConfig, where: tuple[str, str, str], config_dir: str | None
) -> str:
    """The text of a recipe file: the settings of the best that differ from the defaults, and those of ALWAYS."""
    best = settings[0]
    task, model, method = where
    # The shared part of multitask-p-tuning-v2 needs its tasks' data; the rest of its defaults are p-tuning-v2's.
    words = [f"task={task}", f"model={model}", f"method={'p-tuning-v2' if method == MULTITASK else method}"]
    words += ["recipe=none", f"data.source={config.data.source}"]
    words += ["data.dir=."] if config.data.source == "files" else []
    differing = beyond(best.settings, decisive(compose(words, config_dir)))
    said = {
        key: value
        for key, value in best.settings.items()
        if (key in differing or key in ALWAYS) and key not in OF_A_MACHINE
    }
    seeds = f"seed{'s' if len(best.seeds) > 1 else ''} {', '.join(map(str, best.seeds))}"
    hashes = ", ".join(run.name.rpartition("-")[2] for run in best.runs)
    score = f"dev {best.runs[0].headline} {best.score_text} over {seeds}, first of {count_of(len(settings), 'setting')}"
    source = f"ptv2 best {name}: {score}; runs {hashes}"
    tree: dict[str, Any] = {"recipe": {"kind": "ours", "source": source}, **nested(said)}
    # YAML folds the line only between words.
    return "# @package _global_\n" + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=48)


def record_ranking(settings: Sequence[Setting], notes: Sequence[str], recipe: str | None) -> dict[str, Any]:
    """A ranking for other programs: all settings, the best first, and the recipe of the best."""
    first = settings[0].runs[0]
    ranking = [
        {
            "dev": {"mean": s.mean, "sd": spread_of(s.scores), "by_seed": dict(zip(s.seeds, s.scores, strict=True))},
            "settings": s.settings,
            "runs": {run.seed: run.name for run in s.runs},
        }
        for s in settings
    ]
    tree = None if recipe is None else yaml.safe_load(recipe)
    return {"method": first.method, "headline": first.headline, "ranking": ranking, "recipe": tree, "notes": notes}
