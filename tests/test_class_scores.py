"""Scores of single classes through the command line, counted here once more from the prediction files."""

from __future__ import annotations

import csv
import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from commandline import Done, log_lines, only_run, result_of, run
from records import result as record

from ptv2.config.compose import compose
from ptv2.console.output import summary

Pairs = list[tuple[str, str]]  # right and predicted label
LABELS = ("très bien", "so so, at best", "不好", "__proto__")
WORDS = {LABELS[0]: "bright", LABELS[1]: "plain", LABELS[2]: "dull", LABELS[3]: "odd"}


def rows(labels: list[str]) -> str:
    """JSON lines with a sentence for each label."""
    texts = [{"sentence": f"the table number {i} was {WORDS[label]}", "label": label} for i, label in enumerate(labels)]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in texts)


def train(folder: Path, dev: list[str], *words: str, test: list[str] | None = None) -> tuple[Done, Path]:
    """A run on four classes; `dev` and `test` are the labels of these splits."""
    data = folder / "data"
    data.mkdir()
    (data / "train.jsonl").write_text(rows([*LABELS, *LABELS[:3]] * 8), encoding="utf-8")
    (data / "dev.jsonl").write_text(rows(dev), encoding="utf-8")
    if test is not None:
        (data / "test.jsonl").write_text(rows(test), encoding="utf-8")
    start = ["train", "task=classification", f"data.dir={data}", "model=tiny", f"out={folder / 'runs'}"]
    return run([*start, "optim.lr=0.03", "trainer.batch_size=8", *words], folder / "streams"), data


def pairs_of(folder: Path, data: Path, split: str) -> Pairs:
    """Right and predicted label of each example, from the files alone."""
    right = [json.loads(line)["label"] for line in (data / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]
    lines = (folder / f"predictions-{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return list(zip(right, [json.loads(line)["label"] for line in lines], strict=True))


def counted(pairs: Pairs) -> tuple[dict[str, dict[str, Any]], dict[str, float]]:
    """Precision, recall, F1 and numbers of each class, and the scores over all of them, in percent."""
    classes: dict[str, dict[str, Any]] = {}
    for label in sorted(LABELS):
        both = sum(right == predicted == label for right, predicted in pairs)
        support = sum(right == label for right, _ in pairs)
        predicted = sum(given == label for _, given in pairs)
        classes[label] = {
            "precision": 100 * both / predicted if predicted else None,
            "recall": 100 * both / support if support else None,
            "f1": 200 * both / (support + predicted) if support + predicted else None,
            "support": support,
            "predicted": predicted,
        }
    f1 = [row["f1"] for row in classes.values() if row["f1"] is not None]
    right, said = (Counter(pair[side] for pair in pairs) for side in (0, 1))
    n, correct = len(pairs), sum(one == other for one, other in pairs)
    covariance = correct * n - sum(right[label] * said[label] for label in LABELS)
    spread = math.sqrt((n * n - sum(c * c for c in right.values())) * (n * n - sum(c * c for c in said.values())))
    return classes, {
        "accuracy": 100 * correct / n,
        "macro_f1": sum(f1) / len(f1),
        "mcc": 100 * covariance / spread if spread else 0.0,
    }


def check(result: dict[str, Any], pairs: Pairs, split: str) -> None:
    """The record says what the pairs say."""
    classes, scores = counted(pairs)
    assert result[split] == pytest.approx(scores)
    assert result["parts"][split].keys() == classes.keys()
    for label, row in classes.items():
        assert result["parts"][split][label] == pytest.approx(row), label
    confusion = result["confusion"][split]
    assert {(r, p): n for r, row in confusion.items() for p, n in row.items()} == dict(Counter(pairs))


@pytest.mark.parametrize("headline", ["macro_f1", "mcc"])
def test_the_headline_chooses_and_everything_is_recorded(headline: str, tmp_path: Path) -> None:
    dev = [LABELS[0]] * 9 + [LABELS[1]] * 5 + [LABELS[2]] * 3  # the fourth class does not occur
    test = [*LABELS, *LABELS, LABELS[2]]
    done, data = train(tmp_path, dev, f"task.headline={headline}", "trainer.epochs=6", test=test)
    assert done.code == 0, done.err
    folder = only_run(tmp_path / "runs")
    result = result_of(folder)
    assert result["headline"] == headline
    for split in ("dev", "test"):
        check(result, pairs_of(folder, data, split), split)

    evaluations = [line for line in log_lines(folder) if "dev" in line]
    best = max(evaluations, key=lambda line: (line["dev"][headline], -line["step"]))
    assert (result["best_step"], result["dev"]) == (best["step"], best["dev"])
    assert [line["best"] for line in evaluations].count(True) >= 1
    assert f"dev {headline} " in done.err
    assert re.search(rf"always answering \S.*: {headline} ", done.err)

    told = re.sub(r"\s+", " ", done.out)
    by_class, _ = counted(pairs_of(folder, data, "test"))
    assert "classes F1 " in told
    for label, row in by_class.items():
        assert f"{label} {row['f1']:.1f}" in told

    best_settings = run(["best", "task=classification", "model=tiny", f"out={tmp_path / 'runs'}"], tmp_path / "streams")
    assert f"dev {headline}" in best_settings.out
    assert f"{result['dev'][headline]:.2f}" in best_settings.out
    table = run(["table", "--out", str(tmp_path / "runs"), "--format", "csv"], tmp_path / "streams").out
    values = {row["metric"]: float(row["value"]) for row in csv.DictReader(table.splitlines())}
    assert values == pytest.approx(result["dev"], abs=1e-4)
    page = tmp_path / "report.html"
    assert run(["report", "--out", str(tmp_path / "runs"), "--output", str(page)], tmp_path / "streams").code == 0
    assert f'data-label="dev {headline}">{result["dev"][headline]:.2f}<' in page.read_text(encoding="utf-8")

    again = run(["evaluate", str(folder), "--split", "test"], tmp_path / "streams")
    assert again.code == 0, again.err
    for name, value in result["test"].items():
        assert re.search(rf"{name} +{value:.2f} +{value:.2f}", again.out)
    assert "classes: F1 " in again.out


def test_classes_that_are_never_right_or_never_predicted(tmp_path: Path) -> None:
    dev = [LABELS[0], LABELS[2]]
    done, data = train(tmp_path, dev, "trainer.max_steps=1", "optim.lr=1e-9")
    assert done.code == 0, done.err
    folder = only_run(tmp_path / "runs")
    pairs = pairs_of(folder, data, "dev")
    check(result_of(folder), pairs, "dev")
    told = re.sub(r"\s+", " ", done.out)
    silent = [label for label in sorted(LABELS) if label in dev and label not in {said for _, said in pairs}]
    assert silent, "an untrained head gives one answer to two such texts"
    assert f"never predicted: {', '.join(silent)}; no examples of: __proto__, so so, at best (dev)" in told


def test_one_example(tmp_path: Path) -> None:
    done, data = train(tmp_path, [LABELS[1]], "trainer.max_steps=1", "task.headline=mcc")
    assert done.code == 0, done.err
    assert "Warning" not in done.err
    folder = only_run(tmp_path / "runs")
    result = result_of(folder)
    check(result, pairs_of(folder, data, "dev"), "dev")
    assert result["dev"]["mcc"] == 0


def test_many_classes_are_told_by_the_lowest(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    labels = [f"class {number:03}" for number in range(150)]
    texts = "".join(json.dumps({"sentence": f"text {label}", "label": label}) + "\n" for label in labels)
    for split in ("train", "dev"):
        (data / f"{split}.jsonl").write_text(texts, encoding="utf-8")
    words = ["task=classification", f"data.dir={data}", "model=tiny", f"out={tmp_path / 'runs'}", "trainer.max_steps=1"]
    done = run(["train", *words], tmp_path / "streams")
    assert done.code == 0, done.err
    told = re.sub(r"\s+", " ", done.out)
    assert re.search(
        r"classes lowest F1 of 150: class \d{3} 0\.0, class \d{3} 0\.0, class \d{3} 0\.0; never pred", told
    )
    assert re.search(r"never predicted: class \d{3}, class \d{3}, class \d{3} and \d+ more \(dev\)", told)
    result = result_of(only_run(tmp_path / "runs"))
    assert len(result["parts"]["dev"]) == 150
    assert sum(n for row in result["confusion"]["dev"].values() for n in row.values()) == 150
    assert (only_run(tmp_path / "runs") / "result.json").stat().st_size < 120_000, "counts of zero are not written"


def test_a_model_that_always_says_the_same_is_named(tmp_path: Path) -> None:
    done, _ = train(tmp_path, [*LABELS], "trainer.max_steps=1", "optim.lr=1e-9", "seed=2")
    assert done.code == 0, done.err
    result = result_of(only_run(tmp_path / "runs"))
    (answer,) = (name for name, count in result["data"]["predicted"]["dev"].items() if count)
    hint = "another rate (optim.lr is 1e-09), more epochs or another seed may help"
    note = f"the model answers {answer} to everything in dev: {hint}"
    assert note in re.sub(r"\s+", " ", done.out)
    assert note not in result["notes"], "tables have words of their own for it"


@pytest.mark.parametrize(
    ("given", "right", "hints"),
    [
        ({"yes": 10, "no": 0}, {"yes": 6, "no": 4}, 1),
        ({"yes": 9, "no": 1}, {"yes": 6, "no": 4}, 0),
        ({"yes": 10, "no": 0}, {"yes": 10, "no": 0}, 0),
        ({}, {}, 0),
    ],
)
def test_only_a_model_that_tells_nothing_apart_gets_a_hint(
    given: dict[str, int], right: dict[str, int], hints: int, capsys: pytest.CaptureFixture[str]
) -> None:
    made = record("fine-tuning", 1, 80.0)
    made.data.update(predicted={"dev": given}, labels={"dev": right})
    summary(made, Path("runs/made"))
    assert capsys.readouterr().out.count("to everything in dev") == hints


def test_a_run_that_stops_early_says_so(tmp_path: Path) -> None:
    words = ["trainer.epochs=9", "trainer.patience=1", "optim.lr=1e-9", "seed=2"]
    done, _ = train(tmp_path, [*LABELS], *words)
    assert done.code == 0, done.err
    result = result_of(only_run(tmp_path / "runs"))
    assert (result["steps"], result["steps_planned"]) == (2 * 7, 9 * 7)
    note = "stopped early, after step 14 of 63: 1 evaluation without a better accuracy"
    assert note in result["notes"]
    assert note in re.sub(r"\s+", " ", done.out)
    losses = [line["step"] for line in log_lines(only_run(tmp_path / "runs")) if "loss" in line]
    assert losses == [10, 14], "the last steps are logged too"
    table = run(["table", "--out", str(tmp_path / "runs"), "--format", "md"], tmp_path / "streams").out
    assert ", 2 of 9 epochs, batch 8 |" in table
    assert result["runtime"]["processor"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["task=rte", "task.headline=foo"], "score of metric accuracy 'foo'; known: accuracy, macro_f1, mcc"),
        (["task=rte", "task.headline=macro-f1"], "'macro-f1'; did you mean macro_f1? known: accuracy, macro_f1, mcc"),
        (["task=cb", "task.headline=f1"], "score of metric cb 'f1'; known: accuracy, f1_macro, mcc"),
        (["task=record", "task.headline=mcc"], "score of metric record 'mcc'; known: exact_match, f1"),
        (["task=conll04", "task.headline=macro_f1"], "metric entities 'macro_f1'; known: f1, precision, recall"),
        (["task=rte", "task.metric=squad"], "score of metric squad 'accuracy'; known: exact_match, f1"),
    ],
)
def test_a_headline_that_the_metric_has_not(words: list[str], message: str, tmp_path: Path) -> None:
    done = run(["train", *words, f"data.dir={tmp_path}"], tmp_path / "streams")
    assert done.code == 2
    assert message in done.error


def test_cb_takes_the_name_that_other_tasks_have() -> None:
    assert compose(["task=cb", "task.headline=macro_f1"]) == compose(["task=cb", "task.headline=f1_macro"])


def test_the_hint_names_the_rate_that_holds(capsys: pytest.CaptureFixture[str]) -> None:
    for optim, named in (({}, "optim.lr is 0.02"), ({"prompt_lr": 0.5, "head_lr": 0.1}, "optim.prompt_lr is 0.5")):
        made = record("p-tuning-v2", 1, 80.0, config={"optim": optim})
        made.data.update(predicted={"dev": {"yes": 10, "no": 0}}, labels={"dev": {"yes": 6, "no": 4}})
        summary(made, Path("runs/made"))
        assert f"another rate ({named})" in " ".join(capsys.readouterr().out.split())
