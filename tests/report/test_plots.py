"""Drawings: the same bytes each time, whole, and told apart without colours."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ptv2.report import plots
from ptv2.report.plots import Curve, Level, Mark, Scale, Words, draw_curves, save
from ptv2.report.points import Point, comma_separated, curves, levels, read_points

WORDS = Words("Prompt length: rte, tiny", "mean ± standard deviation over 2 seeds", "prompt length", "accuracy (%)")


def drawn(name: str, *values: tuple[float | str, float, float]) -> Curve:
    return Curve(name, tuple(Mark(x, (low, high)) for x, low, high in values))


TWO = [drawn("embedding", (2, 50, 54), (20, 60, 62)), drawn("MLP", (2, 55, 57), (20, 58, 58))]
NAMED = [drawn("a", ("normal", 50, 54), ("vocabulary", 60, 62))]


def test_mean_and_spread_are_those_of_statistics() -> None:
    mark = Mark(3, (50.0, 54.0, 58.5))
    assert (mark.mean, mark.spread) == (statistics.fmean(mark.values), statistics.stdev(mark.values))
    assert Mark(3, (50.0,)).spread == 0


@pytest.mark.parametrize(("curves", "scale"), [(TWO, "log"), (TWO, "linear"), (NAMED, "category")])
def test_equal_figures_are_equal_bytes(curves: list[Curve], scale: Scale, tmp_path: Path) -> None:
    written = []
    for name in ("a", "b"):
        figure = draw_curves(curves, [Level("fine-tuning", (70.0, 72.0))], WORDS, scale)
        paths = save(figure, tmp_path / name / "figure.v1")
        assert [path.name for path in paths] == ["figure.v1.png", "figure.v1.svg"]
        written.append([path.read_bytes() for path in paths])
    assert written[0] == written[1]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["figure.v1.png", "figure.v1.svg"]
    png, svg = written[0]
    assert png.startswith(b"\x89PNG")
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert b"<dc:date>" not in svg


def test_a_users_own_style_changes_nothing(tmp_path: Path) -> None:
    import matplotlib

    plain = save(draw_curves(TWO, [], WORDS, "log"), tmp_path / "plain")
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 30, "savefig.facecolor": "red"}):
        styled = save(draw_curves(TWO, [], WORDS, "log"), tmp_path / "styled")
    assert [path.read_bytes() for path in plain] == [path.read_bytes() for path in styled]


def test_series_differ_without_colours() -> None:
    many = [drawn(f"series {i}", (1, 50 + i, 51 + i), (2, 60, 61)) for i in range(4)]
    (axes,) = draw_curves(many, [Level("line", (1.0,)), Level("other", (2.0,))], WORDS, "linear").axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert len({lines[curve.name].get_marker() for curve in many}) == 4
    assert len({lines[curve.name].get_linestyle() for curve in many[:3]}) == 3
    assert {"line", "other"} < set(lines)


def test_the_axis_shows_the_values_that_were_tried() -> None:
    (axes,) = draw_curves(TWO, [], WORDS, "log").axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["2", "20"]
    assert axes.get_xscale() == "log"
    near = [drawn("a", *((x, 1, 2) for x in (1, 1.01, 50, 100)))]
    (axes,) = draw_curves(near, [], WORDS, "linear").axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1.01", "50", "100"]
    (axes,) = draw_curves(NAMED, [], WORDS, "category").axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["normal", "vocabulary"]
    changes = [drawn("a", *((f"change {i}", i, i + 1) for i in range(7)))]  # no room beside each other
    figure = draw_curves(changes, [Level("line", (4.0, 5.0))], WORDS, "category")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"change {i}" for i in range(7)]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first one is on top
    assert (axes.get_xlabel(), axes.get_ylabel()) == (WORDS.y, WORDS.x)
    (level,) = [line for line in axes.get_lines() if line.get_label() == "line"]
    assert list(level.get_xdata()) == [4.5, 4.5]


def test_the_legend_names_every_series_then_every_line() -> None:
    figure = draw_curves(TWO, [Level("fine-tuning", (70.0,))], WORDS, "linear")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["embedding", "MLP", "fine-tuning"]


def test_a_long_legend_leaves_the_axes_their_size() -> None:
    def height_of_axes(series: int) -> float:
        lines = [drawn(f"a series with a long name {i}", (1, 1.0, 2.0), (2, 2.0, 3.0)) for i in range(series)]
        figure = draw_curves(lines, [], WORDS, "linear")
        figure.draw_without_rendering()
        return float(figure.axes[0].get_position().height * figure.get_size_inches()[1])

    assert height_of_axes(30) > 0.9 * height_of_axes(6)


def test_dollars_are_dollars(tmp_path: Path) -> None:
    words = Words("$rte_1$: 50 $", "$a$", "$x^$", "y")
    save(draw_curves([drawn("$\\broken$", (1, 2, 3))], [], words, "linear"), tmp_path / "figure")


def test_points_survive_their_csv(tmp_path: Path) -> None:
    def point(series: str, x: str, seed: int, value: float) -> Point:
        return Point("rte", "tiny", "dev", "accuracy", series, x, seed, value, 100, 0.25, f"run-{seed}")

    points = [
        point("a, b", "20", 1, 60.5),
        point("a, b", "3", 1, 50.25),
        point("a, b", "3", 2, 51),
        point("l", "", 1, 7),
    ]
    path = tmp_path / "points.csv"
    path.write_text(comma_separated(points), encoding="utf-8")
    assert read_points(path) == points
    marks = (Mark("3", (50.25, 51)), Mark("20", (60.5,)))
    assert curves(points, numeric=True) == [Curve("a, b", marks)]
    assert curves(points, numeric=False) == [Curve("a, b", marks[::-1])]
    assert levels(points) == [Level("l", (7,))]


def test_matplotlib_is_imported_when_something_is_drawn() -> None:
    ask = "import sys, ptv2.report.plots, ptv2.report.points; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", ask], check=False).returncode == 0
    assert plots.DPI >= 300
