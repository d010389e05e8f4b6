"""Read a file's records in the format that the task names, or that the ending of the file's name tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Literal

from ptv2.config.task_schema import TaskConfig
from ptv2.data import records
from ptv2.data.columns import read_columns
from ptv2.data.props import read_conll12, read_props
from ptv2.data.records import Record, require_some
from ptv2.data.shards import SplitFiles
from ptv2.data.squad import read_squad

Format = Literal["records", "columns", "props", "conll12", "squad"]


def format_of(path: Path, task: TaskConfig) -> Format:
    """Find the format of a file: the task's, or where that is `auto` the one that the file's name tells.

    JSON is `records` whatever the task says, but for SQuAD's: examples of every task may come in JSON. So are Parquet
    files, and tables of questions.
    """
    rows = (".jsonl", ".parquet", ".csv", ".tsv") if task.shape == "extract" else (".jsonl", ".parquet", ".json")
    if path.suffix in rows:
        return "records"
    named = task.sources.files.format if task.sources.files else "auto"
    if named != "auto":
        return named
    if path.name.endswith("gold_conll") or (path.is_dir() and task.shape == "tag"):
        return "conll12"
    if path.suffix == ".props":
        return "props"
    if path.suffix in records.READERS and path.suffix != ".json":
        return "records"
    return {"tag": "columns", "extract": "squad"}.get(task.shape, "records")  # type: ignore[return-value]


def describe_files(task: TaskConfig) -> str:
    """What a file may be that the task is to read, for messages."""
    rows = f"a file whose name ends in {', '.join(sorted(records.READERS))}"
    if task.shape == "extract":
        return f"SQuAD's JSON, or {rows}"
    return f"a file with a word in each line, or {rows}" if task.shape == "tag" else rows


def read_file(
    path: Path, task: TaskConfig, *, labelled: bool = True, note: Callable[[str], None] = lambda text: None
) -> Iterator[Record]:
    """Read the records of a file (in format `conll12` also of a folder of files).

    Args:
        labelled: whether labels are needed; else a column file may hold words alone, and a file of roles no spans.
        note: called with each guess about the file.

    Raises:
        DataError: with file, line number and what was expected; or the file has no records.
    """
    kind = format_of(path, task)
    if kind == "records":
        yield from records.read_file(path, note, _columns(task))
    else:
        what = "predicates" if kind in ("props", "conll12") else "records"
        yield from require_some(_rows(path, task, labelled, note), path, what)


def read_split(
    files: SplitFiles, task: TaskConfig, note: Callable[[str], None] = lambda text: None
) -> Iterator[Record]:
    """Read the records of a split: of its file or folder, or of its shards one after the other.

    Args:
        note: called with each guess; what is guessed alike about several shards names all of them.

    Raises:
        DataError: as `read_file`; of several shards some may have no records.
    """
    if len(files.paths) == 1:
        yield from read_file(files.paths[0], task, note=note)
        return

    if (kind := format_of(files.paths[0], task)) in ("props", "conll12"):  # sentences are counted over all shards
        found = read_props(*files.paths) if kind == "props" else read_conll12(*files.paths)
        yield from require_some(found, files.place)
        return

    def rows(path: Path) -> Iterator[Record]:
        return _rows(path, task, True, lambda text: note(text.replace(path.name, files.place.name)))

    yield from require_some(chain.from_iterable(map(rows, files.paths)), files.place)


def _rows(path: Path, task: TaskConfig, labelled: bool, note: Callable[[str], None]) -> Iterator[Record]:
    """Read the records of a file, of which there may be none."""
    kind = format_of(path, task)
    if kind == "records":
        return records.read_rows(path, note, _columns(task))
    if kind == "columns":
        assert task.tagging is not None
        tagging = task.tagging
        return read_columns(path, tagging.tokens, tagging.tags if labelled else None, tagging.columns, note)
    if kind == "squad":
        return read_squad(path)
    return {"props": read_props, "conll12": read_conll12}[kind](path, labelled=labelled)


def _columns(task: TaskConfig) -> list[str] | None:
    return task.sources.files.columns if task.sources.files else None
