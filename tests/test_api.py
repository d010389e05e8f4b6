"""`import ptv2` in Python: the same runs, answers and refusals as on the command line."""

from __future__ import annotations

import gc
import json
import os
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commandline import FORKS, TIMEOUT, cache_folder, finish, only_run, python, run, train_words, write_sentences

import ptv2
from ptv2.api import _words
from ptv2.config.compose import compose

TEXTS = ["a bright tale", "a dull and slow tale", "čaj, 50 %"]
NOTEBOOK = Path(__file__).parents[1] / "docs" / "how-to" / "python.ipynb"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[ptv2.Run, list[str], Path]:
    """A run trained_run from Python, the words that make it on the command line, and its data."""
    folder = tmp_path_factory.mktemp("api")
    data = write_sentences(folder / "data")
    words = train_words(data, folder / "runs")[1:]
    return ptv2.train(words), words, data


def test_a_run_is_that_of_the_command_line(trained: tuple[ptv2.Run, list[str], Path], tmp_path: Path) -> None:
    """Found finished there, under the same name; and settings as a mapping are the same run too."""
    trained_run, words, _ = trained
    done = run(["train", *words], tmp_path)
    assert done.code == 0, done.err
    assert "finished before" in done.out
    assert only_run(trained_run.path.parent) == trained_run.path
    pairs = [word.partition("=") for word in words]
    settings: dict[str, Any] = {"trainer": {}}
    for key, _equals, value in pairs:
        plain = json.loads(value) if value.replace(".", "").isdigit() else value
        if key.startswith("trainer."):
            settings["trainer"][key.removeprefix("trainer.")] = plain
        else:
            settings[key] = plain
    again = ptv2.train(settings)
    assert again.path == trained_run.path
    assert again.result == trained_run.result
    assert trained_run.state == "finished"
    assert trained_run.config.task.name == trained_run.result.task


def test_predict_answers_as_the_command_does(trained: tuple[ptv2.Run, list[str], Path], tmp_path: Path) -> None:
    trained_run, _, _ = trained
    (field,) = trained_run.config.task.text
    file = tmp_path / "new.jsonl"
    file.write_text("".join(json.dumps({field: text}) + "\n" for text in TEXTS), encoding="utf-8")
    done = run(["predict", str(trained_run.path), "--input", str(file)], tmp_path)
    assert done.code == 0, done.err
    expected = [json.loads(line) for line in done.out.splitlines()]
    for examples in (TEXTS, [[text] for text in TEXTS], [{field: text} for text in TEXTS], iter(TEXTS)):
        labels, probabilities, rows = trained_run.predict(examples)
        assert rows == expected
        assert labels == [row["label"] for row in expected]
        assert probabilities == [row["probabilities"] for row in expected]
    assert trained_run.predict([]).labels == []
    frame = pytest.importorskip("pandas").DataFrame({field: TEXTS, "number": range(len(TEXTS))})
    assert trained_run.predict(frame).rows == trained_run.predict(frame[field]).rows == expected
    of_numpy = [{field: text, "more": np.array([1]), "number": np.int64(3)} for text in TEXTS]
    assert trained_run.predict(of_numpy).rows == expected


def test_the_model_is_a_torch_module(trained: tuple[ptv2.Run, list[str], Path]) -> None:
    model = trained[0].model
    assert model is trained[0].model  # loaded once
    assert not model.backbone.training or model.training
    assert sum(parameter.numel() for parameter in model.parameters()) > 0


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([["a", "b"]], "example 1: expected 1 text of task "),
        ([3], "example 1: expected 1 text of task "),
        (["a", {"nothing": "b"}], "example 2"),
        ([{}], "example 1"),
        ("a text", "expected a list of examples, found a text: 'a text'"),
        ({"sentence": "a text"}, "expected a list of examples, found an object: "),
        (None, "expected a list of examples, found null"),
        (
            [{"sentence": "a", "more": {1, 2}}],
            "example 1: expected texts, numbers and lists of them; Object of type set",
        ),
    ],
    ids=["two texts", "a number", "another field", "no field", "one text", "one mapping", "nothing", "a set"],
)
def test_examples_that_the_task_cannot_read(
    trained: tuple[ptv2.Run, list[str], Path], examples: list[Any], message: str
) -> None:
    with pytest.raises(ptv2.Ptv2Error, match=message) as caught:
        trained[0].predict(examples)
    assert "/tmp" not in str(caught.value)


def test_runs_are_found_and_listed(trained: tuple[ptv2.Run, list[str], Path], tmp_path: Path) -> None:
    trained_run, _, _ = trained
    out = trained_run.path.parent
    for name in (trained_run.name, trained_run.name.rpartition("-")[2], trained_run.name[:-4], str(trained_run.path)):
        assert ptv2.load_run(name, out=out).path == trained_run.path
    with pytest.raises(ptv2.Ptv2Error, match="unknown run"):
        ptv2.load_run("nobody", out=out)
    frame = ptv2.runs(out)
    assert list(frame["name"]) == [trained_run.name]
    assert frame["dev"][0] == trained_run.result.dev[trained_run.result.headline]
    assert len(ptv2.runs(out, method="lora")) == 0
    assert len(ptv2.runs(out, method=trained_run.config.method, seed=trained_run.config.seed)) == 1
    assert len(ptv2.runs(tmp_path / "empty")) == 0
    with pytest.raises(TypeError, match="no column colour"):
        ptv2.runs(out, colour="red")


def test_unfinished_runs_are_said_to_be_so(trained: tuple[ptv2.Run, list[str], Path], tmp_path: Path) -> None:
    trained_run, _, _ = trained
    folder = tmp_path / "runs" / trained_run.name
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_bytes((trained_run.path / "config.yaml").read_bytes())
    unfinished = ptv2.load_run(folder)
    for ask in (lambda: unfinished.result, lambda: unfinished.predict(["a"]), lambda: unfinished.model):
        with pytest.raises(ptv2.Ptv2Error, match="not finished"):
            ask()
    assert ptv2.runs(folder.parent)["state"][0] != "finished"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"task": "rte", "seed": 3}, ["task=rte", "seed=3"]),
        ({"optim": {"lr": 1e-3, "clip": None}}, ["optim.lr=0.001", "optim.clip=null"]),
        ({"model.path": Path("a b")}, ["model.path='a b'"]),
        ({"model.gradient_checkpointing": True}, ["model.gradient_checkpointing=true"]),
        ({"task.labels": ("it's", "b,c")}, [r"task.labels=['it\'s','b,c']"]),
        ({"data.limit": {"train": 5}}, ["data.limit.train=5"]),
        ({"seed": np.int64(3), "optim.betas": (np.float64(0.9), 0.99)}, ["seed=3", "optim.betas=[0.9,0.99]"]),
    ],
    ids=str,
)
def test_settings_become_words_of_the_command_line(settings: dict[str, Any], words: list[str]) -> None:
    assert list(_words(settings)) == words


def test_settings_with_odd_letters_arrive() -> None:
    config = compose(list(_words({"task": "classification", "data": {"dir": "D"}, "task.labels": ["it's", "b,c"]})))
    assert config.task.labels == ["it's", "b,c"]


@pytest.mark.parametrize(
    "settings", [{"task": "nobody"}, {"trainer": {"epochs": -1}}, {"colour": "red"}, ["seed"]], ids=str
)
def test_wrong_settings_are_refused(settings: Any) -> None:
    with pytest.raises(ptv2.Ptv2Error) as caught:
        ptv2.train(settings)
    assert "\n" not in str(caught.value)


def test_importing_is_light_and_names_are_there() -> None:
    code = "import ptv2, sys; print(sorted(set(sys.modules) & {'torch', 'hydra', 'pydantic'}), ptv2.__version__)"
    done = finish(python("-c", code))
    assert done.code == 0, done.err
    assert done.out.startswith("[] ")
    assert set(ptv2.__all__) <= set(dir(ptv2))
    for name in ptv2.__all__:
        assert getattr(ptv2, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ptv2.nothing


def test_the_notebook_runs(tmp_path: Path) -> None:
    """Cell after cell, in a process of its own; here with a tiny backbone and few examples."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    limit = '"data.limit.train": 128,'
    assert code.count(limit) == 1
    small = '"data.limit.train": 16, "data.limit.dev": 8, "data.limit.test": 8, "model": "tiny",'
    (tmp_path / "notebook.py").write_text(code.replace(limit, small), encoding="utf-8")
    process = FORKS.Process(target=run_notebook, args=(tmp_path / "notebook.py", cache_folder()))
    process.start()
    process.join(TIMEOUT)
    assert process.exitcode == 0


def run_notebook(file: Path, cache: str) -> None:
    gc.freeze()
    os.chdir(file.parent)
    os.environ |= {"PTV2_CACHE": cache, "MPLBACKEND": "agg"}
    runpy.run_path(str(file))
