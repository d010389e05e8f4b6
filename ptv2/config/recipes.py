"""Recipes: settings that are known to work for one task, model and method, found by Hydra under `conf/recipe/`.

`recipe/<task>/<model>/<method>.yaml` is for one task, `recipe/any/<model>/<method>.yaml` for a model on any task; the
former overrides the latter. A file holds settings as `conf/config.yaml` names them, and `recipe.kind` and
`recipe.source`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from hydra.conf import RuntimeConf
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from ptv2.config import paths
from ptv2.config.keys import flat, short_value
from ptv2.config.schema import RecipeRecord, RunConfig
from ptv2.errors import ConfigError, unknown

NONE = "none"  # recipe=none: as if there were no recipe
# The groups of conf/config.yaml's defaults list, and the name that each looks up; the later overrides the earlier.
LOOKED_UP = {"recipe/any": "{model}/{method}", "recipe": "{task}/{model}/{method}"}
KINDS = get_args(RecipeRecord.model_fields["kind"].annotation)


@dataclass(frozen=True)
class Recipe:
    """The content of a recipe's file. `settings`: values by full key ("optim.lr")."""

    name: str
    kind: str
    source: str
    settings: dict[str, Any]

    def over(self, other: Recipe | None) -> Recipe:
        """The settings of this recipe, and of another where this one says nothing."""
        below = {} if other is None else other.settings
        return Recipe(self.name, self.kind, self.source, {**below, **self.settings})

    def record(self, config: Mapping[str, Any]) -> RecipeRecord:
        """Record the recipe of a run, with the recipe's values of the settings that the run has changed."""
        has = flat(config)
        changed = {key: value for key, value in self.settings.items() if has.get(key) != value}
        return RecipeRecord.model_validate(
            {"name": self.name, "kind": self.kind, "source": self.source, "changed": changed}
        )


def chosen(runtime: RuntimeConf) -> Recipe | None:
    """Read the recipe that Hydra took, by its account of the choices (`hydra.runtime`); None if there is no file.

    Raises:
        ConfigError: a recipe that was named does not exist, or a file is no recipe.
    """
    choices = {key: value for key, value in runtime.choices.items() if isinstance(value, str)}
    folders = paths.searched(runtime)
    recipe: Recipe | None = None
    for group, pattern in LOOKED_UP.items():
        name = choices.get(group, NONE)
        if name == NONE:
            continue
        path = next((path for folder in folders if (path := folder / group / f"{name}.yaml").is_file()), None)
        if path is not None:
            recipe = read(path, f"{group}/{name}".removeprefix("recipe/")).over(recipe)
        elif name != pattern.format_map(choices):  # Hydra passes over an optional file that is missing
            raise ConfigError(unknown(group, name, [NONE, *_names(folders, group)]))
    return recipe


def read(path: Path, name: str) -> Recipe:
    """Read one recipe.

    Raises:
        ConfigError: the file is no YAML, or lacks the kind or the source of the recipe.
    """
    try:
        tree = OmegaConf.to_container(OmegaConf.load(path))
    except (YAMLError, UnicodeDecodeError, OmegaConfBaseException, OSError) as error:
        raise ConfigError(f"{path}: no recipe (no YAML)") from error
    about = tree.get("recipe") if isinstance(tree, dict) else None
    if not isinstance(tree, dict) or not isinstance(about, dict) or not {"kind", "source"} <= about.keys():
        raise ConfigError(f"{path}: no recipe; expected recipe.kind ({', '.join(KINDS)}) and recipe.source in it")
    if about["kind"] not in KINDS:
        raise ConfigError(f"{path}: {unknown('recipe.kind', str(about['kind']), KINDS)}")
    settings = {str(key): value for key, value in tree.items() if key not in ("recipe", "defaults")}
    return Recipe(name, str(about["kind"]), str(about["source"]), flat(settings))


def shipped_and_own(config_dir: str | None = None) -> Iterator[Recipe]:
    """Read all recipes, sorted by name; of one name in several folders the user's.

    Raises:
        ConfigError: no such folder `config_dir`, or a file is no recipe.
    """
    folders = paths.folders(config_dir)
    for name in _names(folders, "recipe"):
        paths.note_taken("recipe", name, folders)
        yield read(next(p for folder in folders if (p := folder / "recipe" / f"{name}.yaml").is_file()), name)


def describe_recipe(config: RunConfig, *, changes: bool = True) -> str | None:
    """Describe the recipe of a run in one line: its file and source; None for a run without a recipe.

    Args:
        changes: whether to list the settings that the run has changed, with the recipe's values.
    """
    recipe = config.recipe
    if recipe is None:
        return None
    text = f"recipe {recipe.name}.yaml, {recipe.kind}: {recipe.source}"
    if not changes or not recipe.changed:
        return text
    has = flat(config.model_dump(mode="json"))
    changed = [f"{key} {short_value(has.get(key))} ({short_value(value)})" for key, value in recipe.changed.items()]
    return f"{text}; changed: {', '.join(changed)}"


def _names(folders: Iterable[Path], group: str) -> list[str]:
    names = {
        path.relative_to(folder / group).with_suffix("").as_posix()
        for folder in folders
        for path in (folder / group).rglob("*.yaml")
        if path.stem != NONE
    }
    return sorted(names)
