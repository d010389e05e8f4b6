"""`ptv2 best task=TASK model=MODEL`: finished runs ranked by dev alone, and the best settings as a recipe."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ptv2.config import paths
from ptv2.config.keys import short_value
from ptv2.config.rules import read_settings
from ptv2.config.schema import RunConfig
from ptv2.console.arguments import Parser, a_count, a_folder, read_words
from ptv2.console.columns import Column, Table, show_table
from ptv2.console.json_document import show_json
from ptv2.console.output import out, tell, tell_command, warn_of_faults
from ptv2.errors import ConfigError, RunError
from ptv2.files import write_text_whole
from ptv2.report.best_recipe import recipe_place, recipe_text, record_ranking
from ptv2.report.formats import count_of
from ptv2.report.ranking import CHOOSING, Setting, choose_results, describe_choice, on_most_data, ranked
from ptv2.report.settings import varying
from ptv2.report.usable import distinct_results
from ptv2.run_folders.directory import find_runs
from ptv2.run_folders.record import Result


def main(arguments: list[str]) -> int:
    """Print a ranking and a recipe for each method that has runs, and write the recipes if asked to."""
    parser = Parser(
        prog="ptv2 best",
        keys=(*CHOOSING, "out"),
        description="Finished runs of one task and model, ranked by the mean of the headline metric on dev over seeds "
        "(test is never looked at), and the recipe of the best settings.",
    )
    asking = "task= and model=; method= (default: all), headline=, out="
    parser.add_argument("words", nargs="*", metavar="key=value", help=asking)
    parser.add_argument(
        "--least-seeds", type=a_count, default=1, metavar="N", help="only settings with N seeds or more"
    )
    parser.add_argument("--rows", type=a_count, default=10, help="settings shown (default: 10)")
    parser.add_argument(
        "--write", type=a_folder, metavar="DIR", help="write DIR/recipe/TASK/MODEL/METHOD.yaml, for --config-dir DIR"
    )
    parser.add_config_dir()
    parser.add_json()
    options = parser.parse_args(arguments)
    asked = read_words(options.words, (*CHOOSING, "out"))
    folder = asked.pop("out", "runs")
    every, faults = distinct_results(find_runs([folder]))
    warn_of_faults(faults)
    results = choose_results(list(every.values()), asked, folder)
    methods = sorted({result.method for result in results})
    chosen = {method: [result for result in results if result.method == method] for method in methods}
    rankings = {method: ranked(on_most_data(runs), options.least_seeds) for method, runs in chosen.items()}
    few = f"no settings with {count_of(options.least_seeds, 'seed')} or more"
    if not any(rankings.values()):
        raise RunError(f"{few} among {count_of(len(results), 'finished run')} in {folder}/")
    records = []
    for method in methods:
        if rankings[method]:
            records.append(_report(chosen[method], rankings[method], options))
        else:
            tell(f"left out: method={method}: {few}")
    if options.json:
        show_json({"task": asked["task"], "model": asked["model"], "methods": records})
    return 0


def _report(results: list[Result], settings: list[Setting], options: argparse.Namespace) -> dict[str, Any]:
    """Print the ranking and the recipe of one method, and what to keep in mind; returns them as a record."""
    name = f"task={results[0].task} model={results[0].model} method={results[0].method}"
    if not options.json:
        show_table(_ranking(name, settings, options.rows))
    for note in (notes := describe_choice(results, settings)):
        tell(note)
    where = recipe_place(settings[0].runs[0], options.config_dir)
    if isinstance(where, str):
        if options.write:
            raise ConfigError(where)
        tell(f"no recipe: {where}")
        return record_ranking(settings, notes, None)
    text = recipe_text(name, settings, read_settings(RunConfig, settings[0].runs[0].config), where, options.config_dir)
    if not options.json:
        out.print()
        out.print(text, end="", soft_wrap=True)
    if options.write:
        _write(text, where, options.write)
    return record_ranking(settings, notes, text)


def _ranking(name: str, settings: Sequence[Setting], rows: int) -> Table:
    first = settings[0].runs[0]
    keys = varying([setting.settings for setting in settings])
    runs = sum(len(setting.runs) for setting in settings)
    title = f"{name}: {count_of(len(settings), 'setting')}, {count_of(runs, 'run')}"
    columns = [Column(f"dev {first.headline}"), Column("seeds", fold=8)]
    lines = [[setting.score_text, ", ".join(map(str, setting.seeds))] for setting in settings[:rows]]
    if keys:
        columns.append(Column("settings that differ", fold=30, least=30))
        for line, setting in zip(lines, settings, strict=False):
            line.append(" ".join(f"{key}={short_value(setting.settings.get(key))}" for key in keys))
    more = [f"{len(settings) - rows} more: --rows {len(settings)}"] if len(settings) > rows else []
    return Table(columns, lines, title=title, notes=more)


def _write(text: str, where: tuple[str, str, str], folder: str) -> None:
    path = Path(folder, "recipe", *where).with_suffix(".yaml")
    write_text_whole(path, text)
    searched = Path(folder).resolve() in [place.resolve() for place in paths.folders()]
    tell(f"written: {path}; this takes it:")
    tell_command(
        "ptv2 train{} task={} model={} method={}".format(
            "" if searched else f" --config-dir {shlex.quote(folder)}", *where
        )
    )
