"""`ptv2 compare`: search each method, run the picked settings with several seeds, write the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ptv2.config.compose import compose
from ptv2.console.output import tell
from ptv2.errors import ConfigError, Interrupted
from ptv2.experiment.open import check_package
from ptv2.files import check_folder
from ptv2.reproduce.compare.execute import make_searches
from ptv2.reproduce.compare.finalists import Finalist, run_finalists
from ptv2.reproduce.compare.options import CompareOptions
from ptv2.reproduce.compare.plan import show_plan
from ptv2.reproduce.compare.recorded import recorded_searches, with_kept_trials
from ptv2.reproduce.compare.search import Pick, Search, fixed_of, list_searches, pick
from ptv2.reproduce.compare.write import finish
from ptv2.reproduce.jobs.data_root import describe_data
from ptv2.reproduce.jobs.execute import JobStatus, collect, execute
from ptv2.reproduce.jobs.feasible import why_no_prompts
from ptv2.reproduce.jobs.list_jobs import Cell, Job, impossible_jobs, list_asked_jobs
from ptv2.reproduce.table.cells import TableRequest, other_rows, shortened
from ptv2.reproduce.table.spec import Column, Row, TableSpec, Variant
from ptv2.variables import name_group


def compare(options: CompareOptions) -> int:
    """Make the trials and runs that are missing, and write and print the table.

    Returns:
        0, or 1 if a search or a run failed.

    Raises:
        ConfigError: words that do not go together, or a method that cannot run; nothing was trained.
        Interrupted: stopped by a signal; the same command goes on.
    """
    request = request_of(options)
    if options.recorded is None:
        own = list_searches(base_jobs(request, replace(options, known=None)), options)
        searches = with_kept_trials(own, request, options)
    else:
        searches = recorded_searches(request, _cells(request), options)
    if options.recorded is None and (fixed := fixed_of(searches, options)):
        tell(f"fixed for all methods, not searched: {' '.join(fixed)}")
    if options.plan:
        show_plan(searches, [_jobs_to_come(search, options) for search in searches], options)
        return 0
    check_folder(options.results)
    name_group(request.stem)
    failures = {} if options.collect else make_searches(searches, options.jobs)
    picks = [pick(search) for search in searches]

    def settle(run: Callable[[list[Job]], list[JobStatus]]) -> list[Finalist]:
        taken, others = run_finalists(picks, options.finalists, lambda one: _jobs_of(one, options, failures), run)
        finish(request, taken, others, options)
        return taken  # a finalist that fails is one that is not taken

    def make(jobs: list[Job]) -> list[JobStatus]:
        return execute(jobs, options.jobs, "picked settings", options.fuse)

    try:
        tried = settle(collect if options.collect else make)
    except Interrupted:
        settle(collect)
        raise
    failed = any(status.state == "failed" for one in tried for status in one.statuses)
    return 1 if failed or failures or any(picked.best is None for picked in picks) else 0


def request_of(options: CompareOptions) -> TableRequest:
    """The table that a comparison fills: one backbone, a column for each task.

    Raises:
        ConfigError: no such task or model.
    """
    row, *_ = other_rows(options) or [Row(name=compose([]).model.name)]
    spec = TableSpec(
        title="Methods tuned by equally many trials",
        seeds=list(options.seeds),
        methods=[Variant(name=name) for name in options.methods],
        baseline=options.methods[0],
        rows=[row],
        columns=[Column(name=name) for name in options.tasks],
    )
    return TableRequest(
        name="compare",
        stem=shortened("-".join(["compare", *options.tasks, row.name])),
        other_backbone=False,
        spec=spec,
        rows=spec.rows,
        columns=spec.columns,
        methods=spec.methods,
        seeds=spec.seeds,
        task_data={name: describe_data(name, options.config_dir) for name in options.tasks},
        family_columns=spec.columns,
    )


def _cells(request: TableRequest) -> list[Cell]:
    """The settings of each position that no space has."""
    return [
        Cell(
            position.key,
            (
                f"task={position.column.name}",
                *position.row.words(position.column.name, ""),
                f"method={position.method.name}",
            ),
        )
        for position in request.positions
    ]


def base_jobs(request: TableRequest, options: CompareOptions) -> list[Job]:
    """One run of each position with the settings that hold where its space says nothing.

    Raises:
        ConfigError: one cannot be made here; with the methods that can.
    """
    cells = _cells(request)
    refuse_unable({cell.key: why for cell in cells if (why := _why_unable(cell, options)) is not None}, options)
    jobs = list_asked_jobs(cells, [options.trial_seed], options)
    refuse_unable({job.cell.key: job.why for job in jobs if job.why is not None}, options)
    return jobs


def refuse_unable(reasons: Mapping[tuple[str, ...], str], options: CompareOptions) -> None:
    """Refuse the first position that cannot be run, and name the methods that can.

    Raises:
        ConfigError: there are reasons.
    """
    for (_, task, method), why in reasons.items():
        able = [name for name in options.methods if all(key[2] != name for key in reasons)]
        others = f"; methods={','.join(able)} can" if able else ""
        raise ConfigError(f"methods={method} cannot run on {task}: {why}{others}")


def _why_unable(cell: Cell, options: CompareOptions) -> str | None:
    """Why a method cannot run here on the backbone, whatever the task, as far as can be told without torch."""
    of_model = [word for word in options.overrides if word.lstrip("+").startswith("model.")]
    config = compose([*cell.overrides[1:], "recipe=none", *of_model], options.config_dir)  # without its task
    try:
        check_package(config)
    except ConfigError as error:
        return str(error)
    return why_no_prompts(config) if config.tuning.prompts == "deep" else None


def _jobs_to_come(search: Search, options: CompareOptions) -> list[Job]:
    """The runs of the settings that a search picks, or will pick."""
    picked = pick(search)
    if len(picked.trials) < search.budget:
        return _jobs_of(picked, options) * search.most_finalists(options.finalists)
    if picked.best is None:
        return []
    return [job for one in picked.finalists(options.finalists) for job in _jobs_of(one, options)]


def _jobs_of(picked: Pick, options: CompareOptions, failures: dict[str, str] | None = None) -> list[Job]:
    """The runs of the settings that a search picked, one for each seed."""
    search: Search = picked.search
    cell, seeds = search.job.cell, list(options.seeds)
    if failures and search.name in failures:
        return impossible_jobs(cell, seeds, [], f"the search failed: {failures[search.name]}")
    if len(picked.trials) < search.budget:
        return impossible_jobs(cell, seeds, [], f"search not finished: {len(picked.trials)} of {search.budget} trials")
    if picked.best is None:
        return impossible_jobs(cell, seeds, [], picked.why_none)
    chosen = replace(cell, overrides=(*cell.overrides, *picked.settings))
    return list_asked_jobs([chosen], seeds, options)
