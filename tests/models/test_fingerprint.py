"""A backbone in a folder is named by all its files that decide what it computes, not by its weights alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commandline import result_of, run, train_words, write_sentences
from model_folders import write_model
from records import result

from ptv2.config.compose import compose
from ptv2.config.identity import drop_config_hash, run_name, shared_name
from ptv2.config.multitask import shared_parts
from ptv2.config.schema import ModelConfig
from ptv2.models.checkpoints import hash_weights
from ptv2.models.fingerprint import fingerprint
from ptv2.report.tables import rows
from ptv2.run_folders.directory import RunDirectory, SharedDirectory

WEIGHTS, CONFIG = "a" * 64, "b" * 64


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def change_config(folder: Path, **settings: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | settings), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "text", "matters"),
    [
        ("tokenizer_config.json", "{}", True),
        ("tokenizer.json", "{}", True),
        ("vocab.txt", "a\n", False),  # not read beside tokenizer.json
        ("modeling_mine.py", "", False),  # not run
        ("trainer_state.json", "{}", False),
        ("README.md", "", False),
    ],
)
def test_which_files_matter(folder: Path, name: str, text: str, matters: bool) -> None:
    cfg = ModelConfig(name="m", path=str(folder))
    before = fingerprint(cfg)
    (folder / name).write_text(text, encoding="utf-8")
    assert (fingerprint(cfg) != before) == matters


def test_what_matters_depends_on_what_is_read(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    with_code, cfg = (ModelConfig(name="m", path=str(folder), trust_remote_code=yes) for yes in (True, False))
    before = fingerprint(cfg)
    (folder / "vocab.txt").write_text("a\n", encoding="utf-8")
    assert fingerprint(cfg) != before
    before = fingerprint(with_code)
    (folder / "modeling_mine.py").write_text("", encoding="utf-8")
    assert fingerprint(with_code) != before


@pytest.mark.parametrize(
    ("settings", "matters"),
    [
        ({"layer_norm_eps": 1e-3}, True),
        ({"transformers_version": "4.0.0", "_name_or_path": "/home/me", "torch_dtype": "float16"}, False),
    ],
)
def test_which_settings_of_config_json_matter(folder: Path, settings: dict[str, object], matters: bool) -> None:
    cfg = ModelConfig(name="m", path=str(folder))
    before = fingerprint(cfg)
    change_config(folder, **settings)
    assert (fingerprint(cfg) != before) == matters


def test_weights_that_a_hash_names_are_named_by_it(folder: Path) -> None:
    sha256 = hash_weights(folder, str(folder))
    assert fingerprint(ModelConfig(name="m", path=str(folder), sha256=sha256)) == sha256
    assert drop_config_hash(fingerprint(ModelConfig(name="m", path=str(folder)))) == sha256
    assert drop_config_hash("some/model@main") == "some/model@main"


def test_runs_of_earlier_versions_are_found_under_the_hash_of_the_weights(tmp_path: Path) -> None:
    plain = compose(["task=mini-inference", f"out={tmp_path}"])
    both = f"{WEIGHTS} {CONFIG}"
    assert RunDirectory(plain, "data", both).path.name == run_name(plain, "data", both)
    earlier = tmp_path / run_name(plain, "data", WEIGHTS)
    assert earlier.name != run_name(plain, "data", both)
    earlier.mkdir()
    assert RunDirectory(plain, "data", both).path == earlier

    several = compose(["task=mini-roles", "method=multitask-p-tuning-v2", f"out={tmp_path}"])
    data = dict.fromkeys(shared_parts(several), "data")
    now = SharedDirectory(several, data, both)
    assert now.path.name == shared_name(several, data, both)
    assert now.path.name.endswith(f"-{now.hash}")
    earlier = tmp_path / "shared" / shared_name(several, data, WEIGHTS)
    earlier.mkdir(parents=True)
    found = SharedDirectory(several, data, both)
    assert found.path == earlier
    assert found.hash != now.hash


def test_another_config_json_is_another_row_of_a_table() -> None:
    backbone, settings = {"name": "m", "revision": None, "sha256": WEIGHTS}, {"model": {"path": "m"}}
    runs = [
        result("p-tuning-v2", seed, 70.0, backbone=backbone | more, config=settings)
        for more in ({}, {"config_sha256": CONFIG}, {"config_sha256": "c" * 64})
        for seed in (1, 2)
    ]
    assert [len(row.runs) for row in rows(runs)] == [2, 2, 2]


def test_another_config_json_is_another_run_and_predictions_with_it_are_refused(folder: Path, tmp_path: Path) -> None:
    data = write_sentences(tmp_path / "data")
    words = [*train_words(data, tmp_path / "runs", "trainer.epochs=1"), f"model.path={folder}", "model.name=mine"]
    assert run(words, tmp_path).code == 0
    [first] = (tmp_path / "runs").glob("*-mine-*")
    predict = ["predict", str(first), "--input", str(data / "test.jsonl")]
    assert run(predict, tmp_path).code == 0
    whole = shutil.copytree(folder, tmp_path / "whole")

    change_config(folder, layer_norm_eps=1e-2)
    assert run(predict, tmp_path).error.endswith(
        "was trained with another config.json or tokenizer than model has now; put those files back, or train again"
    )
    assert run(words, tmp_path).code == 0
    [second] = {*(tmp_path / "runs").glob("*-mine-*")} - {first}
    assert result_of(second)["backbone"]["sha256"] == result_of(first)["backbone"]["sha256"]
    assert result_of(second)["backbone"]["config_sha256"] != result_of(first)["backbone"]["config_sha256"]

    shutil.copy(whole / "config.json", folder)
    assert run(predict, tmp_path).code == 0
    assert "finished before; nothing was repeated" in run(words, tmp_path).out
    assert len([*(tmp_path / "runs").glob("*-mine-*")]) == 2
