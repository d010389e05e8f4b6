"""Read the records of a data set on the hub from its Parquet files at one commit.

Only `.parquet` files are fetched, so no dataset script or pickle of the repository can run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import ClassLabel, Dataset, Features, LargeList, List
from datasets.exceptions import DatasetsError
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.utils import filter_repo_objects, httpx

from ptv2.config.task_schema import HubSource, Split
from ptv2.data.parquet import name_class, plain_rows
from ptv2.errors import DataError, DiskFullError, causes_of, first_line, has_full_disk, shorten
from ptv2.hub.fetch import check_content, fetching

Record = dict[str, Any]

NAMED = 12  # files listed in a message
ROWS = 1000  # that are read at once
OTHER_SOURCES = "or use local files (data.dir=DIR) or a made-up task (task=mini-inference)"


def load_hub(source: HubSource, split: Split, cache_dir: str | Path | None = None) -> tuple[Iterator[Record], str]:
    """Read one split: its records in file order, and the commit (40 hex digits) that `source.revision` stands for.

    Class numbers become the class names that the Parquet file carries, an absent label (-1) becomes None; a column
    without names is left as it is. `cache_dir` replaces the libraries' own cache folders. Raises `DataError` when
    repository, revision, files, columns or labels are not there, for a class number without a name once its record is
    read, and what `ptv2.hub.fetch.fetching` raises.
    """
    if split not in source.files:
        raise DataError(f"{source.repository}: no files for split '{split}'; there are: {', '.join(source.files)}")
    pattern = source.files[split]
    if not pattern.endswith(".parquet"):
        raise DataError(f"{source.repository}: '{pattern}' ({split}) must name .parquet files; nothing else is read")
    folder = _fetch(source, pattern, cache_dir)
    paths = [str(folder / name) for name in _matching(folder, pattern)]
    if not paths:
        raise DataError(f"{where(source)}: no file fits '{pattern}'; {_choices(source, folder.name)}")
    for path in paths:
        check_content(where(source), Path(path))
    dataset = _read(source, paths, split, cache_dir)
    if problems := faults(source, dataset.features):
        raise DataError(f"{where(source)} ({split}): {'; '.join(problems)}")
    return _named_records(source, dataset), folder.name


def where(source: HubSource) -> str:
    """Name a source in a message: `repository@revision`."""
    return f"{source.repository}@{source.revision}"


def faults(source: HubSource, features: Features) -> list[str]:
    """List how the columns of a Parquet file differ from what `source` promises.

    Class names are compared as a set: records carry names, so the repository's numbering does not matter. Files without
    class names pass, since their values are not known before they are read.
    """
    problems = []
    if missing := [column for column in source.columns if column not in features]:
        problems.append(f"no column {', '.join(map(repr, missing))}; there are: {', '.join(features)}")
    named = [names for names in map(class_names, features.values()) if names]
    if source.labels is not None and named and not any(set(names) == set(source.labels) for names in named):
        classes = " / ".join(", ".join(names) for names in named)
        problems.append(f"labels are {classes}; expected {', '.join(source.labels)}")
    return problems


def class_names(feature: Any) -> list[str] | None:
    """Return the class names of a column, also of one that holds lists of classes; None for any other column."""
    if isinstance(feature, ClassLabel):
        return list(feature.names)
    if isinstance(feature, List | LargeList):
        return class_names(feature.feature)
    return None


def _fetch(source: HubSource, pattern: str, cache_dir: str | Path | None) -> Path:
    """Bring the matching files into the cache and return the snapshot folder, whose name is the commit."""
    with fetching(where(source), DataError, OTHER_SOURCES) as bars:
        folder = snapshot_download(
            source.repository,
            repo_type="dataset",
            revision=source.revision,
            allow_patterns=[pattern],
            cache_dir=None if cache_dir is None else Path(cache_dir, "hub"),
            tqdm_class=bars,
        )
    return Path(folder)


def _matching(folder: Path, pattern: str) -> list[str]:
    """Return the names below `folder` that match `pattern`, sorted; shards are numbered, so this is their order."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet")]
    return sorted(filter_repo_objects(names, allow_patterns=[pattern]))


def _choices(source: HubSource, commit: str) -> str:
    """Name the Parquet files of a repository, when the hub can be asked."""
    try:
        names = HfApi().list_repo_files(source.repository, repo_type="dataset", revision=commit)
    except (OSError, httpx.HTTPError):
        return "its files cannot be listed now"
    files = [name for name in names if name.endswith(".parquet")]
    if not files:
        return "it has no Parquet files at all"
    return f"there are: {', '.join(files[:NAMED])}{', ...' if len(files) > NAMED else ''}"


def _read(source: HubSource, paths: list[str], split: Split, cache_dir: str | Path | None) -> Dataset:
    """Open the Parquet files as one dataset, with the columns' types from the Arrow schema."""
    # from_parquet and not load_dataset: with a repository's name the latter also reads the repository's card, whose
    # configurations and checksums then apply to our choice of files, and it reports the load to a server.
    arrow = None if cache_dir is None else str(Path(cache_dir, "datasets"))
    try:
        dataset = Dataset.from_parquet(paths, split=split, cache_dir=arrow)
    except (DatasetsError, pa.ArrowException, ValueError, OSError) as error:
        raise _unreadable(source, split, error) from None
    assert isinstance(dataset, Dataset)  # one split was asked for
    return dataset


def _unreadable(source: HubSource, split: Split, error: Exception) -> DataError | DiskFullError:
    """The error for Parquet files that could not be unpacked, or not be read."""
    if has_full_disk(error):
        return DiskFullError(f"{where(source)}: no space left to unpack {split}; set HF_HOME to a folder elsewhere")
    for link in causes_of(error):
        if isinstance(link, OSError) and link.filename is not None and not str(link.filename).endswith(".parquet"):
            path = shorten(str(link.filename))
            return DataError(f"{where(source)}: cannot unpack {split}: {path}: {link.strerror}; see HF_DATASETS_CACHE")
    line = first_line(error.__cause__ or error)
    return DataError(f"{where(source)}: cannot read the Parquet files of {split}: {line}")


def _named_records(source: HubSource, dataset: Dataset) -> Iterator[Record]:
    """Give the rows as plain dicts, class numbers replaced by names; few of them are in memory at once."""
    classes_of = {column: classes for column, feature in dataset.features.items() if (classes := class_names(feature))}
    tables: Iterator[pa.Table] = dataset.with_format("arrow").iter(batch_size=ROWS)
    for number, record in enumerate(record for table in tables for record in plain_rows(table)):
        for column, classes in classes_of.items():
            try:
                record[column] = name_class(record[column], classes)
            except IndexError:
                fault = f"row {number}: {column} is {record[column]}, but there are {len(classes)} classes"
                raise DataError(f"{where(source)}: {fault}") from None
        yield record
