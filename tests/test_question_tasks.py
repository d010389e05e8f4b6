"""Question answering through the real command line: official JSON in, records and predictions out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commandline import result_of, run
from sequences import (
    LEARNING,
    SIZES,
    check_evaluated,
    predicted,
    predictions,
    questions,
    trained,
    without_gold,
    write_questions,
)

from ptv2.models.artifact import read_artifact


@pytest.fixture(scope="module")
def squad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on contexts of two to three windows."""
    folder = tmp_path_factory.mktemp("squad")
    data = write_questions(folder / "data", sentences=6)
    return trained("squad", data, folder / "out", *LEARNING, "task.max_length=40", "task.extraction.stride=8")


@pytest.fixture(scope="module")
def squad_v2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("squad_v2")
    data = write_questions(folder / "data", unanswerable=True)
    return trained("squad_v2", data, folder / "out", *LEARNING, "task.extraction.tune_null_threshold=true")


def contexts(split: str, *options: Any) -> dict[str, str]:
    """Each question's context by its id."""
    (article,) = questions(split, *options)["data"]
    return {one["id"]: paragraph["context"] for paragraph in article["paragraphs"] for one in paragraph["qas"]}


def test_long_contexts_are_read_in_windows(squad: Path, tmp_path: Path) -> None:
    result = result_of(squad)
    assert result["data"]["examples"] == SIZES
    assert result["steps"] > 8 * SIZES["train"] / 8  # a step takes eight windows, not eight questions
    assert result["data"]["longest"]["dev"] == 40
    assert result["dev"]["f1"] > 10
    assert result["parts"] == {}
    for split in ("dev", "test"):
        texts = {row["id"]: row["prediction_text"] for row in predictions(squad, split)}
        found = contexts(split, False, 6)
        assert texts.keys() == found.keys()
        assert all(texts.values())
        assert all(text in found[name] for name, text in texts.items())
        assert json.loads((squad / f"official-{split}.squad.json").read_text(encoding="utf-8")) == texts
        check_evaluated(squad, split, result[split], SIZES[split], tmp_path)


def test_predicted_answers(squad: Path, tmp_path: Path) -> None:
    data, stem = squad.parents[1] / "data", tmp_path / "said"
    given = predicted(squad, data / "test.json", tmp_path, "--official", str(stem))
    assert given == predictions(squad, "test")
    assert Path(f"{stem}.squad.json").read_text() == (squad / "official-test.squad.json").read_text()
    tree = json.loads((data / "test.json").read_text())
    fields = []
    for paragraph in tree["data"][0]["paragraphs"]:
        for one in paragraph["qas"]:
            del one["answers"]
            fields.append({"id": one["id"], "question": one["question"], "context": paragraph["context"]})
    (tmp_path / "new.json").write_text(json.dumps(tree))
    (tmp_path / "new.jsonl").write_text("".join(json.dumps(one) + "\n" for one in fields))
    assert predicted(squad, tmp_path / "new.json", tmp_path) == without_gold(given)
    assert predicted(squad, tmp_path / "new.jsonl", tmp_path) == without_gold(given)


def test_rows_say_what_was_asked_and_what_is_right(squad_v2: Path) -> None:
    (article,) = questions("test", True)["data"]
    asked = [one for paragraph in article["paragraphs"] for one in paragraph["qas"]]
    rows = predictions(squad_v2, "test")
    assert [row["question"] for row in rows] == [one["question"] for one in asked]
    assert [row["gold"] for row in rows] == [[answer["text"] for answer in one["answers"]] for one in asked]
    assert {bool(row["gold"]) for row in rows} == {False, True}


def test_the_tuned_threshold_is_kept_and_used(squad_v2: Path, tmp_path: Path) -> None:
    result = result_of(squad_v2)
    threshold = read_artifact(squad_v2 / "artifact")["extra"]["null_threshold"]
    assert threshold != 0
    assert result["notes"] == [
        f"the no-answer threshold was tuned on dev for F1: {threshold:.4f}; dev scores are optimistic"
    ]
    rows = predictions(squad_v2, "dev") + predictions(squad_v2, "test")
    assert {bool(row["prediction_text"]) for row in rows} == {False, True}
    for row in rows:
        assert row["prediction_text"] == ("" if row["no_answer_score"] > threshold else row["best_text"])
    assert any((row["no_answer_score"] > 0) != (row["no_answer_score"] > threshold) for row in rows)
    for split in ("dev", "test"):
        kinds = result["parts"][split]
        assert kinds["has_answer"]["total"] == kinds["no_answer"]["total"] == SIZES[split] / 2
        mean = (kinds["has_answer"]["f1"] + kinds["no_answer"]["f1"]) / 2
        assert mean == pytest.approx(result[split]["f1"])
        check_evaluated(squad_v2, split, result[split], SIZES[split], tmp_path)
    data = squad_v2.parents[1] / "data"
    assert predicted(squad_v2, data / "test.json", tmp_path) == predictions(squad_v2, "test")


@pytest.mark.parametrize("task", ["mini-entities", "mini-roles", "mini-questions"])
def test_made_up_data(task: str, tmp_path: Path) -> None:
    limits = ("data.limit={train: 60, dev: 12, test: 8}", "trainer.max_steps=4", "method=p-tuning-v2")
    folder = trained(task, None, tmp_path / "out", *limits)
    result = result_of(folder)
    assert result["data"]["examples"] == {"train": 60, "dev": 12, "test": 8}
    assert "mini data are made up" in result["notes"][0]
    for split, count in (("dev", 12), ("test", 8)):
        check_evaluated(folder, split, result[split], count, tmp_path)
        assert len(predictions(folder, split)) == count
    done = run(["evaluate", str(folder), "--data-dir", str(tmp_path)], tmp_path)
    assert (done.code, done.error) == (2, f"--data-dir: task {task} does not say how to read it from files")
