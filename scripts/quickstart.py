"""Say what the quick start's runs show, and what to type next.

    python scripts/quickstart.py RUNS REPORT

RUNS is the folder of finished runs of fine-tuning, prompt-tuning and p-tuning-v2 on one task, REPORT the page that
`ptv2 report` wrote about them. Every number is read from the runs: scores are on test, and where a method was run with
several settings, dev chooses among them. With several seeds it begins with a table of them.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from ptv2.errors import Ptv2Error, RunError
from ptv2.report.tables import Row, rows
from ptv2.run_folders.directory import find_runs
from ptv2.run_folders.record import read_result

METHODS = ("fine-tuning", "prompt-tuning", "p-tuning-v2")
LEVEL = 0.05  # points; a smaller difference is 0.0 when it is printed

NEXT = """\
Next, your own texts. DIR holds train.jsonl and dev.jsonl (or .csv, .tsv), each
example with the fields "sentence" and "label":

  {ptv2} train task=classification task.name=mine data.dir=DIR \\
      method=fine-tuning,prompt-tuning,p-tuning-v2 -m"""


def main(arguments: Sequence[str]) -> int:
    """Print the findings, the next command and the path of the report; returns the exit code."""
    if len(arguments) != 2:
        print("usage: python scripts/quickstart.py RUNS REPORT", file=sys.stderr)
        return 2
    folder, report = arguments
    try:
        by_method = best_rows(folder)
        scores = common_scores(by_method)
    except Ptv2Error as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    lines = findings(scores, by_method["p-tuning-v2"].trained_percent)
    print("", *by_seed(scores), *lines, "", NEXT.format(ptv2=command()), "", sep="\n")
    print(f"Charts and every run's details: open {report} in a browser.")
    return 0


def command() -> str:
    """How `ptv2` is called from here: by its path if it belongs to an environment below this folder."""
    path = Path(sys.executable).with_name("ptv2")
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else "ptv2"


def best_rows(folder: str) -> dict[str, Row]:
    """For each of `METHODS` the row of test scores whose settings are best on dev.

    Raises:
        RunError: a method has no finished run with test scores in `folder`.
    """
    table = rows([result for run in find_runs([folder]) if (result := read_result(run)) is not None], "test")
    by_method = {row.method: row for row in sorted(table, key=lambda row: row.dev)}
    for method in METHODS:
        if method not in by_method:
            raise RunError(f"no finished run of {method} with test scores in {folder}/; run `make quickstart` again")
    return by_method


def common_scores(by_method: dict[str, Row]) -> dict[int, tuple[float, ...]]:
    """The headline of each of `METHODS`, by seed, for the seeds that all of them have.

    Raises:
        RunError: there is no such seed.
    """
    scores = [by_method[method].metrics[by_method[method].headline] for method in METHODS]
    seeds = sorted(set.intersection(*(set(row) for row in scores)))
    if not seeds:
        raise RunError(f"no seed has finished runs of {', '.join(METHODS)}; run `make quickstart` again")
    return {seed: tuple(row[seed] for row in scores) for seed in seeds}


def by_seed(scores: dict[int, tuple[float, ...]]) -> list[str]:
    """Scores by seed as a Markdown table, and in how many seeds the methods' order holds; [] for one seed."""
    if len(scores) < 2:
        return []
    below = sum(shallow < deep for _, shallow, deep in scores.values())
    farthest = max(abs(deep - fine) for fine, _, deep in scores.values())
    return [
        f"| seed | {' | '.join(METHODS)} |",
        "|---|---|---|---|",
        *(f"| {seed} | " + " | ".join(f"{score:.1f}" for score in row) + " |" for seed, row in scores.items()),
        "",
        f"prompt-tuning below p-tuning-v2: {below} of {len(scores)} seeds.",
        f"p-tuning-v2 and fine-tuning: at most {farthest:.1f} points apart.",
        "",
    ]


def findings(scores: dict[int, tuple[float, ...]], trained_percent: float) -> list[str]:
    """Three lines: deep prompts against fine-tuning, shallow ones against deep ones, and how much that says."""
    fine, shallow, deep = (statistics.fmean(column) for column in zip(*scores.values(), strict=True))
    seeds = len(scores)
    return [
        f"p-tuning-v2 (deep prompts, {trained_percent:.2g} % trained) is {difference(deep, fine)} fine-tuning.",
        f"prompt-tuning (prompts at the input only) is {difference(shallow, deep)} p-tuning-v2.",
        f"That is {seeds} seed{'s' * (seeds > 1)} on made-up sentences; your own data may say something else.",
    ]


def difference(score: float, other: float) -> str:
    """How a score lies to another: "2.1 points below"."""
    points = score - other
    if abs(points) < LEVEL:
        return "level with"
    return f"{abs(points):.1f} points {'above' if points > 0 else 'below'}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
