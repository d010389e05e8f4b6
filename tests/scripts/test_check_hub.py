"""scripts/check_hub.py as a person runs it, against a server on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import TIMEOUT
from datasets import ClassLabel, Dataset, Features, List, Value

sys.path.append(str(Path(__file__).parents[1]))
from hub_files import commit, revision_folder
from hub_server import HubServer

REPOSITORY = Path(__file__).parents[2]
TASK = """
name: pairs
shape: {shape}
label: {label}
labels: {labels}
sources:
  hub:
    repository: {repository}
    revision: {revision}
    files: {{train: {train}}}
    columns: {columns}
    labels: {labels}
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    root = tmp_path_factory.mktemp("hub")
    for label, name in ((ClassLabel(names=["no", "yes"]), "named"), (Value("int64"), "numbers")):
        features = Features({"sentence": Value("string"), "label": label})
        rows = Dataset.from_dict({"sentence": ["Ann sleeps."], "label": [1]}, features=features)
        folder = revision_folder(root, "datasets", f"someone/{name}")
        (folder / "data").mkdir()
        rows.to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    tags = Features({"tokens": List(Value("string")), "tags": List(Value("int32")), "kind": Value("string")})
    rows = Dataset.from_dict({"tokens": [["Ann", "sleeps"]], "tags": [[1, 0]], "kind": ["yes"]}, features=tags)
    rows.to_parquet(revision_folder(root, "datasets", "someone/tags") / "train.parquet")
    (revision_folder(root, "datasets", "someone/named") / "torn.parquet").write_bytes(b"torn, and not Parquet at all")
    good, pickled = (revision_folder(root, "models", f"someone/{name}") for name in ("good", "pickled"))
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (good / name).write_text("{}")
    for name in ("config.json", "tokenizer.json", "pytorch_model.bin"):
        (pickled / name).write_text("{}")
    with HubServer(root) as server:
        yield server


RIGHT = {
    "repository": "someone/named",
    "revision": "main",
    "train": "data/train-*.parquet",
    "columns": "[sentence, label]",
    "labels": "['yes', 'no']",
    "shape": "classify",
    "label": "label",
}


def task(conf: Path, name: str, **changed: str) -> None:
    (conf / "task").mkdir(exist_ok=True)
    (conf / "task" / f"{name}.yaml").write_text(TASK.format(**RIGHT | changed))


def model(conf: Path, name: str, path: str, revision: str = "null") -> None:
    (conf / "model").mkdir(exist_ok=True)
    (conf / "model" / f"{name}.yaml").write_text(f"name: {name}\npath: '{path}'\nrevision: {revision}\n")


def check(endpoint: str, home: Path, *arguments: str | Path) -> tuple[int, str]:
    names = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS_"))}
    names |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(home)}
    command = [sys.executable, REPOSITORY / "scripts" / "check_hub.py", *arguments]
    run = subprocess.run(command, env=names, text=True, capture_output=True, timeout=TIMEOUT)
    assert "Traceback" not in run.stderr, run.stderr
    return run.returncode, run.stdout


def row(output: str, name: str) -> str:
    """The first line of an entry of the table."""
    return next(line for line in output.splitlines() if name in line.split())


def test_a_configuration_that_fits(hub: HubServer, tmp_path: Path) -> None:
    task(tmp_path, "pairs")
    task(tmp_path, "pinned", revision=commit(hub.root / "datasets/someone/named/main"))
    model(tmp_path, "good", "someone/good")
    model(tmp_path, "embedded", "embedded:minilm")
    model(tmp_path, "random", "config:")
    (tmp_path / "task" / "own.yaml").write_text("name: own\nsources: {mini: inference}\n")
    before = len(hub.requests)
    code, output = check(hub.url, tmp_path / "home", "--conf", tmp_path)
    assert code == 0, output
    assert "3 checked, 0 do not match" in output
    assert commit(hub.root / "models/someone/good/main")[:12] in output
    weights = [line for line in hub.requests[before:] if line.startswith("GET") and "safetensors" in line]
    assert weights == [], "weights are not fetched"


def test_labels_that_need_no_names_are_no_fault(hub: HubServer, tmp_path: Path) -> None:
    """Numbers of tags are named by the order of the labels, and words by themselves."""
    task(tmp_path, "tags", repository="someone/tags", train="train.parquet", columns="[tokens, tags]",
         labels="[O, B-PER]", shape="tag", label="tags")  # fmt: skip
    task(tmp_path, "words", repository="someone/tags", train="train.parquet", columns="[kind]", label="kind")
    task(tmp_path, "numbers", repository="someone/numbers", labels="['0', '1']")
    code, output = check(hub.url, tmp_path / "home", "--conf", tmp_path)
    assert "3 checked, 0 do not match" in output
    assert code == 0


def test_each_fault_is_in_the_table(hub: HubServer, tmp_path: Path) -> None:
    faults = {
        "task/repository": "no such repository on http",
        "task/revision": "no such revision",
        "task/files": "train: no file fits 'data/training-*.parquet'",
        "task/columns": "no column 'text'; there are: sentence, label",
        "task/labels": "labels are no, yes; expected positive, negative",
        "task/unnamed": "carries no class names; expected yes, no",
        "task/torn": "torn.parquet is not a Parquet file",
        "model/pickled": "no model.safetensors",
        "model/absent": "no such repository on http",
    }
    task(tmp_path, "repository", repository="someone/nothing")
    task(tmp_path, "revision", revision="refs/convert/parquet")
    task(tmp_path, "files", train="data/training-*.parquet")
    task(tmp_path, "columns", columns="[text, label]")
    task(tmp_path, "labels", labels="[positive, negative]")
    task(tmp_path, "unnamed", repository="someone/numbers")
    task(tmp_path, "torn", train="torn.parquet")
    task(tmp_path, "right")
    model(tmp_path, "pickled", "someone/pickled")
    model(tmp_path, "absent", "someone/absent")
    code, output = check(hub.url, tmp_path / "home", "--conf", tmp_path)
    assert code == 1, output
    assert f"{len(faults) + 1} checked, {len(faults)} do not match" in output
    assert {name: fault for name, fault in faults.items() if fault not in row(output, name)} == {}, output
    assert " ok " in row(output, "task/right")


def test_every_hub_entry_of_the_repository_is_asked_for(hub: HubServer, tmp_path: Path) -> None:
    code, output = check(hub.url, tmp_path)
    assert code == 1, "the loopback hub holds none of them"
    for name in ("boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc", "sst2"):
        assert "no such repository" in row(output, f"task/{name}")
    assert "no such repository" in row(output, "model/roberta-large")
    assert "minilm" not in output


def test_no_hub_is_exit_code_69(tmp_path: Path) -> None:
    task(tmp_path, "pairs")
    code, output = check("http://127.0.0.1:9", tmp_path / "home", "--conf", tmp_path)
    assert code == 69
    assert "http://127.0.0.1:9 is not reachable" in output
