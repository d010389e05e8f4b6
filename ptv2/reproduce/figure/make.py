"""`ptv2 reproduce figure=NAME`: from a figure's description to its runs, and from their results to PNG, SVG and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ptv2.config.compose import compose
from ptv2.config.methods import BASELINE
from ptv2.config.recipes import describe_recipe
from ptv2.console.output import tell
from ptv2.data.sources import open_source
from ptv2.errors import ConfigError, RunError
from ptv2.report.points import Point, read_points
from ptv2.reproduce.figure.cells import cells_of, layers_of, level_cells, refuse_fixed_axis
from ptv2.reproduce.figure.files import ends, show_figure, show_gaps, stem_of, words_of, write_figure, write_page
from ptv2.reproduce.figure.spec import LAYERS, FigureSpec, Series, read_figure
from ptv2.reproduce.figure.values import best_baseline, points_of, splits_of
from ptv2.reproduce.jobs.execute import Outcome, collect, execute
from ptv2.reproduce.jobs.plan import Job, plan_jobs
from ptv2.reproduce.jobs.show_plan import show_plan
from ptv2.reproduce.options import Options, chosen
from ptv2.reproduce.table.notes import figure_command

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
    jobs, looked_for = plan_figure(request, options)
    refuse_absent_split(request.split, jobs)
    if options.plan:
        show_plan(jobs, options)
        return 0
    if options.collect:
        outcomes = collect(jobs)
    else:
        refuse_lone_place(request, jobs)
        outcomes = execute(jobs, options.jobs, f"figure {name}")
    found = [*outcomes, *collect(looked_for)]
    points = gather(request, found, options)
    stem = _stem(request, options, jobs)
    table = stem.with_name(f"{stem.name}.csv")
    if not points and options.collect and table.is_file():
        points, outcomes = read_points(table), []
        tell(f"no finished run here; drawn again from {table}")
    if not points:
        why = dict.fromkeys(outcome.message for outcome in outcomes)
        raise RunError(f"figure {name}: no finished run to draw ({'; '.join(list(why)[:3])})")
    label = request.spec.x.label.replace(LAYERS, str(request.layers))
    words = words_of(points, request.spec.title, label, course=request.course)
    paths = write_figure(points, words, request.spec.x.drawn, stem)
    shown = ends(points) if request.course else points
    if outcomes:
        command = figure_command(name, options.seeds or request.spec.seeds, options)
        paths.append(write_page(shown, words, stem, command, *_made(found)))
    show_figure(shown, paths, label)
    show_gaps(outcomes)
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
    if not any(spec.method_of(part) in methods for part in spec.series):
        raise ConfigError(f"methods={','.join(options.methods)}: that leaves figure {name} no series")
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
        layers=layers_of(options.model, overrides, options.config_dir) if spec.x.needs_layers else None,
    )


def plan_figure(request: Request, options: Options) -> tuple[list[Job], list[Job]]:
    """The runs of a figure, and those of horizontal lines that nobody asked for, which are drawn if they are there."""
    cells = cells_of(request.spec, request.series, request.base, request.layers)
    cells += level_cells(request.spec, request.levels, request.base)
    common = (*request.overrides, f"out={options.out}")
    seeds = options.seeds or request.spec.seeds
    jobs = plan_jobs(cells, seeds, common, options.data, options.config_dir, anyway=options.anyway)
    unasked = {level.name for level in request.levels} - request.wanted
    return (
        [job for job in jobs if job.cell.key[0] not in unasked],
        [job for job in jobs if job.cell.key[0] in unasked],
    )


def gather(request: Request, outcomes: Sequence[Outcome], options: Options) -> list[Point]:
    """The points of all series, and of the horizontal lines.

    Raises:
        ConfigError: the runs have no scores on the split that was asked for.
    """
    names = {level.name for level in request.levels}
    drawn = [outcome for outcome in outcomes if outcome.job.cell.key[0] not in names]
    results = [outcome.result for outcome in drawn if outcome.result is not None]
    if results and request.split not in (known := splits_of(results)):
        raise ConfigError(f"split={request.split}: task {results[0].task} has scores on {', '.join(known)}")
    points = points_of(drawn, request.split, course=request.course)
    for level in request.levels:
        own = [outcome for outcome in outcomes if outcome.job.cell.key[0] == level.name]
        found = points_of(own, request.split)
        if not found and results and request.spec.method_of(level) == BASELINE and level.name not in request.wanted:
            found = best_baseline(f"{level.name}, best found", results[0], options.out, request.split)
        points += found
    return points


def refuse_absent_split(split: str, jobs: Sequence[Job]) -> None:
    """Train nothing that has no scores on the split that is to be drawn.

    Raises:
        ConfigError: the data have no such split.
    """
    for config in [job.config for job in jobs if job.config is not None and job.why is None][:1]:
        known = [name for name in open_source(config).splits if name != "train"]
        if split not in known:
            raise ConfigError(f"split={split}: task {config.task.name} has {', '.join(known)}")


def refuse_lone_place(request: Request, jobs: Sequence[Job]) -> None:
    """Train nothing where the figure compares places of its x axis and only one of them can be had.

    Raises:
        ConfigError: with the reason of the others.
    """
    reasons: dict[str, str | None] = {}
    for job in jobs:
        place = job.cell.key[1]
        if place and reasons.get(place, "unknown") is not None:
            reasons[place] = _why_not(job)
    possible = [place for place, why in reasons.items() if why is None]
    if len(reasons) > 1 and len(possible) == 1:
        why = next(why for why in reasons.values() if why is not None)
        raise ConfigError(f"figure {request.name}: of what it compares only '{possible[0]}' can be run: {why}")


def _why_not(job: Job) -> str | None:
    """Why a job can have no result; none if it has one, or if nothing speaks against it."""
    if collect([job])[0].result is not None:
        return None
    return job.why


def _made(outcomes: Sequence[Outcome]) -> tuple[list[Path], list[str]]:
    """The folders of the runs that are drawn, and the recipe of each that has one."""
    done = [outcome.job for outcome in outcomes if outcome.result is not None]
    folders = [job.folder for job in done if job.folder is not None]
    configs = [job.config for job in done if job.config is not None]
    # What a figure varies itself is in its command.
    recipes = [(config.method, describe_recipe(config, changes=False)) for config in configs]
    return folders, [f"{method}: {recipe}" for method, recipe in recipes if recipe is not None]


def _stem(request: Request, options: Options, jobs: Sequence[Job]) -> Path:
    """The figure's files without their endings; a figure over tasks or models has all their names."""
    configs = [job.config for job in jobs if job.config is not None]
    tasks = dict.fromkeys(config.task.name for config in configs) or [str(options.task)]
    models = dict.fromkeys(config.model.name for config in configs) or [options.model or compose([]).model.name]
    return stem_of(options.results / "figures", request.name, "+".join(tasks), "+".join(models), request.split)
