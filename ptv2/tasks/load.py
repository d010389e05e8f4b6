"""From a task's configuration to its object."""

from __future__ import annotations

from ptv2.config.schema import TaskConfig
from ptv2.data.sources import Source
from ptv2.errors import ConfigError, unknown
from ptv2.metrics import score_names
from ptv2.tasks.choose import Choose
from ptv2.tasks.classify import Classify, MultiRC, ReCoRD
from ptv2.tasks.task import LabelSet, TextTask

SHAPES: dict[str, type[TextTask]] = {"classify": Classify, "choose": Choose}
# Tasks whose metric looks at several examples together.
GROUPED: dict[str, type[TextTask]] = {"multirc": MultiRC, "record": ReCoRD}


def load_task(config: TaskConfig, source: Source | None = None, labels: list[str] | None = None) -> TextTask:
    """Build a task.

    Args:
        source: where its labels are read from when the configuration names none.
        labels: the labels of a trained run, instead.

    Raises:
        ConfigError: a headline that the metric has not, or labels and choices that do not go together.
        DataError: the labels cannot be read.
    """
    if config.headline not in (names := score_names(config.metric)):
        raise ConfigError(f"task.headline: {unknown(f'score of metric {config.metric}', config.headline, names)}")
    if given := labels or config.labels:
        label_set = LabelSet(given, source.label_names if source else ())
    elif source is not None:
        label_set = LabelSet.of_data(source.read("train"), config.label)
    else:
        raise ConfigError(f"task {config.name}: labels are not known")
    if config.choices and len(config.choices) != len(label_set.names):
        raise ConfigError(
            f"task {config.name}: {len(config.choices)} choices but {len(label_set.names)} labels; expected as many"
        )
    return GROUPED.get(config.reader, SHAPES[config.shape])(config, label_set)
