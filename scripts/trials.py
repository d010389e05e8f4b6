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
        scores: dict[str, dict[str, str]] = {}
        for search in searches:
            if search["method"] == method:
                for trial in search["trials"]:
                    score = f"{trial['dev']:.1f}" if trial["state"] == "complete" else trial["state"]
                    scores.setdefault(_words(trial["settings"]), {})[search["task"]] = score
        rows = [
            (words, *(by_task.get(task, "") for task in tasks), _mean(by_task, tasks))
            for words, by_task in scores.items()
        ]
        yield from (f"### {method}", "", *format_markdown(("setting", *tasks, "mean"), rows), "")


def _words(settings: dict[str, Any]) -> str:
    values = {key.rpartition(".")[2]: value for key, value in settings.items()}
    return ", ".join(
        f"{key} {value:.2g}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items()
    )


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
