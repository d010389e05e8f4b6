"""Splits in several numbered files, as the hub has them: read as one, in order, or refused where one is missing."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from commandline import run, train_words
from datasets import Dataset

from ptv2.config.compose import compose
from ptv2.data.sources import Source, open_source
from ptv2.errors import DataError
from ptv2.reproduce.jobs.data_root import DataRoot, describe_data
from ptv2.run_folders.record import read_result

ROWS = [{"sentence": f"text {n}", "label": ("good", "bad")[n % 2]} for n in range(10)]


def write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    if path.suffix == ".parquet":
        Dataset.from_list(list(rows)).to_parquet(path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(list(rows)))
    elif path.suffix == ".csv":
        path.write_text("".join(f"{line}\n" for line in ["sentence;label", *(";".join(row.values()) for row in rows)]))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_shards(folder: Path, ending: str, split: str = "train", hashed: str = "") -> list[Path]:
    """Ten examples in three files, of which the first has four."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{split}-{n:05}-of-00003{hashed and f'-{n}{hashed}'}{ending}" for n in range(3)]
    for path, (begin, end) in zip(paths, [(0, 4), (4, 7), (7, 10)], strict=True):
        write(path, ROWS[begin:end])
    return paths


def opened(folder: Path, *words: str, task: str = "classification") -> Source:
    return open_source(compose([f"task={task}", "data.source=files", f"data.dir={folder}", *words]))


def read(source: Source, split: Any = "train") -> list[dict[str, Any]]:
    return [record.fields for record in source.read(split)]


@pytest.mark.parametrize("hashed", ["", "123456789abcdef"])
@pytest.mark.parametrize("ending", [".parquet", ".jsonl", ".json", ".csv"])
def test_shards_are_one_split_in_their_order(ending: str, hashed: str, tmp_path: Path) -> None:
    paths = write_shards(tmp_path, ending, hashed=hashed)
    write(tmp_path / "validation-00000-of-00001.jsonl", ROWS[:3])
    source = opened(tmp_path)
    assert read(source) == ROWS
    assert read(source, "dev") == ROWS[:3]
    name = f"train-*-of-00003{hashed and '-*'}{ending}"
    assert source.files == {"train": name, "dev": "validation-*-of-00001.jsonl"}
    assert source.provenance["train"] == str(tmp_path / name)
    guess = f"{name}: fields are separated by semicolons (guessed from its first line)"
    assert list(source.notes) == ([guess] if ending == ".csv" else [])
    assert next(iter(source.read("train"))).where.startswith(str(paths[0]))


def test_more_than_ten_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in range(12):
        write(tmp_path / f"train-{number}-of-12.jsonl", [{"sentence": str(number), "label": "good"}])
    write(tmp_path / "dev.jsonl", ROWS)
    assert [row["sentence"] for row in read(opened(tmp_path))] == list(map(str, range(12)))


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        ([1], "1 of the 3 shards of train.jsonl is missing: train-00001-of-00003.jsonl"),
        ([0, 2], "2 of the 3 shards of train.jsonl are missing, such as train-00000-of-00003.jsonl"),
    ],
)
def test_a_missing_shard_is_named(gone: list[int], told: str, tmp_path: Path) -> None:
    paths = write_shards(tmp_path, ".jsonl")
    write(tmp_path / "dev.jsonl", ROWS)
    for number in gone:
        paths[number].unlink()
    with pytest.raises(DataError, match=f"^{re.escape(f'{tmp_path}: {told}')}$"):
        opened(tmp_path)
    write(tmp_path / "train.json", ROWS[:2])  # stands behind train.jsonl in the task's list
    with pytest.raises(DataError, match=r"(is|are) missing"):
        opened(tmp_path)
    write(tmp_path / "train.jsonl", ROWS[:2])  # the file itself goes before its shards
    source = opened(tmp_path)
    assert read(source) == ROWS[:2]
    assert "train.jsonl was read, and not the shards of it that are beside it" in source.notes


@pytest.mark.parametrize("more", ["train-00003-of-00004.csv", "train-00003-of-00003.csv", "train-0-of-00003.csv"])
def test_shards_of_two_sets_are_refused(more: str, tmp_path: Path) -> None:
    write_shards(tmp_path, ".csv")
    write(tmp_path / "dev.csv", ROWS)
    write(tmp_path / more, ROWS)
    with pytest.raises(DataError, match=f"^{tmp_path}: expected one set of shards of train.csv, found train-0.*-of-"):
        opened(tmp_path)


def test_one_shard_that_is_asked_for_is_read_with_a_note(tmp_path: Path) -> None:
    paths = write_shards(tmp_path, ".jsonl")
    write(tmp_path / "dev.jsonl", ROWS)
    source = opened(tmp_path, f"task.sources.files.files.train=[{paths[1].name}]")
    assert read(source) == ROWS[4:7]
    assert list(source.notes) == ["train-00001-of-00003.jsonl is one of 3 shards; train.jsonl names all of them"]


def test_the_fingerprint_is_of_all_shards_in_their_order(tmp_path: Path) -> None:
    paths = write_shards(tmp_path, ".jsonl")
    write(tmp_path / "dev.jsonl", ROWS)
    first = opened(tmp_path)
    texts = [path.read_bytes() for path in paths]
    paths[2].write_bytes(texts[2].replace(b"text 9", b"text X"))
    assert opened(tmp_path).fingerprint != first.fingerprint
    with pytest.raises(DataError, match=r"train-00002-of-00003\.jsonl: the file changed while it was read"):
        first.check()
    for path, text in zip(paths, reversed(texts), strict=True):
        path.write_bytes(text)
    assert opened(tmp_path).fingerprint != first.fingerprint
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text)
        path.rename(path.with_name(path.name.replace("of-00003", "of-3")))
    assert opened(tmp_path).fingerprint == first.fingerprint


def test_a_shard_may_be_empty_but_not_all(tmp_path: Path) -> None:
    for path in write_shards(tmp_path, ".jsonl")[1:]:
        path.write_text("")
    write(tmp_path / "dev.jsonl", ROWS)
    assert read(opened(tmp_path)) == ROWS[:4]
    (tmp_path / "train-00000-of-00003.jsonl").write_text("")
    with pytest.raises(DataError, match=r"train-\*-of-00003\.jsonl: the file has no records"):
        read(opened(tmp_path))


def test_sentences_and_questions_in_shards(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"train-{number:05}-of-00002.tsv").write_text(f"Ada{number}\tB-PER\nsleeps\tO\n")
        answers = {"text": ["Ada"], "answer_start": [0]}
        row = {"id": str(number), "context": "Ada sleeps", "question": "Who?", "answers": answers}
        write(tmp_path / f"train-{number:05}-of-00002.parquet", [row])
    (tmp_path / "dev.txt").write_text("Ada B-PER\n")
    write(tmp_path / "dev.jsonl", [row])
    words = [row["tokens"][0] for row in read(opened(tmp_path, task="ner"))]
    assert words == ["Ada0", "Ada1"]
    assert [row["id"] for row in read(opened(tmp_path, task="squad"))] == ["0", "1"]


def test_tables_find_a_task_in_shards(tmp_path: Path) -> None:
    task = describe_data("sst2")
    write_shards(tmp_path / "sst2", ".tsv")
    assert DataRoot(tmp_path, [task]).folder(task) is None
    write_shards(tmp_path / "sst2", ".tsv", split="dev")
    assert DataRoot(tmp_path, [task]).folder(task) == tmp_path / "sst2"


def test_a_run_on_shards(tmp_path: Path) -> None:
    """Dev is taken from all of them, the record names the set, and another last shard makes another run."""
    paths = write_shards(tmp_path / "data", ".parquet")
    words = [*train_words(tmp_path / "data", tmp_path / "out"), "data.split=0.3"]
    done = run(words, tmp_path)
    assert done.code == 0, done.err
    assert "examples in train-*-of-00003.parquet" in done.err
    (record,) = (tmp_path / "out").rglob("result.json")
    result = read_result(record.parent)
    assert result is not None
    assert sum(result.data["examples"].values()) == len(ROWS)
    assert result.data["source"]["train"].endswith("train-*-of-00003.parquet")
    assert run(["evaluate", record.parent.name, "--out", str(tmp_path / "out")], tmp_path).code == 0
    write(paths[2], [*ROWS[7:9], {"sentence": "another", "label": "bad"}])
    assert run(words, tmp_path).code == 0
    assert len(list((tmp_path / "out").rglob("result.json"))) == 2


def test_sentences_of_roles_are_counted_over_all_shards(tmp_path: Path) -> None:
    """And a run on shards ends with the official files of all of them."""
    sentence = "{0} - *)\nsells sell (V*)\nbread - (A1*)\n\n"
    text = [sentence.format(name).replace("*)", "(A0*)", 1) for name in ("Anna", "Bert", "Carl", "Dora")]
    (tmp_path / "train.props").write_text("".join(text))
    (tmp_path / "dev.props").write_text("".join(text[:2]))
    for number in range(2):
        shard = tmp_path / f"test-{number:05}-of-00002.props"
        shard.write_text("Rain - \n\n".replace(" \n", "\n") + "".join(text[2 * number : 2 * number + 2]))
    source = opened(tmp_path, task="srl")
    assert [fields["sentence"] for fields in read(source, "test")] == [1, 2, 4, 5]
    words = ["train", "task=srl", f"data.dir={tmp_path}", "model=tiny", "prompt.length=4", "trainer.max_steps=2"]
    done = run([*words, f"out={tmp_path / 'runs'}"], tmp_path)
    assert done.code == 0, done.err
    (official,) = tmp_path.glob("runs/*/official-test.props")
    assert official.read_text().count("\n\n") == 6
