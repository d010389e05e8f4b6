"""The description of a table, a file of `conf/table/` or of a user: rows (models), columns (tasks) and methods."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from ptv2.config.methods import BASELINE, METHODS
from ptv2.config.task_schema import Frozen, Split
from ptv2.errors import unknown
from ptv2.reproduce.description import read_description


class Axis(Frozen):
    """A row, column or method; in the file its name alone is enough."""

    name: str
    label: str = ""  # as the table shows it; empty: the name
    overrides: list[str] = Field(default=[])  # settings of its runs, as `ptv2 train` takes them

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": str(value)} if isinstance(value, str | int) else value

    @property
    def shown(self) -> str:
        """Its name as the table shows it."""
        return self.label or self.name


class Row(Axis):
    """A backbone; `name` is the paper's, `model` that of `conf/model`."""

    model: str | None = None  # None: the name
    models: dict[str, str] = Field(default={})  # by family of tasks (ner, srl, qa, superglue) or by task
    foreign: bool = False  # whether settings name the model, not a file

    def words(self, task: str, family: str) -> list[str]:
        """The settings that choose the backbone for a task."""
        model = self.models.get(task, self.models.get(family, self.model or self.name))
        return [] if self.foreign else [f"model={model}"]


class Column(Axis):
    """A task, the split whose scores are shown, and one or more metrics."""

    task: str = ""  # empty: the name
    split: Split | None = None  # None: test if the task has one, else dev
    metrics: list[str] = Field(default=[])  # empty: the task's headline

    @property
    def of_task(self) -> str:
        return self.task or self.name


class Variant(Axis):
    """A method with settings; `paper` is what `conf/paper` calls it."""

    method: str = ""  # empty: the name
    paper: str = ""  # empty: the name

    @property
    def of_method(self) -> str:
        return self.method or self.name

    @property
    def shown(self) -> str:
        """Its label; without one, a method's short name in the paper."""
        return self.label or (METHODS[self.name].short if self.name in METHODS else self.name)


class TableSpec(Frozen):
    """The description of a table."""

    title: str
    number: int | None = None  # in the paper
    seeds: list[int] = Field(min_length=1)
    share: Literal["family", "table"] = "family"  # which tasks train prompts together (MPT-2)
    methods: list[Variant] = Field(min_length=1)
    baseline: str | None = None  # the method that others are tested against; None: fine-tuning, if it is there
    rows: list[Row] = Field(min_length=1)
    columns: list[Column] = Field(min_length=1)
    extra: list[Column] = Field(default=[])  # shown with another backbone, if their data are found

    @field_validator("methods", "rows")
    @classmethod
    def _names_differ(cls, axes: list[Any]) -> list[Any]:
        _check_names([axis.name for axis in axes])
        return axes

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
    """Read `table/<name>.yaml`; raises `ConfigError` for one that is missing or wrong."""
    inner: dict[str, type[Frozen]] = {"methods": Variant, "rows": Row, "columns": Column, "extra": Column}
    return read_description("table", TableSpec, inner, name, config_dir)


def _check_names(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{twice[0]} stands there twice; expected different names")
