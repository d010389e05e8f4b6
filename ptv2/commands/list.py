"""`ptv2 list`: what can be chosen, and which runs there are. Reads configuration and records only."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ptv2.config import paths, recipes
from ptv2.console.arguments import Parser
from ptv2.console.columns import Column, Table, show_table
from ptv2.console.output import out, show_facts, tell
from ptv2.models.families import FAMILIES, NO_DEEP_PROMPTS, facts


def main(arguments: list[str]) -> int:
    """Print one of the lists, or the names in all of them on one screen."""
    parser = Parser(prog="ptv2 list", description="What can be chosen, and which runs there are.")
    parser.add_argument("what", nargs="?", choices=list(LISTS), help="one of the lists; only names if left out")
    parser.add_argument("--types", action="store_true", help="with models: the model types of any checkpoint instead")
    parser.add_config_dir()
    parser.add_out()
    options = parser.parse_args(arguments)
    if options.types and options.what != "models":
        parser.error("--types goes with models: ptv2 list models --types")
    if options.what:
        show_table(LISTS[options.what](options))
    else:
        _show_names(options)
    return 0


def _show_names(options: argparse.Namespace) -> None:
    """Print the names of all choices by kind; of recipes, which are many, the tasks that have some."""
    every = list(recipes.shipped_and_own(options.config_dir))
    tasks = dict.fromkeys(name for recipe in every if (name := recipe.name.partition("/")[0]) != "any")
    groups = {f"{group}s": ", ".join(paths.choices(group, options.config_dir)) for group in ("task", "model", "method")}
    show_facts([*groups.items(), ("recipes", f"{len(every)}, for {', '.join(tasks)}")])
    tell(f"More about each: ptv2 list {'|'.join(LISTS)}", out)


def _tasks(options: argparse.Namespace) -> Table:
    rows = []
    files = paths.noted_choices("task", options.config_dir)
    for name, path in files.items():
        tree = paths.with_defaults(name, files)
        sources = tree.get("sources")
        names = [kind for kind in ("hub", "files", "mini") if isinstance(sources, dict) and sources.get(kind)]
        marked = " ".join(f"{kind}*" if kind == tree.get("source") else kind for kind in names)
        rows.append((name, marked, str(tree.get("headline", "accuracy")), paths.summary(path)))
    columns = [NAME, Column("data"), Column("metric"), TEXT]
    return Table(columns, rows, title="tasks", notes=["* used unless data.source= says otherwise"])


def _models(options: argparse.Namespace) -> Table:
    if not options.types:
        return _described("models", "model", options)
    rows = [facts(family) for family in FAMILIES.values()]
    notes = [
        "other encoders and decoders are tried before training, and refused if a layer ignores its prompt;",
        f"prompt-tuning and fine-tuning only: {', '.join(NO_DEEP_PROMPTS)}",
    ]
    columns = [Column(name, fold=12) for name in rows[0]]
    return Table(columns, [list(row.values()) for row in rows], title="model types", notes=notes)


def _recipes(options: argparse.Namespace) -> Table:
    rows = [(recipe.name, recipe.kind, recipe.source) for recipe in recipes.shipped_and_own(options.config_dir)]
    notes = [
        "Used by itself is the recipe TASK/MODEL/METHOD, or else any/MODEL/METHOD; recipe=NAME uses another, "
        "recipe=none uses none.",
        "A run without a recipe has the defaults of its method (`ptv2 train --cfg job` shows them).",
    ]
    return Table([replace(NAME, name="recipe="), Column(""), replace(TEXT, name="source")], rows, "recipes", notes)


def _described(title: str, group: str, options: argparse.Namespace) -> Table:
    rows = [(name, paths.summary(path)) for name, path in paths.noted_choices(group, options.config_dir).items()]
    return Table([replace(NAME, name=f"{group}="), TEXT], rows, title)


def _runs(options: argparse.Namespace) -> Table:
    from ptv2.errors import RunError
    from ptv2.run_folders.directory import SHARED, find_runs, state_of
    from ptv2.run_folders.record import read_result, read_status

    rows = []
    for folder in find_runs([options.out, f"{options.out}/{SHARED}"]):
        state = state_of(folder)
        try:
            result = read_result(folder)
            text = str(read_status(folder).get("message", ""))
            if result is not None:
                text = f"dev {result.headline} {result.dev[result.headline]:.2f}"
        except RunError as error:
            text = str(error).removeprefix(f"{folder}/")
        rows.append((folder.relative_to(options.out).as_posix(), state, text))
    return Table([replace(NAME, name="run"), Column("state"), TEXT], rows, f"runs in {options.out}/")


# The columns of names and descriptions; a long name is cut in the middle, since its end says most.
NAME, TEXT = Column("task=", least=24), Column("", fold=24)
LISTS: dict[str, Callable[[argparse.Namespace], Table]] = {
    "tasks": _tasks,
    "models": _models,
    "methods": partial(_described, "methods", "method"),
    "recipes": _recipes,
    "runs": _runs,
}
