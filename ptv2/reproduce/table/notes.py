"""What a reader must know of a table's numbers: how they were chosen and tested, settings, and what is missing."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ptv2.config import paths
from ptv2.config.multitask import in_override
from ptv2.files import home_folder
from ptv2.report.statistics import LEVEL, RESAMPLES
from ptv2.reproduce.options import MARGIN, Options
from ptv2.reproduce.table.cells import TableRequest
from ptv2.reproduce.table.entries import Entry
from ptv2.run_folders.environment import in_words
from ptv2.run_folders.sharing import BEFORE_A_PATH, PATHS, replace_folder, shareable_path, shareable_text

QUOTES = ("'", '"')
FILES = "local files"  # where data come from that neither the hub nor ptv2 has


def caption(request: TableRequest, entries: Sequence[Entry], options: Options) -> str:
    """Describe what the numbers are, how they were chosen and how they were tested."""
    splits = {entry.split for entry in entries if entry.split}
    sentences = []
    if "dev" in splits:
        sentences.append(
            "On development sets the best epoch's score, chosen by that same set (optimistic, as in the paper); the "
            "last epoch's stands in the list of comparisons."
        )
    if tests := sorted(splits - {"dev"}):
        sentences.append(f"On test sets ({', '.join(tests)}) scored once, with the weights of the best epoch on dev.")
    sentences.append("In percent, mean ± standard deviation over seeds (n - 1).")
    if any(entry.comparison for entry in entries):
        sentences.append(_tests(request, entries, options.margin))
    if any(entry.paper and not entry.paper.checked for entry in entries):
        sentences.append("† a number of the paper that was not seen again in a second source.")
    return " ".join(sentences)


def notes(request: TableRequest, entries: Sequence[Entry], options: Options) -> Iterator[str]:
    """The command, recipes, and what `facts` says."""
    yield f"Command: {format_command(f'table={request.name}', request.seeds, options)}"
    yield from describe_records(options)
    for text, group in _grouped(entries, _recipe).items():
        yield f"{text}: {_list_positions(group, request)}."
    yield from facts(request, entries, options)


def facts(request: TableRequest, entries: Sequence[Entry], options: Options) -> Iterator[str]:
    """Marks, missing numbers, data, costs and machines, a sentence or two each."""
    for texts in (_marks, lambda entry: [clean(reason, options) for reason in entry.reasons]):
        for text, group in _grouped(entries, texts).items():
            yield f"{text}: {_list_positions(group, request)}."
    if one := [entry for entry in entries if entry.one_answer]:
        shown = [(e, e.position.row.shown, e.position.column.shown, e.position.method.shown) for e in one]
        counts = {f"{' '.join(names)} ({e.one_answer} of {len(e.results)} seeds)" for e, *names in shown}
        yield f"Models that give one answer to every example: {', '.join(sorted(counts))}."
    yield from _below_single_answers(entries, request)
    yield from _data(entries)
    yield from _costs(entries)
    for machine in in_words(_folders(entries)):
        yield f"Made with {machine}."


def format_command(target: str, seeds: Sequence[int], options: Options) -> str:
    """The command that makes a table or figure again; the folder of data is DIR.

    Args:
        target: the words that name the table or figure.
    """
    words = [target]
    words += [f"model={options.model}"] if options.model else []
    words += data_words(options)
    for key in ("rows", "columns", "methods"):
        if names := getattr(options, key):
            words.append(f"{key}={','.join(names)}")
    words.append(f"seeds={','.join(map(str, seeds))}")
    words += [f"split={options.split}"] if options.split else []
    words += [f"fuse={options.fuse}"] if options.fuse > 1 else []  # other masks of dropout are drawn
    words += [f"share={options.share}"] if options.share else []
    words += margin_words(options)
    words += [f"name={shlex.quote(options.name)}"] if options.name else []
    words += [shlex.quote(shareable_word(word, options)) for word in options.overrides]
    words += ["--config-dir DIR"] if paths.own_folders(options.config_dir) else []
    return f"ptv2 reproduce {' '.join(words)}"


def describe_records(options: Options) -> Iterator[str]:
    """Say of what is written from kept records how to write it again."""
    if options.records is not None:
        words = f"records={clean(str(options.records), options)}"
        yield f"Written from kept records of the runs: with {words} the command writes it again and trains nothing."
    if options.kept is not None:
        yield f"Runs with a record in {clean(str(options.kept), options)} (kept=) were not made again."


def data_words(options: Options) -> list[str]:
    """The word of the folder of data, where runs read files of it."""
    return ["data=DIR"] if options.data or (options.recorded and options.recorded.from_files) else []


def margin_words(options: Options) -> list[str]:
    """The word of a margin other than the usual one, which decides what is marked as equivalent."""
    return [f"margin={options.margin:g}"] if options.margin != MARGIN else []


def _tests(request: TableRequest, entries: Sequence[Entry], margin: float) -> str:
    baseline = next((m.shown for m in request.spec.methods if m.name == request.spec.against), "")
    units = sorted({e.comparison.bootstrap.unit for e in entries if e.comparison and e.comparison.bootstrap})
    drawn = (
        f" The intervals are a bootstrap's with {RESAMPLES} draws of the scored set's units ({', '.join(units)}), the "
        "same draw for both methods and all seeds, the metric computed anew for each; a 90 % interval inside the "
        "margin says of other examples what ≈ says of other seeds."
        if units
        else ""
    )
    return (
        f"Differences to {baseline} are over the seeds that both have. * differs (p < {LEVEL:g}, paired t-test over "
        f"seeds); ≈ equivalent: within {margin:g} point{'' if margin == 1 else 's'} (p < {LEVEL:g}, two one-sided "
        "t-tests over seeds), and then stands alone; a difference that is the same for every seed has no t-test "
        f"(equal) and is equivalent if it is inside the margin.{drawn} p values are not corrected for the number of "
        "comparisons."
    )


def _recipe(entry: Entry) -> Iterator[str]:
    if (config := entry.config) is None:
        return
    if config.recipe is None:
        yield "Settings: the method's defaults, ours"
    else:
        changed = f", but for {', '.join(sorted(config.recipe.changed))}" if config.recipe.changed else ""
        if config.recipe.kind == "published":
            yield f"Settings as published ({config.recipe.source}){changed}"
        else:  # the JSON has the source of each
            yield f"Settings of ours (recipes that say what they were chosen from: ptv2 list recipes){changed}"


def _marks(entry: Entry) -> Iterator[str]:
    """The notes of runs; that there is a verbalizer also if nothing has run."""
    if (config := entry.config) is not None and config.head.kind == "verbalizer" and not entry.results:
        yield "Verbalizer with the language-model head, where others have [CLS] and a linear head"
    for result in entry.results:
        yield from (note[:1].upper() + note[1:] for note in [*result.notes_on_repeats, *result.notes])


def _grouped(entries: Sequence[Entry], texts: Callable[[Entry], Iterable[str]]) -> dict[str, list[Entry]]:
    """Group entries by the texts that `texts` gives for them, in the order of their first appearance."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        for text in dict.fromkeys(texts(entry)):
            groups.setdefault(text, []).append(entry)
    return groups


def _list_positions(entries: Sequence[Entry], request: TableRequest) -> str:
    """List the positions of entries, row by row; methods are left out if they are all, columns then become `all`."""
    rows: dict[str, dict[str, list[str]]] = {}
    for entry in entries:
        position = entry.position
        methods = rows.setdefault(position.row.shown, {}).setdefault(position.column.shown, [])
        if position.method.shown not in methods:
            methods.append(position.method.shown)
    return "; ".join(f"{row} {_columns(columns, request)}" for row, columns in rows.items())


def _columns(columns: Mapping[str, list[str]], request: TableRequest) -> str:
    alike = {tuple(methods) for methods in columns.values()}
    if len(alike) > 1:
        return ", ".join(f"{column}{_methods(methods, request)}" for column, methods in columns.items())
    names = "all" if len(columns) == len({column.shown for column in request.columns}) else ", ".join(columns)
    return f"{names}{_methods(next(iter(alike)), request)}"


def _methods(methods: Sequence[str], request: TableRequest) -> str:
    return "" if len(methods) == len(request.methods) else f" ({', '.join(methods)})"


def _data(entries: Sequence[Entry]) -> Iterator[str]:
    """Say where each task's data came from, and how many examples they have."""
    texts: dict[str, str] = {}
    are_files = False
    for entry in entries:
        for result in entry.results[:1]:
            source = result.data.get("source", {})
            origin = "made up by this project" if "mini" in source else source.get("repository", FILES)
            are_files |= origin == FILES
            counts = ", ".join(f"{count} {split}" for split, count in result.data["examples"].items())
            texts.setdefault(entry.position.column.shown, f"{entry.position.column.shown} ({origin}): {counts}")
    if texts:
        yield f"Examples: {'; '.join(texts.values())}."
    if are_files:
        yield f"Scores on {FILES} can be compared with published ones only where the files are the official splits."


def _costs(entries: Sequence[Entry]) -> Iterator[str]:
    costs = [entry.cost for entry in entries if entry.cost]
    if costs:
        kinds = " and ".join(sorted({f"{c.memory_of} ({c.device})" for c in costs if c.memory_bytes is not None}))
        memory = f" Memory: the peak of {kinds}." if kinds else ""
        if any(cost.memory_bytes is None for cost in costs):
            memory += " Memory is left out of runs that were not the first training of their process."
        has_shared = any(cost.shared_seconds for cost in costs)
        shared = "; + time of the part that tasks share, once for all of them" if has_shared else ""
        yield f"Train time: mean over seeds, without evaluation{shared}.{memory}"


def _below_single_answers(entries: Sequence[Entry], request: TableRequest) -> Iterator[str]:
    """Name the numbers that are no better than one answer to everything: they show nothing of a method."""
    below: dict[float, list[Entry]] = {}
    for entry in entries:
        scores = [result.single_answer(entry.split, entry.metric) for result in entry.results]
        known = [score for score in scores if score is not None]
        if entry.mean is not None and known and entry.mean <= max(known):
            below.setdefault(max(known), []).append(entry)
    if below:
        shown = "; ".join(f"{_list_positions(group, request)} ({score:.1f})" for score, group in below.items())
        yield f"Not above the best single answer to everything, whose score stands in brackets: {shown}."


def _folders(entries: Sequence[Entry]) -> Iterator[Path]:
    """The folders of the runs whose numbers the table has."""
    for entry in entries:
        yield from (job.folder for job in entry.jobs if job.folder is not None and job.seed in entry.values)


def clean(text: str, options: Options) -> str:
    """Remove the paths of this machine from a text."""
    if options.data is not None:
        for folder in (options.data.resolve(), options.data):
            text = _name_data(text, folder)
    text = replace_folder(text, Path.cwd(), "")
    home = home_folder()
    return shareable_text(replace_folder(text, home, "~/") if home else text)


def _name_data(text: str, folder: Path) -> str:
    """Write DIR for the folder of data. A relative one may be any word, so it must look like a path or a value."""
    if folder in (Path(), Path(folder.anchor)):
        return text
    name = "|".join(map(re.escape, dict.fromkeys((in_override(str(folder)), str(folder)))))
    behind = r"(?=$|[\s/'\",;:)\]}])"
    where = f"{BEFORE_A_PATH}(?:{name}){behind}"
    if not folder.is_absolute():
        where = f"(?<==)(?:{name}){behind}|{BEFORE_A_PATH}(?:{name})(?=/)"
    return re.sub(where, "DIR", text)


def shareable_word(word: str, options: Options) -> str:
    """Remove the paths of this machine from a setting; of another path, as of a checkpoint, the name stays."""
    key, equals, value = clean(word, options).partition("=")
    if not equals or key.rpartition(".")[2] not in PATHS:
        return f"{key}{equals}{value}"
    path = shareable_path(value.strip("'\""))
    return f"{key}={in_override(path) if value.startswith(QUOTES) else path}"
