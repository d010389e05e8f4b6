"""Show what was read: examples, labels, lengths and files of each split."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ptv2.errors import shorten
from ptv2.screen import visible

# Labels that are listed with their shares; the others are counted.
LISTED = 5
WIDTH = 80
INDENT = 11


def token_lengths(lengths: np.ndarray) -> dict[str, int]:
    """Return median, 95th percentile and maximum of lengths in tokens, each the length of one of the sequences.

    Args:
        lengths: tokens of each sequence `[N]`, at least one.
    """
    median, most, longest = np.percentile(lengths, [50, 95, 100], method="higher").tolist()
    return {"sequences": len(lengths), "median": int(median), "p95": int(most), "longest": int(longest)}


def render(overview: Mapping[str, Any], width: int = WIDTH) -> list[str]:
    """Write all of the overview, as in a run's log."""
    return render_read(overview, width) + render_encoded(overview, width)


def render_read(overview: Mapping[str, Any], width: int = WIDTH) -> list[str]:
    """Write what is known once the data are read, as lines of at most `width` characters.

    Args:
        overview: `origin` (a text), `guesses` and `notes` (texts; older records have no notes) and `splits`: by name
            `examples`, `file` (its name, or None), `counted` (what `labels` counts) and `labels` (counts by name).
    """
    lines = _entry("data", [overview["origin"]], width)
    for name, split in overview["splits"].items():
        file = f" in {split['file']}" if split["file"] else ""
        facts = [f"{_count(split['examples'])}{file}"]
        if shares := list_shares(split["labels"]):
            facts.append(f"{split['counted']}: {shares}")
        lines += _entry(name, facts, width)
    for note in (*overview["guesses"], *overview.get("notes", ())):
        lines += _entry("note", [note], width)
    return lines


def render_encoded(overview: Mapping[str, Any], width: int = WIDTH) -> list[str]:
    """Write what is known once the texts are tokenized, as lines of at most `width` characters.

    Args:
        overview: `splits`: by name `examples`, `always` (the best single answer with its `metric` and `score`, or
            None), `tokens` (see `token_lengths`), `cut` (how many examples) and `cut_means` (in words).
    """
    lengths: list[str] = []
    scores: dict[str, list[str]] = {}  # by answer and metric
    for name, split in overview["splits"].items():
        count, tokens, cut = split["examples"], split["tokens"], split["cut"]
        pieces = "sequences, one for each choice" if split.get("counted") == "labels" else "windows"
        windows = f" in {tokens['sequences']:,} {pieces}" if tokens["sequences"] > count else ""
        longest = f"median {tokens['median']}, 95 % up to {tokens['p95']}, longest {tokens['longest']}"
        lengths.append(f"{name}{windows}: {longest}")
        lengths += [f"{cut:,} of {count:,} {name} examples {split['cut_means']}"] if cut else []
        if always := split["always"]:
            answer = f"always answering {shorten(always['answer'], 30)}: {always['metric']}"
            scores.setdefault(answer, []).append(f"{always['score']:.2f} on {name}")
    baselines = [f"{answer} {', '.join(values)}" for answer, values in scores.items()]
    return _entry("tokens", lengths, width) + _entry("baseline", baselines, width)


def _count(examples: int) -> str:
    return f"{examples:,} example{'' if examples == 1 else 's'}"


def list_shares(counts: Mapping[str, int]) -> str:
    """List the most frequent names with their shares, `pos 60.0 %, neg 40.0 %`; empty where nothing was counted."""
    total = sum(counts.values())
    if not total:
        return ""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    listed = ordered if len(ordered) <= LISTED + 1 else ordered[:LISTED]
    text = ", ".join(f"{shorten(name, 24)} {100 * count / total:.1f} %" for name, count in listed)
    more = len(ordered) - len(listed)
    return f"{text} and {more} more" if more else text


def _entry(name: str, facts: Iterable[str], width: int) -> list[str]:
    """Write facts with the name before the first line; long facts are folded, also file names without a blank."""
    room = width - INDENT
    lines = [line for fact in facts for line in textwrap.wrap(visible(" ".join(fact.split())), room) or [""]]
    return [f"{name if number == 0 else '':<{INDENT}}{line}".rstrip() for number, line in enumerate(lines)]
