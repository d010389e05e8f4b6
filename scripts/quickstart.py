"""Say what the quick start's runs show, and what to type next.

    python scripts/quickstart.py RUNS REPORT

RUNS is the folder of finished runs of fine-tuning, prompt-tuning and p-tuning-v2 on one task, REPORT the page that
`ptv2 report` wrote about them. Every number is read from the runs: scores are on test, and where a method was run with
several settings, dev chooses among them. With several seeds it begins with a table of them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ptv2.errors import Ptv2Error, RunError
from ptv2.report.tables import Row, rows
from ptv2.runs.directory import find_runs
from ptv2.runs.record import read_result

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
    except Ptv2Error as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(
        "",
        *by_seed(by_method),
        *findings(by_method),
        "",
        NEXT.format(ptv2=command()),
        "",
        sep="\n",
    )
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


def by_seed(by_method: dict[str, Row]) -> list[str]:
    """Scores of each seed that all methods have, as a Markdown table, and what holds for how many; [] for one seed."""
    scores = [by_method[method].metrics[by_method[method].headline] for method in METHODS]
    seeds = sorted(set.intersection(*(set(row) for row in scores)))
    if len(seeds) < 2:
        return []
    lines = [f"| {seed} | " + " | ".join(f"{row[seed]:.1f}" for row in scores) + " |" for seed in seeds]
    fine, shallow, deep = scores
    below = sum(shallow[seed] < deep[seed] for seed in seeds)
    farthest = max(abs(deep[seed] - fine[seed]) for seed in seeds)
    return [
        f"| seed | {' | '.join(METHODS)} |",
        "|---|---|---|---|",
        *lines,
        "",
        f"prompt-tuning below p-tuning-v2: {below} of {len(seeds)} seeds.",
        f"p-tuning-v2 and fine-tuning: at most {farthest:.1f} points apart.",
        "",
    ]


def findings(by_method: dict[str, Row]) -> list[str]:
    """Three lines: deep prompts against fine-tuning, shallow ones against deep ones, and how much that says."""
    fine, shallow, deep = (by_method[method] for method in METHODS)
    seeds = min(row.seeds for row in (fine, shallow, deep))
    return [
        f"p-tuning-v2 (deep prompts, {deep.trained_percent:.2g} % trained) is {difference(deep, fine)} fine-tuning.",
        f"prompt-tuning (prompts at the input only) is {difference(shallow, deep)} p-tuning-v2.",
        f"That is {seeds} seed{'s' * (seeds > 1)} on made-up sentences; your own data may say something else.",
    ]


def difference(one: Row, other: Row) -> str:
    """How the mean score of `one` lies to that of `other`: "2.1 points below"."""
    points = one.mean(one.headline) - other.mean(other.headline)
    if abs(points) < LEVEL:
        return "level with"
    return f"{abs(points):.1f} points {'above' if points > 0 else 'below'}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
