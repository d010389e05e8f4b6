"""Hooks of MkDocs (`mkdocs.yml`): pages from outside `docs/`, and the generated parts of the reference.

README.md becomes the first page; CONTRIBUTING.md, CHANGELOG.md and `results/` join the site. Links stay those of the
repository, so that every page also reads well there. A block

    <!-- generated: settings -->
    what a reader of the repository sees
    <!-- end of generated -->

is replaced by what the function `settings` in `GENERATORS` returns.
"""

from __future__ import annotations

import itertools
import os
import posixpath
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from ptv2.cli import COMMANDS
from ptv2.config import methods
from ptv2.config.compose import compose
from ptv2.config.settings import list_settings

ROOT = Path(__file__).parents[1]
ALONE = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
GENERATED = re.compile(r"<!-- generated: (\S+) -->.*?<!-- end of generated -->", re.DOTALL)
LINK = re.compile(r"(\]\()([^)\s#:]+)(#[^)\s]*)?(\))")
SRC = re.compile(r'(<img[^>]* src=")([^":]+)()(")')
# Composed to tell by what a default goes: each with each, and the multi-task method for its own settings.
METHODS = ("p-tuning-v2", "prompt-tuning", "fine-tuning")
TASKS = ("rte", "copa", "ner data.dir=DIR", "squad", "mini-inference", "mini-entities")
MODELS = ("minilm", "roberta-large")
# Defaults of what the cases say themselves, or of what is long.
STARTS = {"method": "`p-tuning-v2`", "data.dir": "`null`", "multitask.tasks": "the task's family"}


# Pages


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside `docs/`."""
    for path in _outside():
        relative = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, _site_path(relative), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in what is generated, and turn the repository's links into the site's."""
    markdown = GENERATED.sub(lambda match: GENERATORS[match[1]](), markdown)
    uri = page.file.src_uri
    sources = {site: source for source, site in ALONE.items()}
    source = sources.get(uri) or (uri if uri.startswith("results/") else f"docs/{uri}")

    def to_site(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[2]))
        link = posixpath.relpath(_site_path(target), posixpath.dirname(uri) or ".")
        return f"{match[1]}{link}{match[3] or ''}{match[4]}"

    return SRC.sub(to_site, LINK.sub(to_site, markdown))


def _outside() -> list[Path]:
    kinds = {".md", ".png", ".svg", ".csv"}
    return [*(ROOT / name for name in ALONE), *(p for p in sorted(ROOT.glob("results/**/*")) if p.suffix in kinds)]


def _site_path(path: str) -> str:
    """Where a file of the repository is on the site."""
    return ALONE.get(path) or path.removeprefix("docs/")


# What is generated


def settings() -> str:
    """The settings of `ptv2 train`, a table for each group, from `ptv2/config/` and `conf/config.yaml`."""
    defaults = _composed()
    lines: list[str] = []
    for title, rows in itertools.groupby(list_settings(), lambda setting: setting.group):
        lines += ["", f"## {title}", "", "| setting | meaning | values | default |", "| --- | --- | --- | --- |"]
        for setting in rows:
            cells = [f"`{setting.key}`", setting.meaning, setting.values, _default(setting.key, defaults)]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


Case = tuple[str, str, str]  # task, model, method


def _composed() -> dict[Case, dict[str, Any]]:
    cases = [*itertools.product(TASKS, MODELS, METHODS)]
    cases += itertools.product(["mini-inference", "mini-entities"], MODELS, [methods.MULTITASK])
    trees = {}
    for task, model, method in cases:
        words = [f"model={model}", f"method={method}", "recipe=none", *f"task={task}".split()]
        trees[task, model, method] = _flat(compose(words).model_dump())
    return trees


def _default(key: str, composed: dict[Case, dict[str, Any]]) -> str:
    """The default in all cases, or what it goes by."""
    if key in STARTS:
        return STARTS[key]
    values = {case: repr(tree[key]) for case, tree in composed.items() if key in tree}
    if key.startswith("task.sources") or not values:
        return "by task"
    by = [
        name
        for place, name in enumerate(("task", "model", "method"))
        if any(
            values[one] != values[two] and all(one[i] == two[i] for i in range(3) if i != place)
            for one, two in itertools.combinations(values, 2)
        )
    ]
    if by:
        return f"by {' and '.join(by) if len(by) < 3 else 'task, model and method'}"
    value = next(tree[key] for tree in composed.values() if key in tree)
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n").removesuffix("\n...")
    return f"`{text}`"


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat[prefix + name] = value
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
    return flat


def published() -> str:
    """The settings of the published runs, from `conf/recipe`."""
    columns = ["task", "model", "rate", "schedule", "batch", "epochs", "prompt length", "MLP", "dropout", "seed"]
    columns.append("script")
    lines = [columns, ["---"] * len(columns)]
    for path in sorted(ROOT.glob("conf/recipe/*/*/*.yaml")):
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        recipe = tree["recipe"]
        if recipe["kind"] != "published" or "run_script/" not in recipe["source"]:
            continue
        script = re.sub(r".*run_script/(\S+).*", r"`\1`", recipe["source"])
        optim, prompt, trainer = tree["optim"], tree["prompt"], tree["trainer"]
        values = [optim["lr"], optim["schedule"], trainer["batch_size"], trainer["epochs"], prompt["length"]]
        values += ["yes" if prompt["reparameterization"] == "mlp" else "", prompt["dropout"], tree["seed"], script]
        lines.append([path.parts[-3], path.parts[-2], *(str(value) for value in values)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def commands() -> str:
    """What `--help` says of every command; the settings of `ptv2 train` have a page of their own."""
    words = [word for word in COMMANDS if word != "train"]
    parts = [f"## ptv2 {word}\n\n```text\n{_ptv2(word, '--help')}\n```" for word in words]
    return "\n\n".join([f"```text\n{_ptv2('--help')}\n```", *parts])


def choices() -> str:
    """The lists that `ptv2 list` prints."""
    return "\n\n".join(
        f"## {what.capitalize()}\n\n```text\n{_ptv2('list', what)}\n```"
        for what in ("tasks", "models", "methods", "recipes")
    )


@cache
def _ptv2(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ptv2", *words],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


GENERATORS: dict[str, Callable[[], str]] = {
    "settings": settings,
    "commands": commands,
    "choices": choices,
    "published": published,
}
