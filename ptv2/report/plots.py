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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ptv2.files import write_bytes_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Scale = Literal["linear", "log", "category"]

WIDTH = 3.4  # inches: one of two columns
DPI = 300
# Okabe and Ito's colours, which differ for colour-blind readers too, in an order in which neighbours differ in grey.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", (0, (3, 1, 1, 1, 1, 1)), (0, (5, 1)), ":")
GREY = "0.35"
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
    """The values of one place on the x axis, one a seed."""

    x: float | str
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def spread(self) -> float:
        """Standard deviation (n - 1); 0 for one value."""
        return statistics.stdev(self.values) if len(self.values) > 1 else 0.0


@dataclass(frozen=True)
class Curve:
    """A series; its marks stand in the order of the x axis."""

    name: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Level:
    """A horizontal line, such as what fine-tuning reaches."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Words:
    """What is written on a figure; `caption` says what the marks are and stands below the title."""

    title: str
    caption: str
    x: str
    y: str


def draw_curves(curves: Sequence[Curve], levels: Sequence[Level], words: Words, scale: Scale) -> Figure:
    """Means as lines over a band of one standard deviation; on a category axis dots with error bars, and each seed.

    Args:
        scale: `linear` and `log` need numbers as x; `category` takes anything and keeps the order of first appearance.
    """
    with drawing(words) as (figure, axes):
        if scale == "category":
            _draw_dots(axes, curves)
        else:
            _draw_lines(axes, curves, scale)
        for i, level in enumerate(levels):
            mark = Mark("", level.values)
            axes.axhline(mark.mean, color=GREY, linestyle=(0, (1, 1 + i)), linewidth=1.1, label=level.name, zorder=1.5)
            if mark.spread:
                axes.axhspan(mark.mean - mark.spread, mark.mean + mark.spread, color=GREY, alpha=0.1, linewidth=0)
        add_legend(figure, axes, [*(curve.name for curve in curves), *(level.name for level in levels)])
        return figure


@contextmanager
def drawing(words: Words, height: float = 2.6) -> Iterator[tuple[Figure, Axes]]:
    """A figure with one pair of axes in this house's style, titled and labelled; `height` in inches.

    Save it with `save`; what is drawn inside the context has the style, and its layout is computed on saving.
    """
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with style.context(["default", _STYLE]):  # not what the user has in a matplotlibrc
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.set_xlabel(words.x)
        axes.set_ylabel(words.y)
        figure.suptitle(words.title, x=0.02, ha="left", fontsize=9)
        axes.set_title(textwrap.fill(words.caption, 60), color=GREY, loc="left")
        yield figure, axes


def add_legend(figure: Figure, axes: Axes, names: Sequence[str]) -> None:
    """Name what has these labels below the axes, in as many columns as a paper's column has room for."""
    if not names:
        return
    labelled = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    handles = [labelled[name] for name in names]
    longest = max(len(name) for name in names) + 6  # the sample of its line takes as much room as six letters
    columns = max(1, min(len(names), 62 // longest))
    figure.legend(handles, names, loc="outside lower center", ncols=columns, columnspacing=1.2, handlelength=2.4)


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write `stem`.png and `stem`.svg, each whole; equal figures are equal bytes under one version of matplotlib."""
    from matplotlib import style

    written = []
    for kind, nothing in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
        stream = io.BytesIO()
        with style.context(["default", _STYLE]):
            figure.savefig(stream, format=kind, dpi=DPI, metadata=nothing)
        path = stem.with_name(f"{stem.name}.{kind}")
        write_bytes_whole(path, stream.getvalue())
        written.append(path)
    return written


def _draw_lines(axes: Axes, curves: Sequence[Curve], scale: Scale) -> None:
    places = sorted({float(mark.x) for curve in curves for mark in curve.marks})
    many = len(places) > 25  # markers would touch
    for i, curve in enumerate(curves):
        x = [float(mark.x) for mark in curve.marks]
        mean = [mark.mean for mark in curve.marks]
        colour = COLOURS[i % len(COLOURS)]
        axes.plot(
            x,
            mean,
            color=colour,
            marker=MARKERS[i % len(MARKERS)],
            markevery=max(1, len(x) // 8) if many else 1,
            markerfacecolor="white" if i % 2 else colour,
            linestyle=LINES[i % len(LINES)],
            label=curve.name,
            zorder=3,
        )
        low = [mark.mean - mark.spread for mark in curve.marks]
        high = [mark.mean + mark.spread for mark in curve.marks]
        axes.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0, zorder=2)
        if len(x) == 1:  # no band is as wide as one place
            axes.errorbar(x, mean, curve.marks[0].spread, color=colour, capsize=2.5, elinewidth=0.9, zorder=2)
    if scale == "log":
        axes.set_xscale("log")
    if not many:
        shown = _apart(places, scale)
        axes.set_xticks(shown, [f"{place:g}" for place in shown])
        axes.set_xticks([], minor=True)


def _apart(places: Sequence[float], scale: Scale) -> list[float]:
    """Those of the places whose labels do not touch, the last one always among them."""
    at = [math.log(place) for place in places] if scale == "log" else list(places)
    room = 0.075 * (at[-1] - at[0])
    kept: list[int] = []
    for i in reversed(range(len(places))):
        if not kept or at[kept[-1]] - at[i] >= room:
            kept.append(i)
    return [places[i] for i in reversed(kept)]


def _draw_dots(axes: Axes, curves: Sequence[Curve]) -> None:
    names = list(dict.fromkeys(str(mark.x) for curve in curves for mark in curve.marks))
    step = min(0.22, 0.7 / max(1, len(curves)))
    for i, curve in enumerate(curves):
        shift = (i - (len(curves) - 1) / 2) * step
        x = [names.index(str(mark.x)) + shift for mark in curve.marks]
        colour = COLOURS[i % len(COLOURS)]
        for place, mark in zip(x, curve.marks, strict=True):
            axes.plot([place + 0.06] * len(mark.values), mark.values, ".", color=colour, markersize=2, alpha=0.6)
        axes.errorbar(
            x,
            [mark.mean for mark in curve.marks],
            [mark.spread for mark in curve.marks],
            color=colour,
            marker=MARKERS[i % len(MARKERS)],
            markerfacecolor="white" if i % 2 else colour,
            linestyle="none",
            capsize=2.5,
            elinewidth=0.9,
            label=curve.name,
            zorder=3,
        )
    width = max(8, 44 // len(names))
    axes.set_xticks(range(len(names)), [textwrap.fill(name, width) for name in names])
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.grid(False, axis="x")
