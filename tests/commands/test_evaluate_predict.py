"""`ptv2 evaluate` and `ptv2 predict`: a finished run's weights give its numbers and labels again."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from commandline import Done, only_run, result_of, run, train_words, write_sentences
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from sequences import without_gold

from ptv2.run_folders.altered import with_checksum
from ptv2.run_folders.directory import write_config
from ptv2.run_folders.sharing import shareable_config
from ptv2.run_folders.weights import FILE, HEADER

METHODS: dict[str, tuple[str, ...]] = {
    "p-tuning-v2": ("method=p-tuning-v2", "prompt.reparameterization=mlp", "prompt.mlp_hidden=8"),  # folded when saved
    "prompt-tuning": ("method=prompt-tuning",),
    "fine-tuning": ("method=fine-tuning", "optim.lr=0.003"),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sentences(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run of each method."""
    folder = tmp_path_factory.mktemp("trained")
    for method, settings in METHODS.items():
        common = ("+model.config.initializer_range=0.3", "trainer.batch_size=8", "trainer.epochs=8")
        words = train_words(data, folder / method, *common, *settings)
        done = run(words, folder)
        assert done.code == 0, done.err
    runs = {method: only_run(folder / method) for method in METHODS}
    results = [result_of(path) for path in runs.values()]
    assert any(result["dev"] != result["dev_last"] for result in results)  # the best weights, not the last ones, count
    return runs


def scores(done: Done) -> dict[str, list[str]]:
    """The numbers of each metric in the table of `evaluate`: now, and recorded if they are there."""
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[1].split() in (["metric", "now"], ["metric", "now", "recorded"])
    return {
        line.split()[0]: line.split()[1:] for line in lines[2:] if line.strip() and not line.startswith("classes: ")
    }


def predictions(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("method", METHODS)
def test_evaluate_gives_the_recorded_numbers(method: str, trained: dict[str, Path], tmp_path: Path) -> None:
    folder = trained[method]
    result = result_of(folder)
    dev, test = ({name: [f"{value:.2f}"] * 2 for name, value in result[split].items()} for split in ("dev", "test"))
    done = run(["evaluate", str(folder)], tmp_path)
    assert scores(done) == dev
    assert list(dev) == ["accuracy", "macro_f1", "mcc"]
    assert done.out.startswith(f"{folder.name}, dev, 40 examples")
    hashed = folder.name.rpartition("-")[2]
    done = run(["evaluate", hashed, "--out", str(folder.parent), "--split", "test"], tmp_path)
    assert scores(done) == test


def test_evaluate_on_other_data(trained: dict[str, Path], data: Path, tmp_path: Path) -> None:
    """Recorded numbers stand only beside those of the same examples, wherever these are."""
    folder = trained["fine-tuning"]
    recorded = {name: [f"{value:.2f}"] * 2 for name, value in result_of(folder)["dev"].items()}
    moved = shutil.copytree(data, tmp_path / "moved")
    assert scores(run(["evaluate", str(folder), "--data-dir", str(moved)], tmp_path)) == recorded
    given = predictions((folder / "predictions-dev.jsonl").read_text(encoding="utf-8"))
    lines = (data / "dev.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    rows = [json.loads(line) for line in lines]
    right = [line for line, row, p in zip(lines, rows, given, strict=True) if row["label"] == p["label"]]
    wrong = [line for line, row, p in zip(lines, rows, given, strict=True) if row["label"] != p["label"]]
    (moved / "dev.jsonl").write_text("".join(right[:6] + wrong[:2]), encoding="utf-8")
    assert scores(run(["evaluate", str(folder), "--data-dir", str(moved)], tmp_path))["accuracy"] == ["75.00"]
    (moved / "test.jsonl").unlink()
    done = run(["evaluate", str(folder), "--data-dir", str(moved), "--split", "test"], tmp_path)
    assert done.code == 2
    assert done.error.startswith(f"{moved}: no test file; expected test.jsonl, test.json, test.csv, ")


@pytest.mark.parametrize("settings", [["data.split=0.3"], ["data.folds=3", "data.fold=1", "data.limit.dev=9"]])
def test_evaluate_takes_dev_from_the_training_file_where_the_run_did(
    settings: list[str], data: Path, tmp_path: Path
) -> None:
    """Wherever that file is now; other files are read whole, and a note says so."""
    own = shutil.copytree(data, tmp_path / "own", ignore=shutil.ignore_patterns("dev.jsonl"))
    done = run(train_words(own, tmp_path / "out", "trainer.max_steps=1", *settings), tmp_path)
    assert done.code == 0, done.err
    folder = only_run(tmp_path / "out")
    moved = own.rename(tmp_path / "moved")
    words = ["evaluate", str(folder), "--data-dir", str(moved)]
    done = run(words, tmp_path)
    assert scores(done) == {name: [f"{value:.2f}"] * 2 for name, value in result_of(folder)["dev"].items()}
    assert "note" not in done.err
    with (moved / "train.jsonl").open("a") as file:
        file.write('{"sentence": "one more", "label": "good"}\n')
    done = run(words, tmp_path)
    assert done.error.startswith(f"{moved}: no dev file; expected ")
    names = ", ".join(word.partition("=")[0] for word in settings if "fold=" not in word)
    told = f"note: {moved} holds other files than those of the run: they are read whole, without its {names}"
    assert told in done.err
    shutil.copy(data / "dev.jsonl", moved)
    assert "dev, 40 examples" in (done := run(words, tmp_path)).out
    assert told in done.err


@pytest.mark.parametrize("method", METHODS)
def test_predict_gives_the_run_s_labels(method: str, trained: dict[str, Path], data: Path, tmp_path: Path) -> None:
    folder = trained[method]
    expected = predictions((folder / "predictions-test.jsonl").read_text(encoding="utf-8"))
    assert {p["label"] for p in expected} <= {"bad", "good"}
    sentences = [json.loads(line)["sentence"] for line in (data / "test.jsonl").read_text().splitlines()]

    lines = tmp_path / "new.jsonl"
    lines.write_text("".join(json.dumps({"sentence": text}) + "\n" for text in sentences), encoding="utf-8")
    done = run(["predict", str(folder), "--input", str(lines)], tmp_path)
    assert done.code == 0, done.err
    assert predictions(done.out) == without_gold(expected)

    table, written = tmp_path / "new.csv", tmp_path / "labels.jsonl"
    with table.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["note", "sentence"], *(["x", text] for text in sentences)])
    done = run(["predict", str(folder), "--input", str(table), "--output", str(written)], tmp_path)
    assert (done.code, done.out) == (0, ""), done.err
    assert f"25 predictions written: {written}" in done.err
    assert predictions(written.read_text(encoding="utf-8")) == without_gold(expected)


def test_predictions_do_not_replace_their_input(trained: dict[str, Path], data: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes((data / "test.jsonl").read_bytes())
    (tmp_path / "link.jsonl").symlink_to(rows)
    for output in ("rows.jsonl", "link.jsonl", "./rows.jsonl"):
        words = ["predict", str(trained["p-tuning-v2"]), "--input", str(rows), "--output", f"{tmp_path}/{output}"]
        done = run(words, tmp_path)
        assert (done.code, done.error) == (2, f"--output: {tmp_path}/{output} is the input too; expected another file")
    assert rows.read_bytes() == (data / "test.jsonl").read_bytes()


def test_a_run_whose_data_went_elsewhere(trained: dict[str, Path], tmp_path: Path) -> None:
    moved = tmp_path / trained["p-tuning-v2"].name
    shutil.copytree(trained["p-tuning-v2"], moved)
    config = yaml.safe_load((moved / "config.yaml").read_text())
    config["config"]["data"]["dir"] = "reviews"  # folders are not under its checksum
    (moved / "config.yaml").write_text(yaml.safe_dump(config))
    for command in ("evaluate", "analyze"):
        done = run([command, str(moved)], tmp_path)
        assert (done.code, done.error) == (
            2, f"{moved.name}: no folder reviews, where its data were; --data-dir DIR says where they are now"
        )  # fmt: skip


def test_other_data_need_only_the_file_of_the_split(trained: dict[str, Path], data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(data / "test.jsonl", other)
    words = ["evaluate", str(trained["p-tuning-v2"]), "--data-dir", str(other)]
    assert scores(run([*words, "--split", "test"], tmp_path))["accuracy"]
    done = run(words, tmp_path)
    assert done.code == 2
    assert done.error.startswith(f"{other}: no dev file; expected dev.jsonl, dev.json, ")
    assert done.error.endswith("; found: test.jsonl")  # nothing of data.split, which this command does not take
    assert run([*words, "--split", "tset"], tmp_path).error == "task classification: no tset split; it has: test"


def test_predict_names_the_line_that_is_wrong(trained: dict[str, Path], tmp_path: Path) -> None:
    lines = tmp_path / "new.jsonl"
    lines.write_text('{"sentence": "the river was warm"}\n{"text": "the table was dull"}\n', encoding="utf-8")
    done = run(["predict", str(trained["p-tuning-v2"]), "--input", str(lines)], tmp_path)
    assert (done.code, done.out) == (2, "")
    assert (
        done.error == f"{lines}:2 (example 1): field 'sentence' is missing (task.text names it); the record has: text"
    )
    done = run(["predict", str(trained["p-tuning-v2"]), "--input", str(tmp_path / "none.jsonl")], tmp_path)
    assert done.code == 2
    assert str(tmp_path / "none.jsonl") in done.error


DAMAGED = r"its weights are damaged \(artifact/artifact.safetensors\); the same `ptv2 train` command makes it again"


def unfinished(folder: Path) -> None:
    (folder / "result.json").unlink()
    shutil.rmtree(folder / "artifact")


def torn(folder: Path) -> None:
    path = folder / "artifact" / FILE
    path.write_bytes(path.read_bytes()[:100])


def altered(folder: Path) -> None:
    path = folder / "artifact" / FILE
    content = bytearray(path.read_bytes())
    content[-100] ^= 4  # one bit of one weight
    path.write_bytes(content)


def other_backbone(folder: Path) -> None:
    change(folder, lambda config: config.update(seed=12))  # draws the random backbone's weights


def other_prompt(folder: Path) -> None:
    change(folder, lambda config: config["prompt"].update(length=3))


def no_files(folder: Path) -> None:
    def to_mini(config: dict[str, Any]) -> None:
        config["task"].update(source="mini", sources={"mini": "inference"})
        config["data"].update(source="mini", dir=None)

    change(folder, to_mini)


def change(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "config.yaml"
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    edit(tree["config"])
    del tree["checksum"]
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "commands", "message"),
    [
        (unfinished, "both", r"{folder}: the run is not finished; the same `ptv2 train` command goes on with it"),
        (torn, "both", rf"{{folder}}: {DAMAGED}"),
        (altered, "both", rf"{{folder}}: {DAMAGED}"),
        (
            other_backbone,
            "both",
            r"{folder}/.*: belongs to another backbone: sha256 is \w+ in the artifact and \w+ here",
        ),
        (other_prompt, "both", r"{folder}/.*: belongs to another prompt: shape is .* in the artifact and .* here"),
        (no_files, "evaluate", r"--data-dir: task classification does not say how to read it from files"),
    ],
    ids=["unfinished", "torn", "altered", "backbone", "prompt", "no files"],
)
def test_refused(
    spoil: Callable[[Path], None],
    commands: str,
    message: str,
    trained: dict[str, Path],
    data: Path,
    tmp_path: Path,
) -> None:
    folder = shutil.copytree(trained["p-tuning-v2"], tmp_path / "run")
    spoil(folder)
    words = [["evaluate", str(folder), "--data-dir", str(data)]]
    if commands == "both":
        words.append(["predict", str(folder), "--input", str(data / "test.jsonl")])
    for command in words:
        done = run(command, tmp_path)
        assert (done.code, done.out) == (2, "")
        assert re.fullmatch(message.format(folder=re.escape(str(folder))), done.error), done.error


def test_weights_of_before_there_were_checksums_are_taken(trained: dict[str, Path], data: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(trained["p-tuning-v2"], tmp_path / "run")
    path = folder / "artifact" / FILE
    with safe_open(path, framework="pt") as file:
        metadata = {HEADER: file.metadata()[HEADER]}
    save_file(load_file(path), path, metadata=metadata)
    words = ["--data-dir", str(data)]
    now, before = (scores(run(["evaluate", str(run_), *words], tmp_path)) for run_ in (trained["p-tuning-v2"], folder))
    assert now == before
    save_file(load_file(path), path, metadata={**metadata, "cxecksum": "0" * 64})  # a bit of the name is another
    assert re.search(DAMAGED, run(["evaluate", str(folder), *words], tmp_path).error)


def test_unknown_run(trained: dict[str, Path], tmp_path: Path) -> None:
    folder = trained["p-tuning-v2"]
    name = folder.name[:-1] + "x"
    done = run(["evaluate", name, "--out", str(folder.parent)], tmp_path)
    assert done.code == 2
    assert f"unknown run '{name}'; did you mean {folder.name}?" in done.error


def test_a_run_of_a_version_that_counted_less(trained: dict[str, Path], tmp_path: Path) -> None:
    """Its record is read, and what it lacks is left empty."""
    folder = shutil.copytree(trained["fine-tuning"], tmp_path / "runs" / trained["fine-tuning"].name)
    result = result_of(folder)
    accuracy = f"{result['dev']['accuracy']:.2f}"
    for split in ("dev", "dev_last", "test"):
        result[split] = {"accuracy": result[split]["accuracy"]}
    del result["parts"], result["confusion"], result["checksum"]
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    found = scores(run(["evaluate", str(folder)], tmp_path))
    assert found["accuracy"] == [accuracy, accuracy]
    assert [len(found[name]) for name in ("macro_f1", "mcc")] == [1, 1]

    runs = [str(folder), str(trained["p-tuning-v2"])]
    table = csv.DictReader(run(["table", *runs, "--format", "csv"], tmp_path).out.splitlines())
    assert Counter(row["method"] for row in table) == {"fine-tuning": 1, "p-tuning-v2": 3}
    assert run(["report", *runs, "--output", str(tmp_path / "page.html")], tmp_path).code == 0


def test_a_run_whose_settings_were_allowed_is_read_where_new_ones_are_refused(
    trained: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    """Rules are for what is to be trained: an earlier version may not have had them."""
    folder = shutil.copytree(trained["p-tuning-v2"], tmp_path / "runs" / trained["p-tuning-v2"].name)
    tree = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    tree["config"]["trainer"]["accumulation"] = 64
    tree["config"]["data"] |= {"shots": 20, "limit": {"train": 60}}
    write_config(folder, tree["config"], tree["deciding"])
    result = {**result_of(folder), "config": shareable_config(tree["config"])}
    del result["checksum"]
    (folder / "result.json").write_text(json.dumps(with_checksum(result)), encoding="utf-8")
    done = run(train_words(data, tmp_path / "new", "trainer.accumulation=64"), tmp_path)
    assert "accumulation=64: expected at most batch_size=8" in done.error
    out = ["--out", str(tmp_path / "runs")]
    assert folder.name in run(["list", "runs", *out], tmp_path).out
    for words in (
        ["evaluate", str(folder)],
        ["predict", str(folder), "--input", str(data / "test.jsonl")],
        ["table", *out],
        ["best", "task=classification", "model=tiny", "method=p-tuning-v2", *out],
        ["report", *out, "--output", str(tmp_path / "page.html")],
    ):
        done = run(words, tmp_path)
        assert (done.code, "left out" in done.err) == (0, False), done.err
    assert "left out" not in (tmp_path / "page.html").read_text(encoding="utf-8").partition("<script")[0]


@pytest.mark.parametrize("precision", ["fp16", "tf32"])
def test_what_a_gpu_has_trained_in_its_precision_is_computed_in_fp32_elsewhere(
    precision: str, trained: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(trained["p-tuning-v2"], tmp_path / "run")
    tree = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    tree["config"]["trainer"] |= {"precision": precision, "device": "cpu"}
    write_config(folder, tree["config"], tree["deciding"])
    done = run(["evaluate", str(folder)], tmp_path)
    assert scores(done) == {name: [f"{value:.2f}"] * 2 for name, value in result_of(folder)["dev"].items()}
    assert f"warning: computed in fp32: trainer.precision={precision}, as it was trained, needs a GPU" in done.err
