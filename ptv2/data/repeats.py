"""Find examples that are in train and also scored, and inputs with several right answers."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

from ptv2.run_folders.record import IN_TRAIN

Seen = Iterable[tuple[Hashable, Hashable | None]]  # of each example: the input of the model, and the right answer


def describe_repeats(splits: Mapping[str, Seen]) -> list[str]:
    """Note equal inputs, one sentence each: examples of other splits that are in train too, and contradictions there.

    Args:
        splits: by name; an answer of None contradicts no other.
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
        repeated = [(answer, answers[text]) for text, answer in splits[name] if text in answers]
        other = sum(answer != in_train for answer, in_train in repeated if None not in (answer, in_train))
        if repeated:
            counts.append(f"{name} {len(repeated):,}" + (f" ({other:,} with another answer there)" if other else ""))
    notes = [f"{IN_TRAIN} {', '.join(counts)}"] if counts else []
    if several := sum(contradicted.values()):
        notes.append(f"examples of train whose input has several right answers there: {several:,}")
    return notes
