"""A figure over backbones (`values: models`): the gap to fine-tuning against their size, and the paper's own points."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ptv2.config import paths
from ptv2.config.compose import compose
from ptv2.config.methods import BASELINE
from ptv2.errors import ConfigError
from ptv2.report import tables
from ptv2.report.folds import examples_of
from ptv2.report.formats import group_by
from ptv2.report.plots import PAPER, Curve, Mark, Words
from ptv2.report.points import Point, point_of
from ptv2.report.shares import most_certain
from ptv2.reproduce.figure.files import describe_choice, describe_seeds
from ptv2.reproduce.figure.spec import FigureSpec, Series, key_of
from ptv2.reproduce.jobs.execute import JobStatus
from ptv2.reproduce.jobs.list_jobs import Cell
from ptv2.reproduce.options import Options, choose_names, parse_names
from ptv2.reproduce.paper import paper_numbers
from ptv2.reproduce.table.layout import DAGGER, format_signed
from ptv2.run_folders.record import Result

MOST = 3  # of missing marks that a caption names
FIGURE_1 = ("boolq", "cb", "rte")  # of which the paper's Figure 1 shows the mean


@dataclass(frozen=True)
class Gaps:
    """The lines of the figure, one for each task and series, over some backbones."""

    tasks: tuple[str, ...]
    models: tuple[str, ...]
    series: tuple[Series, ...]

    def label(self, task: str, name: str) -> str:
        """What tells a line from the others: its task, its series, or both."""
        several = len(self.tasks) > 1, len(self.series) > 1
        return {(True, True): f"{task} {name}", (True, False): task}.get(several, name)

    def baseline(self, task: str) -> str:
        """The name of the fine-tuning runs of a task."""
        return f"{task} {BASELINE}" if len(self.tasks) > 1 else BASELINE

    @property
    def labels(self) -> dict[str, tuple[str, Series]]:
        """The task and series of each line."""
        return {self.label(task, series.name): (task, series) for task in self.tasks for series in self.series}


def read_gaps(spec: FigureSpec, options: Options, overrides: Sequence[str]) -> Gaps:
    """Read the tasks, backbones and methods that are asked for; any method can be.

    Raises:
        ConfigError: an unknown name, no method besides fine-tuning, or settings that would make the backbones equal.
    """
    for word in overrides:
        if key_of(word).startswith("model."):
            raise ConfigError(
                f"{word}: the figure itself varies the backbone; expected model=NAME,NAME, and for your own "
                "--config-dir DIR with DIR/model/NAME.yaml"
            )
    models = parse_names("model", options.model) if options.model else (compose([], options.config_dir).model.name,)
    choose_names("model", models, list(paths.choices("model", options.config_dir)))
    methods = choose_names("method", options.methods, list(paths.choices("method", options.config_dir)))
    of_file = {spec.method_of(series): series for series in spec.series}
    series = [of_file.get(name, Series(name=name, overrides=(f"method={name}",))) for name in methods]
    chosen = tuple(s for s in series if spec.method_of(s) != BASELINE) if options.methods else spec.series
    if not chosen:
        raise ConfigError(f"methods={','.join(options.methods)}: expected a method to compare with {BASELINE}")
    return Gaps(parse_names("task", str(options.task)), models, chosen)


def gap_cells(gaps: Gaps, spec: FigureSpec) -> list[Cell]:
    """The cells of all lines and of fine-tuning; a cell's key is the line's name and the backbone's."""
    cells = []
    for task in gaps.tasks:
        for model in gaps.models:
            base = (f"task={task}", f"model={model}", *spec.overrides)
            cells.append(Cell((gaps.baseline(task), model), (*base, f"method={BASELINE}")))
            for series in gaps.series:
                words = (*base, *series.overrides, *spec.x.overrides)
                cells.append(Cell((gaps.label(task, series.name), model), words))
    return cells


def gap_points(gaps: Gaps, statuses: Iterable[JobStatus], split: str) -> list[Point]:
    """The difference of each run to fine-tuning with its task, backbone and seed; runs without one are left out."""
    results = {(*status.job.cell.key, status.job.seed): status.result for status in statuses}
    points = []
    for (label, model, seed), result in results.items():
        if label not in gaps.labels or result is None:
            continue
        baseline = results.get((gaps.baseline(gaps.labels[label][0]), model, seed))
        scores, others = result.scores(split), baseline.scores(split) if baseline else None
        if baseline is not None and scores is not None and others is not None:
            difference = scores[result.headline] - others[result.headline]
            points.append(point_of(result, label, _format_millions(_size(baseline)), difference, split))
    return points


def recorded_gaps(results: Iterable[Result], method: str) -> tuple[Gaps, list[Point]]:
    """The gaps of finished runs of any settings, for every task with runs of a method and of fine-tuning.

    Of several sets of examples of a task the one with the most backbones is taken, of equal ones the largest: points on
    different ones say nothing together. Of several settings of a method the `most_certain` one is taken. Scores are on
    dev.
    """
    points: list[Point] = []
    for task, of_task in group_by(results, lambda result: result.task).items():
        sets = []
        for of_data in group_by(of_task, _examples).values():
            of_models = group_by(of_data, lambda result: result.model)
            gaps = [point for runs in of_models.values() for point in _gaps_of_model(task, runs, method)]
            sets.append((len({point.model for point in gaps}), of_data[0].data["examples"]["train"], gaps))
        points += max(sets, key=lambda one: one[:2])[-1]
    tasks, names = (tuple(dict.fromkeys(getattr(point, name) for point in points)) for name in ("task", "model"))
    found = Gaps(tasks, names, (Series(name=method, overrides=(f"method={method}",)),))
    return found, [replace(point, series=found.label(point.task, method)) for point in points]


def _gaps_of_model(task: str, results: Sequence[Result], method: str) -> list[Point]:
    by_name, by_method = {result.name: result for result in results}, {}
    for name, rows in group_by(tables.rows(results, "dev"), lambda row: row.method).items():
        by_method[name] = most_certain(rows)
    if BASELINE not in by_method or method not in by_method:
        return []
    ours, theirs = by_method[method], by_method[BASELINE]
    scores, others = ours.metrics[ours.headline], theirs.metrics[theirs.headline]
    size = _format_millions(_size(by_name[next(iter(theirs.runs.values()))]))
    return [
        point_of(by_name[run], task, size, scores[seed] - others[seed], "dev")
        for seed, run in sorted(ours.runs.items())
        if seed in others
    ]


def _examples(result: Result) -> str:
    """What tells the sets that were trained and scored on from others."""
    return json.dumps(examples_of(result), sort_keys=True)


def label_gaps(gaps: Gaps, points: Sequence[Point], title: str, x: str, paper: Sequence[Curve]) -> Words:
    """The texts on the figure; the caption says what its marks are, what is the paper's, and what is missing."""
    drawn = {(point.series, point.model) for point in points}
    missing = [f"{label} {model}" for label in gaps.labels for model in gaps.models if (label, model) not in drawn]
    shared = gaps.tasks if len(gaps.tasks) == 1 else ()
    methods = [series.name for series in gaps.series] if len(gaps.series) == 1 else []
    caption = f"{describe_seeds(points)}, of differences to {BASELINE} with the same seed; "
    caption += describe_choice(points[0].split)
    if paper:
        caption += "; dotted: the paper's published numbers, one value each"
    if missing:
        caption += f"; not drawn, for lack of comparable runs or of {BASELINE}: {', '.join(missing[:MOST])}"
        caption += f" and {len(missing) - MOST} more" if len(missing) > MOST else ""
    return Words(
        title=": ".join(filter(None, (title, ", ".join((*shared, *methods))))),
        caption=caption,
        x=x,
        y=f"gap on {points[0].split} (points)",
    )


def paper_gaps(gaps: Gaps, points: Sequence[Point]) -> tuple[list[Curve], list[str]]:
    """The paper's gaps for the same tasks, or the mean of its Figure 1 if it has none of them; also as text."""
    metrics = {point.task: point.metric for point in points}
    wanted = {label: ((task,), gaps_of.overrides) for label, (task, gaps_of) in gaps.labels.items()}
    lines = {label: _published(tasks, _method(words), metrics) for label, (tasks, words) in wanted.items()}
    if not any(lines.values()):
        lines = {
            f"{series.name}: mean of BoolQ, CB, RTE": _published(FIGURE_1, _method(series.overrides), {})
            for series in gaps.series
        }
    curves, texts = [], []
    for label, sizes in lines.items():
        if sizes:
            marks = sorted((size, gap) for size, (gap, _) in sizes.values())
            curves.append(Curve(label + PAPER, tuple(Mark(size, (gap,)) for size, gap in marks)))
            values = (f"{model} {format_signed(gap)}{mark}" for model, (_, (gap, mark)) in sizes.items())
            texts.append(f"The paper's gaps ({DAGGER}: not seen in a second source), {label}: {', '.join(values)}")
    return curves, texts


def _published(
    datasets: Sequence[str], method: str, metrics: Mapping[str, str]
) -> dict[str, tuple[float, tuple[float, str]]]:
    """By backbone: its size in millions, and the mean gap over datasets, with a dagger unless all was seen twice."""
    gaps: dict[str, tuple[float, tuple[float, str]]] = {}
    rows = [row for row in paper_numbers() if row["dataset"] in datasets and row["table"] in ("2", "3")]
    rows = [row for row in rows if metrics.get(row["dataset"], row["metric"]) == row["metric"]]
    for model, of_model in group_by(rows, lambda row: row["model"]).items():
        ours = [row for row in of_model if row["method"] == method]
        theirs = [row for row in of_model if row["method"] == BASELINE]
        if len(ours) == len(theirs) == len(datasets):
            gap = sum(float(row["value"]) for row in ours) - sum(float(row["value"]) for row in theirs)
            seen_twice = all(row["cross_checked"] == "yes" for row in (*ours, *theirs))
            text = ours[0]["parameters"]
            size = float(text[:-1]) * {"M": 1, "B": 1000}[text[-1]]
            gaps[model] = size, (gap / len(datasets), "" if seen_twice else DAGGER)
    return gaps


def _method(overrides: Sequence[str]) -> str:
    return next((word.removeprefix("method=") for word in overrides if word.startswith("method=")), "")


def _size(result: Result) -> int:
    """The parameters of a run's backbone: all but those of its head."""
    return int(result.parameters["total"]) - int(result.parameters.get("groups", {}).get("head", 0))


def _format_millions(count: int) -> str:
    """Format a count in millions with three digits, as a plain number."""
    return f"{float(f'{count / 1e6:.3g}'):g}"
