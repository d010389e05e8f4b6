"""`--plan`: the runs of a table or figure and what they would cost; nothing is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from rich.text import Text

from ptv2.config.multitask import shared_parts
from ptv2.config.schema import Precision, RunConfig
from ptv2.console.columns import Column, Table, show_table
from ptv2.console.output import clock as as_clock
from ptv2.console.output import err, out, tell
from ptv2.errors import Ptv2Error
from ptv2.experiment.needs_table import format_operations
from ptv2.models.speed import slow_precision, training_device, training_seconds
from ptv2.report.formats import count_of
from ptv2.reproduce.jobs.cost import example_count, pass_cost
from ptv2.reproduce.jobs.execute import JobStatus, collect, group_by_cell
from ptv2.reproduce.jobs.feasible import GIB, available
from ptv2.reproduce.jobs.fuse import group_jobs
from ptv2.reproduce.jobs.list_jobs import Job
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
    """Print a line for each cell: the states of its runs, and operations, memory and time of a run."""
    statuses = collect(jobs)
    known = Clock([(status.job, status.result) for status in statuses])
    different = {status.job.folder: status.job for status in statuses if _is_open(status)}  # cells may share runs
    rows = []
    costs: dict[tuple[str, ...], JobCost | None] = {}
    for key, group in group_by_cell(statuses).items():
        job = group[0].job
        states = Counter(STATES.get(status.state, "cannot") for status in group)
        if all(status.state == "impossible" for status in group):
            continue
        operations = memory = time = ""
        if any(_is_open(status) for status in group):
            costs[key] = cost = _cost(job)
            if cost is not None:
                shared = f" + shared {format_operations(cost.shared)}" if cost.shared else ""
                operations, memory = format_operations(cost.operations) + shared, f"{cost.memory / GIB:.1f} GiB"
            seconds = known.expected(job)
            seconds = _by_rate(job, cost) if seconds is None else seconds
            time = "" if seconds is None else as_clock(seconds)
        counts = ", ".join(f"{count} {state}" for state, count in states.items())
        rows.append((" ".join(key), counts, _recipe(job), operations, memory, time))
    if rows:
        show_table(Table(COLUMNS, rows))
    _show_impossible(statuses)
    for line in group_jobs(list(different.values()), options.fuse)[1]:
        tell(line, out)
    _show_total(list(different.values()), costs, known, options.jobs)


def _show_impossible(statuses: Sequence[JobStatus]) -> None:
    """Print a line for each reason, with the cells that cannot be run because of it."""
    reasons: dict[str, dict[str, list[str]]] = {}
    for status in statuses:
        if status.state == "impossible":
            *start, last = status.job.cell.key
            names = reasons.setdefault(status.message, {}).setdefault(" ".join(start), [])
            names += [last] if last not in names else []
    for reason, cells in reasons.items():
        named = "; ".join(f"{start} {', '.join(names)}".strip() for start, names in cells.items())
        tell(Text.assemble((reason, "yellow"), f"\n  {named}"), out)


@dataclass(frozen=True)
class JobCost:
    """What one run costs: operations, bytes, and the operations and name of the part that tasks share (MPT-2)."""

    operations: float
    memory: float
    shared: float = 0.0
    shared_name: str = ""


def _is_open(status: JobStatus) -> bool:
    return status.state not in ("finished", "impossible")


def _show_total(
    jobs: Sequence[Job], costs: Mapping[tuple[str, ...], JobCost | None], known: Clock, workers: int
) -> None:
    if not jobs:
        tell("No runs to make: each is finished or cannot be made here.", out)
        return
    counted = [(job, cost) for job in jobs if (cost := costs[job.cell.key]) is not None]
    shared = {(job.seed, cost.shared_name): cost.shared for job, cost in counted}  # trained once for all its tasks
    total = sum(cost.operations for _, cost in counted) + sum(shared.values())
    seconds = known.left(jobs, workers)
    by_rate = seconds is None and len(counted) == len(jobs)
    if by_rate:  # jobs side by side share the machine
        seconds = sum(_by_rate(job, costs[job.cell.key]) or 0.0 for job in jobs)
        job, _ = counted[0]
        seconds += sum(_by_rate(job, JobCost(operations, 0)) or 0.0 for operations in shared.values())
    have, where = available("auto")
    runs = count_of(len(jobs), "run")
    texts = [f"{runs} to make, {format_operations(total)} at most (texts of full length, all epochs)"]
    if len(counted) < len(jobs):
        texts.append(f"{len(jobs) - len(counted)} of them not counted")
    origin = "at most, by the speed of this machine's matrix products" if by_rate else "by the runs that are finished"
    texts.append("time not known" if seconds is None else f"about {as_clock(seconds)} {origin}")
    warnings = {slow_precision(*_precision(job.config)) for job, _ in counted if job.config is not None}
    for warning in sorted(filter(None, warnings)):
        tell(warning, out)
    tell(f"{'; '.join(texts)}. {where[:1].upper()}{where[1:]} has {have / GIB:.0f} GiB for a run.", out)


def seconds_of(job: Job, known: Clock) -> float | None:
    """About how long a run takes, by finished runs or else by its operations; None if neither can be told."""
    seconds = known.expected(job)
    return _by_rate(job, _cost(job)) if seconds is None else seconds


def _by_rate(job: Job, cost: JobCost | None) -> float | None:
    if job.config is None or cost is None:
        return None
    return training_seconds(cost.operations, *_precision(job.config))


def _precision(config: RunConfig) -> tuple[Precision, str]:
    return config.trainer.precision, training_device(config.trainer.device)


def _recipe(job: Job) -> str:
    if job.config is None:
        return ""
    return "defaults, ours" if job.config.recipe is None else job.config.recipe.kind


def _cost(job: Job) -> JobCost | None:
    """Count what a run costs; None where `ptv2 plan` refuses, since training will say why."""
    config = job.config
    if config is None:
        return None
    with suppress(Ptv2Error), err.status(f"counting {' '.join(job.cell.key)}"):
        alone = config.model_copy(update={"method": config.tuning.name, "multitask": None})
        of_pass = pass_cost(alone)
        cost = JobCost(of_pass.each * _seen(alone), of_pass.peak)
        if config.multitask is None:
            return cost
        # The tasks differ in their data only, and share the steps.
        tasks = shared_parts(config)
        examples = {name: example_count(task) for name, task in tasks.items()}
        seen = sum(examples.values()) * config.multitask.epochs
        if config.multitask.max_steps is not None:
            seen = min(seen, config.multitask.max_steps * config.multitask.batch_size)
        each = sum(pass_cost(task).each * examples[name] for name, task in tasks.items()) / sum(examples.values())
        return replace(cost, shared=each * seen, shared_name=" ".join([config.model.name, *tasks]))
    return None


def _seen(config: RunConfig) -> float:
    """The number of examples that a run trains on, over all epochs."""
    seen = example_count(config) * config.trainer.epochs
    if config.trainer.max_steps is not None:
        seen = min(seen, config.trainer.max_steps * config.trainer.batch_size)
    return float(seen)
