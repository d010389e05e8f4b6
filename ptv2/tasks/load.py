"""Make a task from its configuration."""

from __future__ import annotations

from typing import Any

from ptv2.config.task_schema import TaskConfig
from ptv2.data.cloze import Reading
from ptv2.data.labels import LabelSet, TooFewLabelsError, spell_truth
from ptv2.data.sources import Source
from ptv2.errors import ConfigError, DataError
from ptv2.tasks.choose import Choose
from ptv2.tasks.classify import Classify, MultiRC, ReCoRD
from ptv2.tasks.extract import Extract
from ptv2.tasks.tag import Tag, read_scheme
from ptv2.tasks.task import Task
from ptv2.tasks.text import TextTask

# Tasks whose metric looks at several examples together.
GROUPED: dict[str, type[Classify]] = {"multirc": MultiRC, "record": ReCoRD}
AnyTask = Task[Any, Any]


def load_task(
    config: TaskConfig,
    source: Source | None = None,
    state: dict[str, Any] | None = None,
    reading: Reading | None = None,
) -> AnyTask:
    """Build a task.

    Args:
        source: the data to read labels from, where the configuration names none.
        state: the `Task.state` of a trained run, or of an earlier look at the same data; labels are not read then.
        reading: how a language model is asked for the words of `config.verbalizer`; None for a linear head.

    Raises:
        ConfigError: labels, choices and words do not fit together.
        DataError: the labels cannot be read.
    """
    if state is None and source is None:
        raise ConfigError(f"task {config.name}: labels are not known")
    if config.shape == "tag":
        task: AnyTask = _tag(config, source, state)
    elif config.shape == "extract":
        task = Extract(config)
    else:
        task = _text(config, source, state, reading)
    if state is not None:
        task.restore(state)
    return task


def _text(config: TaskConfig, source: Source | None, state: dict[str, Any] | None, reading: Reading | None) -> TextTask:
    names = state["labels"] if state else _label_names(config, source)
    aliases = (source.label_names if source else ()) or config.labels if config.labels else names
    label_set = LabelSet(names, list(map(str, aliases)))
    if config.choices and len(config.choices) != len(label_set.names):
        raise ConfigError(
            f"task {config.name}: {len(config.choices)} choices but {len(label_set.names)} labels; expected as many"
        )
    if config.shape == "choose":
        return Choose(config, label_set)
    return GROUPED.get(config.reader, Classify)(config, label_set, reading)


def _label_names(config: TaskConfig, source: Source | None) -> list[Any]:
    """The configuration's names of labels, spelled as the data spell them, or those of the data."""
    assert source is not None
    if not config.labels:
        try:
            return LabelSet.of_data(source.naming(), config.label).names
        except TooFewLabelsError as error:
            raise DataError(f"{error} ({source.cut})" if source.cut else str(error)) from error
    if source.label_names or not any(isinstance(name, bool) for name in config.labels):
        return list(config.labels)
    return spell_truth(config.labels, source.naming(), config.label)


def _tag(config: TaskConfig, source: Source | None, state: dict[str, Any] | None) -> Tag:
    if state:
        return Tag(config, state["labels"], state["scheme"])
    assert source is not None
    scheme, types = read_scheme(lambda: source.read("train"), config)
    return Tag(config, types, scheme)
