"""Read Parquet files: tables of typed columns, as the hub and pandas write them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptv2.errors import DataError, first_line, quote
from ptv2.files import LFS_POINTER, is_lfs_pointer

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 1000  # that are read at once


def read_parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row of a Parquet file: "FILE: row N", from 0, and its fields.

    Where the library datasets wrote the file, class numbers become the names that the file has for them, and -1, which
    stands for no class, becomes None. Times that Python cannot have are text.

    Raises:
        DataError: the file cannot be read, or a class has no name.
    """
    import pyarrow as pa  # takes a second
    from pyarrow.parquet import ParquetFile

    try:
        with path.open("rb") as stream:
            if is_lfs_pointer(stream.read(100)):
                raise DataError(f"{path}: {LFS_POINTER}")
        with ParquetFile(path) as file:
            classes = _class_names(file.schema_arrow)
            batches = file.iter_batches(batch_size=ROWS)
            for number, fields in enumerate(row for batch in batches for row in plain_rows(batch)):
                yield f"{path}: row {number}", _with_names(fields, classes, f"{path}: row {number}")
    except UnicodeDecodeError as error:
        before = quote(error.object[max(0, error.start - 12) : error.start].decode("utf-8", "replace"))
        found = f"the byte 0x{error.object[error.start]:02X} after {before}"
        raise DataError(f"{path}: expected UTF-8 text in its cells, found {found}; write it anew from text") from error
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({first_line(error)})") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or first_line(error)}") from error


def plain_rows(table: pa.RecordBatch | pa.Table) -> list[dict[str, Any]]:
    """Each row; where the times of a column have a zone that this system lacks, or are too far, they are text."""
    import pyarrow as pa

    try:
        return table.to_pylist()
    except (pa.ArrowException, ValueError, OverflowError):
        columns = list(table.columns)
        for bare in (True, False):
            columns = [column.cast(_without_times(column.type, bare)) for column in columns]
        return type(table).from_arrays(columns, names=table.schema.names).to_pylist()


def _without_times(kind: pa.DataType, bare: bool) -> pa.DataType:
    """The type with times without their zone (`bare`) or with text for times, also inside of lists and structures."""
    import pyarrow as pa

    if pa.types.is_temporal(kind):
        if not bare:
            return pa.string()
        return pa.timestamp(kind.unit) if pa.types.is_timestamp(kind) else kind
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_without_times(field.type, bare)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(_without_times(kind.value_type, bare))
    return pa.large_list(_without_times(kind.value_type, bare)) if pa.types.is_large_list(kind) else kind


def name_class(value: Any, names: list[str]) -> Any:
    """Replace a class number, or each one in nested lists, by its name; -1 is how hidden labels are written.

    Raises:
        IndexError: there is no such class.
    """
    if isinstance(value, list):
        return [name_class(item, names) for item in value]
    return None if value is None or value < 0 else names[value]


def _with_names(fields: dict[str, Any], classes: dict[str, list[str]], where: str) -> dict[str, Any]:
    for column, names in classes.items():
        try:
            fields[column] = name_class(fields[column], names)
        except (IndexError, TypeError):
            raise DataError(f"{where}: {column} is {fields[column]}, but there are {len(names)} classes") from None
    return fields


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """The names of classes by column, as the library datasets keeps them in a file; of others none are known."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        found = {column: _names_of(feature) for column, feature in features.items() if column in schema.names}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}
    return {column: names for column, names in found.items() if names}


def _names_of(feature: Any) -> list[str]:
    """The class names of a column, also of one that holds lists of classes; empty for any other."""
    if isinstance(feature, list) and len(feature) == 1:
        return _names_of(feature[0])
    if not isinstance(feature, dict):
        return []
    if feature.get("_type") == "ClassLabel":
        return [str(name) for name in feature["names"]]
    return _names_of(feature.get("feature"))
