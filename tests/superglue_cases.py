"""One made-up record of each SuperGLUE task and SST-2, as released and as on the hub, with the example that it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """One record as the release has it, the same as the hub's rows (class names for numbers), and what both become."""

    official: dict[str, Any]
    hub: list[dict[str, Any]]
    sequences: list[tuple[tuple[str, str | None], ...]]
    labels: list[int]
    overrides: list[str] = field(default_factory=list)


RIVER = "A heron stood in the river. It did not move."


MARKET = "Ann sold pears. Bob bought two.\n@highlight\nThe pears of Ann\n@highlight\nA market in Leeds"


MARKET_SHOWN = "Ann sold pears. Bob bought two.\n- The pears of Ann\n- A market in Leeds"


def spans(*words: str) -> list[dict[str, int]]:
    """Entity marks as the release has them: the last character is inside."""
    return [{"start": MARKET.index(word), "end": MARKET.index(word) + len(word) - 1} for word in words]


CASES = {
    "boolq": Case(
        official={"question": "do herons swim", "passage": RIVER, "idx": 7, "label": True},
        hub=[{"question": "do herons swim", "passage": RIVER, "idx": 7, "label": "True"}],
        sequences=[(("do herons swim", RIVER),)],
        labels=[1],
    ),
    "cb": Case(
        official={"premise": "He thinks it rains.", "hypothesis": "it rains", "label": "neutral", "idx": 7},
        hub=[{"premise": "He thinks it rains.", "hypothesis": "it rains", "label": "neutral", "idx": 7}],
        sequences=[(("He thinks it rains.", "it rains"),)],
        labels=[2],
    ),
    "copa": Case(
        official={
            "premise": "The vase fell.",
            "choice1": "A cat jumped.",
            "choice2": "It was blue.",
            "question": "cause",
            "label": 0,
            "idx": 7,
        },
        hub=[
            {
                "premise": "The vase fell.",
                "choice1": "A cat jumped.",
                "choice2": "It was blue.",
                "question": "cause",
                "label": "choice1",
                "idx": 7,
            }
        ],
        sequences=[(("The vase fell. because", "A cat jumped."), ("The vase fell. because", "It was blue."))],
        labels=[0],
    ),
    "multirc": Case(
        official={
            "idx": 7,
            "version": 1.1,
            "passage": {
                "text": RIVER,
                "questions": [
                    {
                        "question": "Where is the heron?",
                        "answers": [
                            {"text": "In a tree", "idx": 0, "label": 0},
                            {"text": "In the river", "idx": 1, "label": 1},
                        ],
                        "idx": 4,
                    },
                    {"question": "Did it move?", "answers": [{"text": "No", "idx": 2, "label": 1}], "idx": 5},
                ],
            },
        },
        hub=[
            {
                "paragraph": RIVER,
                "question": q,
                "answer": a,
                "label": label,
                "idx": {"paragraph": 7, "question": n, "answer": m},
            }
            for q, a, label, n, m in [
                ("Where is the heron?", "In a tree", "False", 4, 0),
                ("Where is the heron?", "In the river", "True", 4, 1),
                ("Did it move?", "No", "True", 5, 2),
            ]
        ],
        sequences=[
            ((RIVER, "Where is the heron? In a tree"),),
            ((RIVER, "Where is the heron? In the river"),),
            ((RIVER, "Did it move? No"),),
        ],
        labels=[0, 1, 1],
    ),
    "record": Case(
        official={
            "source": "nowhere",
            "idx": 7,
            "passage": {"text": MARKET, "entities": spans("Ann", "Bob", "Leeds", "Ann")},
            "qas": [
                {
                    "idx": 3,
                    "query": "In @placeholder there was fruit, and @placeholder is far.",
                    "answers": [{"start": MARKET.index("Leeds"), "end": MARKET.index("Leeds") + 4, "text": "Leeds"}],
                }
            ],
        },
        hub=[
            {
                "passage": MARKET,
                "query": "In @placeholder there was fruit, and @placeholder is far.",
                "entities": ["Leeds", "Bob", "Ann"],
                "answers": ["Leeds"],
                "idx": {"passage": 7, "query": 3},
            }
        ],
        sequences=[
            ((MARKET_SHOWN, f"In {entity} there was fruit, and {entity} is far."),)
            for entity in ("Ann", "Bob", "Leeds")
        ],
        labels=[0, 0, 1],
    ),
    "rte": Case(
        official={"premise": "It rains.", "hypothesis": "It is dry.", "label": "not_entailment", "idx": 7},
        hub=[{"premise": "It rains.", "hypothesis": "It is dry.", "label": "not_entailment", "idx": 7}],
        sequences=[(("It rains.", "It is dry."),)],
        labels=[1],
    ),
    "sst2": Case(
        official={"sentence": 'a " dull film', "label": "0"},  # from a TSV file, everything is text
        hub=[{"sentence": 'a " dull film', "label": "negative", "idx": 7}],
        sequences=[(('a " dull film', None),)],
        labels=[0],
    ),
    "wic": Case(
        official={
            "word": "bank",
            "sentence1": "The bank was steep.",
            "sentence2": "A bank lends money.",
            "idx": 7,
            "label": False,
            "start1": 4,
            "end1": 8,
            "start2": 2,
            "end2": 6,
            "version": 1.1,
        },
        hub=[
            {"word": "bank", "sentence1": "The bank was steep.", "sentence2": "A bank lends money.", "label": "False"}
        ],
        sequences=[
            (("The bank was steep. A bank lends money. Does bank have the same meaning in both sentences?", None),)
        ],
        labels=[0],
    ),
    "wsc": Case(
        official={
            "text": "Ann phoned Sue when she was late.",
            "target": {"span1_text": "Ann", "span1_index": 0, "span2_text": "she", "span2_index": 4},
            "idx": 7,
            "label": True,
        },
        hub=[
            {
                "text": "Ann phoned Sue when she was late.",
                "span1_text": "Ann",
                "span1_index": 0,
                "span2_text": "she",
                "span2_index": 4,
                "idx": 7,
                "label": "True",
            }
        ],
        sequences=[(("she: Ann phoned Sue when she was late.", "Ann"),)],
        labels=[1],
    ),
}
