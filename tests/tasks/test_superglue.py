"""SuperGLUE and SST-2: the official release and the hub's table give the same examples, in the published templates.

All sentences here are made up.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score
from superglue_cases import CASES, MARKET, RIVER, Case

from ptv2.config.compose import compose
from ptv2.config.task_schema import TaskConfig
from ptv2.data.labels import LabelSet
from ptv2.data.records import Record
from ptv2.data.sources import Source, open_source
from ptv2.errors import ConfigError, DataError
from ptv2.experiment.overview import score_single_answer
from ptv2.tasks.load import load_task
from ptv2.tasks.text import Example, TextTask

DATA = Path(__file__).parents[3] / "shared" / "data"


def configured(name: str, *overrides: str) -> TaskConfig:
    return compose([f"task={name}", "data.source=files", "data.dir=.", *overrides]).task


# What decoding of whole texts does not look at: the encoded examples.
ANY: Any = None


def task_of(name: str, *overrides: str, source: Source | None = None) -> TextTask:
    config = configured(name, *overrides)
    names = config.sources.hub.labels if config.sources.hub else None
    return load_task(config, source or Source("", (), lambda split: [], tuple(names or ())))


def records(*fields: dict[str, Any]) -> list[Record]:
    return [Record(one, f"dev.jsonl:{line}") for line, one in enumerate(fields, start=1)]


def essence(examples: list[Example]) -> list[tuple[Any, ...]]:
    """What of an example the model sees."""
    return [(example.sequences, example.label) for example in examples]


CASES |= {
    "wic 1": Case(
        CASES["wic"].official,
        CASES["wic"].hub,
        [(("bank: The bank was steep.", "bank: A bank lends money."),)],
        [0],
        ["task.template=1"],
    ),
    "wsc 1": Case(
        CASES["wsc"].official,
        CASES["wsc"].hub,
        [(("Ann phoned Sue when *she* was late.", "Ann"),)],
        [1],
        ["task.template=1"],
    ),
}


# Templates and both formats


@pytest.mark.parametrize("name", CASES)
def test_both_formats_give_the_examples_of_the_published_templates(name: str) -> None:
    case = CASES[name]
    task = task_of(name.split()[0], *case.overrides)
    expected = list(zip(case.sequences, case.labels, strict=True))
    assert essence(task.read(records(case.official))) == expected
    assert essence(task.read(records(*case.hub))) == expected


@pytest.mark.parametrize("name", ["multirc", "record"])
def test_both_formats_are_scored_alike(name: str) -> None:
    task = task_of(name)
    scores = np.array([[0.0, 1.0], [0.0, 2.0], [0.0, -1.0]])
    told = []
    for given in ([CASES[name].official], CASES[name].hub):
        examples = task.read(records(*given))
        told.append(task.for_metric(task.decode(scores, examples, ANY), examples))
    assert told[0] == told[1]


def test_the_best_single_answer_need_not_be_the_most_frequent() -> None:
    """F1a counts the class 1 alone: without it the score is 0, though most answers are wrong ones."""
    multirc = task_of("multirc")
    examples = multirc.read(records(CASES["multirc"].official))
    right = [example.label for example in examples]
    best = score_single_answer(multirc, {"0": 9, "1": 4}, examples)
    assert best == {
        "answer": "1",
        "metric": "f1a",
        "score": pytest.approx(100 * f1_score(right, [1] * len(right))),
    }
    rte = task_of("rte")
    names = rte.labels
    told = score_single_answer(rte, {names[0]: 1, names[1]: 5}, rte.read(records(CASES["rte"].official)))
    assert told is not None
    assert told["score"] == 100.0  # of one example
    assert score_single_answer(task_of("record"), {"0": 9, "1": 4}, []) is None


def test_copa_has_another_word_for_an_effect() -> None:
    fields = {**CASES["copa"].official, "question": "effect", "label": 1}
    (example,) = task_of("copa").read(records(fields))
    assert [first for first, _ in example.sequences] == ["The vase fell. so"] * 2
    assert example.label == 1


def test_every_superglue_task_is_here() -> None:
    hub_tasks = {name.split()[0] for name in CASES}
    assert hub_tasks == {"boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc", "sst2"}


def test_ids_are_those_of_the_data_and_differ() -> None:
    twice = {**CASES["multirc"].official, "idx": 9}
    ids = [example.id for example in task_of("multirc").read(records(CASES["multirc"].official, twice))]
    assert ids == ["7.0", "7.1", "7.2", "9.0", "9.1", "9.2"]
    assert [example.id for example in task_of("rte").read(records(CASES["rte"].official))] == ["7"]
    assert [example.id for example in task_of("multirc").read(records(*CASES["multirc"].hub))] == ["0", "1", "2"]
    assert [example.id for example in task_of("sst2").read(records(*[CASES["sst2"].official] * 2))] == ["0", "1"]


# Labels


@pytest.mark.parametrize(
    ("name", "value", "number"),
    [
        ("boolq", False, 0),
        ("boolq", "true", 1),
        ("boolq", "True", 1),
        ("cb", "contradiction", 1),
        ("cb", "Entailment ", 0),
        ("copa", 1, 1),
        ("copa", "choice2", 1),
        ("rte", "entailment", 0),
        ("sst2", "1", 1),
        ("sst2", "positive", 1),
        ("wic", True, 1),
        ("wsc", "False", 0),
    ],
)
def test_labels_in_the_words_of_files_and_hub(name: str, value: Any, number: int) -> None:
    (example,) = task_of(name).read(records({**CASES[name].official, "label": value}))
    assert example.label == number


def test_names_that_differ_in_capitals_only_stay_apart() -> None:
    labels = LabelSet.of_data(records({"label": "US"}, {"label": "us"}, {"label": "it"}), "label")
    assert labels.names == ["US", "it", "us"]
    assert [labels.number(name, "here") for name in ("US", "us", "it", "IT")] == [0, 2, 1, 1]
    with pytest.raises(DataError, match="unknown label 'Us'"):
        labels.number("Us", "here")


# What is wrong


def fault(name: str, *fields: dict[str, Any], overrides: tuple[str, ...] = ()) -> str:
    with pytest.raises(DataError) as caught:
        task_of(name, *overrides).read(records(*fields))
    return str(caught.value)


def test_an_unknown_label_is_told_with_place_and_example() -> None:
    right = CASES["cb"].official
    message = fault("cb", right, {**right, "idx": 8, "label": "contradicton"})
    known = "did you mean contradiction? known: contradiction, entailment, neutral"
    assert message == f"dev.jsonl:2 (example 8): unknown label 'contradicton'; {known}"


def test_an_unknown_label_of_an_answer_names_the_answer() -> None:
    official = CASES["multirc"].official
    questions = official["passage"]["questions"]
    wrong = {**questions[1], "answers": [{"text": "No", "idx": 2, "label": 2}]}
    message = fault("multirc", {**official, "passage": {**official["passage"], "questions": [questions[0], wrong]}})
    assert message.startswith("dev.jsonl:1 (example 7.2): unknown label '2'")


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("boolq", {"passage": 3}, "expected text in field 'passage', found a number: 3"),
        ("boolq", {"passage": None}, "expected text in field 'passage', found null"),
        ("boolq", {"label": None}, "no label: 'label' is missing or null"),
        ("boolq", {"label": [True]}, "expected one label in 'label', found a list: [True]"),
        ("boolq", {"label": " "}, "no label: 'label' is empty"),
        ("copa", {"question": "why"}, "question 'why'; expected cause or effect"),
        ("copa", {"choice2": ["a"]}, "expected text in field 'choice2', found a list: ['a']"),
        ("wsc", {"target": {"span1_text": "Ann", "span2_text": "she"}}, "field 'span2_index' is missing"),
        (
            "wsc",
            {"target": {**CASES["wsc"].official["target"], "span2_index": 7}},
            "span2_index 7 is outside the text's 7 words",
        ),
        ("wsc", {"target": {**CASES["wsc"].official["target"], "span2_index": -1}}, "span2_index -1 is outside"),
        ("multirc", {"passage": {"text": RIVER}}, "field 'questions' is missing"),
        ("multirc", {"passage": RIVER}, "string indices"),
        ("record", {"passage": {"text": MARKET}}, "field 'entities' is missing"),
        (
            "record",
            {"passage": {"text": MARKET, "entities": [{"start": 80, "end": 500}]}},
            f"entity span 80 to 500 is outside the passage's {len(MARKET)} characters",
        ),
        ("record", {"passage": {"text": MARKET, "entities": [{"start": 5, "end": 4}]}}, "entity span 5 to 4"),
    ],
)
def test_a_wrong_field_is_told_with_its_place(name: str, change: dict[str, Any], expected: str) -> None:
    message = fault(name, {**CASES[name].official, **change})
    assert message.startswith("dev.jsonl:1")
    assert expected in message


@pytest.mark.parametrize("template", ["{premise", "{}", "{premise.length}", "{premise[end]}", "{premise:>x}"])
def test_a_template_that_is_none(template: str) -> None:
    with pytest.raises(ConfigError, match=rf"^task\.text\.0='{re.escape(template)}': "):
        task_of("rte", f"task.text=['{template}']")


def test_a_headline_that_the_metric_has_not() -> None:
    with pytest.raises(
        ConfigError, match=r"^task.headline='f1': unknown score of metric cb 'f1'; known: accuracy, f1_macro, mcc$"
    ):
        task_of("cb", "task.headline=f1")


def test_prediction_needs_no_labels() -> None:
    for name in ("boolq", "copa", "wsc", "rte"):
        fields = {key: value for key, value in CASES[name].official.items() if key != "label"}
        examples = task_of(name).read(
            records(fields, {**fields, "label": ""}, {**fields, "label": "?"}), labelled=False
        )
        assert [example.label for example in examples] == [None] * 3
    query = {**CASES["record"].official["qas"][0], "answers": []}
    examples = task_of("record").read(records({**CASES["record"].official, "qas": [query]}), labelled=False)
    assert [example.label for example in examples] == [None] * 3


# From scores to numbers, worked by hand


def test_a_prediction_is_the_highest_score() -> None:
    task = task_of("cb")
    official = CASES["cb"].official
    examples = task.read(records(official, {**official, "idx": 8, "label": "entailment"}))
    predictions = task.decode(np.array([[0.0, 0.0, np.log(2.0)], [0.0, np.log(6.0), 0.0]]), examples, ANY)
    assert [(p["id"], p["class"], p["label"]) for p in predictions] == [("7", 2, "neutral"), ("8", 1, "contradiction")]
    assert predictions[0]["probabilities"] == {"entailment": 0.25, "contradiction": 0.25, "neutral": 0.5}
    # neutral is right: F1 1; contradiction was said and entailment meant: F1 0 for both
    assert task.score(predictions, examples) == pytest.approx({"accuracy": 50.0, "f1_macro": 100 / 3, "mcc": 50.0})


def test_copa_takes_the_better_choice() -> None:
    task = task_of("copa")
    examples = task.read(records(CASES["copa"].official, {**CASES["copa"].official, "label": 1}))
    predictions = task.decode(np.array([[0.3, 0.2], [5.0, -5.0]]), examples, ANY)
    assert [(p["class"], p["choice"]) for p in predictions] == [(0, "A cat jumped.")] * 2
    assert task.score(predictions, examples) == pytest.approx({"accuracy": 50.0, "macro_f1": 100 / 3, "mcc": 0.0})


def test_multirc_looks_at_whole_questions() -> None:
    """Said 1, 1, 1 where 0, 1, 1 is right: F1a = 2 * 2 / (3 + 2); one of two questions is right throughout."""
    task = task_of("multirc")
    examples = task.read(records(CASES["multirc"].official))
    predictions = task.decode(np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 1.0]]), examples, ANY)
    assert task.score(predictions, examples) == pytest.approx({"f1a": 80.0, "exact_match": 50.0})


def record_fields(passage: int, entities: list[str], answers: list[str]) -> dict[str, Any]:
    idx = {"passage": passage, "query": 0}
    return {"passage": "none", "query": "@placeholder", "entities": entities, "answers": answers, "idx": idx}


def test_record_takes_one_entity_a_query_by_its_score_for_yes() -> None:
    """Query 0: New York City wins over Bob by logit, though Bob's probability is higher; query 1: exact.

    "New York City" against "York": 2 * 1 / (3 + 1) = 0.5. Mean F1 (0.5 + 1) / 2, exact match 1 of 2.
    """
    task = task_of("record")
    examples = task.read(
        records(record_fields(0, ["Bob", "New York City"], ["York"]), record_fields(1, ["Ann", "The Bob"], ["Bob"]))
    )
    assert [example.fields["entity"] for example in examples] == ["Bob", "New York City", "Ann", "The Bob"]
    scores = np.array([[-3.0, 1.0], [3.0, 2.0], [0.0, -2.0], [9.0, -1.0]])
    predictions = task.decode(scores, examples, ANY)
    assert task.score(predictions, examples) == pytest.approx({"f1": 75.0, "exact_match": 50.0})


def test_record_breaks_ties_by_text_from_the_end_of_the_alphabet() -> None:
    task = task_of("record")
    examples = task.read(records(record_fields(0, ["Bob", "Zoe", "Ann"], ["Zoe"])))
    predictions = task.decode(np.array([[0.0, 0.5]] * 3), examples, ANY)
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        given, _ = task.for_metric([predictions[i] for i in order], [examples[i] for i in order])
        assert [row["prediction_text"] for row in given] == ["Zoe"]


# A user's own data


def own_source(*labels: str) -> Source:
    return Source("", ("train",), lambda split: records(*({"text": "x", "topic": label} for label in labels)))


def test_own_single_sentences_and_pairs() -> None:
    source = own_source("b", "a", "b")
    task = task_of("classification", "task.text=[text]", "task.label=topic", source=source)
    assert task.labels == ["a", "b"]
    assert essence(task.read(records({"text": "one", "topic": "b"}))) == [((("one", None),), 1)]
    pair = task_of("classification", "task.text=[text,'{more} and {text}']", "task.label=topic", source=source)
    (example,) = pair.read(records({"text": "one", "more": "two", "topic": "a"}))
    assert example.sequences == (("one", "two and one"),)


def test_own_labels_have_to_be_labels() -> None:
    with pytest.raises(DataError, match=r"^dev\.jsonl:1: expected two or more labels in 'topic', found only a$"):
        task_of("classification", "task.label=topic", source=own_source("a", "a"))
    cut = replace(own_source("a", "a"), cut="data.limit.train=2")
    with pytest.raises(DataError, match=r"found only a \(data\.limit\.train=2\)$"):
        task_of("classification", "task.label=topic", source=cut)
    with pytest.raises(DataError, match=r"'mood' is missing; .*topic \(task.label names the field\)$"):
        task_of("classification", "task.label=mood", source=cut)  # more examples would not help
    with pytest.raises(DataError, match=r"1001 different labels in 'topic'; is it a label\?"):
        task_of("classification", "task.label=topic", source=own_source(*map(str, range(1001))))
    with pytest.raises(DataError, match=r"'topic' holds 30 different numbers with fractions \(.*make classes of them"):
        task_of("classification", "task.label=topic", source=own_source(*(f"{n / 7:.3f}" for n in range(1, 31))))
    halves = own_source(*[str(n / 2) for n in range(20)] * 3)  # stars: a few, each several times
    assert len(task_of("classification", "task.label=topic", source=halves).labels) == 20
    with pytest.raises(DataError, match="field 'mood' is missing; the record has: text, topic"):
        task_of("classification", "task.label=mood", source=own_source("a", "b"))


# The real files, where they are at hand

SIZES = {
    "boolq": (1961, 655, [742, 1219]),
    "cb": (92, 14, [47, 37, 8]),
    "copa": (114, 25, [56, 58]),
    "multirc": (2928, 969, [1676, 1252]),
    "rte": (1439, 139, [737, 702]),
    "sst2": (6920, 872, None),
    "wic": (382, 128, [191, 191]),
    "wsc": (113, 26, [53, 60]),
}


def real(name: str) -> tuple[Source, TextTask]:
    if not DATA.is_dir():
        pytest.skip(f"no data in {DATA.parent.name}/{DATA.name} beside the project")
    folder = DATA / ("sst2" if name == "sst2" else "superglue")
    config = compose([f"task={name}", "data.source=files", f"data.dir={folder}"])
    source = open_source(config)
    return source, load_task(config.task, source)


@pytest.mark.parametrize("name", SIZES)
def test_the_real_files_have_the_stated_sizes(name: str) -> None:
    source, task = real(name)
    train, dev, labels = SIZES[name]
    examples = {split: task.read(source.read(split)) for split in source.splits}
    assert {split: len(part) for split, part in examples.items()} == {"train": train, "dev": dev}
    found = [example.label for example in examples["train"]]
    assert labels is None or [found.count(number) for number in range(len(labels))] == labels
    assert all(len({example.id for example in part}) == len(part) for part in examples.values())


def test_the_real_record_has_the_stated_queries() -> None:
    source, task = real("record")
    for split, (queries, entities) in {"train": (32, 585), "dev": (16, 286)}.items():
        raw = list(source.read(split))  # type: ignore[arg-type]
        assert sum(len(record.fields["passage"]["entities"]) for record in raw) == entities
        examples = task.read(raw)
        predictions = task.decode(np.array([[0.0, float(example.label or 0)] for example in examples]), examples, ANY)
        given, references = task.for_metric(predictions, examples)
        assert len(given) == len(references) == queries
        assert task.score(predictions, examples) == {"f1": 100.0, "exact_match": 100.0}  # every query can be answered
