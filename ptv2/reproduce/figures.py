"""`ptv2 reproduce figure=NAME`: from a figure's description to its runs, and from their results to PNG, SVG and CSV."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ptv2.commands.console import err, out
from ptv2.errors import ConfigError, ModelError, RunError
from ptv2.files import write_text_whole
from ptv2.reproduce.execute import Outcome, collect, execute
from ptv2.reproduce.figure_cells import cells_of, layers_of, level_cells, refuse_fixed_axis
from ptv2.reproduce.figure_spec import FigureSpec, Series, read_figure
from ptv2.reproduce.figure_values import best_baseline, points_of, splits_of
from ptv2.reproduce.options import Options, chosen
from ptv2.reproduce.plan import Cell, Job, plan_jobs
from ptv2.report import plots
from ptv2.report.points import Point, comma_separated, curves, levels, read_points
from ptv2.report.tables import BASELINE

OWN = "figure."  # what begins so changes the figure's own keys
DEV, COURSE = "dev", "evaluations"


@dataclass(frozen=True)
class Request:
    """A figure that was asked for, with what the words of the command left of its parts."""

    name: str
    spec: FigureSpec
    split: str
    series: tuple[Series, ...]
    levels: tuple[Series, ...]
    wanted: frozenset[str]  # names of the levels that are run if need be
    base: tuple[str, ...]  # task and model
    overrides: tuple[str, ...]  # of all runs
    layers: int | None  # of the backbone, where the figure needs to know

    @property
    def course(self) -> bool:
        return self.spec.x.values == COURSE


def reproduce_figure(name: str, options: Options) -> int:
    """Make the runs that are missing, draw what there is, and say where.

    Returns:
        0, or 1 if runs failed.

    Raises:
        ConfigError: no such figure, or words that do not fit it.
        RunError: there is nothing to draw.
    """
    request = read_request(name, options)
    jobs = plan_figure(request, options)
    if options.plan:
        show_plan(jobs, options)
        return 0
    if options.collect:
        outcomes = collect(jobs)
    else:
        refuse_lone_places(request, jobs)
        outcomes = execute(jobs, options.jobs, f"figure {name}")
    points = gather(request, outcomes, options)
    stem = options.results / "figures" / _file_name(request, options, points)
    if not points and options.collect and (table := Path(f"{stem}.csv")).is_file():
        points = read_points(table)
        err.print(f"no finished run: drawn again from {table}", soft_wrap=True)
    if not points:
        raise RunError(f"figure {name}: no finished run to draw{_first_reason(outcomes)}")
    paths = draw(request, points, stem)
    show(request, points, outcomes, paths)
    return 1 if any(outcome.state == "failed" for outcome in outcomes) else 0


def read_request(name: str, options: Options) -> Request:
    """The figure that `options` ask for.

    Raises:
        ConfigError: no such figure, method or split, no task, or a setting that the figure itself varies.
    """
    if options.task is None:
        raise ConfigError(f"figure={name}: expected task=NAME with it")
    changes = [word.removeprefix(OWN) for word in options.overrides if word.startswith(OWN)]
    splits = [word.removeprefix("split=") for word in options.overrides if word.startswith("split=")]
    overrides = tuple(word for word in options.overrides if not word.startswith((OWN, "split=")))
    spec = read_figure(name, changes, options.config_dir)
    refuse_fixed_axis(spec, overrides)
    split = splits[-1] if splits else DEV
    if split not in (DEV, "test", "test-brown"):
        raise ConfigError(f"split={split}: expected dev, test or test-brown")
    if split != DEV and spec.x.values == COURSE:
        raise ConfigError(f"split={split}: runs are evaluated on dev while they learn; expected split=dev")
    methods = chosen("method", options.methods, list(dict.fromkeys(map(spec.method_of, (*spec.series, *spec.levels)))))
    base = (f"task={options.task}", *([f"model={options.model}"] if options.model else []))
    return Request(
        name=name,
        spec=spec,
        split=split,
        series=tuple(part for part in spec.series if spec.method_of(part) in methods),
        levels=tuple(level for level in spec.levels if spec.method_of(level) in methods),
        wanted=frozenset(level.name for level in spec.levels if spec.method_of(level) in options.methods),
        base=base,
        overrides=overrides,
        layers=layers_of(base, overrides, options.config_dir) if spec.x.values == "layers" else None,
    )


def plan_figure(request: Request, options: Options) -> list[Job]:
    """The runs of a figure, series by series, and of its horizontal lines.

    Those of lines that nobody asked for are only looked for: `why` says so.
    """
    cells = cells_of(request.spec, request.series, request.base, request.layers)
    cells += level_cells(request.spec, request.levels, request.base)
    common = (*request.overrides, f"out={options.out}")
    seeds = options.seeds or request.spec.seeds
    return plan_jobs(cells, seeds, common, options.data, options.config_dir, anyway=options.anyway)
