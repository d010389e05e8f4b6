"""`ptv2 plan`: what a run would need, for each method, before anything is downloaded but the backbone's config.json."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ptv2.collector import collector_paused
from ptv2.config.compose import compose
from ptv2.config.methods import METHODS, MULTITASK
from ptv2.config.multitask import in_override, shared_parts
from ptv2.config.recipes import describe_recipe
from ptv2.config.schema import RunConfig
from ptv2.console.arguments import Parser
from ptv2.errors import ConfigError, Ptv2Error

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig

    from ptv2.data.sources import Source
    from ptv2.models.heads import HeadKind, HeadSpec
    from ptv2.models.ledger import StepCost
    from ptv2.tasks.load import AnyTask

EPILOG = """Counted on the model's shape, on one process; a pass at the task's longest text gives the memory. Not in it:
what the framework itself takes, and memory that its allocator holds unused. Times come from a matrix product
that is measured on this machine, in the precision asked for."""


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


def main(arguments: list[str]) -> int:
    """Print the needs of all methods."""
    parser = Parser(prog="ptv2 plan", description=__doc__, epilog=EPILOG)
    parser.add_argument("settings", nargs="*", metavar="key=value", help="as ptv2 train takes them")
    parser.add_argument("--examples", type=int, help="training examples (default: the task's)")
    parser.add_argument("--length", type=int, help="mean tokens of a text, for the operations (default: the longest)")
    parser.add_argument("--config-dir", help="a folder with your own task/, model/ and method/ files")
    parser.add_argument("--json", action="store_true", help="bytes and operations as JSON")
    options = parser.parse_args(arguments)
    for name in ("examples", "length"):
        if (given := getattr(options, name)) is not None and given < 1:
            raise ConfigError(f"--{name}={given}: expected 1 or more")
    config = compose(options.settings, options.config_dir)
    plain = [word for word in options.settings if not word.startswith(("method=", "multitask.", "+multitask."))]

    from ptv2.models.checkpoints import check_folder
    from ptv2.tasks.load import load_task

    task = load_task(config.task, _open(config), reading="mask" if config.head.kind == "verbalizer" else None)
    work = _work(config, task, options.examples, options.length)
    check_folder(config.model)

    with collector_paused():
        from ptv2.models.outline import find_config

    shape, origin = find_config(config.model)
    needs: list[Need] = []
    refused: dict[str, str] = {}
    if config.multitask is not None and config.data.dir is not None:  # it may have stood in multitask.dirs
        plain += ["data.source=files", f"data.dir={in_override(config.data.dir)}"]
    compared = [name for name, row in METHODS.items() if row.of_paper or name == config.tuning.name]
    counts: dict[str, Callable[[], Need]] = {
        method: partial(_need_of, method, plain, options.config_dir, task, work, shape) for method in compared
    }
    if config.multitask is not None:
        counts |= {f"{MULTITASK}, shared part": partial(_shared_need, config, shape)}
        counts |= {config.method: partial(_need, config, task, work, shape)}
    for method, count in counts.items():
        try:
            needs.append(count())
        except Ptv2Error as error:
            refused[method] = str(error)
    if options.json:
        print(json.dumps(_record(config, work, origin, needs, refused), indent=1))
        return 0
    _show(config, work, origin, needs, refused)
    return 0


def _work(config: RunConfig, task: AnyTask, examples: int | None, length: int | None) -> Work:
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
            examples = len(task.read(_open(config).read("train")))
    if examples is None:
        raise ConfigError(f"task {config.task.name}: the number of training examples is not known; give --examples=N")
    limit = config.data.limit.get("train")
    return Work(min(examples, limit or examples), longest, length or longest, source)


def _open(config: RunConfig) -> Source:
    from ptv2.data.sources import open_source

    return open_source(config)  # reads nothing of the hub yet


def _need_of(
    method: str, words: list[str], config_dir: str | None, task: AnyTask, work: Work, shape: PreTrainedConfig
) -> Need:
    return _need(compose([*words, f"method={method}"], config_dir), task, work, shape)


def _need(config: RunConfig, task: AnyTask, work: Work, shape: PreTrainedConfig) -> Need:
    """Count one method.

    Raises:
        Ptv2Error: the run would be refused too.
    """
    rows = min(pass_rows(config), work.examples)
    step = mean = count_pass(config, task.head, len(task.labels), rows, work.longest, shape)
    if work.length != work.longest:
        mean = count_pass(config, task.head, len(task.labels), rows, work.length, shape)
    return Need(config.method, step, mean.operations / rows * work.examples, describe_recipe(config))


def _shared_need(config: RunConfig, shape: PreTrainedConfig) -> Need:
    """Count what tasks are trained on together: the pass that takes most memory, and an epoch with all their shares.

    Raises:
        Ptv2Error: it would be refused too, or the size of a task is not known.
    """
    from ptv2.models.heads import HeadSpec
    from ptv2.tasks.load import load_task

    assert config.multitask is not None
    parts = shared_parts(config)
    tasks = {name: load_task(part.task, _open(part)) for name, part in parts.items()}
    works = {name: _work(part, tasks[name], None, None) for name, part in parts.items()}
    heads = HeadSpec.of_tasks({name: HeadSpec(task.head, len(task.labels)) for name, task in tasks.items()})
    weights = {name: work.examples ** (1 / config.multitask.temperature) for name, work in works.items()}
    examples = sum(work.examples for work in works.values())
    steps, epoch = [], 0.0
    for number, (name, part) in enumerate(parts.items()):
        work = works[name]
        rows = min(pass_rows(part), work.examples)
        steps.append(_count(part, heads, shape, (tasks[name].head, rows, work.longest), number))
        epoch += weights[name] / sum(weights.values()) * examples * steps[-1].operations / rows
    return Need(
        f"{MULTITASK}, shared part", max(steps, key=lambda step: step.peak), epoch, "its settings are multitask.*"
    )


def pass_rows(config: RunConfig) -> int:
    """The examples of one forward and backward pass of one process."""
    return math.ceil(config.trainer.batch_size / config.trainer.accumulation)


def count_pass(
    config: RunConfig, head: HeadKind, labels: int, rows: int, length: int, shape: PreTrainedConfig
) -> StepCost:
    """Count one pass over `rows` texts of `length` tokens with a backbone of shape `shape`.

    Raises:
        Ptv2Error: the run would be refused too.
    """
    from ptv2.data.cloze import LabelWords
    from ptv2.models.heads import HeadSpec

    words = LabelWords.stand_in(labels) if head == "verbalizer" else None
    return _count(config, HeadSpec(head, labels, words), shape, (head, rows, length))


def _count(
    config: RunConfig, heads: HeadSpec, shape: PreTrainedConfig, texts: tuple[HeadKind, int, int], number: int = 0
) -> StepCost:
    """Count one pass.

    Args:
        texts: the head that reads them, how many they are, and tokens of each.
        number: of that head, where there are several.
    """
    import torch

    from ptv2.data.mixture import HEAD
    from ptv2.models.ledger import count_step, without_contents
    from ptv2.models.outline import outline
    from ptv2.models.quantized import saved_bytes

    head, rows, length = texts
    half = config.trainer.precision != "fp32"
    with without_contents():
        model = outline(config, heads, shape)
        model.check_length(length)
        less = saved_bytes(model.backbone, config.model)
        batch = {**_batch(head, rows, len(config.task.choices), length), HEAD: torch.tensor(number)}
        return count_step(model, batch, half=half, less=less)


def _batch(head: str, rows: int, choices: int, length: int) -> dict[str, Tensor]:
    """Inputs and labels of one pass, as the data would give them."""
    import torch

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.long)

    shape = (rows, choices, length) if head == "choice" else (rows, length)
    batch = {"input_ids": zeros(*shape), "attention_mask": torch.ones(shape, dtype=torch.long)}
    if head == "span":
        return {**batch, "start_positions": zeros(rows), "end_positions": zeros(rows)}
    return {**batch, "labels": zeros(*shape) if head == "tagging" else zeros(rows)}


def _record(config: RunConfig, work: Work, origin: str, needs: list[Need], refused: dict[str, str]) -> dict[str, Any]:
    methods = {
        need.method: {
            **asdict(need.step),
            "operations_an_epoch": need.epoch,
            "seconds_an_epoch_here": round(_seconds(config, need), 1),
            "recipe": need.recipe,
        }
        for need in needs
    }
    return {
        "task": config.task.name,
        "model": config.model.name,
        "sizes": origin,
        "work": asdict(work),
        "methods": methods | {method: {"refused": why} for method, why in refused.items()},
    }


def _show(config: RunConfig, work: Work, origin: str, needs: list[Need], refused: dict[str, str]) -> None:
    from rich.text import Text

    from ptv2.console.columns import Column, Table, show_table
    from ptv2.console.output import clock, out, tell
    from ptv2.models.speed import product_rate, slow_precision, training_device

    trainer = config.trainer
    tell(f"{config.task.name}: {work.examples:,} training examples ({work.source}), {_lengths(work)}", out)
    tell(f"{config.model.name}, {config.model.dtype}: sizes from {origin}", out)
    passes = "one pass" if trainer.accumulation == 1 else f"{trainer.accumulation} passes"
    checkpointing = ", gradient checkpointing" if config.model.gradient_checkpointing else ""
    tell(
        f"batches of {trainer.batch_size} in {passes}, {trainer.precision}{checkpointing}; "
        f"prompts of {config.prompt.length}",
        out,
    )
    columns = [Column("method"), *(Column(need.method, right=True) for need in needs)]
    rows = [
        ["trained", *(f"{need.step.trained:,}" for need in needs)],
        ["of all, %", *(f"{100 * need.step.trained / need.step.parameters:.3g}" for need in needs)],
        *(
            [name, *(_bytes(getattr(need.step, name)) for need in needs)]
            for name in ("weights", "gradients", "optimizer", "activations", "peak")
        ),
        ["an epoch", *(_operations(need.epoch) for need in needs)],
        ["  here about", *(clock(_seconds(config, need)) for need in needs)],
    ]
    styles = ["", *("bold" if need.method == config.method else "" for need in needs)]
    show_table(Table(columns, [[Text(*cell) for cell in zip(row, styles, strict=True)] for row in rows]))
    device = training_device(trainer.device)
    rate = product_rate(trainer.precision, device) / 1e9
    tell(f"time: by {rate:,.0f} GFLOP/s, measured now on this machine in {trainer.precision} ({device})", out)
    if (warning := slow_precision(trainer.precision, device)) is not None:
        tell(warning, out)
    for need in needs:
        if need.recipe is not None:
            tell(f"{need.method}: {need.recipe}", out)
    for method, why in refused.items():
        tell(f"{method}: {why}", out)


def _seconds(config: RunConfig, need: Need) -> float:
    """About how long an epoch takes on this machine."""
    from ptv2.models.speed import training_device, training_seconds

    return training_seconds(need.epoch, config.trainer.precision, training_device(config.trainer.device))


def _lengths(work: Work) -> str:
    if work.length == work.longest:
        return f"each counted as {work.longest} tokens, the most it may have"
    return f"of {work.length} tokens in the mean (operations) and at most {work.longest} (memory)"


def _bytes(count: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1024:.1f} KiB"


def _operations(count: float) -> str:
    for unit, size in (("EFLOP", 1e18), ("PFLOP", 1e15), ("TFLOP", 1e12)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count / 1e9:.2f} GFLOP"
