"""`ptv2 reproduce figure=NAME`: from a figure's description to its runs, and from their results to PNG, SVG and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptv2.config.compose import compose
from ptv2.config.methods import BASELINE
from ptv2.config.recipes import describe_recipe
from ptv2.console.output import tell
from ptv2.data.sources import open_source
from ptv2.errors import ConfigError, RunError
from ptv2.files import check_folder
from ptv2.report import tables
from ptv2.report.plots import Level
from ptv2.report.points import Point, point_of, read_points
from ptv2.report.usable import distinct_results
from ptv2.reproduce.figure.cells import cells_of, layers_of, level_cells, refuse_fixed_axis
from ptv2.reproduce.figure.files import label_figure, last_points, show_figure, show_gaps, write_figure, write_page
from ptv2.reproduce.figure.scale import Gaps, gap_cells, gap_points, label_gaps, paper_gaps, read_gaps
from ptv2.reproduce.figure.spec import LAYERS, FigureSpec, Series, read_figure
from ptv2.reproduce.jobs.execute import JobStatus, collect, execute
from ptv2.reproduce.jobs.list_jobs import Job, list_asked_jobs
from ptv2.reproduce.jobs.show_plan import show_plan
from ptv2.reproduce.options import Options, choose_names
from ptv2.reproduce.table.cells import shortened
from ptv2.reproduce.table.notes import describe_records, format_command
from ptv2.run_folders.directory import find_runs
from ptv2.run_folders.metrics_log import read_lines
from ptv2.run_folders.record import Result

OWN = "figure."  # begins words that change keys of the figure's file
DEV, COURSE, MODELS = "dev", "evaluations", "models"


@dataclass(frozen=True)
class FigureRequest:
    """The figure that a command asks for, with the series and levels that it chooses."""

    name: str
    spec: FigureSpec
    split: str
    series: tuple[Series, ...]
    levels: tuple[Series, ...]
    wanted: frozenset[str]  # names of the levels whose missing runs are made
    base: tuple[str, ...]  # task and model
    overrides: tuple[str, ...]  # of all runs
    layers: int | None  # of the backbone, if the figure needs to know
    gaps: Gaps | None = None  # of a figure over backbones

    @property
    def course(self) -> bool:
        """Whether it shows the course of each run, one point per evaluation."""
        return self.spec.x.values == COURSE


def reproduce_figure(name: str, options: Options) -> int:
    """Make the missing runs, draw the finished ones, and print where.

    Returns:
        0, or 1 if runs failed.

    Raises:
        ConfigError: no such figure, or words that do not fit it.
        RunError: there is nothing to draw.
    """
    request = read_figure_request(name, options)
    jobs, looked_for = list_figure_jobs(request, options)
    if options.recorded is None:
        refuse_absent_split(request.split, jobs)
    if request.course and (options.recorded or options.known):
        raise ConfigError(f"figure={name} shows every evaluation, and records have only the best and the last one")
    if options.plan:
        show_plan(jobs, options)
        return 0
    stem = _stem(request, options, jobs)
    check_folder(stem.parent)
    if not options.collect and request.gaps is None:  # one backbone can be compared with the paper's
        refuse_lone_value(request, jobs)
    statuses = collect(jobs) if options.collect else execute(jobs, options.jobs, f"figure {name}", options.fuse)
    everything = [*statuses, *collect(looked_for)]
    points = gather(request, everything, options)
    table = stem.with_name(f"{stem.name}.csv")
    if not points and options.collect and options.recorded is None and table.is_file():
        points, statuses = read_points(table), []
        tell(f"no finished run here; drawn again from {table}")
    if not points:
        why = dict.fromkeys(status.message for status in statuses)
        raise RunError(f"figure {name}: no finished run to draw ({'; '.join(list(why)[:3])})")
    label = request.spec.x.label.replace(LAYERS, str(request.layers))
    published: list[str] = []
    if request.gaps is None:
        words = label_figure(points, request.spec.title, label, course=request.course)
        paths = write_figure(points, words, request.spec.x.drawn, stem)
    else:
        paper, published = paper_gaps(request.gaps, points)
        words = label_gaps(request.gaps, points, request.spec.title, label, paper)
        paths = write_figure(points, words, request.spec.x.drawn, stem, [Level(BASELINE, (0.0,))], paper)
    shown = last_points(points) if request.course else points
    if statuses:
        seeds = options.seeds or request.spec.seeds
        command = format_command(f"figure={name} task={options.task}", seeds, options)
        folders, recipes = _origins(everything)
        told = [*describe_records(options), *published, *recipes]
        paths.append(write_page(shown, words, stem, command, folders, told))
    show_figure(shown, paths, words)
    show_gaps(statuses)
    return 1 if any(status.state == "failed" for status in statuses) else 0


def read_figure_request(name: str, options: Options) -> FigureRequest:
    """Read the figure that `options` ask for.

    Raises:
        ConfigError: no such figure, method or split, no task, or a setting that the figure itself varies.
    """
    if options.task is None:
        raise ConfigError(f"figure={name}: expected task=NAME with it")
    changes = [word.removeprefix(OWN) for word in options.overrides if word.startswith(OWN)]
    overrides = tuple(word for word in options.overrides if not word.startswith(OWN))
    spec = read_figure(name, changes, options.config_dir)
    refuse_fixed_axis(spec, overrides)
    split = options.split or DEV
    if split != DEV and spec.x.values == COURSE:
        raise ConfigError(f"split={split}: runs are evaluated on dev while they learn; expected split=dev")
    if spec.x.values == MODELS:
        gaps = read_gaps(spec, options, overrides)
        return FigureRequest(name, spec, split, gaps.series, (), frozenset(), (), overrides, None, gaps)
    known = dict.fromkeys(map(spec.method_of, (*spec.series, *spec.levels)))
    methods = choose_names("method", options.methods, list(known))
    if not any(spec.method_of(series) in methods for series in spec.series):
        raise ConfigError(f"methods={','.join(options.methods)}: that leaves figure {name} no series")
    base = (f"task={options.task}", *([f"model={options.model}"] if options.model else []))
    return FigureRequest(
        name=name,
        spec=spec,
        split=split,
        series=tuple(series for series in spec.series if spec.method_of(series) in methods),
        levels=tuple(level for level in spec.levels if spec.method_of(level) in methods),
        wanted=frozenset(level.name for level in spec.levels if spec.method_of(level) in options.methods),
        base=base,
        overrides=overrides,
        layers=layers_of(options.model, overrides, options.config_dir) if spec.x.needs_layers else None,
    )


def list_figure_jobs(request: FigureRequest, options: Options) -> tuple[list[Job], list[Job]]:
    """List the runs of a figure, and those of levels that were not asked for, drawn only if they are finished."""
    if request.gaps is not None:
        cells = gap_cells(request.gaps, request.spec)
    else:
        cells = cells_of(request.spec, request.series, request.base, request.layers)
        cells += level_cells(request.spec, request.levels, request.base)
    common = (*request.overrides, f"out={options.out}")
    seeds = options.seeds or request.spec.seeds
    jobs = list_asked_jobs(cells, seeds, options, common)
    unasked = {level.name for level in request.levels} - request.wanted
    return (
        [job for job in jobs if job.cell.key[0] not in unasked],
        [job for job in jobs if job.cell.key[0] in unasked],
    )


def gather(request: FigureRequest, statuses: Sequence[JobStatus], options: Options) -> list[Point]:
    """The points of all series and levels.

    Raises:
        ConfigError: the runs have no scores on the split asked for.
    """
    if request.gaps is not None:
        return gap_points(request.gaps, statuses, request.split)
    names = {level.name for level in request.levels}
    drawn = [status for status in statuses if status.job.cell.key[0] not in names]
    results = [status.result for status in drawn if status.result is not None]
    if results and request.split not in (known := splits_of(results)):
        raise ConfigError(f"split={request.split}: task {results[0].task} has scores on {', '.join(known)}")
    points = points_of(drawn, request.split, course=request.course)
    for level in request.levels:
        of_level = points_of((s for s in statuses if s.job.cell.key[0] == level.name), request.split)
        if not of_level and results and request.spec.method_of(level) == BASELINE and level.name not in request.wanted:
            of_level = best_baseline(f"{level.name}, best found", results[0], options.out, request.split)
        points += of_level
    return points


def refuse_absent_split(split: str, jobs: Sequence[Job]) -> None:
    """Refuse a split that the data do not have, before anything is trained.

    Raises:
        ConfigError: they have none of that name.
    """
    of_tasks = {job.config.task.name: job.config for job in jobs if job.config is not None and job.why is None}
    for config in of_tasks.values():
        known = [name for name in open_source(config).splits if name != "train"]
        if split not in known:
            raise ConfigError(f"split={split}: task {config.task.name} has {', '.join(known)}")


def refuse_lone_value(request: FigureRequest, jobs: Sequence[Job]) -> None:
    """Refuse a figure that compares values of x of which only one can be run, before anything is trained.

    Raises:
        ConfigError: only one can be run; with the reason of the others.
    """
    reasons: dict[str, str | None] = {}
    for status in collect(jobs):
        x = status.job.cell.key[1]
        if x and reasons.get(x, "unknown") is not None:
            reasons[x] = None if status.result is not None else status.job.why
    possible = [x for x, why in reasons.items() if why is None]
    if len(reasons) > 1 and len(possible) == 1:
        why = next(why for why in reasons.values() if why is not None)
        raise ConfigError(f"figure {request.name}: of what it compares only '{possible[0]}' can be run: {why}")


def _origins(statuses: Sequence[JobStatus]) -> tuple[list[Path], list[str]]:
    """The folders of the runs that are drawn, and the recipe of each that has one."""
    done = [status.job for status in statuses if status.result is not None]
    folders = [job.folder for job in done if job.folder is not None]
    configs = [job.config for job in done if job.config is not None]
    # Without changes: the figure's command says what it varies.
    recipes = [(config.method, describe_recipe(config, changes=False)) for config in configs]
    return folders, [f"{method}: {recipe}" for method, recipe in recipes if recipe is not None]


def _stem(request: FigureRequest, options: Options, jobs: Sequence[Job]) -> Path:
    """The path of the figure's files without ending: all its tasks and models, and the split unless it is dev."""
    if options.name:
        return options.results / "figures" / options.name
    configs = [job.config for job in jobs if job.config is not None]
    tasks = dict.fromkeys(config.task.name for config in configs) or [str(options.task)]
    models = dict.fromkeys(config.model.name for config in configs) or [options.model or compose([]).model.name]
    split = [] if request.split == DEV else [request.split]
    name = shortened("-".join((request.name, "+".join(tasks), "+".join(models), *split)))
    return options.results / "figures" / name


def points_of(statuses: Iterable[JobStatus], split: str, *, course: bool = False) -> list[Point]:
    """The headline metric of finished runs that have scores on `split`.

    Args:
        course: take a point for each evaluation of a run instead, at its epoch.
    """
    points = []
    for status in statuses:
        result, folder = status.result, status.job.folder
        if result is None or folder is None:
            continue
        series, x = status.job.cell.key
        if course:
            lines = [line for line in read_lines(folder / "metrics.jsonl") if "dev" in line]
            values = [(f"{line['epoch']:g}", float(line["dev"][result.headline])) for line in lines]
            points += [point_of(result, series, epoch, value, split) for epoch, value in values]
        elif (scores := result.scores(split)) is not None:
            points.append(point_of(result, series, x, scores[result.headline], split))
    return points


def best_baseline(name: str, like: Result, out: str, split: str) -> list[Point]:
    """Points of the level `name`: finished runs in `out` that fine-tune with the data and backbone of `like`.

    Of several settings the best on dev is taken, whatever split is drawn.
    """
    results = [result for result in distinct_results(find_runs([out]))[0].values() if _is_baseline(result, like)]
    row = max(tables.rows(results, split), key=lambda row: row.dev, default=None)
    if row is None:
        return []
    by_name = {result.name: result for result in results}
    scores = row.metrics[row.headline]
    return [point_of(by_name[run], name, "", scores[seed], split) for seed, run in sorted(row.runs.items())]


def splits_of(results: Sequence[Result]) -> list[str]:
    """The splits that all of one or more runs have scores on."""
    return sorted(set.intersection(*(set(result.splits) for result in results)))


def _is_baseline(result: Result, like: Result) -> bool:
    """Whether a run fine-tunes with the head, data and backbone of another run."""

    def key(of: Result) -> tuple[object, ...]:
        head = of.config["head"].get("kind", "linear")
        return of.task, of.model, of.backbone, of.headline, of.data["fingerprint"], of.data["examples"], head

    return result.method == BASELINE and key(result) == key(like)
