"""What was read, said before the training and kept in a run's record."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from ptv2.commands.console import err, log
from ptv2.commands.examples import Prepared
from ptv2.data.overview import render, token_lengths


def describe_data(data: Prepared) -> dict[str, Any]:
    """The overview that `ptv2.data.overview.render` shows; names of files are relative to `data.dir`."""
    task, source = data.task, data.source
    splits = {}
    for split, examples in data.examples.items():
        encoded = data.encoded[split]
        splits[split] = {
            "examples": len(examples),
            "file": source.files.get(split),
            "counted": task.counted,
            "labels": {name: count for name, count in task.gold(examples).items() if name not in task.uncounted},
            "always": None if split == "train" else _score_most_frequent(data, split),
            "tokens": token_lengths(encoded.tokens.lengths),
            "cut": encoded.truncated,
            "cut_means": task.truncated.format(task.config.max_length),
        }
    return {"origin": _origin(data), "splits": splits, "guesses": list(dict.fromkeys([*source.notes, *task.guesses()]))}


def show_overview(overview: dict[str, Any]) -> None:
    """Print the overview, and write it to the run's log."""
    for line in render(overview):
        err.print(Text(line), soft_wrap=True)
        log.info("%s", line)


def _score_most_frequent(data: Prepared, split: str) -> dict[str, Any] | None:
    task = data.task
    found = task.most_frequent(data.examples["train"], data.examples[split])
    if found is None:
        return None
    answer, predictions = found
    headline = task.config.headline
    return {"answer": answer, "metric": headline, "score": task.score(predictions, data.examples[split])[headline]}


def _origin(data: Prepared) -> str:
    config, sources = data.config, data.config.task.sources
    if config.data.source == "mini":
        return f"task {config.task.name}, made up by ptv2 ({sources.mini})"
    if config.data.source == "hub" and sources.hub is not None:
        return f"task {config.task.name}, from the hub's {sources.hub.repository}"
    return f"task {config.task.name}, from files"
