"""Hooks of MkDocs (`mkdocs.yml`): pages from outside `docs/`, and the generated parts of the reference.

README.md becomes the first page; CONTRIBUTING.md, CHANGELOG.md and `results/` join the site. Links stay those of the
repository, so that every page also reads well there. A block

    <!-- generated: settings -->
    what a reader of the repository sees
    <!-- end of generated -->

is replaced by what the function `settings` in `GENERATORS` returns.
"""

from __future__ import annotations

import ast
import io
import itertools
import os
import posixpath
import re
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pydantic import BaseModel

from ptv2.cli import COMMANDS
from ptv2.config import methods, schema, task_schema
from ptv2.config.compose import compose

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
    meanings = _meanings()
    defaults = _composed()
    lines: list[str] = []
    for title, rows in _groups():
        lines += ["", f"## {title}", "", "| setting | meaning | values | default |", "| --- | --- | --- | --- |"]
        for key, kind, owner, name in rows:
            cells = [f"`{key}`", meanings(key, owner, name), _values(kind), _default(key, defaults)]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _groups() -> Iterator[tuple[str, list[tuple[str, Any, type, str]]]]:
    """Title, and (key, type, class, field) of its settings."""
    single = []
    nested = []
    for name, field in schema.RunConfig.model_fields.items():
        kind = _model(field.annotation)
        if name in ("recipe", "multitask"):
            continue
        if kind is None:
            single.append((name, _annotation(schema.RunConfig, name), schema.RunConfig, name))
        else:
            nested.append((name, kind))
    yield "A run", single
    for name, kind in [*nested, ("multitask", schema.MultitaskConfig)]:
        yield f"{name}.*", list(_rows(kind, name))


def _rows(kind: type[BaseModel], prefix: str) -> Iterator[tuple[str, Any, type, str]]:
    for name, field in kind.model_fields.items():
        below = _model(field.annotation)
        if below is not None and below is not task_schema.VerbalizerConfig:
            yield from _rows(below, f"{prefix}.{name}")
        else:
            yield f"{prefix}.{name}", _annotation(kind, name), kind, name


def _model(annotation: Any) -> type[BaseModel] | None:
    """The group of settings that a type stands for, perhaps beside None."""
    for kind in [annotation, *get_args(annotation)]:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return None if get_origin(annotation) is list else kind
    return None


def _annotation(owner: type[BaseModel], name: str) -> Any:
    field = owner.model_fields[name]
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation  # type: ignore[return-value]


def _values(kind: Any) -> str:
    """A type in a reader's words."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _bounded(_values(arguments[0]), arguments[1:])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_values(inner) for inner in arguments))
    if origin is list:
        return f"list of {_values(arguments[0])}"
    if origin is dict:
        return f"mapping from {_values(arguments[0])} to {_values(arguments[1])}"
    if origin is tuple:
        return " and ".join(_values(inner) for inner in arguments)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return f"mapping ({', '.join(kind.model_fields)})"
    names = {int: "whole number", float: "number", str: "text", bool: "`true`, `false`", NoneType: "`null`"}
    return names.get(kind, "any")


def _bounded(text: str, metadata: tuple[Any, ...]) -> str:
    signs = {"gt": "above", "ge": "from", "lt": "below", "le": "to"}
    said = []
    for entry in metadata:
        for one in [entry, *getattr(entry, "metadata", ())]:
            said += [f"{sign} {getattr(one, name)}" for name, sign in signs.items() if hasattr(one, name)]
    return " ".join([text, *said])


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


def _meanings() -> Callable[[str, type, str], str]:
    """A function from a setting to its meaning: the comment beside it in conf/config.yaml, else in the schema."""
    of_yaml = yaml_comments((ROOT / "conf" / "config.yaml").read_text(encoding="utf-8"))
    of_schema: dict[tuple[str, str], str] = {}
    for module in (schema, task_schema):
        of_schema |= python_comments(Path(str(module.__file__)).read_text(encoding="utf-8"))

    def meaning(key: str, owner: type, name: str) -> str:
        description = owner.model_fields[name].description  # type: ignore[attr-defined]
        text = description or of_yaml.get(key) or of_schema.get((owner.__name__, name), "")
        return re.sub(r"\bNone\b", "`null`", text)

    return meaning


def yaml_comments(text: str) -> dict[str, str]:
    """The comments at the ends of lines of nested mappings, by dotted key; lines of comment alone go on."""
    comments: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    last = None
    for line in text.splitlines():
        if found := re.match(r"( *)([a-z_]+):(?: +((?:[^#\"]|\"[^\"]*\")*))?(?:# ?(.*))?$", line):
            depth = len(found[1])
            path = [*((d, k) for d, k in path if d < depth), (depth, found[2])]
            last = ".".join(key for _, key in path)
            if found[4]:
                comments[last] = found[4].strip()
        elif (more := re.match(r" {8,}# ?(.*)$", line)) and last in comments:
            comments[last] += " " + more[1].strip()
        else:
            last = None
    return comments


def python_comments(text: str) -> dict[tuple[str, str], str]:
    """The comments beside the fields of classes, by class and field."""
    by_line = {
        token.start[0]: token.string.removeprefix("#").strip()
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    }
    return {
        (node.name, field.target.id): by_line[field.end_lineno]
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef)
        for field in node.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and field.end_lineno in by_line
    }


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
