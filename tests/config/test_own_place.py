"""The user's own place for files: where it is looked for, what counts before what, and what is refused there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml
from commandline import Done, finish, only_run, python, result_of, train_words, write_sentences
from commandline import run as run_command

import ptv2
from ptv2.config import paths
from ptv2.config.compose import compose

CONF = paths.conf_dir()


def run(words: list[str], folder: Path, **environment: str) -> Done:
    """Run a command that sees the variable; the server of commands has begun before it was set."""
    return run_command(
        words, folder, environment={"PTV2_CONFIG_DIR": os.environ.get("PTV2_CONFIG_DIR", ""), **environment}
    )


def put(folder: Path, name: str, text: str | None = None, **changes: object) -> Path:
    """A file of the user's: a copy of the shipped one of this name with changed keys, or a text."""
    path = folder / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    if text is None:
        tree = yaml.safe_load((CONF / f"{name}.yaml").read_text(encoding="utf-8"))
        text = yaml.safe_dump(tree | changes)
    path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that PTV2_CONFIG_DIR names, empty."""
    folder = tmp_path / "place"
    folder.mkdir()
    monkeypatch.setenv("PTV2_CONFIG_DIR", str(folder))
    return folder


def test_the_first_place_counts(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    for length, folder in ((30, tmp_path / "xdg" / "ptv2"), (40, place), (50, tmp_path / "option")):
        put(folder, "task/rte", max_length=length)
    assert compose(["task=rte"], str(tmp_path / "option")).task.max_length == 50
    assert compose(["task=rte"]).task.max_length == 40
    monkeypatch.setenv("PTV2_CONFIG_DIR", "")
    assert compose(["task=rte"]).task.max_length == 30
    monkeypatch.setenv("XDG_CONFIG_HOME", "xdg")  # the standard: ignored, as it is relative
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert compose(["task=rte"]).task.max_length == 128
    put(tmp_path / ".config" / "ptv2", "task/rte", max_length=60)
    assert compose(["task=rte"]).task.max_length == 60


def test_both_folders_are_searched(place: Path, tmp_path: Path) -> None:
    put(place, "model/mine", (CONF / "model" / "tiny.yaml").read_text(encoding="utf-8"))
    put(tmp_path / "option", "task/mine", "defaults: [rte, _self_]\nmax_length: 9\n")
    config = compose(["task=mine", "model=mine"], str(tmp_path / "option"))
    assert (config.task.max_length, config.model.name) == (9, "tiny")


def test_a_file_of_a_shipped_name_is_another_run_and_is_said(place: Path, tmp_path: Path) -> None:
    """The same settings are the same run; others are another, though task and model have the same names."""
    data = write_sentences(tmp_path / "data", train=12, dev=8, test=8)
    words = train_words(data, tmp_path / "runs", "trainer.max_steps=1")
    said = f"task/classification.yaml is taken from {place}"
    assert run(words, tmp_path).code == 0
    first = only_run(tmp_path / "runs")
    put(place, "task/classification")
    done = run(words, tmp_path)
    assert (done.code, done.err.count(said)) == (0, 1)
    assert only_run(tmp_path / "runs") == first
    assert "nothing was repeated" in done.out
    put(place, "task/classification", max_length=5)
    done = run(words, tmp_path)
    assert (done.code, done.err.count(said)) == (0, 1)
    (second,) = {path.parent for path in (tmp_path / "runs").glob("*/result.json")} - {first}
    assert result_of(second)["config"]["task"]["max_length"] == 5
    done = run([*words, "seed=1,2", "-m"], tmp_path)
    assert (done.code, done.err.count(said)) == (0, 1)
    assert len(list((tmp_path / "runs").glob("*/result.json"))) == 4
    assert result_of(ptv2.train(words[1:]).path)["config"]["task"]["max_length"] == 5
    shown = run(["evaluate", first.name, "--out", str(tmp_path / "runs")], tmp_path)  # a run has its own settings
    assert (shown.code, said in shown.err) == (0, False)


@pytest.mark.parametrize("launcher", ["joblib", pytest.param("submitit_local", marks=pytest.mark.slow)])
def test_workers_of_a_sweep_see_the_same_files_and_are_as_quiet(launcher: str, place: Path, tmp_path: Path) -> None:
    pytest.importorskip(f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher")
    data = write_sentences(tmp_path / "data", train=12, dev=8, test=8)
    put(place, "task/classification", max_length=5)
    words = train_words(data, tmp_path / "runs", "trainer.max_steps=1", f"hydra/launcher={launcher}", "-m", "--quiet")
    done = finish(python("-m", "ptv2", *words, f"hydra.sweep.dir={tmp_path / 'sweep'}"))
    assert (done.code, done.err) == (0, "")
    assert "1 job" in done.out
    assert result_of(only_run(tmp_path / "runs"))["config"]["task"]["max_length"] == 5


def test_every_command_sees_the_place(place: Path, tmp_path: Path) -> None:
    put(place, "task/rte", max_length=5)
    put(place, "task/mine", "# A task of mine.\ndefaults: [rte]\n")
    put(place, "method/p-tuning-v2", (CONF / "method" / "p-tuning-v2.yaml").read_text(encoding="utf-8"))
    put(place, "table/mine", (CONF / "table" / "2.yaml").read_text(encoding="utf-8"))
    done = run(["list", "tasks"], tmp_path)
    assert "A task of mine." in done.out
    assert f"task/rte.yaml is taken from {place}\n" == done.err
    assert " mine" in run(["train", "--help"], tmp_path).out
    assert "max_length: 5\n" in run(["train", "task=rte", "--cfg", "job"], tmp_path).out
    assert "  table=mine" in run(["reproduce", "--help"], tmp_path).out
    for line, expected in (("ptv2 train task=mi", "task=mine"), ("ptv2 reproduce ", "table=mine")):
        done = run(["-sc", "query=bash"], tmp_path, COMP_LINE=line)
        assert expected in done.out.split()
    line = f"ptv2 train --config-dir {place} task=mi"
    assert "task=mine" in run(["-sc", "query=bash"], tmp_path, COMP_LINE=line, PTV2_CONFIG_DIR="").out.split()
    words = ["task=mini-entities", "model=tiny", "method=multitask-p-tuning-v2", "multitask.tasks=[mini-entities]"]
    assert f"method/p-tuning-v2.yaml is taken from {place}\n" in run(["plan", *words], tmp_path).err


def test_runs_of_a_table_see_the_place(place: Path, tmp_path: Path) -> None:
    put(place, "task/mini-inference", max_length=5)
    words = ["reproduce", "figure=length", "task=mini-inference", "model=tiny", "seeds=1", "trainer.max_steps=1"]
    words += ["figure.x.values=[1]", f"out={tmp_path / 'runs'}", f"results={tmp_path / 'results'}"]
    done = run(words, tmp_path)
    assert done.code == 0, done.err
    assert done.err.count(f"task/mini-inference.yaml is taken from {place}") == 1
    results = [result_of(path.parent) for path in (tmp_path / "runs").glob("*/result.json")]
    assert {result["config"]["task"]["max_length"] for result in results} == {5}


# What is refused


def refusal(place: Path, folder: Path, **environment: str) -> str:
    """The line of a command that cannot use the place; shell completion says nothing, so that the shell stays whole."""
    words = ["train", "task=classification", f"data.dir={folder}"]
    surroundings = {"PTV2_CONFIG_DIR": str(place), **environment}
    done = run(words, folder, **surroundings)
    assert (done.code, done.out) == (2, "")
    quiet = run(["-sc", "query=bash"], folder, COMP_LINE="ptv2 train task=r", **surroundings)
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")
    return done.error


def test_a_place_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refusal(tmp_path / "x", tmp_path) == f"PTV2_CONFIG_DIR: no folder {tmp_path / 'x'}"
    assert refusal(tmp_path / "file", tmp_path) == f"PTV2_CONFIG_DIR: {tmp_path / 'file'} is a file; expected a folder"
    home = tmp_path / "xdg"
    home.mkdir()
    (home / "ptv2").touch()
    message = refusal(Path(), tmp_path, PTV2_CONFIG_DIR="", XDG_CONFIG_HOME=str(home))
    assert message == f"{home / 'ptv2'} is a file; expected a folder"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("config", "seed: 1\n", "config.yaml: only ptv2's own is read; expected another name in task, model,"),
        ("recipe/none", "# @package _global_\nseed: 1\n", "recipe/none.yaml: only ptv2's own is read;"),
        ("task/rte", "a: [1\n", "task/rte.yaml: line 2: no YAML"),
        ("task/rte", "x: ${oc.env:HOME}\n", "task/rte.yaml: ${oc.env:HOME}: expected a value"),
        ("hydra/launcher/x", "a: 1\n", "hydra: expected settings of ptv2; such files would be run by Hydra"),
    ],
)
def test_a_file_that_cannot_be_used_there(name: str, text: str, message: str, place: Path, tmp_path: Path) -> None:
    put(place, name, text)
    assert refusal(place, tmp_path).startswith(f"PTV2_CONFIG_DIR: {place}/{message}")


def test_a_file_in_the_place_of_a_group(place: Path, tmp_path: Path) -> None:
    (place / "task").touch()
    assert refusal(place, tmp_path) == f"PTV2_CONFIG_DIR: {place}/task: a file; expected a folder"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["", "task", "task/rte.yaml"])
def test_what_cannot_be_read(name: str, place: Path, tmp_path: Path) -> None:
    put(place, "task/rte", max_length=5)
    (place / name).chmod(0)
    try:
        assert refusal(place, tmp_path).endswith("Permission denied")
        assert refusal(place, tmp_path).startswith(f"PTV2_CONFIG_DIR: {place}")
    finally:
        (place / name).chmod(0o755)
        shutil.rmtree(place)
