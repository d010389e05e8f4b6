"""A figure's points as files, and as a table on the screen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from ptv2.console.columns import Column, Table, show_table
from ptv2.console.output import out, tell
from ptv2.files import write_text_whole
from ptv2.report import plots
from ptv2.report.formats import format_markdown, format_score, group_by
from ptv2.report.points import Point, comma_separated, curves, levels
from ptv2.report.statistics import spread_of
from ptv2.reproduce.jobs.execute import JobStatus
from ptv2.reproduce.jobs.progress import label
from ptv2.run_folders.environment import in_words


def write_figure(
    points: Sequence[Point],
    words: plots.Words,
    scale: plots.Scale,
    stem: Path,
    zero: Sequence[plots.Level] = (),
    paper: Sequence[plots.Curve] = (),
) -> list[Path]:
    """Draw points, and perhaps a line at 0 and published numbers; return the paths of the PNG, the SVG and the CSV."""
    lines = curves(points, numeric=scale != "category")
    figure = plots.draw_curves(lines, [*levels(points), *zero], words, scale, paper)
    table = stem.with_name(f"{stem.name}.csv")
    write_text_whole(table, comma_separated(points))
    return [*plots.save(figure, stem), table]


def write_page(
    points: Sequence[Point], words: plots.Words, stem: Path, command: str, runs: Iterable[Path], settings: Iterable[str]
) -> Path:
    """Write a page with the figure, its values, the command that makes it, its settings and its machines."""
    rows = [
        (series, x, score, str(len(runs)), f"{runs[0].trained_percent:.3g}")
        for series, x, score, runs in _marks(points)
    ]
    lines = [
        f"# {words.title}",
        "",
        f"![{words.title}]({stem.name}.png)",
        "",
        f"{words.caption[:1].upper()}{words.caption[1:]}. Each run's value: [{stem.name}.csv]({stem.name}.csv).",
        "",
        *format_markdown(("series", words.x, words.y, "seeds", "trained %"), rows),
        "",
        f"- Command: `{command}`",
        *(f"- {text.removesuffix('.')}." for text in dict.fromkeys(settings)),
        *(f"- Made with {machine}." for machine in in_words(runs)),
    ]
    path = stem.with_name(f"{stem.name}.md")
    write_text_whole(path, "\n".join(lines) + "\n")
    return path


def label_figure(points: Sequence[Point], title: str, x: str, *, course: bool) -> plots.Words:
    """The texts on a figure of these points; the caption says what its marks are and of how many seeds."""
    first = points[0]
    chosen = "after each evaluation" if course else describe_choice(first.split)
    return plots.Words(
        title=f"{title}: {first.task}, {first.model}",
        caption=f"{describe_seeds(points)}; {chosen}",
        x=x,
        y=f"{first.metric.replace('f1', 'F1')} on {first.split} (%)",
    )


def describe_choice(split: str) -> str:
    """Say how the epoch was chosen whose scores on a split are drawn."""
    return "best epoch, chosen on the same dev set" if split == "dev" else "best epoch on dev"


def describe_seeds(points: Sequence[Point]) -> str:
    """Say what a mark is: `one seed`, or `mean ± standard deviation over 3 seeds`."""
    counts = [len({point.seed for point in runs}) for *_, runs in _marks(points)]
    fewest, most = min(counts), max(counts)
    if most == 1:
        return "one seed"
    span = str(most) if fewest == most else f"{fewest} to {most}"
    return f"mean ± standard deviation over {span} seeds"


def last_points(points: Sequence[Point]) -> list[Point]:
    """The last point of each run, all with the same x: what is printed of learning curves."""
    last = {(point.series, point.seed): point for point in points}
    return [replace(point, x="the last") for point in last.values()]


def show_figure(points: Sequence[Point], paths: Sequence[Path], words: plots.Words) -> None:
    """Print the means, and the paths of the files."""
    columns = [
        Column("series", fold=16, least=16),
        Column(words.x, right=True, fold=10, least=16),
        Column(words.y.removesuffix(" (%)"), right=True),
        Column("seeds", right=True, drop=3),
        Column("trained", right=True, drop=1),
        Column("%", right=True, drop=2),
    ]
    rows = [
        (series, x, score, str(len(runs)), f"{runs[0].trained:,}", f"{runs[0].trained_percent:.3g}")
        for series, x, score, runs in _marks(points)
    ]
    show_table(Table(columns, rows, notes=[describe_seeds(points)]))
    for path in paths:
        tell(str(path), out)


def _marks(points: Sequence[Point]) -> Iterator[tuple[str, str, str, list[Point]]]:
    """The series, x, mean with spread, and points of each mark."""
    several = len({point.model for point in points}) > 1
    for (series, model, x), runs in group_by(points, lambda point: (point.series, point.model, point.x)).items():
        values = [point.value for point in runs]
        yield series, f"{model}, {x}" if several else x, format_score(fmean(values), spread_of(values)), runs


def show_gaps(statuses: Sequence[JobStatus]) -> None:
    """Print what is not drawn, one line for each reason."""
    missing = (status for status in statuses if status.result is None)
    for (state, message), group in group_by(missing, lambda status: (status.state, status.message)).items():
        names = [label(status.job) for status in group]
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        tell(f"not drawn: {shown}: {message or state}")
