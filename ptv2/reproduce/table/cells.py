"""From a table's description and the words of the command to its places, and to the runs that fill them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ptv2.config import paths
from ptv2.config.methods import METHODS, MULTITASK
from ptv2.config.multitask import in_override
from ptv2.errors import ConfigError, unknown
from ptv2.reproduce.jobs.data_root import DataRoot, Described, describe, why_no_files
from ptv2.reproduce.jobs.feasible import why_no_hub_data
from ptv2.reproduce.jobs.plan import Cell, Job, plan_jobs
from ptv2.reproduce.options import Options, chosen
from ptv2.reproduce.table.spec import Column, Row, TableSpec, Variant, read_table

LONGEST = 120  # letters of a file's name, without its ending


@dataclass(frozen=True)
class Place:
    """Where a row, a column and a method meet."""

    row: Row
    column: Column
    method: Variant

    @property
    def key(self) -> tuple[str, str, str]:
        return self.row.name, self.column.name, self.method.name


@dataclass(frozen=True)
class Request:
    """A table that was asked for: what the words of the command left of it."""

    name: str
    stem: str  # of the files' names
    other_backbone: bool  # than those of the table's own rows
    spec: TableSpec
    rows: list[Row]
    columns: list[Column]
    methods: list[Variant]
    seeds: list[int]
    described: dict[str, Described]  # by task, also those of columns that were left out
    family_columns: list[Column]  # whose tasks may share prompts, whatever the filters say

    @property
    def places(self) -> list[Place]:
        """All places, row by row."""
        return [Place(r, c, m) for r in self.rows for c in self.columns for m in self.methods]


def read_request(options: Options) -> Request:
    """The table that `options` ask for.

    Raises:
        ConfigError: no such table, model, row, column or method.
    """
    assert options.table is not None
    spec = read_table(options.table, options.config_dir)
    own = _own_rows(options)
    other, rows = own is not None, own or spec.rows
    known = [*spec.columns, *spec.extra]
    ad_hoc = _other_tasks(options.columns, [column.name for column in known], options.config_dir)
    described = {column.of_task: describe(column.of_task, options.config_dir) for column in [*known, *ad_hoc]}
    columns = list(spec.columns)
    if other:
        root = DataRoot(options.data, list(described.values()))
        columns += [column for column in spec.extra if root.folder(described[column.of_task])]
    wanted = [*columns, *(c for c in spec.extra if c.name in options.columns and c not in columns), *ad_hoc]
    names = chosen("column", options.columns, [column.name for column in wanted])
    kept = chosen("row", options.rows, [row.name for row in rows])
    variants = [*spec.methods, *_other_methods(options.methods, [method.name for method in spec.methods])]
    methods = chosen("method", options.methods, [variant.name for variant in variants])
    return Request(
        name=options.table,
        stem=_stem(options, rows[0].name if other else None, [kept, names, methods]),
        other_backbone=other,
        spec=spec,
        rows=[row for row in rows if row.name in kept],
        columns=[column for column in wanted if column.name in names],
        methods=[variant for variant in variants if variant.name in methods],
        seeds=list(options.seeds) or spec.seeds,
        described=described,
        family_columns=wanted,
    )


def plan_table(request: Request, options: Options) -> dict[tuple[str, ...], list[Job]]:
    """The runs of each place, one a seed, by the place's key.

    Raises:
        ConfigError: settings that are wrong for the whole table.
    """
    root = DataRoot(options.data, list(request.described.values()))
    cells: list[Cell] = []
    planned: dict[tuple[str, ...], list[Job]] = {}
    for place in request.places:
        words = _words(place, request)
        if place.method.of_method == MULTITASK:
            shared, why = _shared(place, request, root, options)
            words += shared
            if why is not None:
                cell = Cell(place.key, tuple(words))
                planned[place.key] = [Job(cell, seed, tuple(words), None, None, why) for seed in request.seeds]
                continue
        cells.append(Cell(place.key, tuple(words)))
    jobs = plan_jobs(cells, request.seeds, options.common, options.data, options.config_dir, anyway=options.anyway)
    for job in jobs:
        planned.setdefault(job.cell.key, []).append(job)
    return {place.key: planned[place.key] for place in request.places}


def _words(place: Place, request: Request) -> list[str]:
    task = place.column.of_task
    family = request.described[task].family
    model = place.row.words(task, family)
    own = [*place.row.overrides, *place.column.overrides, *place.method.overrides]
    return [f"task={task}", *model, f"method={place.method.of_method}", *own]


def _shared(place: Place, request: Request, root: DataRoot, options: Options) -> tuple[list[str], str | None]:
    """Settings that name the tasks which share prompts, those that have data; and why there are too few.

    All of the table's take part, also those that were filtered out, so that a filter does not change what is trained.
    """
    share = options.share or request.spec.share
    own = request.described[place.column.of_task]
    tasks = dict.fromkeys(column.of_task for column in request.family_columns)
    described = [request.described[name] for name in tasks]
    family = [task for task in described if share == "table" or task.family == own.family]
    folders = {task.name: folder for task in family if (folder := root.folder(task))}
    there = [task.name for task in family if _why_no_data(task, root) is None]
    if own.name not in there:
        return [], _why_no_data(own, root)
    if len(there) < 2:
        missing = ", ".join(task.name for task in family if task.name not in there)
        others = f"there are none for {missing}" if missing else f"the table has no other of {own.name}'s kind"
        hint = "" if share == "table" else " (share=table: with all tasks of the table)"
        return [], f"not available: two tasks or more with data share prompts; {others}{hint}"
    dirs = ",".join(f"{name}:{in_override(str(folder))}" for name, folder in folders.items())
    return [
        f"multitask.tasks=[{','.join(_entry(name, place, request, options) for name in there)}]",
        *([f"multitask.dirs={{{dirs}}}"] if folders else []),
    ], None


def _entry(task: str, place: Place, request: Request, options: Options) -> str:
    """A task that shares prompts, with the settings of tasks and data that its own runs have in this table."""
    column = next(column for column in request.family_columns if column.of_task == task)
    words = [*place.row.overrides, *column.overrides, *place.method.overrides, *options.overrides]
    settings = dict(word.partition("=")[::2] for word in words if word.startswith(("task.", "data.")))
    pairs = "".join(f",{key}:{value}" for key, value in settings.items())
    return f"{{task:{task}{pairs}}}" if pairs else task


def _why_no_data(task: Described, root: DataRoot) -> str | None:
    """Why a task has no data; none if it has."""
    if task.source == "mini" or root.folder(task):
        return None
    if task.source == "hub" and task.hub is not None:
        return why_no_hub_data(task.hub)
    return why_no_files(task, root)


def _own_rows(options: Options) -> list[Row] | None:
    """The one row of a table that is asked for with another backbone."""
    settings = dict(word.lstrip("+").partition("=")[::2] for word in options.overrides)
    if options.model is not None:
        known = paths.choices("model", options.config_dir)
        if options.model not in known:
            raise ConfigError(unknown("model", options.model, known))
        return [Row(name=options.model)]
    if path := settings.get("model.path"):
        name = settings.get("model.name") or path.strip("'\"").rstrip("/").rpartition("/")[2]
        return [Row(name=name, foreign=True)]
    return None


def _other_tasks(asked: Sequence[str], known: Sequence[str], config_dir: str | None) -> list[Column]:
    """Columns for tasks that the table does not have and the command names.

    Raises:
        ConfigError: no column and no task has the name.
    """
    tasks = paths.choices("task", config_dir)
    strange = [name for name in asked if name not in known]
    for name in strange:
        if name not in tasks:
            raise ConfigError(f"{unknown('column', name, known)}; other tasks too: {', '.join(sorted(tasks))}")
    return [Column(name=name) for name in strange]


def _other_methods(asked: Sequence[str], known: Sequence[str]) -> list[Variant]:
    """Methods that a filter names and the table does not have, as they are by default.

    Raises:
        ConfigError: no method has the name.
    """
    strange = [name for name in asked if name not in known]
    others = [name for name in METHODS if name not in known]
    for name in strange:
        if name not in METHODS:
            raise ConfigError(f"{unknown('method', name, known)}; other methods too: {', '.join(others)}")
    return [Variant(name=name) for name in strange]


def _stem(options: Options, backbone: str | None, kept: Sequence[Sequence[str]]) -> str:
    """The files' name: of the table, of another backbone, and of what was filtered, so that nothing is overwritten.

    Args:
        kept: names of rows, columns and methods in the table's order.
    """
    assert options.table is not None
    parts = [f"table{options.table}" if options.table[:1].isdigit() else options.table]
    parts += [] if backbone is None else [backbone]
    for asked, names in zip((options.rows, options.columns, options.methods), kept, strict=True):
        parts += names if asked else []
    return "-".join(parts)[:LONGEST]
