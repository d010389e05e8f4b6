"""What runs would need, as a table on the screen and as a record for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ptv2.config.schema import RunConfig
from ptv2.experiment.needs import Need, Work


def record_needs(
    config: RunConfig, work: Work, origin: str, needs: list[Need], refused: dict[str, str]
) -> dict[str, Any]:
    """Bytes, operations and seconds of each method, or the reason why it is refused."""
    methods = {
        need.method: {
            **asdict(need.step),
            "operations_an_epoch": need.epoch,
            "seconds_an_epoch_here": _seconds(config, need),
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


def show_needs(config: RunConfig, work: Work, origin: str, needs: list[Need], refused: dict[str, str]) -> None:
    """Print one column for each method, and the reasons of those that are refused."""
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
        ["an epoch", *(format_operations(need.epoch) for need in needs)],
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
    return _in_units(count, (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)), digits=1)


def format_operations(count: float) -> str:
    """Format a number of floating-point operations with its unit."""
    return _in_units(count, (("EFLOP", 1e18), ("PFLOP", 1e15), ("TFLOP", 1e12), ("GFLOP", 1e9)), digits=2)


def _in_units(count: float, units: Sequence[tuple[str, float]], digits: int) -> str:
    """A number in the largest unit that it has one of, else in the smallest."""
    name, size = next((unit for unit in units if count >= unit[1]), units[-1])
    return f"{count / size:.{digits}f} {name}"
