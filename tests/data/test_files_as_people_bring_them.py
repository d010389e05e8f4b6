"""Files that are not what they seem, and names that mean nothing: each gets one line with what mends it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commandline import run, train_words, write_backbone, write_sentences

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
LFS = "a pointer of Git LFS, not the file itself; `git lfs pull` fetches it"


@pytest.mark.parametrize("name", ["train.jsonl", "dev.csv", "test.tsv"])
def test_a_pointer_of_git_lfs_instead_of_data(name: str, tmp_path: Path) -> None:
    data = write_sentences(tmp_path / "data")
    (data / name).with_suffix(".jsonl").unlink()
    (data / name).write_text(POINTER)
    done = run(train_words(data, tmp_path / "out"), tmp_path)
    assert (done.code, done.error) == (2, f"{data / name}: {LFS}")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_pointer_of_git_lfs_instead_of_a_backbone(name: str, tmp_path: Path) -> None:
    data, model = write_sentences(tmp_path / "data"), write_backbone(tmp_path / "model")
    (model / name).write_text(POINTER)
    done = run([*train_words(data, tmp_path / "out"), f"model.path={model}"], tmp_path)
    assert (done.code, done.error) == (2, f"{model / name}: {LFS}")


@pytest.mark.parametrize("label", [{}, {"label": None}, {"label": ""}])
def test_a_test_file_without_labels_says_what_to_do_with_it(label: dict[str, None], tmp_path: Path) -> None:
    data = write_sentences(tmp_path / "data")
    (data / "test.jsonl").write_text(json.dumps({"sentence": "warm", **label}) + "\n")
    done = run(train_words(data, tmp_path / "out"), tmp_path)
    assert done.code == 2
    assert done.error.startswith(
        f"{data / 'test.jsonl'}: no example says what is right, so that it cannot be scored; take the file"
    )
    (data / "test.jsonl").write_text(
        json.dumps({"sentence": "warm", **label}) + '\n{"sentence": "a", "label": "good"}\n'
    )
    assert "test.jsonl:1" in run(train_words(data, tmp_path / "out"), tmp_path).error


def test_questions_without_a_text_are_noted(tmp_path: Path) -> None:
    for name in ("train", "dev"):
        row = {"id": name, "question": " ", "context": "Ada sleeps", "answers": {"text": ["Ada"], "answer_start": [0]}}
        (tmp_path / f"{name}.json").write_text(json.dumps([row, {**row, "id": "2", "question": "who?"}]))
    words = ["train", "task=squad", "data.source=files", f"data.dir={tmp_path}", "model=tiny", "trainer.max_steps=1"]
    done = run([*words, f"out={tmp_path / 'out'}"], tmp_path)
    assert done.code == 0, done.err
    assert "note questions without a text: train 1, dev 1" in " ".join(done.err.split())


@pytest.mark.parametrize("name", ["/etc/passwd", "../other/train.jsonl", ""])
def test_a_task_names_files_below_its_folder_only(name: str, tmp_path: Path) -> None:
    data = write_sentences(tmp_path / "data")
    shutil.copytree(data, tmp_path / "other")
    done = run([*train_words(data, tmp_path / "out"), f"task.sources.files.files.train=['{name}']"], tmp_path)
    assert (done.code, done.error) == (2, f"task.sources.files: '{name}'; expected names of files below data.dir")


TASK = (
    "name: mine\nshape: classify\nsource: files\ntext: [sentence]\nsources: {files: {files: {train: [train.jsonl]}}}\n"
)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("task/mine.yml", TASK, "{file}: expected a name that ends in .yaml; files with others are not read"),
        ("config.yaml", TASK, "{file}: only ptv2's own is read; expected another name in task, model, method,"),
        (
            "task/mine.yaml",
            "defaults: [nothere]\n" + TASK,
            "task/mine.yaml: defaults: unknown task 'nothere'; did you mean",
        ),
        ("task/mine.yaml", TASK + "yes: x\n", "task.1=True: expected a name in quotes, since YAML reads this one as a"),
        (
            "task/mine.yaml",
            TASK,
            "{data}: no dev file; expected names for it in task.sources.files.files.dev; to read another: ",
        ),
        ("task/mine.yaml", TASK.replace("train.jsonl", ""), "{data}: no train file; expected names for it in task."),
    ],
)
def test_files_of_ones_own_that_would_not_be_read(file: str, text: str, message: str, tmp_path: Path) -> None:
    own, data = tmp_path / "own", write_sentences(tmp_path / "data")
    (own / file).parent.mkdir(parents=True)
    (own / file).write_text(text)
    words = [
        "train",
        "--config-dir",
        str(own),
        "task=mine",
        f"data.dir={data}",
        "model=tiny",
        f"out={tmp_path / 'out'}",
    ]
    done = run(words, tmp_path)
    assert done.code == 2
    assert done.error.startswith(message.format(file=own / file, data=data))


def test_a_table_of_ones_own_without_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "mine.yaml").write_text("rows: 3\n")
    done = run(["reproduce", "--config-dir", str(tmp_path), "table=mine"], tmp_path)
    assert done.code == 2
    missing = "table mine: title: is missing; seeds: is missing; methods: is missing; "
    assert done.error.startswith(f"{missing}rows=3: expected a list, such as [a,b];")
