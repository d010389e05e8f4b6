"""`ptv2 list`: what can be chosen, and which runs there are. Reads configuration and records only."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ptv2.console import listings
from ptv2.console.arguments import Parser
from ptv2.console.columns import Column, Table, show_table
from ptv2.console.json_document import show_json
from ptv2.console.output import out, show_facts, tell
from ptv2.models.families import NO_DEEP_PROMPTS


def main(arguments: list[str]) -> int:
    """Print one of the lists, or the names in all of them on one screen."""
    parser = Parser(prog="ptv2 list", description="What can be chosen, and which runs there are.")
    parser.add_argument("list", nargs="?", choices=list(LISTS), help="one of the lists; only names if left out")
    parser.add_argument("--types", action="store_true", help="with models: the model types of any checkpoint instead")
    parser.add_config_dir()
    parser.add_out()
    parser.add_json()
    options = parser.parse_args(arguments)
    if options.types and options.list != "models":
        parser.error("--types goes with models: ptv2 list models --types")
    if options.json:
        show_json(_document(options))
    elif options.list:
        show_table(LISTS[options.list](options))
    else:
        _show_names(options)
    return 0


def _document(options: argparse.Namespace) -> dict[str, Any]:
    """What `--json` prints: the records of a list by its name, or the names in all lists."""
    if options.list is None:
        return dict(listings.list_names(options.config_dir))
    if options.types:
        return {"types": listings.list_types()}
    return {options.list: listings.records(options.list, options)}


def _show_names(options: argparse.Namespace) -> None:
    """Print the names of all choices by kind; of recipes, which are many, the tasks that have some."""
    names = listings.list_names(options.config_dir)
    recipes = names.pop("recipes")
    tasks = dict.fromkeys(task for recipe in recipes if (task := recipe.partition("/")[0]) != "any")
    groups = [(group, ", ".join(listed)) for group, listed in names.items()]
    show_facts([*groups, ("recipes", f"{len(recipes)}, for {', '.join(tasks)}")])
    tell(f"More about each: ptv2 list {'|'.join(LISTS)}", out)


def _tasks(options: argparse.Namespace) -> Table:
    rows = []
    for task in listings.records("tasks", options):
        marked = " ".join(f"{kind}*" if kind == task["source"] else kind for kind in task["sources"])
        rows.append((task["name"], marked, task["headline"], task["about"]))
    columns = [NAME, Column("data"), Column("metric"), TEXT]
    return Table(columns, rows, title="tasks", notes=["* used unless data.source= says otherwise"])


def _models(options: argparse.Namespace) -> Table:
    if not options.types:
        return _described("models", options)
    rows = listings.list_types()
    notes = [
        "other encoders and decoders are tried before training, and refused if a layer ignores its prompt;",
        f"prompt-tuning and fine-tuning only: {', '.join(NO_DEEP_PROMPTS)}",
    ]
    columns = [Column(name, fold=12) for name in rows[0]]
    return Table(columns, [list(row.values()) for row in rows], title="model types", notes=notes)


def _recipes(options: argparse.Namespace) -> Table:
    rows = [(recipe["name"], recipe["kind"], recipe["source"]) for recipe in listings.records("recipes", options)]
    notes = [
        "The recipe TASK/MODEL/METHOD is used, or else any/MODEL/METHOD; recipe=NAME takes another, recipe=none none.",
        "A run without a recipe has the defaults of its method (`ptv2 train --cfg job` shows them).",
    ]
    return Table([replace(NAME, name="recipe="), Column(""), replace(TEXT, name="source")], rows, "recipes", notes)


def _settings(options: argparse.Namespace) -> Table:
    rows = [list(setting.values()) for setting in listings.records("settings", options)]
    note = "`ptv2 train ... --cfg job` shows the values that a command would run with."
    return Table([replace(NAME, name="setting"), Column("values", fold=16), TEXT], rows, "settings", [note])


def _described(title: str, options: argparse.Namespace) -> Table:
    rows = [(record["name"], record["about"]) for record in listings.records(title, options)]
    return Table([replace(NAME, name=f"{title.removesuffix('s')}="), TEXT], rows, title)


def _runs(options: argparse.Namespace) -> Table:
    rows = []
    for run in listings.records("runs", options):
        text = f"dev {run['headline']} {run['dev']:.2f}" if run["headline"] else run["message"]
        rows.append((run["run"], run["state"], text))
    if not rows:
        tell(f"no run in {options.out}/" + ("" if Path(options.out).is_dir() else ", since there is no such folder"))
    return Table([replace(NAME, name="run"), Column("state"), TEXT], rows, f"runs in {options.out}/")


# The columns of names and descriptions; a long name is cut in the middle, since its end says most.
NAME, TEXT = Column("task=", least=24), Column("", fold=24)
LISTS: dict[str, Callable[[argparse.Namespace], Table]] = {
    "tasks": _tasks,
    "models": _models,
    "methods": partial(_described, "methods"),
    "recipes": _recipes,
    "settings": _settings,
    "runs": _runs,
}
