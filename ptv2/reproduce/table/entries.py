"""The numbers of a table: for each position and metric the scores by seed, the paper's number, tests and costs."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from ptv2.config.schema import RunConfig
from ptv2.report.statistics import Bootstrap, Comparison, Fractions, bootstrap, compare, read_fractions, spread_of
from ptv2.reproduce.jobs.execute import JobStatus
from ptv2.reproduce.jobs.list_jobs import Job
from ptv2.reproduce.paper import paper_numbers
from ptv2.reproduce.table.cells import Position, TableRequest
from ptv2.run_folders.record import Result

STATES = {"failed": "failed", "interrupted": "interrupted", "missing": "not run yet"}


@dataclass(frozen=True)
class TrainingCost:
    """What the runs of a position took: means over seeds, the largest memory."""

    trained_parameters: int
    trained_percent: float
    train_seconds: float
    total_seconds: float
    shared_seconds: float  # of the part that several tasks share (MPT-2), once for all of them
    memory_bytes: int | None  # None: no run was the first training of its process
    memory_of: str
    device: str


@dataclass(frozen=True)
class Published:
    """A number of the paper, in percent; `checked`: whether a second public source has it too."""

    value: float
    checked: bool


@dataclass(frozen=True)
class Entry:
    """One number of the table: a position and one metric."""

    position: Position
    metric: str
    split: str | None  # None: no run has finished that would tell
    asked: int  # seeds
    word: str  # empty if all seeds have a score; else shown if none has
    reasons: tuple[str, ...]  # why seeds have no score
    values: dict[int, float]  # by seed, of the best epoch on dev
    last: dict[int, float]  # by seed, of the last epoch; only of dev
    one_answer: int  # seeds whose model gives the same answer to every example
    paper: Published | None
    comparison: Comparison | None
    cost: TrainingCost | None
    results: tuple[Result, ...]
    jobs: tuple[Job, ...]

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.values.values()) if self.values else None

    @property
    def spread(self) -> float | None:
        """Standard deviation over seeds (n - 1); None below two."""
        return spread_of(self.values.values())

    @property
    def last_mean(self) -> float | None:
        return statistics.fmean(self.last.values()) if self.last else None

    @property
    def difference(self) -> float | None:
        """Our mean less the paper's number."""
        return None if self.mean is None or self.paper is None else self.mean - self.paper.value

    @property
    def config(self) -> RunConfig | None:
        """The settings of its runs, with the first seed's; None if they are not known."""
        return next((job.config for job in self.jobs if job.config is not None), None)


def entries(
    request: TableRequest, statuses: Mapping[tuple[str, ...], Sequence[JobStatus]], margin: float
) -> list[Entry]:
    """All numbers of the table, by row, column, metric and method."""
    table: list[Entry] = []
    for row in request.rows:
        for column in request.columns:
            positions = [Position(row, column, method) for method in request.methods]
            baseline = next((statuses[p.key] for p in positions if p.method.name == request.spec.against), None)
            for metric in column.metrics or [_headline(s for p in positions for s in statuses[p.key])]:
                table += [_entry(p, metric, statuses[p.key], baseline, request, margin) for p in positions]
    return table


def _entry(
    position: Position,
    metric: str,
    statuses: Sequence[JobStatus],
    baseline: Sequence[JobStatus] | None,
    request: TableRequest,
    margin: float,
) -> Entry:
    results = tuple(status.result for status in statuses if status.result is not None)
    split = _split(position, results)
    values = _values(statuses, split, metric)
    reasons = [_reason(status) for status in statuses if status.result is None]
    lacking = [status.job.seed for status in statuses if status.result and status.job.seed not in values]
    where = split or "test or dev"
    if results and not values:
        reasons = [f"not available: its runs have no {metric} on {where}"]
    elif lacking:
        reasons.append(f"not available: no {metric} on {where} for seed {', '.join(map(str, sorted(lacking)))}")
    comparison = None
    if baseline is not None and split is not None and position.method.name != request.spec.against:
        theirs = _values(baseline, split, metric)
        comparison = compare(values, theirs, margin, _bootstrap(statuses, baseline, split, metric))
    method = position.method.paper or position.method.name
    return Entry(
        position=position,
        metric=metric,
        split=split,
        asked=len(statuses),
        word="" if len(values) == len(statuses) else reasons[0].partition(":")[0],
        reasons=tuple(dict.fromkeys(reasons)),
        values=values,
        last=_values(statuses, "dev_last", metric) if split == "dev" else {},
        one_answer=sum(result.only_answer(split) is not None for result in results),
        paper=published(request.spec.number, position.column.name, metric, position.row.name, method),
        comparison=comparison,
        cost=_cost(results),
        results=results,
        jobs=tuple(status.job for status in statuses),
    )


def _headline(statuses: Iterable[JobStatus]) -> str:
    """The metric of a column that names none: the task's headline."""
    configs = (status.job.config for status in statuses if status.job.config is not None)
    return next((config.task.headline for config in configs), "headline")


def _split(position: Position, results: Sequence[Result]) -> str | None:
    """The split of the column; if it names none, test if all runs were scored on one, else dev."""
    if position.column.split is not None or not results:
        return position.column.split
    return "test" if all(result.test is not None for result in results) else "dev"


def _values(statuses: Sequence[JobStatus], split: str | None, metric: str) -> dict[int, float]:
    """The scores by seed."""
    if split is None:
        return {}
    scores = {s.job.seed: (s.result.scores(split) or {}).get(metric) for s in statuses if s.result is not None}
    return {seed: score for seed, score in scores.items() if score is not None}


def _reason(status: JobStatus) -> str:
    state = STATES.get(status.state)
    if state is None or state == status.message:
        return status.message
    return f"{state}: {status.message}" if status.message else state


def _bootstrap(ours: Sequence[JobStatus], theirs: Sequence[JobStatus], split: str, metric: str) -> Bootstrap | None:
    """Resample over the seeds that both have; None if a run has no fractions, or the two differ in their data."""
    scored = _values(ours, split, metric).keys() & _values(theirs, split, metric).keys()
    pairs = [{s.job.seed: s for s in statuses if s.job.seed in scored} for statuses in (ours, theirs)]
    fractions: tuple[list[Fractions], list[Fractions]] = ([], [])
    unit = "example"
    for seed in sorted(scored):
        for run, of_method in zip((pair[seed] for pair in pairs), fractions, strict=True):
            assert run.job.folder is not None
            if (read := read_fractions(run.job.folder, split, metric)) is None:
                return None
            of_method.append(read[0])
            unit = read[1]
        results = [pair[seed].result for pair in pairs]
        if len({result.data["fingerprint"] for result in results if result is not None}) > 1:
            return None
    return bootstrap(*fractions, unit) if scored else None


def _cost(results: Sequence[Result]) -> TrainingCost | None:
    if not results:
        return None
    first = results[0]
    measured = [r for r in results if r.memory["peak"] is not None]
    return TrainingCost(
        trained_parameters=first.parameters["trained"],
        trained_percent=first.parameters["percent"],
        train_seconds=statistics.fmean(r.time["train"] for r in results),
        total_seconds=statistics.fmean(r.time["total"] for r in results),
        shared_seconds=statistics.fmean(((r.shared or {}).get("time") or {}).get("train", 0.0) for r in results),
        memory_bytes=max((r.memory["peak"] for r in measured), default=None),
        memory_of=measured[0].memory["what"] if measured else "",
        device=first.runtime.get("device", ""),
    )


def published(table: int | None, column: str, metric: str, row: str, method: str) -> Published | None:
    """The paper's number at a position of one of its tables (`conf/paper/results.csv`); None if it has none."""
    return None if table is None else _numbers().get((str(table), column, metric, row, method))


@cache
def _numbers() -> dict[tuple[str, str, str, str, str], Published]:
    return {
        (line["table"], line["dataset"], line["metric"], line["model"], line["method"]): Published(
            float(line["value"]), line["cross_checked"] == "yes"
        )
        for line in paper_numbers()
    }
