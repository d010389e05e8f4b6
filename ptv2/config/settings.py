"""The settings of `ptv2 train` as one looks them up: key, values and meaning, read from the code that checks them."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel

from ptv2.config import paths, schema, task_schema


class Setting(NamedTuple):
    """One setting. `values` and `meaning` have words of the command line in backquotes."""

    group: str
    key: str
    values: str
    meaning: str


def list_settings() -> list[Setting]:
    """All settings, group by group."""
    meaning = _meanings()
    return [
        Setting(title, key, _values(kind), meaning(key, owner, name))
        for title, rows in _groups()
        for key, kind, owner, name in rows
    ]


_Row = tuple[str, Any, type[BaseModel], str]  # key, type of the value, class and name of its field


def _groups() -> Iterator[tuple[str, list[_Row]]]:
    """Title and settings of each group."""
    single: list[_Row] = []
    nested: list[tuple[str, type[BaseModel]]] = []
    for name, field in schema.RunConfig.model_fields.items():
        kind = _model(field.annotation)
        if name in ("recipe", "multitask"):
            continue
        if kind is None:
            single.append((name, _annotation(schema.RunConfig, name), schema.RunConfig, name))
        else:
            nested.append((name, kind))
    yield "A run", single
    nested.append(("multitask", schema.MultitaskConfig))
    for name, group in nested:
        yield f"{name}.*", list(_rows(group, name))


def _rows(kind: type[BaseModel], prefix: str) -> Iterator[_Row]:
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
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


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
    """The words of a type with its bounds; those of whole numbers are numbers that may be given."""
    signs = {"gt": "above", "ge": "from", "lt": "below", "le": "to"}
    whole = {"gt": ("from", 1), "ge": ("from", 0), "lt": ("to", -1), "le": ("to", 0)}
    said = []
    for entry in metadata:
        for one in [entry, *getattr(entry, "metadata", ())]:
            for name, sign in signs.items():
                if not hasattr(one, name):
                    continue
                word, step = whole[name] if text == "whole number" else (sign, 0)
                said.append(f"{word} {getattr(one, name) + step}")
    return " ".join([text, *said])


def _meanings() -> Callable[[str, type[BaseModel], str], str]:
    """A function from a setting to its meaning: the comment beside it in conf/config.yaml, else in the schema."""
    of_yaml = yaml_comments((paths.conf_dir() / "config.yaml").read_text(encoding="utf-8"))
    of_schema: dict[tuple[str, str], str] = {}
    for module in (schema, task_schema):
        of_schema |= python_comments(Path(str(module.__file__)).read_text(encoding="utf-8"))

    def meaning(key: str, owner: type[BaseModel], name: str) -> str:
        description = owner.model_fields[name].description
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
