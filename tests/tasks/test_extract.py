"""Question answering: every answer that is in a context comes back, and the threshold for none is the best one.

All sentences here are made up.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pairs import bert_like, gpt2_like, roberta_like

from ptv2.config.compose import compose
from ptv2.data.formats import read_file
from ptv2.data.records import Record
from ptv2.data.sources import Source
from ptv2.data.windows import SpanSet
from ptv2.errors import DataError
from ptv2.metrics.squad import best_threshold
from ptv2.tasks.extract import Extract, Question
from ptv2.tasks.load import load_task

DATA = Path(__file__).parents[3] / "shared" / "data"
TOKENIZERS = {"bert": bert_like(), "roberta": roberta_like(), "gpt2": gpt2_like()}
CONTEXT = "The baker of Lund sold  nineteen loaves in March 😀, and Zoë's café sold none that winter."
ANSWERS = ["The baker of Lund", "nineteen loaves", "March 😀", "Zoë's café", "winter", "none that winter."]


def task_of(name: str, *overrides: str) -> Extract:
    config = compose([f"task={name}", "data.source=files", "data.dir=.", *overrides]).task
    task = load_task(config, Source("", (), lambda split: []))
    assert isinstance(task, Extract)
    return task


def question(name: str, *answers: str, context: str = CONTEXT) -> dict[str, Any]:
    found = {"text": list(answers), "answer_start": [context.index(answer) for answer in answers]}
    return {"id": name, "question": "Who sold loaves?", "context": context, "answers": found}


def records(*fields: dict[str, Any]) -> list[Record]:
    return [Record(one, f"dev.jsonl:{line}") for line, one in enumerate(fields, start=1)]


def perfect(data: SpanSet) -> np.ndarray:
    """Scores that are highest at each window's start and end, which is [CLS] where the answer is not in it."""
    scores = np.random.default_rng(0).random((len(data.offsets), 2), dtype=np.float32)
    assert data.start_positions is not None
    assert data.end_positions is not None
    answered = data.start_positions != data.null_positions
    for side, places in enumerate((data.start_positions, data.end_positions)):
        scores[data.tokens.starts[:-1] + places, side] = np.where(answered, 9.0, 5.0)
    return scores


# Reading


def test_the_first_answer_is_learned_from_and_all_are_right() -> None:
    task = task_of("squad")
    (example,) = task.read(records(question("a", "nineteen loaves", "nineteen")))
    start = CONTEXT.index("nineteen")
    assert example == Question("a", "Who sold loaves?", CONTEXT, ("nineteen loaves", "nineteen"), (start, start + 15))
    assert task.item(example) == ("a", "Who sold loaves?", CONTEXT, (start, start + 15), True)
    said = [{"id": "a", "prediction_text": "nineteen"}]
    assert task.score(said, [example]) == {"f1": 100.0, "exact_match": 100.0}


def test_answers_are_not_looked_at_for_prediction() -> None:
    (example,) = task_of("squad").read(records({**question("a", "March"), "answers": "?"}), labelled=False)
    assert (example.answers, example.span) == (None, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": 7.5}, "dev.jsonl:2: expected 'id', a text or a whole number, found 7.5"),
        ({"context": None}, "dev.jsonl:2: expected 'context', a text; the record has: "),
        ({"answers": None}, "dev.jsonl:2 (question b): expected 'answers' with lists 'text' and 'answer_start'"),
        (
            {"answers": {"text": ["March"], "answer_start": [5]}},
            "dev.jsonl:2 (question b): expected the answer 'March' at answer_start 5, found 'aker '",
        ),
        (
            {"answers": {"text": ["March"], "answer_start": [-1]}},
            "dev.jsonl:2 (question b): expected 'answer_start' to be a whole number from 0 on, found -1",
        ),
        (
            {"answers": {"text": [], "answer_start": []}},
            "dev.jsonl:2 (question b): has no answer, but every question of task squad has one; for version 2.0 data "
            "set task=squad_v2 or task.extraction.unanswerable=true",
        ),
        ({"id": "a"}, "dev.jsonl:2 (question a): expected every id once, but dev.jsonl:1 has it too"),
        ({"answers": {"text": [" "], "answer_start": [5]}}, "dev.jsonl:2 (question b): expected the text of an answer"),
        ({"context": " "}, "dev.jsonl:2: 'context' is empty; expected a text"),
    ],
)
def test_a_bad_record_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        task_of("squad").read(records(question("a", "March"), {**question("b", "March"), **change}))
    assert str(caught.value).startswith(message)


def test_a_question_is_named_once() -> None:
    """Places in the official files have the id already."""
    with pytest.raises(DataError, match=r"^dev\.json: question a: has no answer"):
        task_of("squad").read([Record(question("a"), "dev.json: question a")])


# Encoding and decoding


@pytest.mark.parametrize("name", ["bert", "roberta", "gpt2"])
@pytest.mark.parametrize("max_length", [48, 384])
def test_right_scores_give_right_answers(name: str, max_length: int) -> None:
    task = task_of("squad", f"task.max_length={max_length}", "task.extraction.stride=24")
    long = f"{CONTEXT} Nobody knew where the miller had gone. " * 2
    fields = [question(f"q{n}", answer) for n, answer in enumerate(ANSWERS)]
    fields += [question(f"long{n}", answer, context=long) for n, answer in enumerate(ANSWERS)]
    examples = task.read(records(*fields))
    data = task.encode(examples, TOKENIZERS[name])
    assert data.truncated == 0
    assert (len(data) > len(examples)) == (max_length == 48)
    said = task.decode(perfect(data), examples, data)
    assert [row["id"] for row in said] == [example.id for example in examples]
    assert [row["prediction_text"] for row in said] == [*ANSWERS, *ANSWERS]
    assert task.score(said, examples) == {"f1": 100.0, "exact_match": 100.0}
    assert task.answers(said) == {}


def test_no_answer() -> None:
    task = task_of("squad_v2")
    examples = task.read(records(question("a", "March 😀"), question("b"), question("c")))
    data = task.encode(examples, TOKENIZERS["bert"])
    scores = perfect(data)
    scores[data.tokens.starts[0] :][:1] = 8.0  # the best answer scores 18, none 16
    said = task.decode(scores, examples, data)
    assert [row["prediction_text"] for row in said] == ["March 😀", "", ""]
    assert [row["no_answer_score"] > 0 for row in said] == [False, True, True]
    assert said[1]["best_text"] in CONTEXT
    assert task.answers(said) == task.gold(examples) == {"answer": 1, "no answer": 2}
    kinds = {kind: row["total"] for kind, row in task.parts(said, examples).items()}
    assert kinds == {"has_answer": 1, "no_answer": 2}
    assert task.official(said, examples, ()) == {
        "squad.json": json.dumps({"a": "March 😀", "b": "", "c": ""}, ensure_ascii=False, indent=1) + "\n"
    }

    higher = task_of("squad_v2", "task.extraction.null_threshold=-3")
    assert [row["prediction_text"] for row in higher.decode(scores, examples, data)] == ["", "", ""]


@pytest.mark.parametrize("seed", range(12))
def test_the_tuned_threshold_gives_the_best_f1(seed: int) -> None:
    """Exactly: the question whose score became the threshold is on the side where it was counted."""
    task = task_of("squad_v2", "task.extraction.tune_null_threshold=true")
    draw = np.random.default_rng(seed)
    fields = [question(f"q{n}", *([ANSWERS[n % 6]] if n % 2 else [])) for n in range(12)]
    examples = task.read(records(*fields))
    data = task.encode(examples, TOKENIZERS["bert"])
    scores = perfect(data) + draw.normal(0, 3, (len(data.offsets), 2)).astype(np.float32)

    before = task.decode(scores, examples, data)
    task.calibrate(scores, examples, data)
    odds = {row["id"]: row["no_answer_score"] for row in before}
    given, references = task.for_metric([{**row, "prediction_text": row["best_text"]} for row in before], examples)
    best = best_threshold(odds, given, references)
    assert task.threshold == best.value
    after = task.score(task.decode(scores, examples, data), examples)["f1"]
    assert after == pytest.approx(100 * best.score)
    assert after >= task.score(before, examples)["f1"]
    assert task.outcome_notes() == [
        f"the no-answer threshold was tuned on dev for F1: {best.value:.4f}; dev scores are optimistic"
    ]
    again = load_task(task.config, state=json.loads(json.dumps(task.state())))
    assert again.decode(scores, examples, data) == task.decode(scores, examples, data)


def test_nothing_is_tuned_unless_asked_for() -> None:
    task = task_of("squad_v2", "task.extraction.null_threshold=0.5")
    examples = task.read(records(question("a", "March"), question("b")))
    data = task.encode(examples, TOKENIZERS["bert"])
    task.calibrate(perfect(data), examples, data)
    assert task.threshold == 0.5
    assert task.outcome_notes() == []


# Real data


@pytest.mark.parametrize(
    ("name", "task", "file", "count", "answered"),
    [
        ("xquad_en", "squad", "train.json", 837, 837),
        ("xquad_en", "squad", "dev.json", 179, 179),
        ("xquad_en_v2", "squad_v2", "train.json", 837, 561),
        ("xquad_en_v2", "squad_v2", "dev.json", 179, 120),
    ],
)
def test_real_data_is_encoded_whole(name: str, task: str, file: str, count: int, answered: int) -> None:
    if not (DATA / name).is_dir():
        pytest.skip(f"no data in {DATA.parent.name}/{DATA.name} beside the project")
    made = task_of(task)
    examples = made.read(read_file(DATA / name / file, made.config))
    assert made.gold(examples) == {"answer": answered, "no answer": count - answered}
    if file != "dev.json":
        return
    data = made.encode(examples, TOKENIZERS["roberta"])
    assert len(data) > count  # this tokenizer's pieces are short
    assert data.truncated == 0
    said = made.decode(perfect(data), examples, data)
    exact = [row["prediction_text"] in (example.answers or ("",)) for row, example in zip(said, examples, strict=True)]
    assert np.mean(exact) > 0.9  # the rest begin or end inside of a piece
