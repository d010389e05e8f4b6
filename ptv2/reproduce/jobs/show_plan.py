"""`--plan`: the runs of a table or figure and what they would cost, before anything is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from rich.text import Text

from ptv2.config.multitask import shared_parts
from ptv2.config.schema import Precision, RunConfig
from ptv2.console.columns import Column, Table, show_table
from ptv2.console.output import clock as as_clock
from ptv2.console.output import err, out, tell
from ptv2.errors import Ptv2Error
from ptv2.models.speed import slow_precision, training_device, training_seconds
from ptv2.reproduce.jobs.cost import example_count, pass_cost
from ptv2.reproduce.jobs.execute import Outcome, collect
from ptv2.reproduce.jobs.feasible import GIB, available
from ptv2.reproduce.jobs.plan import Job
from ptv2.reproduce.jobs.timing import Clock
from ptv2.reproduce.options import Options

COLUMNS = (
    Column("cell", fold=20, least=20),
    Column("runs", fold=11),
    Column("settings", drop=1),
    Column("operations a run", fold=14, drop=2),
    Column("memory"),
    Column("time a run"),
)
STATES = {"missing": "to run", "interrupted": "to go on", "failed": "to try again", "finished": "finished"}


def show_plan(jobs: Sequence[Job], options: Options) -> None:
    """Print a line for each cell: how its runs stand, operations and memory of a run, time where that can be told."""
    outcomes = collect(jobs)
    known = Clock([(outcome.job, outcome.result) for outcome in outcomes])
    different = {outcome.job.folder: outcome.job for outcome in outcomes if _is_open(outcome)}  # cells may share runs
    rows = []
    needs: dict[tuple[str, ...], Need | None] = {}
    for group in _by_cell(outcomes):
        job = group[0].job
        if all(outcome.state == "impossible" for outcome in group):
            continue
        left = any(_is_open(outcome) for outcome in group)
        need = needs[job.cell.key] = _need(job) if left else None
        seconds = _seconds(job, need, known) if left else None
        rows.append(
            (
                " ".join(job.cell.key),
                _states(group),
                _recipe(job),
                "" if need is None else _operations(need.operations) + need.shared_text,
                "" if need is None else f"{need.memory / GIB:.1f} GiB",
                "" if seconds is None else as_clock(seconds),
            )
        )
    if rows:
        show_table(Table(COLUMNS, rows))
    _show_impossible(outcomes)
    _show_total(list(different.values()), needs, known, options.jobs)


def _show_impossible(outcomes: Sequence[Outcome]) -> None:
    """A line for each reason, with the cells that it keeps from being run."""
    reasons: dict[str, dict[str, list[str]]] = {}
    for outcome in outcomes:
        if outcome.state == "impossible":
            *start, last = outcome.job.cell.key
            names = reasons.setdefault(outcome.message, {}).setdefault(" ".join(start), [])
            names += [last] if last not in names else []
    for reason, cells in reasons.items():
        named = "; ".join(f"{start} {', '.join(names)}".strip() for start, names in cells.items())
        tell(Text.assemble((reason, "yellow"), f"\n  {named}"), out)


@dataclass(frozen=True)
class Need:
    """What one run needs: operations, also of the part that tasks share (MPT-2) and its name, and bytes."""

    operations: float
    memory: float
    shared: float = 0.0
    shared_name: str = ""

    @property
    def shared_text(self) -> str:
        return f" + shared {_operations(self.shared)}" if self.shared else ""


def _is_open(outcome: Outcome) -> bool:
    return outcome.state not in ("finished", "impossible")


def _show_total(jobs: Sequence[Job], needs: Mapping[tuple[str, ...], Need | None], known: Clock, workers: int) -> None:
    if not jobs:
        tell("No runs to make: each is finished or cannot be made here.", out)
        return
    counted = [(job, need) for job in jobs if (need := needs[job.cell.key]) is not None]
    shared = {(job.seed, need.shared_name): need.shared for job, need in counted}  # trained once for all its tasks
    total = sum(need.operations for _, need in counted) + sum(shared.values())
    seconds = known.left(jobs, workers)
    by_rate = seconds is None and len(counted) == len(jobs)
    if by_rate:  # jobs side by side share the machine
        seconds = sum(_by_rate(job, needs[job.cell.key]) or 0.0 for job in jobs)
        job, _ = counted[0]
        seconds += sum(_by_rate(job, Need(operations, 0)) or 0.0 for operations in shared.values())
    have, where = available("auto")
    runs = "1 run" if len(jobs) == 1 else f"{len(jobs)} runs"
    parts = [f"{runs} to make, {_operations(total)} at most (texts of full length, all epochs)"]
    if len(counted) < len(jobs):
        parts.append(f"{len(jobs) - len(counted)} of them not counted")
    origin = "at most, by the speed of this machine's matrix products" if by_rate else "by the runs that are finished"
    parts.append("time not known" if seconds is None else f"about {as_clock(seconds)} {origin}")
    warnings = {slow_precision(*_precision(job.config)) for job, _ in counted if job.config is not None}
    for warning in sorted(filter(None, warnings)):
        tell(warning, out)
    tell(f"{'; '.join(parts)}. {where[:1].upper()}{where[1:]} has {have / GIB:.0f} GiB for a run.", out)


def _seconds(job: Job, need: Need | None, known: Clock) -> float | None:
    """Seconds for one run: by runs like it that are finished, else by its operations and this machine's speed."""
    expected = known.expected(job)
    return _by_rate(job, need) if expected is None else expected


def _by_rate(job: Job, need: Need | None) -> float | None:
    if job.config is None or need is None:
        return None
    return training_seconds(need.operations, *_precision(job.config))


def _precision(config: RunConfig) -> tuple[Precision, str]:
    return config.trainer.precision, training_device(config.trainer.device)


def _by_cell(outcomes: Iterable[Outcome]) -> list[list[Outcome]]:
    groups: dict[tuple[str, ...], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.job.cell.key, []).append(outcome)
    return list(groups.values())


def _states(group: Sequence[Outcome]) -> str:
    counts = Counter(STATES.get(outcome.state, "cannot") for outcome in group)
    return ", ".join(f"{count} {state}" for state, count in counts.items())


def _recipe(job: Job) -> str:
    if job.config is None:
        return ""
    return "defaults, ours" if job.config.recipe is None else job.config.recipe.kind


def _need(job: Job) -> Need | None:
    """None where `ptv2 plan` refuses: training will say why."""
    config = job.config
    if config is None:
        return None
    with suppress(Ptv2Error), err.status(f"counting {' '.join(job.cell.key)}"):
        alone = config.model_copy(update={"method": config.tuning.name, "multitask": None})
        cost = pass_cost(alone)
        need = Need(cost.each * _seen(alone), cost.peak)
        if config.multitask is None:
            return need
        # Parts differ in their data only; the steps of all are split among them.
        parts = shared_parts(config)
        examples = {name: example_count(part) for name, part in parts.items()}
        seen = sum(examples.values()) * config.multitask.epochs
        if config.multitask.max_steps is not None:
            seen = min(seen, config.multitask.max_steps * config.multitask.batch_size)
        each = sum(pass_cost(part).each * examples[name] for name, part in parts.items()) / sum(examples.values())
        return replace(need, shared=each * seen, shared_name=" ".join([config.model.name, *parts]))
    return None


def _seen(config: RunConfig) -> float:
    """Examples that a run trains on, over all epochs."""
    seen = example_count(config) * config.trainer.epochs
    if config.trainer.max_steps is not None:
        seen = min(seen, config.trainer.max_steps * config.trainer.batch_size)
    return float(seen)


def _operations(count: float) -> str:
    for unit, size in (("EFLOP", 1e18), ("PFLOP", 1e15), ("TFLOP", 1e12)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count / 1e9:.2f} GFLOP"
