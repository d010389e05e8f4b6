"""Examples that the model was trained on and is also scored on, and inputs that have several right answers."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

from ptv2.runs.record import IN_TRAIN

Seen = Iterable[tuple[Hashable, Hashable | None]]  # of each example: what the model reads, and its right answer


def describe_repeats(splits: Mapping[str, Seen]) -> list[str]:
    """Notes on equal inputs, a sentence each: those of other splits that stand in train, and contradictions in train.

    Args:
        splits: by name; an answer that is None contradicts nothing.
    """
    answers: dict[Hashable, Hashable | None] = {}
    contradicted: dict[Hashable, int] = {}  # examples of train with that input
    counts: list[str] = []
    for name in sorted(splits, key=lambda name: name != "train"):
        if name == "train":
            for text, answer in splits[name]:
                if answers.setdefault(text, answer) != answer or text in contradicted:
                    contradicted[text] = contradicted.get(text, 1) + 1
            continue
        found = [(answer, answers[text]) for text, answer in splits[name] if text in answers]
        other = sum(answer != there for answer, there in found if None not in (answer, there))
        if found:
            counts.append(f"{name} {len(found):,}" + (f" ({other:,} with another answer there)" if other else ""))
    notes = [f"{IN_TRAIN} {', '.join(counts)}"] if counts else []
    if several := sum(contradicted.values()):
        notes.append(f"examples of train whose input has several right answers there: {several:,}")
    return notes
