"""Tagging through the real command line: entities and roles in files of all formats, records and predictions out."""

from __future__ import annotations

import csv
import io
import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import sequences
from commandline import Command, numbers, only_run, result_of, run, wait_until
from seqeval.metrics import f1_score
from sequences import (
    LEARNING,
    check_evaluated,
    conll12,
    entities,
    predicted,
    predictions,
    props,
    roles,
    train_words,
    trained,
    without_gold,
    write_entities,
    write_roles,
)
from srl_eval import official_counts, official_rates

from ptv2.data.columns import read_columns
from ptv2.data.props import read_props
from ptv2.run_folders.directory import state_of


def said(folder: Path) -> dict[str, Any]:
    """What must not depend on the format of the files."""
    result = result_of(folder)
    keys = ("dev", "test", "parts", "steps", "best_step")
    data = {key: result["data"][key] for key in ("examples", "labels", "predicted", "longest")}
    return {**{key: result[key] for key in keys}, **data, "predictions": predictions(folder, "test")}


# Named entities


@pytest.fixture(scope="module")
def ner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ner")
    return trained("ner", write_entities(folder / "data"), folder / "out", *LEARNING)


def test_entities_are_learned_and_recorded(ner: Path, tmp_path: Path) -> None:
    result = result_of(ner)
    assert result["dev"]["f1"] > 50
    support = Counter(label for _, spans in entities("dev") for label, *_ in spans)
    assert {kind: row["support"] for kind, row in result["parts"]["dev"].items()} == support
    words = sum(len(tokens) for tokens, _ in entities("dev"))
    inside = sum(end - start for _, spans in entities("dev") for _, start, end in spans)
    assert result["data"]["labels"]["dev"] == {"O": words - inside, **support}
    assert result["data"]["predicted"]["dev"].keys() == {"O", *support}
    for split in ("dev", "test"):
        text = (ner / f"official-{split}.conlleval.txt").read_text(encoding="utf-8")
        rows = [[line.split() for line in block.splitlines()] for block in text.strip().split("\n\n")]
        tokens, right, given = ([[row[i] for row in block] for block in rows] for i in range(3))
        assert tokens == [tokens for tokens, _ in entities(split)]
        assert right == [sequences.bio(len(tokens), spans) for tokens, spans in entities(split)]
        assert given == [row["tags"] for row in predictions(ner, split)]
        assert right == [row["gold"] for row in predictions(ner, split)]
        assert 100 * f1_score(right, given) == pytest.approx(result[split]["f1"])
        check_evaluated(ner, split, result[split], sequences.SIZES[split], tmp_path)


def tabs(tokens: list[str], tags: list[str]) -> str:
    rows = enumerate(zip(tokens, tags, strict=True), start=1)
    return "".join(f"{n}\t{token}\t{tag}\tX\n" for n, (token, tag) in rows) + "\n"


@pytest.mark.parametrize(
    ("scheme", "layout", "overrides"),
    [
        ("iob1", {}, []),
        ("bioes", {}, []),
        (
            "bio",
            {"lines": tabs, "head": "# global.columns = ID FORM NER MISC\n"},
            ["task.tagging.tokens=FORM", "task.tagging.tags=NER"],
        ),
        (
            "bio",
            {"lines": tabs},
            ["task.tagging.columns=[id,word,type,x]", "task.tagging.tokens=word", "task.tagging.tags=type"],
        ),
    ],
    ids=["iob1", "bioes", "columns that the file names", "columns that the user names"],
)
def test_schemes_and_columns_do_not_matter(
    scheme: str, layout: dict[str, Any], overrides: list[str], ner: Path, tmp_path: Path
) -> None:
    data = write_entities(tmp_path / "data", getattr(sequences, scheme), **layout)
    folder = trained("ner", data, tmp_path / "out", *LEARNING, *overrides)
    assert said(folder) == said(ner)
    guessed = f"tag scheme {scheme}, guessed from the training tags (task.tagging.scheme sets it)"
    assert result_of(folder)["data"]["overview"]["guesses"] == [guessed]
    assert predicted(folder, data / "test.txt", tmp_path) == predictions(ner, "test")
    check_evaluated(folder, "test", result_of(folder)["test"], sequences.SIZES["test"], tmp_path)


def test_predicted_columns_can_be_read_again(ner: Path, tmp_path: Path) -> None:
    """Words alone are enough; JSON lines do too."""
    expected = predictions(ner, "test")
    new = tmp_path / "new.txt"
    new.write_text("\n".join("".join(f"{token}\n" for token in tokens) for tokens, _ in entities("test")))
    assert predicted(ner, new, tmp_path, "--official", str(tmp_path / "said")) == without_gold(expected)
    assert [path.name for path in tmp_path.glob("said*")] == ["said.columns.txt"]
    again = [record.fields for record in read_columns(tmp_path / "said.columns.txt")]
    assert again == [{"tokens": row["tokens"], "tags": row["tags"]} for row in expected]
    records = tmp_path / "new.jsonl"
    records.write_text("".join(json.dumps({"tokens": tokens}) + "\n" for tokens, _ in entities("test")))
    assert predicted(ner, records, tmp_path) == without_gold(expected)


def test_long_sentences_are_read_in_windows(tmp_path: Path) -> None:
    data, joined = write_entities(tmp_path / "data"), {}
    for split in sequences.SIZES:  # five sentences become one
        rows = (data / f"{split}.txt").read_text().split("\n\n")
        joined[split] = ["\n".join(rows[i : i + 5]).split("\n") for i in range(0, sequences.SIZES[split], 5)]
        (data / f"{split}.txt").write_text("\n\n".join("\n".join(one).strip() for one in joined[split]) + "\n")
    short = ("task.max_length=20", "task.tagging.stride=6", "trainer.epochs=2")
    folder = trained("ner", data, tmp_path / "out", *LEARNING, *short)
    result = result_of(folder)
    assert result["data"]["examples"] == {split: len(rows) for split, rows in joined.items()}
    assert result["data"]["longest"]["test"] == 20
    assert set(result["data"]["truncated"].values()) == {0}
    assert result["steps"] > 2 * len(joined["train"]) / 8  # a step takes eight windows, not eight sentences
    for row, rows in zip(predictions(folder, "test"), joined["test"], strict=True):
        assert row["tokens"] == [line.split()[0] for line in rows if line]
        assert len(row["tags"]) == len(row["tokens"])
    for split in ("dev", "test"):
        check_evaluated(folder, split, result[split], len(joined[split]), tmp_path)
    assert predicted(folder, data / "test.txt", tmp_path) == predictions(folder, "test")


def test_types_that_training_has_not_count_as_missed(tmp_path: Path) -> None:
    data = write_entities(tmp_path / "data")
    for split in ("dev", "test"):
        text = (data / f"{split}.txt").read_text()
        (data / f"{split}.txt").write_text(text + "June B-DATE\n\nMarch B-DATE\nApril I-DATE\n")
    train = (data / "train.txt").read_text()
    (data / "train.txt").write_text(train.replace("B-PER", "I-PER", 1))
    result = result_of(trained("ner", data, tmp_path / "out", "trainer.max_steps=2"))
    assert result["data"]["overview"]["notes"] == [
        "spans that began with I- and now begin with B-: train 1",
        "spans of types that the training set lacks, which count as missed: DATE 4",
        "examples that also stand in train, word for word: dev 2, test 1",
        "examples that also stand in dev, which chooses, word for word: test 2",
    ]
    for split in ("dev", "test"):
        assert result["parts"][split]["DATE"] == {"f1": 0.0, "precision": 0.0, "recall": 0.0, "support": 2}
        assert result["data"]["labels"][split]["DATE"] == 2
        assert "DATE" not in result["data"]["predicted"][split]


def test_killed_continued_and_repeated(ner: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    data = ner.parents[1] / "data"
    words = train_words("ner", data, out, *LEARNING, "trainer.checkpoint_minutes=0")
    command = Command(words, tmp_path)
    wait_until(lambda: any(path.read_text() for path in out.glob("*/metrics.jsonl")), lambda: command.running)
    command.signal(signal.SIGKILL)
    assert command.wait().code == 137
    assert state_of(only_run(out)) == "interrupted"
    assert not (only_run(out) / "result.json").exists()
    done = run(words, tmp_path)
    assert done.code == 0, done.err
    assert only_run(out).name == ner.name
    assert numbers(only_run(out)) == numbers(ner)
    before = (only_run(out) / "result.json").stat().st_mtime_ns
    again = run(words, tmp_path)
    assert again.code == 0
    assert "finished before; nothing was repeated" in again.out
    assert (only_run(out) / "result.json").stat().st_mtime_ns == before


# Semantic roles


@pytest.fixture(scope="module")
def conll05(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with both test sets."""
    folder = tmp_path_factory.mktemp("conll05")
    data = write_roles(folder / "data", ("train", "dev", "test", "test-brown"))
    return trained("conll05", data, folder / "out", *LEARNING)


def official_f1(gold: Path, given: Path) -> float:
    """What srl-eval.pl says of two files; they must belong together line by line."""
    counts: list[Counter[str]] = [Counter(), Counter(), Counter()]
    blocks = [path.read_text(encoding="utf-8").strip().split("\n\n") for path in (gold, given)]
    for pair in zip(*blocks, strict=True):
        (lemmas, *columns), (same, *others) = (
            list(zip(*map(str.split, block.splitlines()), strict=True)) for block in pair
        )
        assert lemmas == same
        for one, other in zip(columns, others, strict=True):
            for total, found in zip(counts, official_counts(one, other), strict=True):
                total.update(found)
    return 100 * official_rates(*(total.total() for total in counts))[2]


def test_two_test_sets_are_recorded_apart(conll05: Path, tmp_path: Path) -> None:
    result = result_of(conll05)
    assert result["dev"]["f1"] > 50
    assert result["tests"].keys() == {"test-brown"}
    brown = result["tests"]["test-brown"]
    assert brown != result["test"]
    counts = {split: sum(len(rows[0]) - 2 for rows in roles(split)) for split in ("dev", "test", "test-brown")}
    for split, scores in (("dev", result["dev"]), ("test", result["test"]), ("test-brown", brown)):
        assert result["data"]["examples"][split] == counts[split]
        written = [conll05 / f"official-{split}.{ending}" for ending in ("gold.props", "props")]
        assert official_f1(*written) == pytest.approx(scores["f1"])
        check_evaluated(conll05, split, scores, counts[split], tmp_path)
    tables = [
        run(["table", "--split", split, "--format", "csv", "--out", str(conll05.parent)], tmp_path)
        for split in ("test", "test-brown")
    ]
    for done, scores in zip(tables, (result["test"], brown), strict=True):
        rows = csv.DictReader(io.StringIO(done.out))
        assert {row["metric"]: row["value"] for row in rows} == {name: f"{n:.4f}" for name, n in scores.items()}
    shown = run(["table", "--split", "test-brown", "--out", str(conll05.parent)], tmp_path).out
    assert "Scores are on test-brown" in " ".join(shown.split())


@pytest.mark.parametrize("layout", ["props", "conll12", "folders of conll12"])
def test_role_layouts_do_not_matter(layout: str, conll05: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for split in ("train", "dev", "test"):
        if layout == "props":
            (data / f"{split}.props").write_text(props(roles(split)))
        elif layout == "conll12":
            (data / f"{split}.v4_gold_conll").write_text(conll12(roles(split)))
        else:
            (data / split / "sub").mkdir(parents=True)
            (data / split / "a.v4_gold_conll").write_text(conll12(roles(split)[:4]))
            (data / split / "sub" / "b.v4_gold_conll").write_text(conll12(roles(split)[4:]))
    folder = trained("srl", data, tmp_path / "out", *LEARNING)
    expected = said(conll05)
    for key in ("parts", "examples", "labels", "predicted", "longest"):
        expected[key].pop("test-brown")
    assert said(folder) == expected
    for ending in ("gold.props", "props"):
        text = (folder / f"official-test.{ending}").read_text(encoding="utf-8")
        assert text == (conll05 / f"official-test.{ending}").read_text(encoding="utf-8")
    (file,) = data.glob("test*")
    assert predicted(folder, file, tmp_path) == predictions(conll05, "test")


def test_roles_of_a_file_that_has_none_yet(conll05: Path, tmp_path: Path) -> None:
    data, stem = conll05.parents[1] / "data", tmp_path / "said"
    given = predicted(conll05, data / "test.props", tmp_path, "--official", str(stem))
    assert given == predictions(conll05, "test")
    pair = Path(f"{stem}.gold.props"), Path(f"{stem}.props")
    assert official_f1(*pair) == pytest.approx(result_of(conll05)["test"]["f1"])

    bare, stem = tmp_path / "bare.props", tmp_path / "unknown"
    bare.write_text(props([[row[:2] for row in rows] for rows in roles("test")]))
    assert predicted(conll05, bare, tmp_path, "--official", str(stem)) == without_gold(given)
    assert [path.name for path in tmp_path.glob("unknown*")] == ["unknown.props"]
    assert Path(f"{stem}.props").read_text() == pair[1].read_text()
    # With the words before them the columns are a file that can be read, and hold what was predicted.
    words = [row[0] for rows in roles("test") for row in [*rows, [""]]]
    columns = pair[1].read_text().splitlines()
    again = tmp_path / "again.props"
    again.write_text("".join(f"{word} {line}\n" for word, line in zip(words, columns, strict=True)))
    assert [record.fields["tags"] for record in read_props(again)] == [row["tags"] for row in given]

    fields = [
        {"tokens": [row[0] for row in rows], "predicate": i}
        for rows in roles("test")
        for i, row in enumerate(rows)
        if row[1] != "-"
    ]
    records = tmp_path / "new.jsonl"
    records.write_text("".join(json.dumps(one) + "\n" for one in fields))
    assert predicted(conll05, records, tmp_path) == without_gold(given)
    done = run(["predict", str(conll05), "--input", str(records), "--official", str(tmp_path / "x")], tmp_path)
    assert (done.code, done.out) == (2, "")
    assert done.error == "--official: the task has no official format, or none for this kind of file"
