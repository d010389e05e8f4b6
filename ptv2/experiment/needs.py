"""What a run would need, counted before anything is trained: examples, memory, and operations of an epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ptv2.config.methods import MULTITASK
from ptv2.config.multitask import shared_parts
from ptv2.config.recipes import describe_recipe
from ptv2.config.schema import RunConfig
from ptv2.data.sources import open_source
from ptv2.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from ptv2.models.ledger import StepCost
    from ptv2.tasks.load import AnyTask


@dataclass(frozen=True)
class Need:
    """What one method needs; `step` counts one forward and backward pass of one process."""

    method: str
    step: StepCost
    epoch: float  # floating-point operations
    recipe: str | None  # what its settings follow, where that is more than the method's defaults


@dataclass(frozen=True)
class Work:
    """How much there is to train on: texts have at most `longest` tokens, and `length` in the mean."""

    examples: int
    longest: int
    length: int
    source: str


def count_work(config: RunConfig, task: AnyTask, examples: int | None, length: int | None) -> Work:
    """How many examples of what length an epoch has: counted where the data are at hand, else as published."""
    longest = config.task.max_length
    if length is not None and length > longest:
        raise ConfigError(f"--length={length}: expected at most task.max_length={longest}")
    source = "--examples"
    if examples is None:
        source = "counted"
        if config.data.source == "hub":
            assert config.task.sources.hub is not None
            source, examples = "as published", config.task.sources.hub.examples
        else:
            examples = sum(1 for _ in task.make_examples(open_source(config).read("train")))
    if examples is None:
        raise ConfigError(f"task {config.task.name}: the number of training examples is not known; give --examples=N")
    classes = len(task.labels) if config.task.shape == "classify" else 1
    return Work(config.data.most(examples, classes), longest, length or longest, source)


def run_need(config: RunConfig, task: AnyTask, work: Work, shape: PreTrainedConfig) -> Need:
    """Count one method.

    Raises:
        Ptv2Error: the run would be refused too.
    """
    from ptv2.models.outline import count_pass, pass_rows

    rows = min(pass_rows(config), work.examples)
    step = mean = count_pass(config, task.head, len(task.labels), rows, work.longest, shape)
    if work.length != work.longest:
        mean = count_pass(config, task.head, len(task.labels), rows, work.length, shape)
    return Need(config.method, step, mean.operations / rows * work.examples, describe_recipe(config))


def shared_need(config: RunConfig, shape: PreTrainedConfig) -> Need:
    """Count what tasks are trained on together: the pass that takes most memory, and an epoch with all their shares.

    Raises:
        Ptv2Error: it would be refused too, or the size of a task is not known.
    """
    from ptv2.models.heads import HeadSpec
    from ptv2.models.outline import count_task, pass_rows
    from ptv2.tasks.load import load_task

    assert config.multitask is not None
    parts = shared_parts(config)
    tasks = {name: load_task(run.task, open_source(run)) for name, run in parts.items()}
    works = {name: count_work(run, tasks[name], None, None) for name, run in parts.items()}
    heads = HeadSpec.of_tasks({name: HeadSpec(task.head, len(task.labels)) for name, task in tasks.items()})
    weights = {name: work.examples ** (1 / config.multitask.temperature) for name, work in works.items()}
    examples = sum(work.examples for work in works.values())
    steps, epoch = [], 0.0
    for number, (name, run) in enumerate(parts.items()):
        work = works[name]
        rows = min(pass_rows(run), work.examples)
        steps.append(count_task(run, heads, shape, (tasks[name].head, rows, work.longest), number))
        epoch += weights[name] / sum(weights.values()) * examples * steps[-1].operations / rows
    return Need(
        f"{MULTITASK}, shared part", max(steps, key=lambda step: step.peak), epoch, "its settings are multitask.*"
    )
