"""What was read, said before the training and kept in a run's record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from ptv2.console.output import err, log
from ptv2.data.overview import render, render_encoded, render_read, token_lengths

if TYPE_CHECKING:
    from ptv2.experiment.data import EncodedData
    from ptv2.experiment.read import Read
    from ptv2.tasks.task import Task

_shown: dict[str, list[str]] = {}  # what this process showed last: jobs of a sweep often read the same
_held: list[str] = []  # lines for a pipe or a file, which wait until nothing can be refused any more


def begin_job() -> None:
    """Forget what a refused job of the same sweep would have printed."""
    if _held:
        _held.clear()
        _shown.clear()


def show_read(read: Read) -> None:
    """Print what was read, before anything is made of it.

    A terminal has it at once. In a pipe or a file it waits for `log_overview`, so that a refusal is one line there.
    """
    _show("data", render_read(_describe_read(read)), "data       the same as in the job before")


def show_encoded(overview: dict[str, Any]) -> None:
    """Print how long the texts are, and what the best single answer would score."""
    _show("tokens", render_encoded(overview), None)


def log_overview(overview: dict[str, Any]) -> None:
    """Write all of it to the run's log, and print what waited for the model to be ready."""
    while _held:
        err.print(Text(_held.pop(0)), soft_wrap=True)
    for line in render(overview):
        log.info("%s", line)


def describe_data(data: EncodedData) -> dict[str, Any]:
    """The overview that `ptv2.data.overview.render` shows; names of files are relative to `data.dir`."""
    overview = _describe_read(data)
    gold = data.facts.gold["train"]
    for split, facts in overview["splits"].items():
        encoded = data.encoded[split]
        facts |= {
            "always": None if split == "train" else score_single_answer(data.task, gold, data.examples[split]),
            "tokens": token_lengths(encoded.tokens.lengths),
            "cut": encoded.truncated,
            "cut_means": data.task.truncated.format(data.task.config.max_length),
        }
    return overview


def _describe_read(data: Read | EncodedData) -> dict[str, Any]:
    task, facts = data.task, data.facts
    splits = {
        split: {
            "examples": count,
            "file": data.source.files.get(split),
            "counted": task.counted,
            "labels": {name: number for name, number in facts.gold[split].items() if name not in task.uncounted},
        }
        for split, count in facts.examples.items()
    }
    return {"origin": _origin(data), "splits": splits, "guesses": facts.guesses, "notes": facts.notes}


def _show(what: str, lines: Sequence[str], instead: str | None) -> None:
    """Print lines; where they are those that were printed last, `instead`."""
    again = _shown.get(what) == lines
    _shown[what] = list(lines)
    for line in lines if not again else [instead] if instead else []:
        if err.file.isatty():
            err.print(Text(line), soft_wrap=True)
        else:
            _held.append(line)


def score_single_answer(
    task: Task[Any, Any], gold: Mapping[str, int], examples: Sequence[Any]
) -> dict[str, Any] | None:
    """The best single answer to all examples, with its score by the headline; None where there is none.

    That is not always the most frequent one: an F1 of a rare class is 0 without it.

    Args:
        gold: how often each answer is right in the training set.
    """
    headline = task.config.headline
    best: dict[str, Any] | None = None
    for answer, predictions in task.single_answers(gold, examples):
        given, references = task.for_metric(predictions, examples)
        # Not all scores, and not by `evaluate`: the first step need not wait for the import of it and of scikit-learn.
        alone = getattr(task.metric, headline, None)
        score = 100 * float(alone(given, references) if alone else task.metric.score(given, references)[headline])
        if best is None or score > best["score"]:
            best = {"answer": answer, "metric": headline, "score": score}
    return best


def _origin(data: Read | EncodedData) -> str:
    config, sources = data.config, data.config.task.sources
    if config.data.source == "mini":
        return f"task {config.task.name}, made up by ptv2 ({sources.mini})"
    if config.data.source == "hub" and sources.hub is not None:
        return f"task {config.task.name}, from the hub's {sources.hub.repository}"
    return f"task {config.task.name}, from files"
