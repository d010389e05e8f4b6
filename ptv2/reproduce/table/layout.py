"""A table as text for any format: grids as in the paper, a list of all comparisons and costs, and notes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ptv2.console.output import clock
from ptv2.report.formats import format_p, format_score
from ptv2.report.statistics import Comparison
from ptv2.reproduce.options import Options
from ptv2.reproduce.table.cells import TableRequest
from ptv2.reproduce.table.entries import Entry
from ptv2.reproduce.table.notes import caption, notes

WIDEST = 12  # numbers in a line, as in the paper
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
    """A line of a grid: its row, what its numbers are, and a text for each column of the grid."""

    row: str
    what: str  # ours, paper, ours - paper, ...
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """Some columns of the table with all rows; `spans` are labels with the number of `methods` below each."""

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


def lay_out(request: TableRequest, entries: Sequence[Entry], options: Options) -> Document:
    """Arrange the numbers as in the paper."""
    return Document(
        name=request.stem,
        heading=_heading(request),
        title=f"{request.spec.title} ({request.rows[0].shown})" if request.other_backbone else request.spec.title,
        grids=tuple(_grid(request, labels, entries) for labels in _labels_of_grids(request, entries)),
        header=DETAILS,
        details=tuple(_detail(entry) for entry in entries if entry.values),
        caption=caption(request, entries, options),
        notes=tuple(notes(request, entries, options)),
    )


def _heading(request: TableRequest) -> str:
    """The table's number in the paper, another backbone, and the title."""
    number = f"Table {request.spec.number}" if request.spec.number is not None else ""
    other = request.rows[0].shown if request.other_backbone else ""
    start = " with ".join(filter(None, (number, other)))
    return f"{start}: {request.spec.title}" if start else request.spec.title


def label_of(entry: Entry) -> str:
    """The label of a column: the task, and the metric unless it goes without saying."""
    metric = METRICS.get(entry.metric, entry.metric)
    plain = entry.metric in ("accuracy", "headline") or (
        entry.metric == "f1" and len(entry.position.column.metrics) < 2
    )
    return entry.position.column.shown if plain else f"{entry.position.column.shown} {metric}"


def score_text(entry: Entry) -> str:
    """Mean and standard deviation, and how many of the seeds if not all; without scores, why."""
    if entry.mean is None:
        return entry.word
    text = format_score(entry.mean, entry.spread)
    return text if len(entry.values) == entry.asked else f"{text} ({len(entry.values)}/{entry.asked})"


def paper_text(entry: Entry) -> str:
    """The paper's number, with a dagger unless a second source has it too."""
    if entry.paper is None:
        return ""
    return f"{entry.paper.value:.1f}{'' if entry.paper.checked else DAGGER}"


def against_text(comparison: Comparison | None) -> str:
    """The difference to the baseline, marked if the tests over seeds find it equivalent to none, or different."""
    if comparison is None:
        return ""
    mark = EQUAL if comparison.equivalent else DIFFERENT if comparison.differs else ""
    return format_signed(comparison.difference) + mark


def format_signed(points: float) -> str:
    """Format points with their sign; zero is `+0.0`."""
    return f"{round(points, 1) + 0.0:+.1f}"


def _labels_of_grids(request: TableRequest, entries: Sequence[Entry]) -> Iterator[list[str]]:
    """The labels of the columns of each grid: of one family, and no more than fit."""
    room = max(1, WIDEST // len(request.methods))
    groups: dict[str, list[str]] = {}
    for entry in entries:
        family = request.task_data[entry.position.column.of_task].family
        group = groups.setdefault(family, [])
        if label_of(entry) not in group:
            group.append(label_of(entry))
    for group in groups.values():
        for start in range(0, len(group), room):
            yield group[start : start + room]


def _grid(request: TableRequest, labels: Sequence[str], entries: Sequence[Entry]) -> Grid:
    methods = [method.shown for method in request.methods]
    lines: list[Line] = []
    for row in request.rows:
        of_row = [entry for entry in entries if entry.position.row.name == row.name]
        lines += _lines(row.shown, [e for label in labels for e in of_row if label_of(e) == label], request)
    return Grid(tuple((label, len(methods)) for label in labels), tuple(methods * len(labels)), tuple(lines))


def _lines(row: str, entries: Sequence[Entry], request: TableRequest) -> Iterator[Line]:
    yield Line(row, "ours", tuple(score_text(entry) for entry in entries))
    if any(entry.comparison for entry in entries):
        baseline = next((m.shown for m in request.spec.methods if m.name == request.spec.against), "")
        yield Line("", f"− {baseline}", tuple(against_text(entry.comparison) for entry in entries))
    if any(entry.paper for entry in entries):
        yield Line("", "paper", tuple(paper_text(entry) for entry in entries))
    if any(entry.difference is not None for entry in entries):
        yield Line(
            "", "ours − paper", tuple("" if e.difference is None else format_signed(e.difference) for e in entries)
        )


DETAILS = (
    *("model", "column", "method", "ours", "seeds", "last epoch", "difference", "p", "95 % interval"),
    *("equivalence p", "90 % inside", "trained %", "train time", "memory MiB"),
)


def _detail(entry: Entry) -> tuple[str, ...]:
    comparison, cost = entry.comparison, entry.cost
    resampled = comparison.bootstrap if comparison else None
    assert cost is not None
    shared = f" + {clock(cost.shared_seconds)}" if cost.shared_seconds else ""
    within = comparison.within if comparison else None
    return (
        entry.position.row.shown,
        label_of(entry),
        entry.position.method.shown,
        score_text(entry),
        " ".join(map(str, entry.values)),
        "" if entry.last_mean is None else f"{entry.last_mean:.1f}",
        against_text(comparison),
        comparison.shown_p if comparison else "",
        f"[{format_signed(resampled.low)}, {format_signed(resampled.high)}]" if resampled else "",
        format_p(comparison.equivalence_p if comparison else None),
        "" if within is None else ("yes" if within else "no"),
        f"{cost.trained_percent:.3g}",
        clock(cost.train_seconds) + shared,
        "" if cost.memory_bytes is None else f"{cost.memory_bytes / 2**20:.0f}",
    )
