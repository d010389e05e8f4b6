"""Which folder below data=DIR is a task's, and what is said where none is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ptv2.config.task_schema import FilesSource
from ptv2.reproduce.jobs.data_root import DataRoot, describe_data, why_no_files

TASKS = [describe_data(name) for name in ("rte", "conll03", "conll04", "squad", "xquad_en", "up_ewt", "sst2", "sick")]
BY_NAME = {task.name: task for task in TASKS}


def put(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("x\n", encoding="utf-8")
    return folder


def find(root: Path, task: str, among: list[str] | None = None) -> Path | None:
    tasks = [BY_NAME[name] for name in among] if among else TASKS
    return DataRoot(root, tasks).folder(BY_NAME[task])


def test_families_are_told_by_shape_and_metric() -> None:
    families = {"rte": "superglue", "conll03": "ner", "squad": "qa", "up_ewt": "srl", "sick": "superglue"}
    assert {name: BY_NAME[name].family for name in families} == families


def test_the_tasks_own_folder_comes_first(tmp_path: Path) -> None:
    put(tmp_path / "superglue" / "RTE", "train.jsonl", "val.jsonl")
    assert find(tmp_path, "rte") == tmp_path / "superglue"
    put(tmp_path / "rte" / "RTE", "train.jsonl", "val.jsonl")
    assert find(tmp_path, "rte") == tmp_path / "rte"


def test_the_folder_itself_may_be_the_data(tmp_path: Path) -> None:
    put(tmp_path / "RTE", "train.jsonl", "val.jsonl")
    assert find(tmp_path, "rte") == tmp_path
    assert find(put(tmp_path / "conll04", "train.txt", "dev.txt"), "conll04") == tmp_path / "conll04"
    assert find(tmp_path / "conll04", "conll03") is None, "its name says whose it is"


def test_files_that_several_tasks_would_read_are_nobodys(tmp_path: Path) -> None:
    put(tmp_path / "ner", "train.txt", "dev.txt")
    assert find(tmp_path, "conll03") is None
    assert find(tmp_path, "conll04") is None
    assert find(tmp_path, "conll04", among=["conll04", "squad"]) == tmp_path / "ner", "alone there is no doubt"
    root = DataRoot(tmp_path, TASKS)
    assert why_no_files(BY_NAME["conll04"], root) == (
        "no data: the files found would also be conll03's; expected them in DIR/conll04"
    )


def test_a_file_of_its_own_name_is_no_other_tasks(tmp_path: Path) -> None:
    put(tmp_path / "qa", "train-v1.1.json", "dev-v1.1.json")
    assert find(tmp_path, "squad") == tmp_path / "qa"
    assert find(tmp_path, "xquad_en") is None


def test_one_of_two_files_is_no_data(tmp_path: Path) -> None:
    put(tmp_path / "conll04", "train.txt")
    assert find(tmp_path, "conll04") is None


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("conll04", "no data: expected train.txt, dev.txt in DIR/conll04"),
        ("conll03", r"licensed: ptv2 prepare conll03 --from DIR makes them"),
        ("rte", "no data: expected RTE/train.jsonl, val.jsonl in DIR/rte"),
        (
            "sick",
            "no data: expected train.jsonl, dev.jsonl or val.jsonl or valid.jsonl or validation.jsonl in DIR/sick",
        ),
    ],
)
def test_the_reason_names_the_files(tmp_path: Path, task: str, said: str) -> None:
    assert said in why_no_files(BY_NAME[task], DataRoot(tmp_path, TASKS))
    many = replace(BY_NAME[task], files=FilesSource(files={"train": [f"{n}.csv" for n in range(9)], "dev": ["d.csv"]}))
    assert "expected 0.csv or 1.csv or 2.csv or 3.csv or another of its names, d.csv in" in why_no_files(
        many, DataRoot(tmp_path, TASKS)
    )
    assert str(tmp_path) not in why_no_files(BY_NAME[task], DataRoot(tmp_path, TASKS))
    assert "data=DIR" in why_no_files(BY_NAME[task], DataRoot(None, TASKS))
