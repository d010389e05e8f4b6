"""`ptv2 list`: what can be chosen, and which runs there are. Reads configuration and records only."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import yaml
from rich.table import Table

from ptv2.commands.arguments import Parser
from ptv2.commands.console import out
from ptv2.config import paths, recipes
from ptv2.models.families import FAMILIES, NO_DEEP_PROMPTS, facts


def main(arguments: list[str]) -> int:
    """Print one or all of the lists."""
    parser = Parser(prog="ptv2 list", description="What can be chosen, and which runs there are.")
    parser.add_argument("what", nargs="?", choices=list(LISTS), help="one of the lists; all but runs if left out")
    parser.add_argument("--types", action="store_true", help="with models: the model types of any checkpoint instead")
    parser.add_argument("--config-dir", help="a folder with your own task/, model/, method/ and recipe/ files")
    parser.add_argument("--out", default="runs", help="folder of the runs (default: runs)")
    options = parser.parse_args(arguments)
    if options.types and options.what != "models":
        parser.error("--types goes with models: ptv2 list models --types")
    for what in [options.what] if options.what else [name for name in LISTS if name != "runs"]:
        out.print(LISTS[what](options))
    return 0


def _tasks(options: argparse.Namespace) -> Table:
    table = _table("tasks", "task=", "data", "metric", "")
    for name, path in paths.choices("task", options.config_dir).items():
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        have = [source for source in ("hub", "files", "mini") if tree["sources"].get(source)]
        sources = " ".join(f"{source}*" if source == tree["source"] else source for source in have)
        table.add_row(name, sources, tree.get("headline", "accuracy"), paths.summary(path))
    table.caption, table.caption_justify = "* used unless data.source= says otherwise", "left"
    return table


def _models(options: argparse.Namespace) -> Table:
    if not options.types:
        return _described("models", "model", options)
    rows = [facts(family) for family in FAMILIES.values()]
    table = _table("model types", *rows[0])
    for row in rows:
        table.add_row(*row.values())
    table.caption_justify = "left"
    table.caption = (
        "other encoders and decoders are tried before training, and refused if a layer ignores its prompt;\n"
        f"prompt-tuning and fine-tuning only: {', '.join(NO_DEEP_PROMPTS)}"
    )
    return table


def _methods(options: argparse.Namespace) -> Table:
    return _described("methods", "method", options)


def _recipes(options: argparse.Namespace) -> Table:
    table = _table("recipes", "recipe=", "", "source")
    for recipe in recipes.shipped_and_own(options.config_dir):
        table.add_row(recipe.name, recipe.kind, recipe.source)
    table.caption_justify = "left"
    table.caption = (
        "chosen by themselves as TASK/MODEL/METHOD, over any/MODEL/METHOD; recipe=NAME takes another, recipe=none\n"
        "none. Every other case has the defaults of its method, ours: by scale of model and task, and shape (--cfg job)"
    )
    return table


def _described(title: str, group: str, options: argparse.Namespace) -> Table:
    table = _table(title, f"{group}=", "")
    for name, path in paths.choices(group, options.config_dir).items():
        table.add_row(name, paths.summary(path))
    return table


def _runs(options: argparse.Namespace) -> Table:
    from ptv2.errors import RunError
    from ptv2.runs.directory import SHARED, find_runs, state_of
    from ptv2.runs.record import read_result, read_status

    table = _table(f"runs in {options.out}/", "run", "state", "")
    for folder in find_runs([options.out, f"{options.out}/{SHARED}"]):
        state = state_of(folder)
        try:
            result = read_result(folder)
            text = str(read_status(folder).get("message", ""))
            if result is not None:
                text = f"dev {result.headline} {result.dev[result.headline]:.2f}"
        except RunError as error:
            text = str(error).removeprefix(f"{folder}/")
        table.add_row(folder.relative_to(options.out).as_posix(), state, text)
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, min_width=len(title))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


LISTS: dict[str, Callable[[argparse.Namespace], Table]] = {
    "tasks": _tasks,
    "models": _models,
    "methods": _methods,
    "recipes": _recipes,
    "runs": _runs,
}
