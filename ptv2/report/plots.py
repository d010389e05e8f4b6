"""Curves and dots with their spread, as PNG and SVG: for a column of a paper, and readable without colours.

matplotlib is imported when something is drawn. Nothing here keeps global state: no pyplot, no backend.
"""

from __future__ import annotations

import io
import math
import statistics
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ptv2.files import write_bytes_whole
from ptv2.report.statistics import spread_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Scale = Literal["linear", "log", "category"]

WIDTH = 3.4  # inches: one of two columns
DPI = 300
USUAL_ROWS = 4  # of a legend; with more a figure is higher
MOST_ACROSS = 6  # names of a category axis that have room beside each other
# Okabe and Ito's colours, which differ for colour-blind readers too, in an order in which neighbours differ in grey.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", (0, (3, 1, 1, 1, 1, 1)), (0, (5, 1)), ":")
GREY = "0.35"
PAPER = " (paper)"  # ends the names of curves of published numbers
PAPER_MARKERS = ("x", "+", "1", "2", "3", "4", "*")
_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that every machine draws the same
    "font.size": 8,
    "axes.titlesize": 6.5,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "text.parse_math": False,  # a dollar in a task's name is a dollar
    "svg.hashsalt": "ptv2",  # without it the ids in an SVG are drawn anew each time
}


@dataclass(frozen=True)
class Mark:
    """The values at one x, one per seed."""

    x: float | str
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def spread(self) -> float:
        """Standard deviation (n - 1); 0 for one value."""
        return spread_of(self.values) or 0.0


@dataclass(frozen=True)
class Curve:
    """A series, with its marks in the order of the x axis."""

    name: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Panel:
    """One of several pairs of axes: its title, the label of its y axis, and curves of one mark each."""

    title: str
    y: str
    curves: Sequence[Curve]


@dataclass(frozen=True)
class Level:
    """A horizontal line, such as what fine-tuning reaches."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Words:
    """The texts on a figure; `caption`, below the title, says what the marks are."""

    title: str
    caption: str
    x: str
    y: str


def draw_curves(
    curves: Sequence[Curve], levels: Sequence[Level], words: Words, scale: Scale, paper: Sequence[Curve] = ()
) -> Figure:
    """Draw means as lines over a band of one standard deviation; on a category axis as dots with error bars and seeds.

    Args:
        scale: `linear` and `log` need numbers as x; `category` takes anything and keeps the order of first appearance,
            from top to bottom where the names have no room beside each other.
        paper: curves of published numbers, dotted and with other markers, in the colour of ours; not for `category`.
    """
    names = list(dict.fromkeys(str(mark.x) for curve in curves for mark in curve.marks)) if scale == "category" else []
    down = len(names) > MOST_ACROSS
    height = 1.6 + 0.17 * len(names) if down else 3.4 if paper else 2.6  # longer caption and legend of the paper's
    labels = [*(curve.name for curve in (*curves, *paper)), *(level.name for level in levels)]
    height += 0.17 * max(0, math.ceil(len(labels) / _legend_columns(labels)) - USUAL_ROWS)  # the axes keep their size
    if down:
        words = replace(words, x=words.y, y=words.x)
    with drawing(words, height, 38 if down else 60) as (figure, axes):
        if scale == "category":
            _draw_dots(axes, curves, names, down)
        else:
            _draw_paper(axes, paper, [curve.name for curve in curves])
            _draw_lines(axes, curves, scale, paper)
        line, band = (axes.axvline, axes.axvspan) if down else (axes.axhline, axes.axhspan)
        for i, level in enumerate(levels):
            mark = Mark("", level.values)
            line(mark.mean, color=GREY, linestyle=(0, (1, 1 + i)), linewidth=1.1, label=level.name, zorder=1.5)
            if mark.spread:
                band(mark.mean - mark.spread, mark.mean + mark.spread, color=GREY, alpha=0.1, linewidth=0)
        add_legend(figure, axes, labels)
        return figure


def draw_panels(panels: Sequence[Panel], title: str, x: str) -> Figure:
    """Draw panels in two columns over a common x axis in powers of ten: means with their spread, and the seeds.

    A curve has the same look in every panel that shows one of its name.
    """
    names = list(dict.fromkeys(curve.name for panel in panels for curve in panel.curves))
    rows = math.ceil(len(panels) / 2)
    with _new_figure(2 * WIDTH, 0.9 + 2.0 * rows, title) as figure:
        grid = list(figure.subplots(rows, min(2, len(panels)), sharex=True, squeeze=False).flat)
        handles = {}
        for axes, panel in zip(grid, panels, strict=False):
            axes.set_xscale("log")
            axes.set_title(panel.title, loc="left", fontsize=8)
            axes.set_ylabel(panel.y)
            axes.set_xlabel(x)
            axes.tick_params(labelbottom=True)
            axes.xaxis.set_major_formatter("{x:g}")
            for curve in panel.curves:
                look = _look(names.index(curve.name), curve.name)
                for mark in curve.marks:
                    axes.plot([float(mark.x)] * len(mark.values), mark.values, ".", color=look["color"], markersize=2)
                    handles[curve.name] = axes.errorbar(
                        float(mark.x), mark.mean, mark.spread, **look, linestyle="none", capsize=2.5, elinewidth=0.9
                    )
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=min(6, len(names)))
        return figure


@contextmanager
def _new_figure(width: float, height: float, title: str) -> Iterator[Figure]:
    """An empty figure in our style with a title; sizes in inches. What is drawn within the context has the style."""
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with style.context(["default", _STYLE]):  # not what the user has in a matplotlibrc
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(title, x=0.02, ha="left", fontsize=9)
        yield figure


@contextmanager
def drawing(words: Words, height: float = 2.6, letters: int = 60) -> Iterator[tuple[Figure, Axes]]:
    """A figure with one pair of axes in our style; `height` in inches, the width of the caption in letters.

    What is drawn within the context has the style; `save` computes the layout.
    """
    with _new_figure(WIDTH, height, words.title) as figure:
        axes = figure.add_subplot()
        axes.set_xlabel(words.x)
        axes.set_ylabel(words.y)
        axes.set_title(textwrap.fill(words.caption, letters), color=GREY, loc="left")
        yield figure, axes


def add_legend(figure: Figure, axes: Axes, names: Sequence[str]) -> None:
    """Add a legend with these labels below the axes, in as many columns as fit."""
    if not names:
        return
    labelled = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    handles = [labelled[name] for name in names]
    columns = _legend_columns(names)
    figure.legend(handles, names, loc="outside lower center", ncols=columns, columnspacing=1.2, handlelength=2.4)


def _legend_columns(names: Sequence[str]) -> int:
    """As many columns as fit; at least one."""
    longest = max(map(len, names), default=0) + 6  # the line's sample is as wide as six letters
    return max(1, min(len(names), 62 // longest))


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write `stem`.png and `stem`.svg; equal figures give equal bytes with the same version of matplotlib."""
    from matplotlib import style

    paths = []
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
        stream = io.BytesIO()
        with style.context(["default", _STYLE]):
            figure.savefig(stream, format=kind, dpi=DPI, metadata=metadata)
        path = stem.with_name(f"{stem.name}.{kind}")
        write_bytes_whole(path, stream.getvalue())
        paths.append(path)
    return paths


def _look(number: int, label: str) -> dict[str, Any]:
    """Colour, marker and label of the series with this number."""
    colour = COLOURS[number % len(COLOURS)]
    face = "white" if number % 2 else colour
    marker = MARKERS[number % len(MARKERS)]
    return {"color": colour, "marker": marker, "markerfacecolor": face, "label": label, "zorder": 3}


def _draw_paper(axes: Axes, paper: Sequence[Curve], ours: Sequence[str]) -> None:
    for i, curve in enumerate(paper):
        name = curve.name.removesuffix(PAPER)
        colour = COLOURS[ours.index(name) % len(COLOURS)] if name in ours else "black"
        x, mean = [float(mark.x) for mark in curve.marks], [mark.mean for mark in curve.marks]
        marker = PAPER_MARKERS[i % len(PAPER_MARKERS)]
        axes.plot(x, mean, ":", color=colour, marker=marker, markersize=5, linewidth=0.9, label=curve.name)


def _draw_lines(axes: Axes, curves: Sequence[Curve], scale: Scale, paper: Sequence[Curve] = ()) -> None:
    ticks = sorted({float(mark.x) for curve in (*curves, *paper) for mark in curve.marks})
    many = len(ticks) > 25  # markers would touch
    for i, curve in enumerate(curves):
        x = [float(mark.x) for mark in curve.marks]
        mean = [mark.mean for mark in curve.marks]
        colour = COLOURS[i % len(COLOURS)]
        markevery = max(1, len(x) // 8) if many else 1
        axes.plot(x, mean, **_look(i, curve.name), linestyle=LINES[i % len(LINES)], markevery=markevery)
        low = [mark.mean - mark.spread for mark in curve.marks]
        high = [mark.mean + mark.spread for mark in curve.marks]
        axes.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0, zorder=2)
        if len(x) == 1:  # a band needs two points
            axes.errorbar(x, mean, curve.marks[0].spread, color=colour, capsize=2.5, elinewidth=0.9, zorder=2)
    if scale == "log":
        axes.set_xscale("log")
    if not many:
        ticks = _apart(ticks, scale)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_xticks([], minor=True)


def _apart(ticks: Sequence[float], scale: Scale) -> list[float]:
    """The ticks whose labels do not touch, the last one always among them."""
    positions = [math.log(tick) for tick in ticks] if scale == "log" else list(ticks)
    room = 0.075 * (positions[-1] - positions[0])
    chosen: list[int] = []
    for i in reversed(range(len(ticks))):
        if not chosen or positions[chosen[-1]] - positions[i] >= room:
            chosen.append(i)
    return [ticks[i] for i in reversed(chosen)]


def _draw_dots(axes: Axes, curves: Sequence[Curve], names: Sequence[str], down: bool) -> None:
    """Draw dots with error bars and seeds at the numbers of `names`, which lie on the y axis if `down`."""
    step = min(0.22, 0.7 / max(1, len(curves)))
    for i, curve in enumerate(curves):
        shift = (i - (len(curves) - 1) / 2) * step
        places = [names.index(str(mark.x)) + shift for mark in curve.marks]
        colour = COLOURS[i % len(COLOURS)]
        for place, mark in zip(places, curve.marks, strict=True):
            beside = [place + 0.06] * len(mark.values)
            across = (mark.values, beside) if down else (beside, mark.values)
            axes.plot(*across, ".", color=colour, markersize=2, alpha=0.6)
        means, spreads = zip(*((mark.mean, mark.spread) for mark in curve.marks), strict=True)
        look: dict[str, Any] = {**_look(i, curve.name), "linestyle": "none", "capsize": 2.5, "elinewidth": 0.9}
        if down:
            axes.errorbar(means, places, xerr=spreads, **look)
        else:
            axes.errorbar(places, means, spreads, **look)
    ends = (-0.6, len(names) - 0.4)
    if down:
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(*reversed(ends))
    else:
        axes.set_xticks(range(len(names)), [textwrap.fill(name, max(8, 44 // len(names))) for name in names])
        axes.set_xlim(*ends)
    axes.grid(False, axis="y" if down else "x")
