"""The table of a comparison: printed, and written as Markdown, CSV and JSON with what was searched and picked."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from optuna.trial import TrialState
from rich.text import Text

from ptv2.config import paths
from ptv2.console.columns import Column, Table, show_table
from ptv2.console.output import out, tell
from ptv2.files import write_json_whole, write_text_whole
from ptv2.report.formats import count_of, format_markdown
from ptv2.report.shares import TITLE, shares_of, write_shares
from ptv2.reproduce.compare.execute import describe_trial
from ptv2.reproduce.compare.finalists import Finalist
from ptv2.reproduce.compare.options import CompareOptions
from ptv2.reproduce.compare.search import Pick, trial_counts
from ptv2.reproduce.jobs.execute import group_by_cell
from ptv2.reproduce.table.as_csv import as_records, comma_separated
from ptv2.reproduce.table.cells import TableRequest
from ptv2.reproduce.table.entries import Entry, entries
from ptv2.reproduce.table.layout import against_text, lay_out, score_text
from ptv2.reproduce.table.notes import caption, clean, data_words, describe_records, facts, margin_words, shareable_word

SCHEMA = 1  # of the JSON


def finish(
    request: TableRequest, taken: Sequence[Finalist], others: Sequence[Finalist], options: CompareOptions
) -> None:
    """Print the table of the finalists that are `taken`, and write its files."""
    picks, statuses = [one.pick for one in taken], [status for one in taken for status in one.statuses]
    numbers = entries(request, group_by_cell(statuses), options.margin)
    by_key = {picked.search.job.cell.key: picked for picked in picks}
    pairs = [(entry, by_key[entry.position.key]) for entry in numbers]
    header, rows = table_of(request, pairs)
    notes = list(notes_of(request, numbers, picks, others, options))
    text = caption(request, numbers, options)
    _show(header, rows, [text, *edge_notes(picks)])
    stem = options.results / request.stem
    shares = shares_of([status.result for status in statuses if status.result is not None])
    drawn = write_shares(shares, options.results / "figures" / f"{request.stem}-shares") if shares else []
    written = []
    for file in [stem, *([options.file.with_suffix("")] if options.file else [])]:
        figure = [os.path.relpath(path, file.parent) for path in drawn[:1]]
        markdown = _markdown(request, (header, rows), pairs, [text, *map(_image, figure)], notes, options)
        write_text_whole(path := file.with_name(f"{file.name}.md"), markdown)
        written.append(path)
    records = as_records(numbers, partial(clean, options=options))
    write_text_whole(path := stem.with_name(f"{stem.name}.csv"), comma_separated(records))
    written.append(path)
    tree = {
        "schema": SCHEMA,
        "command": format_command(options),
        "seeds": request.seeds,
        "trial_seed": options.trial_seed,
        "baseline": request.spec.against,
        "searches": [_record(picked, others, options) for picked in picks],
        "notes": notes,
        "numbers": records,
    }
    write_json_whole(path := stem.with_name(f"{stem.name}.json"), tree)
    written.append(path)
    tell("Written, with what was searched, comparisons and notes:", out)
    for path in (*written, *drawn):
        tell(Text(str(path)), out)


def table_of(request: TableRequest, pairs: Sequence[tuple[Entry, Pick]]) -> tuple[list[str], list[tuple[str, ...]]]:
    """The header and the rows of the table, one for each task and method; one method alone has no comparison."""
    against = [f"− {request.spec.against}", "p"] if len(request.methods) > 1 else []
    header = ["task", "method", "score", *against, "trained", "trained %", "trials", "picked on dev"]
    return header, [_row(entry, picked, alone=not against) for entry, picked in pairs]


def _row(entry: Entry, picked: Pick, *, alone: bool) -> tuple[str, ...]:
    cost, comparison = entry.cost, entry.comparison
    others = ", ".join(f"{count} {state}" for state, count in trial_counts(picked).items())
    return (
        f"{entry.position.column.shown}: {', '.join(filter(None, (entry.metric, entry.split)))}",
        entry.position.method.name,
        score_text(entry),
        *(() if alone else (against_text(comparison), comparison.shown_p if comparison else "")),
        f"{cost.trained_parameters:,}" if cost else "",
        f"{cost.trained_percent:.3g}" if cost else "",
        f"{len(picked.trials)}" + (f" ({others})" if others else ""),
        _settings(picked),
    )


def _settings(picked: Pick) -> str:
    """The picked settings, with those that are the largest or smallest tried marked."""
    edges = {f"{edge.key}={edge.value}": edge.which for edge in picked.edges}
    return " ".join(f"{word} ({edges[word]} tried)" if word in edges else word for word in picked.settings)


def edge_notes(picks: Sequence[Pick]) -> list[str]:
    """A sentence for each number that was picked at the edge of what was tried."""
    return [
        f"{picked.search.label}: the best {edge.key} ({edge.value}) is the {edge.which} one tried."
        for picked in picks
        for edge in picked.edges
    ]


def notes_of(
    request: TableRequest,
    numbers: Sequence[Entry],
    picks: Sequence[Pick],
    others: Sequence[Finalist],
    options: CompareOptions,
) -> Iterator[str]:
    """The command, how the search went, and what a table of `ptv2 reproduce` says of its runs."""
    yield f"Command: {format_command(options)}"
    yield from describe_records(options)
    seeds, most = ", ".join(map(str, options.seeds)), options.finalists
    best = f"the best by dev was run with seeds {seeds}"
    fewer = " (fewer where fewer have a score)" if any(len(picked.ranked) < most for picked in picks) else ""
    several = f"the {most} best by dev{fewer} were run with seeds {seeds}, and the best of them by mean dev was taken"
    yield (
        f"Each method had {count_of(options.budget, 'trial')} with seed {options.trial_seed} in its own space "
        f"(sweep/{options.sweep}.yaml), pruned and failed ones among them; {best if most == 1 else several}."
    )
    yield from edge_notes(picks)
    if others and any(entry.split == "dev" for entry in numbers):
        yield "Where scores are on dev, the same scores chose among the finalists (optimistic)."
    yield from (one.note for one in others)
    for picked in picks:
        for trial in picked.trials:
            if trial.state != TrialState.COMPLETE:
                yield clean(f"{picked.search.label}, trial {trial.number}: {describe_trial(trial)}", options)
    yield from facts(request, numbers, options)


def format_command(options: CompareOptions) -> str:
    """The command that makes the comparison again; the folder of data is DIR."""
    words = [f"task={','.join(options.tasks)}"]
    words += [f"model={options.model}"] if options.model else []
    words += [f"methods={','.join(options.methods)}", f"budget={options.budget}"]
    words += [f"seeds={','.join(map(str, options.seeds))}", f"seed={options.trial_seed}"]
    words += data_words(options)
    words += [f"finalists={options.finalists}"] if options.finalists > 1 else []
    words += [f"sweep={options.sweep}"] if options.sweep != "optuna" else []
    words += [f"fuse={options.fuse}"] if options.fuse > 1 else []  # other masks of dropout are drawn
    words += margin_words(options)
    settings = [word for word in options.overrides if word != "recipe=none"]
    words += [shlex.quote(shareable_word(word, options)) for word in (*settings, *options.ranges, *options.of_search)]
    words += ["--config-dir DIR"] if paths.own_folders(options.config_dir) else []
    return f"ptv2 compare {' '.join(words)}"


def _show(header: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> None:
    fitted = {
        "task": Column("task", group=True),
        "score": Column("score", fold=10),
        "trained": Column("trained", right=True, drop=1),
        "trained %": Column("trained %", right=True),
        "trials": Column("trials", fold=9),
        header[-1]: Column(header[-1], below=True),
    }
    show_table(Table([fitted.get(name, Column(name)) for name in header], rows, notes=notes))


def _markdown(
    request: TableRequest,
    table: tuple[Sequence[str], Sequence[Sequence[str]]],
    pairs: Sequence[tuple[Entry, Pick]],
    texts: Sequence[str],
    notes: Sequence[str],
    options: CompareOptions,
) -> str:
    tasks = ", ".join(options.tasks)
    title = f"{request.spec.title}: {tasks} with {request.rows[0].shown}"
    lines = [f"# {title}", "", *format_markdown(*table), "", *(line for text in texts for line in (text, ""))]
    header = ["task", "method", "searched", "trials", "best dev" if options.finalists == 1 else "dev of the picked"]
    lines += ["## Search", "", *format_markdown(header, [_searched(entry, picked) for entry, picked in pairs]), ""]
    document = lay_out(request, [entry for entry, _ in pairs], options)
    if document.details:
        lines += ["## Comparisons and costs", "", *format_markdown(document.header, document.details), ""]
    lines += ["## Notes", "", *(f"- {note}".replace("|", "\\|") for note in notes)]
    return "\n".join(lines) + "\n"


def _image(path: str) -> str:
    return f"![{TITLE}]({Path(path).as_posix()})"


def _searched(entry: Entry, picked: Pick) -> tuple[str, ...]:
    space = ", ".join(f"{key}={value}" for key, value in picked.search.space.items())
    best = "" if picked.best is None else f"{picked.best.value:.2f} (trial {picked.best.number})"
    return entry.position.column.name, entry.position.method.name, space, str(len(picked.trials)), best


def _record(picked: Pick, others: Sequence[Finalist], options: CompareOptions) -> Mapping[str, object]:
    not_taken = [one for one in others if one.pick.search is picked.search]
    return {
        "task": picked.search.job.cell.key[1],
        "method": picked.search.job.cell.key[2],
        "study": picked.search.name,
        "space": picked.search.space,
        "picked": picked.settings,
        "not_taken": [{"settings": one.pick.settings, "dev": one.dev} for one in not_taken],
        "edges": [vars(edge) for edge in picked.edges],
        "trials": [
            {
                "settings": trial.params,
                "state": trial.state.name.lower(),
                "dev": trial.value,
                "message": clean(str(trial.user_attrs.get("message") or ""), options),
            }
            for trial in picked.trials
        ],
    }
