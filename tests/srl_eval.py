"""The CoNLL-2005 scorer srl-eval.pl in its own steps, for tests: the arguments of bracket columns, and its counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

Phrase = tuple[str, int, int]


def official_counts(gold: Sequence[str], said: Sequence[str]) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Right, excess and missed arguments by label, in the steps of the script (`discriminate_args`)."""
    ok: Counter[str] = Counter()
    excess: Counter[str] = Counter()
    expected = {(pieces[0][1], pieces[-1][2]): (label, pieces) for label, pieces in official_arguments(gold)}
    for label, pieces in official_arguments(said):
        place = pieces[0][1], pieces[-1][2]
        same = place in expected and expected[place][0] == label
        if same and sorted(p[1:] for p in expected[place][1]) == sorted(p[1:] for p in pieces):
            ok[label] += 1
            del expected[place]
        else:
            excess[label] += 1
    missed = Counter(label for label, _ in expected.values())
    for counts in (ok, excess, missed):
        counts.pop("V", None)
    return ok, excess, missed


def official_arguments(column: Sequence[str]) -> list[tuple[str, list[Phrase]]]:
    """Phrases with a stack of brackets, then C-X joined to the latest X (`load_SE_tagging`)."""
    stack: list[tuple[str, int]] = []
    phrases: list[Phrase] = []
    for i, cell in enumerate(column):
        before, after = cell.split("*")
        stack += [(label, i) for label in before.split("(")[1:]]
        phrases += [(*stack.pop(), i) for _ in re.findall(r"\)", after)]
    assert not stack
    done: list[tuple[str, list[Phrase]]] = []
    latest: dict[str, list[Phrase]] = {}
    for phrase in sorted(phrases, key=lambda p: p[1]):
        label = phrase[0]
        if match := re.match(r"C-(.*)", label):
            label = match[1]
            if label in latest:
                latest[label].append(phrase)
                continue
        latest[label] = [phrase]
        done.append((label, latest[label]))
    return done


def official_rates(ok: int, excess: int, missed: int) -> list[float]:
    """Precision, recall and F1 (`precrecf1`)."""
    precision = ok / (ok + excess) if ok + excess else 0.0
    recall = ok / (ok + missed) if ok + missed else 0.0
    return [precision, recall, 2 * precision * recall / (precision + recall) if precision + recall else 0.0]
