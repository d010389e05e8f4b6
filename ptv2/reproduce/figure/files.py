"""A figure's points as files and as a table on the screen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ptv2.console.columns import Column, Table, show_table
from ptv2.console.output import out, tell
from ptv2.files import write_text_whole
from ptv2.report import plots
from ptv2.report.points import Point, comma_separated, curves, levels
from ptv2.reproduce.jobs.execute import Outcome
from ptv2.runs.environment import in_words


def stem_of(folder: Path, figure: str, task: str, model: str, split: str) -> Path:
    """The files of a figure without their endings; scores on another split than dev have files of their own."""
    return folder / "-".join((figure, task, model, *([split] if split != "dev" else [])))


def write_figure(points: Sequence[Point], words: plots.Words, scale: plots.Scale, stem: Path) -> list[Path]:
    """Draw points; returns the PNG, the SVG and the CSV."""
    figure = plots.draw_curves(curves(points, numeric=scale != "category"), levels(points), words, scale)
    table = stem.with_name(f"{stem.name}.csv")
    write_text_whole(table, comma_separated(points))
    return [*plots.save(figure, stem), table]


def write_page(
    points: Sequence[Point], words: plots.Words, stem: Path, command: str, runs: Iterable[Path], settings: Iterable[str]
) -> Path:
    """The figure with its values, the command that makes it again, its settings and where its runs were made."""
    rows = [
        f"| {series} | {place} | {score} | {len(own)} | {own[0].trained_percent:.3g} |"
        for series, place, score, own in _marks(points)
    ]
    lines = [
        f"# {words.title}",
        "",
        f"![{words.title}]({stem.name}.png)",
        "",
        f"{words.caption[:1].upper()}{words.caption[1:]}. Each run's value: [{stem.name}.csv]({stem.name}.csv).",
        "",
        f"| series | {words.x} | {words.y} | seeds | trained % |",
        "|---|---|---|---|---|",
        *rows,
        "",
        f"- Command: `{command}`",
        *(f"- {text}." for text in dict.fromkeys(settings)),
        *(f"- Made with {place}." for place in in_words(runs)),
    ]
    path = stem.with_name(f"{stem.name}.md")
    write_text_whole(path, "\n".join(lines) + "\n")
    return path


def words_of(points: Sequence[Point], title: str, x: str, *, course: bool) -> plots.Words:
    """What is written on a figure of these points; the caption says what its marks are and of how many seeds."""
    first = points[0]
    if course:
        chosen = "after each evaluation"
    elif first.split == "dev":
        chosen = "best epoch, chosen on the same dev set"
    else:
        chosen = "best epoch on dev"
    return plots.Words(
        title=f"{title}: {first.task}, {first.model}",
        caption=f"{seeds_in_words(points)}; {chosen}",
        x=x,
        y=f"{first.metric.replace('f1', 'F1')} on {first.split} (%)",
    )


def seeds_in_words(points: Sequence[Point]) -> str:
    """`mean ± standard deviation over 3 seeds`, or what else is true of the marks."""
    marks: dict[tuple[str, str], set[int]] = {}
    for point in points:
        marks.setdefault((point.series, point.x), set()).add(point.seed)
    fewest, most = min(map(len, marks.values())), max(map(len, marks.values()))
    if most == 1:
        return "one seed"
    span = str(most) if fewest == most else f"{fewest} to {most}"
    return f"mean ± standard deviation over {span} seeds"


def ends(points: Sequence[Point]) -> list[Point]:
    """The last point of each run, all at one place: what is printed of learning curves."""
    last = {(point.series, point.seed): point for point in points}
    return [replace(point, x="the last") for point in last.values()]


def show_figure(points: Sequence[Point], paths: Sequence[Path], x: str) -> None:
    """Print the means and where the files are."""
    first = points[0]
    columns = [
        Column("series", fold=16, least=16),
        Column(x, right=True, fold=10, least=16),
        Column(f"{first.metric} on {first.split}", right=True),
        Column("seeds", right=True, drop=3),
        Column("trained", right=True, drop=1),
        Column("%", right=True, drop=2),
    ]
    rows = [
        (series, place, score, str(len(own)), f"{own[0].trained:,}", f"{own[0].trained_percent:.3g}")
        for series, place, score, own in _marks(points)
    ]
    show_table(Table(columns, rows, notes=[seeds_in_words(points)]))
    for path in paths:
        tell(str(path), out)


def _marks(points: Sequence[Point]) -> Iterator[tuple[str, str, str, list[Point]]]:
    """Series, place on the x axis, mean with spread, and the points that these are of."""
    marks: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        marks.setdefault((point.series, point.x), []).append(point)
    for (series, place), own in marks.items():
        mark = plots.Mark(place, tuple(point.value for point in own))
        yield series, place, f"{mark.mean:.1f}" + (f" ± {mark.spread:.1f}" if len(own) > 1 else ""), own


def show_gaps(outcomes: Sequence[Outcome]) -> None:
    """Name what is not drawn, a line for each reason."""
    gaps: dict[tuple[str, str], list[str]] = {}
    for outcome in outcomes:
        if outcome.result is None:
            name = " ".join(part for part in outcome.job.cell.key if part)
            gaps.setdefault((outcome.state, outcome.message), []).append(f"{name} seed {outcome.job.seed}")
    for (state, message), names in gaps.items():
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        tell(f"not drawn: {shown}: {message or state}")
