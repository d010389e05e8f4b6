"""`ptv2 best task=TASK model=MODEL`: finished runs ranked by dev alone, and the best settings as a recipe."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ptv2.config import paths
from ptv2.config.compose import compose
from ptv2.config.identity import OF_A_MACHINE
from ptv2.config.methods import MULTITASK
from ptv2.config.recipes import nested
from ptv2.config.schema import RunConfig
from ptv2.console.arguments import Parser
from ptv2.console.columns import Column, Table, show_table
from ptv2.console.output import out, tell, tell_command, warn_of_faults
from ptv2.errors import ConfigError, RunError, unknown
from ptv2.files import write_text_whole
from ptv2.report.ranking import Setting, beyond, decisive, on_most_data, ranked, varying
from ptv2.report.usable import usable_results
from ptv2.runs.directory import find_runs
from ptv2.runs.record import Result

KEYS = ("task", "model", "method", "headline", "out")


def main(arguments: list[str]) -> int:
    """Print a ranking and a recipe for each method that has runs, and write the recipes where asked to."""
    parser = Parser(
        prog="ptv2 best",
        description="Finished runs of one task and model, ranked by the mean of the headline metric on dev over seeds "
        "(test is never looked at), and the recipe of the best settings.",
    )
    keys = "task= and model=; method= (default: all), headline=, out="
    parser.add_argument("words", nargs="*", metavar="key=value", help=keys)
    parser.add_argument("--least-seeds", type=int, default=1, metavar="N", help="only settings with N seeds or more")
    parser.add_argument("--rows", type=int, default=10, help="settings shown (default: 10)")
    parser.add_argument("--write", metavar="DIR", help="write DIR/recipe/TASK/MODEL/METHOD.yaml, for --config-dir DIR")
    parser.add_argument("--config-dir", help="a folder with your own task/ and model/ files")
    options = parser.parse_intermixed_args(arguments)
    asked = _asked(options.words)
    results = _results(asked)
    methods = sorted({result.method for result in results})
    chosen = {method: [result for result in results if result.method == method] for method in methods}
    rankings = {method: ranked(on_most_data(own), options.least_seeds) for method, own in chosen.items()}
    few = f"no settings with {_count(options.least_seeds, 'seed')} or more"
    if not any(rankings.values()):
        raise RunError(f"{few} among {_count(len(results), 'finished run')} in {asked['out']}/")
    for method in methods:
        if rankings[method]:
            _report(chosen[method], rankings[method], options)
        else:
            tell(f"left out: method={method}: {few}")
    return 0


def _asked(words: Sequence[str]) -> dict[str, str]:
    asked = {"out": "runs"}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not value:
            raise ConfigError(f"{word}: expected key=value")
        if key not in KEYS:
            raise ConfigError(unknown("key", key, KEYS))
        asked[key] = value
    if missing := [key for key in ("task", "model") if key not in asked]:
        raise ConfigError(f"expected {' and '.join(f'{key}=NAME' for key in missing)}")
    return asked


def _results(asked: dict[str, str]) -> list[Result]:
    """The finished runs that are asked for.

    Raises:
        RunError: there are none; with what there is.
    """
    results, faults = usable_results(find_runs([asked["out"]]))
    warn_of_faults(faults)
    for key in ("task", "model", "method", "headline"):
        if key in asked:
            known = {str(getattr(result, key)) for result in results}
            if asked[key] not in known:
                raise RunError(f"{unknown(key, asked[key], known)} (finished runs in {asked['out']}/)")
            results = [result for result in results if getattr(result, key) == asked[key]]
    return results


def _report(results: list[Result], settings: list[Setting], options: argparse.Namespace) -> None:
    """One method: its ranking, its recipe, and what to keep in mind."""
    name = f"task={results[0].task} model={results[0].model} method={results[0].method}"
    show_table(_ranking(name, settings, options.rows))
    first = settings[0].runs[0]
    for headline in sorted({result.headline for result in results} - {first.headline}):
        others = sum(result.headline == headline for result in results)
        tell(f"left out: {_count(others, 'run')} whose checkpoints {headline} chose: headline={headline} ranks them")
    if others := sum(result.headline == first.headline for result in results) - len(on_most_data(results)):
        examples = first.data["examples"]["train"]
        tell(f"left out: {_count(others, 'run')} on other data than these {examples:,} training examples")
    if len({setting.seeds for setting in settings}) > 1:
        counts = [len(setting.seeds) for setting in settings]
        said = f"settings have different seeds ({min(counts)} to {max(counts)} of them)"
        hint = "a mean over few is high by luck more easily; --least-seeds N leaves those with fewer out"
        tell(f"warning: {said}: {hint}")
    where = _place(settings[0], options.config_dir)
    if isinstance(where, str):
        if options.write:
            raise ConfigError(where)
        tell(f"no recipe: {where}")
        return
    text = _recipe(name, settings, RunConfig.model_validate(settings[0].runs[0].config), where, options.config_dir)
    out.print()
    out.print(text, end="", soft_wrap=True)
    if options.write:
        _write(text, where, options.write)


def _ranking(name: str, settings: Sequence[Setting], rows: int) -> Table:
    first = settings[0].runs[0]
    keys = varying(settings)
    runs = sum(len(setting.runs) for setting in settings)
    title = f"{name}: {_count(len(settings), 'setting')}, {_count(runs, 'run')}"
    columns = [Column(f"dev {first.headline}"), Column("seeds", fold=8)]
    lines = [[setting.told, ", ".join(map(str, setting.seeds))] for setting in settings[:rows]]
    if keys:
        columns.append(Column("settings that differ", fold=30, least=30))
        for line, setting in zip(lines, settings, strict=False):
            line.append(" ".join(f"{key}={_short(setting.settings.get(key))}" for key in keys))
    more = [f"{len(settings) - rows} more: --rows {len(settings)}"] if len(settings) > rows else []
    return Table(columns, lines, title=title, notes=more)


def _place(setting: Setting, config_dir: str | None) -> tuple[str, str, str] | str:
    """Task, model and method as files of conf/ are called, by which a recipe is found; or why there are none."""
    run = setting.runs[0]
    found = []
    for group, name in (("task", run.task), ("model", run.model)):
        files = paths.choices(group, config_dir)
        file = next((stem for stem, path in files.items() if _yaml(path).get("name") == name), None)
        if file is None:
            return f"{group} {name} is no file of {group}/ (ptv2 list {group}s; --config-dir DIR for one of your own)"
        found.append(file)
    return found[0], found[1], run.method


def _recipe(
    name: str, settings: Sequence[Setting], config: RunConfig, where: tuple[str, str, str], config_dir: str | None
) -> str:
    """The best settings as a file: what differs from the defaults that there would be without it."""
    best = settings[0]
    task, model, method = where
    # The shared part of multitask-p-tuning-v2 needs its tasks' data; the rest of its defaults are p-tuning-v2's.
    words = [f"task={task}", f"model={model}", f"method={'p-tuning-v2' if method == MULTITASK else method}"]
    words += ["recipe=none", f"data.source={config.data.source}"]
    words += ["data.dir=."] if config.data.source == "files" else []
    differing = beyond(best.settings, decisive(compose(words, config_dir)))
    differing = {key: value for key, value in differing.items() if key not in OF_A_MACHINE}
    seeds = f"seed{'s' if len(best.seeds) > 1 else ''} {', '.join(map(str, best.seeds))}"
    hashes = ", ".join(run.name.rpartition("-")[2] for run in best.runs)
    score = f"dev {best.runs[0].headline} {best.told} over {seeds}, first of {_count(len(settings), 'setting')}"
    source = f"ptv2 best {name}: {score}; runs {hashes}"
    tree: dict[str, Any] = {"recipe": {"kind": "ours", "source": source}, **nested(differing)}
    # A word that crosses the width stays on its line.
    return "# @package _global_\n" + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=48)


def _write(text: str, where: tuple[str, str, str], folder: str) -> None:
    """Write a recipe where `--config-dir` finds it; under another name where a shipped one would win over it."""
    task, model, method = where
    path = Path(folder) / "recipe" / task / model / f"{method}.yaml"
    shipped = paths.conf_dir() / "recipe" / task / model / f"{method}.yaml"
    asking = ""
    if shipped.is_file() and shipped.resolve() != path.resolve():
        path = path.with_stem(f"{method}-best")
        asking = f" recipe={task}/{model}/{method}-best"
    write_text_whole(path, text)
    own = "" if Path(folder).resolve() == paths.conf_dir().resolve() else f" --config-dir {folder}"
    tell(f"written: {path}; this takes it{'' if not asking else ' (without recipe= the shipped recipe is taken)'}:")
    tell_command(f"ptv2 train{own} task={task} model={model} method={method}{asking}")


def _short(value: Any) -> str:
    if value is None:
        return "null"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _yaml(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
