"""The verbalizer head through the command line: a run, its record, its numbers again, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commandline import only_run, result_of, run, train_words, write_sentences

HEAD = (
    "head.kind=verbalizer",
    "task.verbalizer={text: ['{sentence} It was {mask}.'], words: {bad: [terrible], good: [great, good]}}",
)


@pytest.mark.parametrize("method", ["p-tuning-v2", "fine-tuning"])
def test_a_run(method: str, tmp_path: Path) -> None:
    data = write_sentences(tmp_path / "data")
    rate = {"p-tuning-v2": "optim.lr=0.03", "fine-tuning": "optim.lr=0.002"}[method]
    settings = ("+model.config.initializer_range=0.3", "trainer.batch_size=8", f"method={method}", rate, *HEAD)
    done = run(train_words(data, tmp_path / "out", *settings), tmp_path)
    assert done.code == 0, done.err
    folder = only_run(tmp_path / "out")
    result = result_of(folder)
    assert result["dev"]["accuracy"] > {"fine-tuning": 70, "p-tuning-v2": 55}[method]  # of two classes
    groups = result["parameters"]["groups"]
    if method == "fine-tuning":
        assert groups == {"backbone": result["parameters"]["total"]}
    else:
        assert groups == {"prompt": 20 * 2 * 2 * 32}
    state = {"fine-tuning": "trained", "p-tuning-v2": "frozen"}[method]
    said = f"verbalizer: scores are those of label words in a random language-model head, {state}"
    assert said in result["notes"]

    again = run(["evaluate", str(folder), "--split", "test"], tmp_path)
    assert again.code == 0, again.err
    (row,) = [line.split() for line in again.out.splitlines() if line.split()[:1] == ["accuracy"]]
    assert row[1] == row[2] == f"{result['test']['accuracy']:.2f}"
    told = run(["predict", str(folder), "--input", str(data / "test.jsonl")], tmp_path)
    assert told.code == 0, told.err
    recorded = (folder / "predictions-test.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in told.out.splitlines()] == [json.loads(line) for line in recorded]
    table = run(["table", str(tmp_path / "out")], tmp_path)
    assert table.code == 0, table.err
    assert "verbalizer" in table.out


def test_a_backbone_without_a_language_model_is_refused(tmp_path: Path) -> None:
    data = write_sentences(tmp_path / "data")
    done = run([*train_words(data, tmp_path / "out", *HEAD), "model=minilm"], tmp_path)
    assert done.code == 2
    assert done.error.startswith("embedded:minilm: the checkpoint lacks the language-model head")
    assert done.error.endswith("use head.kind=linear")
    assert not list(tmp_path.glob("out/*/result.json"))
