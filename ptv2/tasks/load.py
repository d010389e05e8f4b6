"""Make a task from its configuration."""

from __future__ import annotations

from typing import Any

from ptv2.config.task_schema import TaskConfig
from ptv2.data.cloze import Reading
from ptv2.data.labels import LabelSet, spell_truth
from ptv2.data.sources import Source
from ptv2.errors import ConfigError
from ptv2.tasks.choose import Choose
from ptv2.tasks.classify import Classify, MultiRC, ReCoRD
from ptv2.tasks.extract import Extract
from ptv2.tasks.tag import Tag, data_scheme, data_types
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
        state: the `Task.state` of a trained run, instead of data.
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
    given = state["labels"] if state else config.labels
    if given:
        names = list(given)
        if source is not None and not source.label_names and any(isinstance(name, bool) for name in names):
            names = spell_truth(names, source.read("train"), config.label)
        label_set = LabelSet(names, source.label_names if source and source.label_names else list(map(str, given)))
    else:
        assert source is not None
        label_set = LabelSet.of_data(source.read("train"), config.label)
    if config.choices and len(config.choices) != len(label_set.names):
        raise ConfigError(
            f"task {config.name}: {len(config.choices)} choices but {len(label_set.names)} labels; expected as many"
        )
    if config.shape == "choose":
        return Choose(config, label_set)
    return GROUPED.get(config.reader, Classify)(config, label_set, reading)


def _tag(config: TaskConfig, source: Source | None, state: dict[str, Any] | None) -> Tag:
    if state:
        return Tag(config, state["labels"], state["scheme"])
    assert source is not None
    records = source.read("train")
    scheme = data_scheme(records, config)
    return Tag(config, data_types(records, config, scheme), scheme)
