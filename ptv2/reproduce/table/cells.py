"""From a table's description and the words of the command to its positions, and to their runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from ptv2.config import paths
from ptv2.config.hub_names import last_part
from ptv2.config.methods import METHODS, MULTITASK
from ptv2.config.multitask import in_override
from ptv2.errors import ConfigError, unknown
from ptv2.reproduce.jobs.data_root import DataRoot, TaskData, describe_data, why_no_files
from ptv2.reproduce.jobs.feasible import why_no_hub_data
from ptv2.reproduce.jobs.list_jobs import Cell, Job, impossible_jobs, list_asked_jobs
from ptv2.reproduce.jobs.recorded import NO_RECORD, RecordedRoot
from ptv2.reproduce.options import Options, choose_names
from ptv2.reproduce.table.spec import Column, Row, TableSpec, Variant, read_table

LONGEST = 120  # bytes of a file's name, without its ending


@dataclass(frozen=True)
class Position:
    """Where a row, a column and a method meet."""

    row: Row
    column: Column
    method: Variant

    @property
    def key(self) -> tuple[str, str, str]:
        return self.row.name, self.column.name, self.method.name


@dataclass(frozen=True)
class TableRequest:
    """The table that a command asks for, with the rows, columns and methods that it chooses."""

    name: str
    stem: str  # of the files' names
    other_backbone: bool  # whether its row is not one of the table's
    spec: TableSpec
    rows: list[Row]
    columns: list[Column]
    methods: list[Variant]
    seeds: list[int]
    task_data: dict[str, TaskData]  # by task, also of columns that are left out
    family_columns: list[Column]  # whose tasks may share prompts, also those that are left out

    @property
    def positions(self) -> list[Position]:
        """All positions, row by row."""
        return [Position(r, c, m) for r in self.rows for c in self.columns for m in self.methods]


def read_table_request(options: Options) -> TableRequest:
    """Read the table that `options` ask for.

    Raises:
        ConfigError: no such table, model, row, column or method.
    """
    assert options.table is not None
    spec = read_table(options.table, options.config_dir)
    another = other_rows(options)
    rows = another or spec.rows
    known = [*spec.columns, *spec.extra]
    tasks = sorted(paths.choices("task", options.config_dir))
    other_tasks = _other_names("column", options.columns, [column.name for column in known], tasks)
    ad_hoc = [Column(name=name) for name in other_tasks]
    task_data = {column.of_task: describe_data(column.of_task, options.config_dir) for column in [*known, *ad_hoc]}
    columns = list(spec.columns)
    if another:
        root = _root(options, task_data.values())
        columns += [column for column in spec.extra if root.folder(task_data[column.of_task])]
    wanted = [*columns, *(c for c in spec.extra if c.name in options.columns and c not in columns), *ad_hoc]
    names = choose_names("column", options.columns, [column.name for column in wanted])
    row_names = choose_names("row", options.rows, [row.name for row in rows])
    others = _other_names("method", options.methods, [method.name for method in spec.methods], METHODS)
    variants = [*spec.methods, *(Variant(name=name) for name in others)]
    methods = choose_names("method", options.methods, [variant.name for variant in variants])
    return TableRequest(
        name=options.table,
        stem=_stem(options, rows[0].name if another else None, [row_names, names, methods]),
        other_backbone=another is not None,
        spec=spec,
        rows=[row for row in rows if row.name in row_names],
        columns=[column for column in wanted if column.name in names],
        methods=[variant for variant in variants if variant.name in methods],
        seeds=list(options.seeds) or spec.seeds,
        task_data=task_data,
        family_columns=wanted,
    )


def list_table_jobs(request: TableRequest, options: Options) -> dict[tuple[str, ...], list[Job]]:
    """List the runs of each position, one per seed, by the position's key.

    Raises:
        ConfigError: settings that are wrong for the whole table.
    """
    root = _root(options, request.task_data.values())
    cells: list[Cell] = []
    jobs: dict[tuple[str, ...], list[Job]] = {position.key: [] for position in request.positions}
    for position in request.positions:
        words, why = _words(position, request), None
        if position.method.of_method == MULTITASK:
            shared, why = _shared(position, request, root, options)
            words += shared
        cell = Cell(position.key, tuple(words))
        if why is None:
            cells.append(cell)
        else:
            jobs[cell.key] = impossible_jobs(cell, request.seeds, words, why)
    for job in list_asked_jobs(cells, request.seeds, options):
        jobs[job.cell.key].append(job)
    return jobs


def _root(options: Options, tasks: Iterable[TaskData]) -> DataRoot:
    return DataRoot(options.data, list(tasks)) if options.recorded is None else RecordedRoot(options.recorded)


def _words(position: Position, request: TableRequest) -> list[str]:
    row, column, method = position.row, position.column, position.method
    model = row.words(column.of_task, request.task_data[column.of_task].family)
    overrides = [*row.overrides, *column.overrides, *method.overrides]
    return [f"task={column.of_task}", *model, f"method={method.of_method}", *overrides]


def _shared(
    position: Position, request: TableRequest, root: DataRoot, options: Options
) -> tuple[list[str], str | None]:
    """The settings that name the tasks which share prompts, those with data, or why there are too few.

    Tasks of columns that are left out take part too, so that a filter does not change what is trained.
    """
    share = options.share or request.spec.share
    task_data = request.task_data[position.column.of_task]
    tasks = dict.fromkeys(column.of_task for column in request.family_columns)
    every = [request.task_data[name] for name in tasks]
    family = [task for task in every if share == "table" or task.family == task_data.family]
    folders = {task.name: folder for task in family if (folder := root.folder(task))}
    names = [task.name for task in family if _why_no_data(task, root) is None]
    if task_data.name not in names:
        return [], _why_no_data(task_data, root)
    if len(names) < 2:
        missing = ", ".join(task.name for task in family if task.name not in names)
        others = f"there are none for {missing}" if missing else f"the table has no other of {task_data.name}'s kind"
        hint = "" if share == "table" else " (share=table: with all tasks of the table)"
        return [], f"not available: two tasks or more with data share prompts; {others}{hint}"
    dirs = ",".join(f"{name}:{in_override(str(folder))}" for name, folder in folders.items())
    return [
        f"multitask.tasks=[{','.join(_shared_task(name, position, request, options) for name in names)}]",
        *([f"multitask.dirs={{{dirs}}}"] if folders else []),
    ], None


def _shared_task(task: str, position: Position, request: TableRequest, options: Options) -> str:
    """A task that shares prompts, with the settings of task and data that its own runs have in this table."""
    column = next(column for column in request.family_columns if column.of_task == task)
    words = [*position.row.overrides, *column.overrides, *position.method.overrides, *options.overrides]
    settings = dict(word.partition("=")[::2] for word in words if word.startswith(("task.", "data.")))
    pairs = "".join(f",{key}:{value}" for key, value in settings.items())
    return f"{{task:{task}{pairs}}}" if pairs else task


def _why_no_data(task: TaskData, root: DataRoot) -> str | None:
    """Why a task has no data; None if it has."""
    if task.source == "mini" or root.folder(task):
        return None
    if isinstance(root, RecordedRoot):  # neither files nor the hub are asked
        return None if root.has(task) else NO_RECORD
    if task.source == "hub" and task.hub is not None:
        return why_no_hub_data(task.hub)
    return why_no_files(task, root)


def other_rows(options: Options) -> list[Row] | None:
    """The only row of a table with another backbone than its own; None if its own rows are asked for."""
    settings = dict(word.lstrip("+").partition("=")[::2] for word in options.overrides)
    if options.model is not None:
        known = paths.choices("model", options.config_dir)
        if options.model not in known:
            raise ConfigError(unknown("model", options.model, known))
        return [Row(name=options.model)]
    if path := settings.get("model.path"):
        name = settings.get("model.name") or last_part(path.strip("'\""))
        return [Row(name=name, foreign=True)]
    return None


def _other_names(kind: str, asked: Sequence[str], known: Sequence[str], every: Iterable[str]) -> list[str]:
    """The names of tasks or methods that the command gives and the table does not have.

    Raises:
        ConfigError: one that is in neither `known` nor `every`.
    """
    others = [name for name in every if name not in known]
    for name in asked:
        if name not in known and name not in others:
            plural = "tasks" if kind == "column" else "methods"
            raise ConfigError(f"{unknown(kind, name, known)}; other {plural} too: {', '.join(others)}")
    return [name for name in asked if name in others]


def _stem(options: Options, backbone: str | None, names: Sequence[Sequence[str]]) -> str:
    """The name of the files, with another backbone and what was chosen, so that no other table is overwritten.

    Args:
        names: of rows, columns and methods, in the table's order.
    """
    assert options.table is not None
    if options.name:
        return options.name
    parts = [f"table{options.table}" if options.table[:1].isdigit() else options.table]
    parts += [] if backbone is None else [backbone]
    for asked, chosen in zip((options.rows, options.columns, options.methods), names, strict=True):
        parts += chosen if asked else []
    return shortened("-".join(parts))


def shortened(stem: str) -> str:
    """The name of files without their ending, cut to what every file system takes; a hash tells cut ones apart."""
    encoded = stem.encode()
    if len(encoded) <= LONGEST:
        return stem
    return f"{encoded[: LONGEST - 9].decode(errors='ignore')}-{sha256(encoded).hexdigest()[:8]}"
