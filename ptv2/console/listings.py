"""What `ptv2 list` lists, as records: one mapping for each choice or run."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import Any

from ptv2.config import paths, recipes
from ptv2.models.families import FAMILIES, facts
from ptv2.run_folders.directory import SHARED, find_runs
from ptv2.run_folders.overview import describe_run

Records = list[dict[str, Any]]


def records(what: str, options: Namespace) -> Records:
    """The records of one of the lists, by its name; `options` of the command are `config_dir` and `out`."""
    makers: dict[str, Callable[[], Records]] = {
        "tasks": lambda: list_tasks(options.config_dir),
        "models": lambda: list_group("model", options.config_dir),
        "methods": lambda: list_group("method", options.config_dir),
        "recipes": lambda: list_recipes(options.config_dir),
        "settings": list_settings,
        "runs": lambda: list_runs(options.out),
    }
    return makers[what]()


def list_tasks(config_dir: str | None) -> Records:
    """Name, kinds of sources, the one that is used by itself, headline metric, description and file of each task."""
    files = paths.noted_choices("task", config_dir)
    records = []
    for name, path in files.items():
        tree = paths.with_defaults(name, files)
        given = tree.get("sources")
        sources = [kind for kind in ("hub", "files", "mini") if isinstance(given, dict) and given.get(kind)]
        headline = str(tree.get("headline", "accuracy"))
        about = {"sources": sources, "source": tree.get("source"), "headline": headline}
        records.append({"name": name, **about, "about": paths.summary(path), "file": str(path)})
    return records


def list_group(group: str, config_dir: str | None) -> Records:
    """Name, description and file of each choice of a group (model, method)."""
    files = paths.noted_choices(group, config_dir)
    return [{"name": name, "about": paths.summary(path), "file": str(path)} for name, path in files.items()]


def list_recipes(config_dir: str | None) -> Records:
    """Name, kind, source and settings of each recipe."""
    every = recipes.shipped_and_own(config_dir)
    return [{"name": r.name, "kind": r.kind, "source": r.source, "settings": r.settings} for r in every]


def list_settings() -> Records:
    """Key, values and meaning of each setting of `ptv2 train`."""
    from ptv2.config import settings  # reads the whole schema

    return [
        {key: getattr(setting, key).replace("`", "") for key in ("key", "values", "meaning")}
        for setting in settings.list_settings()
    ]


def list_types() -> Records:
    """What is known of each type of backbones."""
    return [facts(family) for family in FAMILIES.values()]


def list_runs(out: str) -> Records:
    """What `ptv2.runs()` says of each run, shared parts included, its folder below `out`, and why it has no result."""
    folders = find_runs([out, f"{out}/{SHARED}"])
    return [{"run": folder.relative_to(out).as_posix(), **describe_run(folder)} for folder in folders]


def list_names(config_dir: str | None) -> dict[str, list[str]]:
    """The names of all choices by kind."""
    groups = {f"{group}s": list(paths.choices(group, config_dir)) for group in ("task", "model", "method")}
    return groups | {"recipes": [recipe.name for recipe in recipes.shipped_and_own(config_dir)]}
