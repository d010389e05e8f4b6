"""`--json`: one document on standard output, with the keys of docs/reference/json.md and nothing beside it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from commandline import Done, result_of, run, train_words, write_sentences

from ptv2.console.json_document import json_text


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, two seeds of p-tuning-v2 and of fine-tuning in `runs/`, and a run that failed."""
    folder = tmp_path_factory.mktemp("there")
    data = write_sentences(folder / "data", train=24, dev=12, test=9)
    words = train_words(data, folder / "runs", "trainer.max_steps=2", "seed=1,2", "-m")
    done = run([*words, "method=p-tuning-v2,fine-tuning"], folder / "streams")
    assert done.code == 0, done.err
    return folder


def ask(folder: Path, *words: str) -> Any:
    """What a command prints with `--json`: JSON as the standard has it, and nothing else."""
    done = run([*words, "--json", f"out={folder / 'runs'}"], folder / "streams")
    assert done.code == 0, done.err
    return read(done)


def read(done: Done) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(done.out, parse_constant=refuse)


def test_lists(there: Path) -> None:
    names = ask(there, "list")
    assert names.keys() == {"tasks", "models", "methods", "recipes"}
    tasks = {task.pop("name"): task for task in ask(there, "list", "tasks")["tasks"]}
    assert list(tasks) == names["tasks"]
    assert tasks["rte"].keys() == {"sources", "source", "headline", "about", "file"}
    assert (tasks["rte"]["sources"], tasks["rte"]["source"]) == (["hub", "files"], "hub")
    for kind in ("models", "methods"):
        records = ask(there, "list", kind)[kind]
        assert [record["name"] for record in records] == names[kind]
        assert all(record.keys() == {"name", "about", "file"} for record in records)
    (recipe, *_) = ask(there, "list", "recipes")["recipes"]
    assert recipe.keys() == {"name", "kind", "source", "settings"}
    assert ask(there, "list", "models", "--types")["types"][0]["model type"]
    settings = {setting.pop("key"): setting for setting in ask(there, "list", "settings")["settings"]}
    assert settings["prompt.length"] == {
        "values": "whole number from 1 to 1000000000",
        "meaning": "prompt tokens at each layer",
    }
    runs = ask(there, "list", "runs")["runs"]
    assert len(runs) == 4
    for record in runs:
        result = result_of(Path(record["path"]))
        assert (record["state"], record["message"], record["run"]) == ("finished", "", record["name"])
        assert record["dev"] == result["dev"][record["headline"]]  # not rounded
        assert record["seed"] in (1, 2)
    assert run(["list", "runs", "--json", f"out={there / 'none'}"], there / "streams").out == '{\n "runs": []\n}\n'


def test_table(there: Path) -> None:
    document = ask(there, "table", "split=test")
    assert document.keys() == {"split", "rows", "notes"}
    prompts, tuned = sorted(document["rows"], key=lambda row: row["method"] == "fine-tuning")
    for row in (prompts, tuned):
        scores = row["metrics"][row["headline"]]
        by_seed = {seed: result_of(there / "runs" / name)["test"]["accuracy"] for seed, name in row["runs"].items()}
        assert (row["split"], scores["by_seed"]) == ("test", by_seed)
        assert math.isclose(scores["mean"], sum(by_seed.values()) / 2)
        assert scores["sd"] is not None
    assert tuned["metrics"]["accuracy"]["against_fine_tuning"] is None
    against = prompts["metrics"]["accuracy"]["against_fine_tuning"]
    assert against.keys() == {"difference", "p", "seeds"}
    assert against["seeds"] == [1, 2]
    path = there / "table.json"
    assert run(["table", f"out={there / 'runs'}", "split=test", f"output={path}"], there / "streams").out == ""
    assert json.loads(path.read_text()) == document
    done = run(["table", f"out={there / 'runs'}", "--json", "--format", "csv"], there / "streams")
    assert (done.code, done.error) == (2, "--json and --format csv: expected one of them")


def test_evaluate(there: Path) -> None:
    name = next((there / "runs").glob("*p-tuning-v2*")).name
    document = ask(there, "evaluate", name)
    assert document.keys() == {"run", "split", "examples", "headline", "scores", "recorded", "parts"}
    assert (document["run"], document["split"], document["examples"]) == (name, "dev", 12)
    result = result_of(there / "runs" / name)
    assert document["scores"] == document["recorded"] == result["dev"]
    assert document["parts"] == result["parts"]["dev"]
    (there / "other").mkdir()
    (there / "other" / "dev.jsonl").write_text('{"sentence": "the table was warm", "label": "good"}\n')
    (there / "other" / "train.jsonl").write_text((there / "data" / "train.jsonl").read_text())
    other = ask(there, "evaluate", name, f"data-dir={there / 'other'}")
    assert (other["recorded"], other["examples"]) == (None, 1)


def test_best(there: Path) -> None:
    document = ask(there, "best", "task=classification", "model=tiny")
    assert (document["task"], document["model"]) == ("classification", "tiny")
    assert [one["method"] for one in document["methods"]] == ["fine-tuning", "p-tuning-v2"]
    for one in document["methods"]:
        assert one.keys() == {"method", "headline", "ranking", "recipe", "notes"}
        (setting,) = one["ranking"]
        assert setting["settings"]["trainer.max_steps"] == 2
        devs = {seed: result_of(there / "runs" / name)["dev"]["accuracy"] for seed, name in setting["runs"].items()}
        assert setting["dev"]["by_seed"] == devs
        assert one["recipe"]["trainer"]["max_steps"] == 2
    done = run(
        ["best", "task=classification", "model=tiny", f"out={there / 'runs'}", "--json", "--write", str(there / "own")],
        there / "streams",
    )
    assert read(done) == document
    assert "written: " in done.err


def test_plan_and_errors(there: Path) -> None:
    assert ask(there, "plan", "task=mini-entities", "model=tiny")["methods"]["p-tuning-v2"]
    done = run(["table", "--json", f"out={there / 'nothing'}"], there / "streams")
    assert (done.code, done.out) == (2, "")


def test_what_is_no_number_is_null() -> None:
    assert json.loads(json_text({"a": [float("nan"), -math.inf, 1 / 3, True, None], "b": {1: "ä"}})) == {
        "a": [None, None, 1 / 3, True, None],
        "b": {"1": "ä"},
    }
