"""Wrong words, settings, data and places: each is refused in one line by the real command line."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from commandline import finish, python, run
from questions import ENVIRONMENT, MY_TASK, fault, good, ptv2, write

from ptv2.cli import COMMANDS

# Mistakes that need no torch to see


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["trian"], f"unknown command 'trian'; did you mean train? known: {', '.join(sorted(COMMANDS))}"),
        (
            ["list", "modls"],
            "unknown list 'modls'; did you mean models? known: methods, models, recipes, runs, settings, tasks",
        ),
        (
            ["table", "--split", "tset"],
            "--split: unknown split 'tset'; did you mean test? known: dev, test, test-brown",
        ),
        (["report", "--output", "x.pdf"], "--output: x.pdf: nothing writes '.pdf'; expected .html, .htm"),
        (
            ["predict", "r", "--input", "a.csv", "--output", "x.xlsx"],
            "--output: x.xlsx: nothing writes '.xlsx'; expected .jsonl, .json, .csv, .tsv",
        ),
        (["best", "task=rte", "model=tiny"], "no finished run in runs/"),
        (["list", "--config-dir", "nowhere"], "--config-dir: no folder nowhere"),
        (["list", "tasks", "--types"], "--types goes with models: ptv2 list models --types"),
        (["evaluate"], "the following arguments are required: run"),
        (["predict", "nothing", "--input", "a.csv"], "unknown run 'nothing'; known: none (looked in runs/)"),
        (["table"], "no finished run with dev scores in runs/"),
        (["-sc"], "-sc: expected install=SHELL"),
        (["train", "task=rt"], "unknown task 'rt'; did you mean rte? known: boolq, cb, "),
        (["predict", "--inptu=x"], "unknown option '--inptu'; did you mean --input? known: "),
        (["plan", "--name", "x"], "unknown option '--name'; did you mean --examples? known: "),
        (["import", "x", "--nmae", "back"], "unknown option '--nmae'; known: --config-dir, "),
        (["plan", "task=rte", "seed=1,2", "-m"], "-m: only ptv2 train makes several runs of one command; expected one"),
        (["train", "model=minilmm"], "unknown model 'minilmm'; did you mean minilm? known: bert-base-cased, "),
        (["train", "method=ptuning"], "unknown method 'ptuning'; did you mean p-tuning-v2? known: "),
        (["train", "prompt.lenght=3"], "unknown config key 'prompt.lenght'; did you mean prompt.length? known below "),
        (
            ["train", "prompt.length=0", "optim.lr=-1"],
            "prompt.length=0: expected more than 0; optim.lr=-1: expected ",
        ),
        (["train", "task=null"], "task, model and method are chosen by name; expected task=NAME"),
        (["train", "task=rte", "data.source=files"], "task rte reads files (data.source=files); expected data.dir="),
        (["train", "seed=1,2"], "seed=1,2: several values are a sweep; add -m"),
        (["train", "--config-dir", "nowhere"], "--config-dir: no folder nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(words: list[str], expected: str, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    done = run(words, tmp_path / "streams", environment=ENVIRONMENT, before=partial(os.chdir, here))
    assert fault(done).startswith(expected)
    assert list(here.iterdir()) == []  # nothing is written


def test_a_mistake_as_a_user_makes_it() -> None:
    assert fault(ptv2("train", "task=rt")).startswith("unknown task 'rt'; did you mean rte? known: boolq, ")


def test_a_mistake_in_a_sweep_begins_no_run(tmp_path: Path) -> None:
    done = run(
        ["train", "-m", "task=rte,rt", f"out={tmp_path / 'runs'}"], tmp_path / "streams", environment=ENVIRONMENT
    )
    assert fault(done).startswith("unknown task 'rt'; did you mean rte?")
    assert list(tmp_path.rglob("config.yaml")) == []


def no_folder(folder: Path) -> tuple[list[str], str]:
    return [f"data.dir={folder / 'nowhere'}"], f"data.dir: no folder {folder / 'nowhere'}"


def no_dev_file(folder: Path) -> tuple[list[str], str]:
    write(folder, train=good())
    return [], f"{folder}: no dev file; expected dev.jsonl, dev.json, dev.csv, "


def malformed_line(folder: Path) -> tuple[list[str], str]:
    write(folder, train=good() + "{'sentence': 1}\n", dev=good())
    return [], f"{folder / 'train.jsonl'}:7: expected one JSON object on the line"


def unequal_columns(folder: Path) -> tuple[list[str], str]:
    write(folder, train=good())
    (folder / "dev.csv").write_text("sentence,label\nword,0\nword,with comma,1\n")
    return [], f"{folder / 'dev.csv'}:3: expected 2 columns (sentence, label), found 3"


def unknown_label(folder: Path) -> tuple[list[str], str]:
    write(folder, train=good(), dev=good() + '{"sentence": "word", "label": "2", "idx": 77}\n')
    return [], f"{folder / 'dev.jsonl'}:7 (example 77): unknown label '2'; known: 0, 1"


def missing_field(folder: Path) -> tuple[list[str], str]:
    write(folder, train=good(), dev=good())
    told = "field 'text' is missing (task.text names it); the record has: sentence, "
    return ["task.text=[text]"], f"{folder / 'train.jsonl'}:1 (example 0): {told}"


def one_label(folder: Path) -> tuple[list[str], str]:
    write(folder, train='{"sentence": "word", "label": "0"}\n' * 3, dev=good())
    return [], f"{folder / 'train.jsonl'}:1: expected two or more labels in 'label', found only 0"


def entity_outside(folder: Path) -> tuple[list[str], str]:
    (folder / "ReCoRD").mkdir()
    record = (
        '{"idx": 0, "passage": {"text": "Ann slept.", "entities": [{"start": 4, "end": 99}]}, '
        '"qas": [{"idx": 0, "query": "@placeholder", "answers": [{"start": 0, "end": 2, "text": "Ann"}]}]}\n'
    )
    write(folder / "ReCoRD", train=record, val=record)
    return [
        "task=record",
        "data.source=files",
    ], f"{folder / 'ReCoRD' / 'train.jsonl'}:1: entity span 4 to 99 is outside"


def unknown_headline(folder: Path) -> tuple[list[str], str]:
    write(folder, train=good(), dev=good())
    return [
        "task.headline=f1"
    ], "task.headline='f1': unknown score of metric accuracy 'f1'; known: accuracy, macro_f1, mcc"


def prompt_too_long(folder: Path) -> tuple[list[str], str]:
    write(folder, train=good(), dev=good())
    told = "prompt of 510 and text of 4 tokens are over the positions of this bert backbone; the longest text that fits"
    return ["prompt.length=510"], f"{told} is 2 tokens"


def no_such_layers(folder: Path) -> tuple[list[str], str]:
    write(folder, train=good(), dev=good())
    return ["prompt.layers=last-3"], "prompt.layers=last-3: choose all, first-k, last-k (k from 1 to 2)"


@pytest.mark.parametrize(
    "spoil",
    [
        no_folder,
        no_dev_file,
        malformed_line,
        unequal_columns,
        unknown_label,
        missing_field,
        one_label,
        entity_outside,
        unknown_headline,
        prompt_too_long,
        no_such_layers,
    ],
)
def test_wrong_data_or_sizes_are_one_line_and_leave_no_run(
    spoil: Callable[[Path], tuple[list[str], str]], tmp_path: Path
) -> None:
    data, out = tmp_path / "data", tmp_path / "runs"
    data.mkdir()
    words, expected = spoil(data)
    start = ["train", "task=classification", f"data.dir={data}", "model=tiny", f"out={out}"]
    assert fault(run([*start, *words], tmp_path / "streams", environment=ENVIRONMENT)).startswith(expected)
    assert not out.exists()


def go_offline(cache: Path) -> None:
    """What HF_HUB_OFFLINE=1 and an empty HF_HOME set when the library is imported."""
    from huggingface_hub import constants

    constants.HF_HUB_OFFLINE, constants.HF_HUB_CACHE = True, str(cache)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["task=rte", "model=tiny"], ["aps/super_glue@", "HF_HUB_OFFLINE is set", "data.dir=DIR"]),
        (
            ["task=classification", "data.dir=DATA", "model=bert-base-cased"],
            ["google-bert/bert-base-cased: ", "model.path=FOLDER", "model=minilm"],
        ),
    ],
    ids=["data", "model"],
)
def test_what_the_hub_has_but_the_cache_has_not(words: list[str], expected: list[str], tmp_path: Path) -> None:
    write(tmp_path, train=good(), dev=good())
    words = [word.replace("DATA", str(tmp_path)) for word in words]
    start = ["train", f"out={tmp_path / 'runs'}"]
    message = fault(run([*start, *words], tmp_path / "streams", before=partial(go_offline, tmp_path / "cache")))
    assert message.startswith(expected[0])
    assert all(part in message for part in expected)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data.dir=/\udcff"], "data.dir: '/\\udcff' is not text in UTF-8"),
        (["out=\udcff"], "out: '\\udcff' is not text in UTF-8"),
        (["task='\udcff'"], "unknown task '�'"),
        (["trainer.batch_size=8", "trainer.accumulation=9"], "accumulation=9: expected at most batch_size=8"),
        (["trainer.accumulation=1" + "0" * 30], "expected at most 1e+09"),
    ],
)
def test_settings_that_no_run_can_have(words: list[str], message: str, tmp_path: Path) -> None:
    assert message in fault(run(["train", "model=tiny", f"out={tmp_path / 'runs'}", *words], tmp_path))


def test_an_error_stays_short_however_it_is_written(tmp_path: Path) -> None:
    done = run(["train", "task=" + "\udcff" * 400], tmp_path)
    assert len(done.error) <= 300
    done = finish(python("-m", "ptv2", "train", "task=" + "é" * 400, PYTHONIOENCODING="ascii"))
    assert len(done.error) <= 300


def test_a_setting_that_a_task_of_ones_own_lacks(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "mine.yaml").write_text("name: mine\n", encoding="utf-8")
    command = ["train", "--config-dir", str(tmp_path), "task=mine"]
    assert (
        fault(run(command, tmp_path))
        == "prompt.length is taken from task.shape, which has no value; expected it on the command line or in a file"
    )
    whole = "name: mine\nshape: classify\ntext: [sentence]\nsources: {files: {files: {train: [a.csv], dev: [b.csv]}}}\n"
    (tmp_path / "task" / "mine.yaml").write_text(whole, encoding="utf-8")
    message = fault(run(command, tmp_path))
    assert message == "task mine reads files (data.source=files); expected data.dir=DIR, the folder that holds them"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("prompt.length=${nope}", "prompt.length is taken from nope, which has no value"),
        ("task.name=${nope.x}", "task.name is taken from nope.x, which has no value"),
        ("prompt.length=${prompt.length}", "prompt.length is taken from itself"),
        ("optim.lr=${oc.env:NO_SUCH_VARIABLE}", "optim.lr is taken from the environment variable NO_SUCH_VARIABLE"),
        ("out=${nope}", "is taken from nope, which has no value"),
    ],
)
@pytest.mark.parametrize("sweep", [[], ["seed=1,2", "-m"]], ids=["alone", "sweep"])
def test_a_value_that_is_taken_from_nowhere(word: str, message: str, sweep: list[str], tmp_path: Path) -> None:
    done = run(["train", "task=mini-inference", "model=tiny", word, *sweep], tmp_path)
    assert "Traceback" not in done.err
    assert "a fault of ptv2" not in done.err
    assert message in done.out + done.err
    assert done.code in ((1, 2) if sweep else (2,))


def test_a_value_that_is_taken_from_another_setting(tmp_path: Path) -> None:
    words = ["train", "task=mini-inference", "model=tiny", "prompt.length=${trainer.batch_size}", "--cfg", "job"]
    done = run([*words, "trainer.batch_size=7"], tmp_path)
    assert "  length: 7\n" in done.out


def test_a_list_where_a_file_has_settings(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "mine.yaml").write_text(MY_TASK)
    (tmp_path / "task" / "other.yaml").write_text("defaults: [mine]\nsources: [a]\n")
    message = fault(run(["train", "--config-dir", str(tmp_path), "task=other"], tmp_path))
    assert message == "task/other.yaml: a list, mapping or single value where another of these is expected"


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    write(tmp_path, train=good(), dev=good())
    (tmp_path / "file").write_text("")
    words = ["train", "task=classification", f"data.dir={tmp_path}", "model=tiny", f"out={tmp_path / 'file'}"]
    message = fault(run(words, tmp_path / "streams"))
    assert message == f"out={tmp_path / 'file'}: a file; expected a folder for the runs"
