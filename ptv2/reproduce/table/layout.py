"""A table as text, ready for any format: grids as in the paper, a list of all comparisons and costs, and notes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ptv2.console.output import clock
from ptv2.report.statistics import Comparison
from ptv2.reproduce.options import Options
from ptv2.reproduce.table.cells import Request
from ptv2.reproduce.table.entries import Entry
from ptv2.reproduce.table.notes import caption, notes

WIDEST = 12  # numbers beside each other, as in the paper
METRICS = {
    "accuracy": "acc.",
    "f1": "F1",
    "f1a": "F1a",
    "f1_macro": "macro-F1",
    "exact_match": "EM",
    "f1_with_v": "F1 with V",
}
DAGGER, EQUAL, DIFFERENT = "†", "≈", "*"


@dataclass(frozen=True)
class Line:
    """A line of a grid: of which row, what its numbers are, and a text for each column of the grid."""

    row: str
    what: str  # ours, paper, ours - paper, ...
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """Some columns of the table with all rows: `spans` are (label, number of methods), `methods` stand below each."""

    spans: tuple[tuple[str, int], ...]
    methods: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Document:
    """The whole table."""

    name: str  # of the files
    heading: str  # with the paper's number of the table
    title: str
    grids: tuple[Grid, ...]
    header: tuple[str, ...]  # of `details`
    details: tuple[tuple[str, ...], ...]
    caption: str
    notes: tuple[str, ...]


def lay_out(request: Request, entries: Sequence[Entry], options: Options) -> Document:
    """Put the numbers into the paper's form."""
    return Document(
        name=request.stem,
        heading=_heading(request),
        title=f"{request.spec.title} ({request.rows[0].shown})" if request.other_backbone else request.spec.title,
        grids=tuple(_grid(request, part, entries) for part in _parts(request, entries)),
        header=DETAILS,
        details=tuple(_detail(entry) for entry in entries if entry.values),
        caption=caption(request, entries, options),
        notes=tuple(notes(request, entries, options)),
    )


def _heading(request: Request) -> str:
    """The table's, and of another backbone its name."""
    number = f"Table {request.spec.number}" if request.spec.number is not None else ""
    other = request.rows[0].shown if request.other_backbone else ""
    start = " with ".join(part for part in (number, other) if part)
    return f"{start}: {request.spec.title}" if start else request.spec.title


def label_of(entry: Entry) -> str:
    """A scored column: the task, and the score where that says something."""
    metric = METRICS.get(entry.metric, entry.metric)
    plain = entry.metric in ("accuracy", "headline") or (entry.metric == "f1" and len(entry.place.column.metrics) < 2)
    return entry.place.column.shown if plain else f"{entry.place.column.shown} {metric}"


def score_text(entry: Entry) -> str:
    """Mean and standard deviation, and how many of the seeds if not all; where there is nothing, why."""
    if entry.mean is None:
        return entry.word
    text = f"{entry.mean:.1f}" + (f" ± {entry.spread:.1f}" if entry.spread is not None else "")
    return text if len(entry.values) == entry.asked else f"{text} ({len(entry.values)}/{entry.asked})"


def paper_text(entry: Entry) -> str:
    """The paper's number, with a dagger if no second source was seen."""
    if entry.paper is None:
        return ""
    return f"{entry.paper.value:.1f}{'' if entry.paper.checked else DAGGER}"


def against_text(comparison: Comparison | None) -> str:
    """The difference to the baseline, marked where the tests over seeds say that there is one, or that it is small."""
    if comparison is None:
        return ""
    mark = EQUAL if comparison.equivalent else DIFFERENT if comparison.differs else ""
    return signed(comparison.difference) + mark


def signed(points: float) -> str:
    """Points with their sign; nothing has none of its own."""
    return f"{round(points, 1) + 0.0:+.1f}"


def chance(p: float | None) -> str:
    """A p value in two digits."""
    if p is None:
        return ""
    return "<0.01" if p < 0.005 else f"{p:.2f}"


def _parts(request: Request, entries: Sequence[Entry]) -> Iterator[list[str]]:
    """The scored columns (by label) that stand beside each other: of one family, and no more than fit."""
    room = max(1, WIDEST // len(request.methods))
    groups: dict[str, list[str]] = {}
    for entry in entries:
        family = request.described[entry.place.column.of_task].family
        group = groups.setdefault(family, [])
        if label_of(entry) not in group:
            group.append(label_of(entry))
    for group in groups.values():
        for start in range(0, len(group), room):
            yield group[start : start + room]


def _grid(request: Request, labels: Sequence[str], entries: Sequence[Entry]) -> Grid:
    methods = [method.shown for method in request.methods]
    lines: list[Line] = []
    for row in request.rows:
        own = [e for label in labels for e in entries if e.place.row.name == row.name and label_of(e) == label]
        lines += _lines(row.shown, own, request)
    return Grid(tuple((label, len(methods)) for label in labels), tuple(methods * len(labels)), tuple(lines))


def _lines(row: str, own: Sequence[Entry], request: Request) -> Iterator[Line]:
    yield Line(row, "ours", tuple(score_text(entry) for entry in own))
    if any(entry.comparison for entry in own):
        baseline = next((m.shown for m in request.spec.methods if m.name == request.spec.against), "")
        yield Line("", f"− {baseline}", tuple(against_text(entry.comparison) for entry in own))
    if any(entry.paper for entry in own):
        yield Line("", "paper", tuple(paper_text(entry) for entry in own))
    if any(entry.difference is not None for entry in own):
        yield Line("", "ours − paper", tuple("" if e.difference is None else signed(e.difference) for e in own))


DETAILS = (
    "model",
    "column",
    "method",
    "ours",
    "seeds",
    "last epoch",
    "difference",
    "p",
    "95 % interval",
    "equivalence p",
    "90 % inside",
    "trained %",
    "train time",
    "memory MiB",
)


def _detail(entry: Entry) -> tuple[str, ...]:
    comparison, cost = entry.comparison, entry.cost
    drawn = comparison.bootstrap if comparison else None
    assert cost is not None
    shared = f" + {clock(cost.shared_seconds)}" if cost.shared_seconds else ""
    within = comparison.within if comparison else None
    return (
        entry.place.row.shown,
        label_of(entry),
        entry.place.method.shown,
        score_text(entry),
        " ".join(map(str, entry.values)),
        "" if entry.last_mean is None else f"{entry.last_mean:.1f}",
        against_text(comparison),
        "equal" if comparison and comparison.equal else chance(comparison.p if comparison else None),
        f"[{signed(drawn.low)}, {signed(drawn.high)}]" if drawn else "",
        chance(comparison.equivalence_p if comparison else None),
        "" if within is None else ("yes" if within else "no"),
        f"{cost.trained_percent:.3g}",
        clock(cost.train_seconds) + shared,
        "" if cost.memory is None else f"{cost.memory / 2**20:.0f}",
    )
