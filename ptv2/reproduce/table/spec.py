"""What a table is: a file of `conf/table/` or of a user's own folder, with rows (models), columns (tasks), methods."""

from __future__ import annotations

from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from ptv2.config import paths
from ptv2.config.methods import BASELINE, METHODS
from ptv2.config.schema import Frozen, Split
from ptv2.errors import ConfigError, unknown


class Part(Frozen):
    """A row, column or method: a bare name in the file stands for one with nothing else said."""

    name: str
    label: str = ""  # as the table shows it; none: the name
    overrides: list[str] = Field(default=[])  # settings of its runs, as `ptv2 train` takes them

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": str(value)} if isinstance(value, str | int) else value

    @property
    def shown(self) -> str:
        """Its name as the table shows it."""
        return self.label or self.name


class Row(Part):
    """A backbone; `name` is the paper's, `model` that of `conf/model`."""

    model: str | None = None  # none: the name
    models: dict[str, str] = Field(default={})  # for the tasks of a family (ner, srl, qa, superglue), or for one task
    foreign: bool = False  # settings say which model it is, not a file

    def words(self, task: str, family: str) -> list[str]:
        """Settings that choose the backbone for a task."""
        model = self.models.get(task, self.models.get(family, self.model or self.name))
        return [] if self.foreign else [f"model={model}"]


class Column(Part):
    """A task, the split that is shown and one or more scores of it."""

    task: str = ""  # none: the name
    split: Split | None = None  # none: test where the task has one, else dev
    metrics: list[str] = Field(default=[])  # none: the task's headline

    @property
    def of_task(self) -> str:
        return self.task or self.name


class Variant(Part):
    """A method with settings; `paper` is what `conf/paper` calls it."""

    method: str = ""  # none: the name
    paper: str = ""  # none: the name

    @property
    def of_method(self) -> str:
        return self.method or self.name

    @property
    def shown(self) -> str:
        """Its label; for the methods themselves the paper's short names."""
        return self.label or (METHODS[self.name].short if self.name in METHODS else self.name)


class TableSpec(Frozen):
    """A table."""

    title: str
    number: int | None = None  # in the paper
    seeds: list[int] = Field(min_length=1)
    share: Literal["family", "table"] = "family"  # which tasks train prompts together (MPT-2)
    methods: list[Variant] = Field(min_length=1)
    baseline: str | None = None  # what the others are tested against; none: fine-tuning, if it is there
    rows: list[Row] = Field(min_length=1)
    columns: list[Column] = Field(min_length=1)
    extra: list[Column] = Field(default=[])  # in tables of another backbone, where their data are found

    @field_validator("methods", "rows")
    @classmethod
    def _names_differ(cls, parts: list[Any]) -> list[Any]:
        _check_names([part.name for part in parts])
        return parts

    @model_validator(mode="after")
    def _fits(self) -> TableSpec:
        _check_names([column.name for column in (*self.columns, *self.extra)])
        names = [method.name for method in self.methods]
        if self.baseline is not None and self.baseline not in names:
            raise ValueError(unknown("baseline", self.baseline, names))
        return self

    @property
    def against(self) -> str | None:
        """The method that the others are tested against."""
        if self.baseline is None and BASELINE in {method.name for method in self.methods}:
            return BASELINE
        return self.baseline


def read_table(name: str, config_dir: str | None = None) -> TableSpec:
    """Read `table/<name>.yaml`.

    Raises:
        ConfigError: no such file, or one that does not fit.
    """
    known = paths.choices("table", config_dir)
    if name not in known:
        raise ConfigError(unknown("table", name, known))
    try:
        tree = yaml.safe_load(known[name].read_text(encoding="utf-8"))
        return TableSpec.model_validate(tree)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{known[name]}: no YAML ({' '.join(str(error).split())})") from error
    except ValidationError as error:
        faults = "; ".join(_said(fault) for fault in error.errors())
        raise ConfigError(f"table {name} ({known[name].name}): {faults}") from error


def _said(fault: Any) -> str:
    key = ".".join(map(str, fault["loc"])) or "the file"
    if fault["type"] == "extra_forbidden":
        return f"{key}: no such key"
    return f"{key}: {str(fault['msg']).removeprefix('Value error, ')}"


def _check_names(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{twice[0]} stands there twice; expected different names")
