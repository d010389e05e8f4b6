"""Print the trials of `ptv2 compare` as Markdown: a table for each method, with a column for each task.

    python scripts/trials.py results/compare-TASKS-MODEL.json ...

The mean over tasks, which may choose a default for all of them, is taken where every task has a score.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ptv2.report.formats import format_markdown


def tables(searches: list[dict[str, Any]]) -> Iterator[str]:
    """The lines of all tables; settings in the order in which they were tried."""
    tasks = list(dict.fromkeys(search["task"] for search in searches))
    for method in dict.fromkeys(search["method"] for search in searches):
        trials = [(search["task"], t) for search in searches if search["method"] == method for t in search["trials"]]
        tried = [trial["settings"] for _, trial in trials]
        scores: dict[str, dict[str, str]] = {}
        for task, trial in trials:
            score = f"{trial['dev']:.1f}" if trial["state"] == "complete" else trial["state"]
            scores.setdefault(_words(trial["settings"], tried), {})[task] = score
        rows = [
            (words, *(by_task.get(task, "") for task in tasks), _mean(by_task, tasks))
            for words, by_task in scores.items()
        ]
        yield from (f"### {method}", "", *format_markdown(("setting", *tasks, "mean"), rows), "")


def _words(settings: dict[str, Any], tried: list[dict[str, Any]]) -> str:
    """Settings by the last part of their names, numbers with two digits; in full where others would read the same."""
    if any(other != settings and _short(other) == _short(settings) for other in tried):
        return ", ".join(f"{key} {value}" for key, value in settings.items())
    return _short(settings)


def _short(settings: dict[str, Any]) -> str:
    values = [(key.rpartition(".")[2], value) for key, value in settings.items()]
    return ", ".join(f"{name} {value:.2g}" if isinstance(value, float) else f"{name} {value}" for name, value in values)


def _mean(by_task: dict[str, str], tasks: list[str]) -> str:
    try:
        return f"{sum(float(by_task[task]) for task in tasks) / len(tasks):.1f}"
    except (KeyError, ValueError):
        return ""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, help="JSON files that ptv2 compare wrote")
    searches = [
        search for path in parser.parse_args().files for search in json.loads(path.read_text("utf-8"))["searches"]
    ]
    print("\n".join(tables(searches)).rstrip())


if __name__ == "__main__":
    main()
