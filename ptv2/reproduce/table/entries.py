"""The numbers of a table: for each place and score the values by seed, the paper's number, tests and what it cost."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ptv2.report.statistics import Bootstrap, Comparison, bootstrap, compare, read_fractions
from ptv2.reproduce.jobs.execute import Outcome
from ptv2.reproduce.jobs.plan import Job
from ptv2.reproduce.table.cells import Place, Request
from ptv2.reproduce.table.paper import Published, published
from ptv2.runs.record import Result

TEST = "test"
WORDS = {"failed": "failed", "interrupted": "interrupted", "missing": "not run yet"}


@dataclass(frozen=True)
class Cost:
    """What the runs of a place took: means over seeds, the largest memory."""

    trained: int
    trained_percent: float
    train_seconds: float
    total_seconds: float
    shared_seconds: float  # of the part that several tasks share (MPT-2), once for all of them
    memory: int | None  # bytes; None: no run was the first training of its process
    memory_of: str
    device: str


@dataclass(frozen=True)
class Entry:
    """One number: a place, and one score of it."""

    place: Place
    metric: str
    split: str | None  # none: nothing has run that would say
    asked: int  # seeds
    word: str  # "" where all seeds have a value, else what stands in the table where there is none
    reasons: tuple[str, ...]  # of the seeds without a value
    values: dict[int, float]  # by seed, of the best epoch on dev
    last: dict[int, float]  # by seed, of the last epoch; only of dev
    one_answer: int  # seeds whose model gives one answer to every example
    paper: Published | None
    comparison: Comparison | None
    cost: Cost | None
    results: tuple[Result, ...]
    jobs: tuple[Job, ...]

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.values.values()) if self.values else None

    @property
    def spread(self) -> float | None:
        """Standard deviation over seeds (n - 1); none below two."""
        return statistics.stdev(self.values.values()) if len(self.values) > 1 else None

    @property
    def last_mean(self) -> float | None:
        return statistics.fmean(self.last.values()) if self.last else None

    @property
    def difference(self) -> float | None:
        """Ours less the paper's."""
        return None if self.mean is None or self.paper is None else self.mean - self.paper.value


def entries(request: Request, outcomes: Mapping[tuple[str, ...], Sequence[Outcome]], margin: float) -> list[Entry]:
    """All numbers of the table, row by row, column by column, score by score, method by method."""
    made: list[Entry] = []
    for row in request.rows:
        for column in request.columns:
            places = [Place(row, column, method) for method in request.methods]
            found = {place.key: outcomes[place.key] for place in places}
            metrics = column.metrics or [_headline([o for group in found.values() for o in group])]
            for metric in metrics:
                against = next((found[p.key] for p in places if p.method.name == request.spec.against), None)
                made += [_entry(place, metric, found[place.key], against, request, margin) for place in places]
    return made


def _entry(
    place: Place,
    metric: str,
    outcomes: Sequence[Outcome],
    against: Sequence[Outcome] | None,
    request: Request,
    margin: float,
) -> Entry:
    split = _split(place, outcomes)
    values = _values(outcomes, split, metric)
    finished = [o for o in outcomes if o.result is not None]
    results = tuple(o.result for o in finished if o.result is not None)
    reasons = [_reason(o) for o in outcomes if o.result is None]
    lacking = [o.job.seed for o in finished if o.job.seed not in values]
    where = split or place.column.split or "test or dev"
    if finished and not values:
        reasons = [f"not available: its runs have no {metric} on {where}"]
    elif lacking:
        reasons.append(f"not available: no {metric} on {where} for seed {', '.join(map(str, sorted(lacking)))}")
    comparison = None
    if against is not None and place.method.name != request.spec.against:
        comparison = _compare(outcomes, against, split, metric, margin)
    return Entry(
        place=place,
        metric=metric,
        split=split,
        asked=len(outcomes),
        word="" if len(values) == len(outcomes) else _word(reasons[0]),
        reasons=tuple(dict.fromkeys(reasons)),
        values=values,
        last=_values(outcomes, "dev_last", metric) if split == "dev" else {},
        one_answer=sum(_one_answer(result, split) for result in results),
        paper=published(request.spec.number, place.column.name, metric, place.row.name, _in_paper(place)),
        comparison=comparison,
        cost=_cost(results),
        results=results,
        jobs=tuple(o.job for o in outcomes),
    )


def _in_paper(place: Place) -> str:
    return place.method.paper or place.method.name


def _headline(outcomes: Sequence[Outcome]) -> str:
    """The score of a column that names none: the task's headline."""
    for outcome in outcomes:
        if outcome.job.config is not None:
            return outcome.job.config.task.headline
    return "headline"


def _split(place: Place, outcomes: Sequence[Outcome]) -> str | None:
    """The split of the column; where it leaves that open, test if the runs were scored on one, else dev."""
    if place.column.split is not None:
        return place.column.split
    results = [o.result for o in outcomes if o.result is not None]
    if not results:
        return None
    return TEST if all(result.test is not None for result in results) else "dev"


def _scores(result: Result, split: str) -> dict[str, float]:
    known = {"dev": result.dev, "dev_last": result.dev_last, TEST: result.test or {}, **result.tests}
    return known.get(split, {})


def _values(outcomes: Sequence[Outcome], split: str | None, metric: str) -> dict[int, float]:
    if split is None:
        return {}
    found = {o.job.seed: _scores(o.result, split).get(metric) for o in outcomes if o.result is not None}
    return {seed: value for seed, value in found.items() if value is not None}


def _reason(outcome: Outcome) -> str:
    word = WORDS.get(outcome.state)
    if word is None or word == outcome.message:
        return outcome.message
    return f"{word}: {outcome.message}" if outcome.message else word


def _word(reason: str) -> str:
    return reason.partition(":")[0]


def _one_answer(result: Result, split: str | None) -> bool:
    counts = result.data.get("predicted", {}).get(split) or {}
    return len(counts) > 1 and sum(count > 0 for count in counts.values()) == 1


def _compare(
    ours: Sequence[Outcome], theirs: Sequence[Outcome], split: str | None, metric: str, margin: float
) -> Comparison | None:
    if split is None:
        return None
    return compare(
        _values(ours, split, metric), _values(theirs, split, metric), margin, _bootstrap(ours, theirs, split, metric)
    )


def _bootstrap(ours: Sequence[Outcome], theirs: Sequence[Outcome], split: str, metric: str) -> Bootstrap | None:
    """Over the seeds that both have a score for; None where a run kept no fractions or was scored on other data."""
    scored = _values(ours, split, metric).keys() & _values(theirs, split, metric).keys()
    mine = {o.job.seed: o for o in ours if o.job.seed in scored}
    other = {o.job.seed: o for o in theirs if o.job.seed in scored}
    found = []
    unit = "example"
    for seed in sorted(mine.keys() & other.keys()):
        pair = []
        for outcome in (mine[seed], other[seed]):
            assert outcome.job.folder is not None
            read = read_fractions(outcome.job.folder, split, metric)
            if read is None:
                return None
            fractions, unit = read
            pair.append(fractions)
        if not _same_data(mine[seed].result, other[seed].result):
            return None
        found.append(pair)
    return bootstrap([pair[0] for pair in found], [pair[1] for pair in found], unit) if found else None


def _same_data(one: Result | None, other: Result | None) -> bool:
    assert one is not None
    assert other is not None
    return bool(one.data["fingerprint"] == other.data["fingerprint"])


def _cost(results: Sequence[Result]) -> Cost | None:
    if not results:
        return None
    first = results[0]
    measured = [r for r in results if r.memory["peak"] is not None]
    return Cost(
        trained=first.parameters["trained"],
        trained_percent=first.parameters["percent"],
        train_seconds=statistics.fmean(r.time["train"] for r in results),
        total_seconds=statistics.fmean(r.time["total"] for r in results),
        shared_seconds=statistics.fmean(((r.shared or {}).get("time") or {}).get("train", 0.0) for r in results),
        memory=max((r.memory["peak"] for r in measured), default=None),
        memory_of=measured[0].memory["what"] if measured else "",
        device=first.runtime.get("device", ""),
    )
