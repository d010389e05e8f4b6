"""`ptv2 plan`: what it asks the network for, what it prints, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from commandline import Done, finish, python, run, write_sentences
from huggingface_hub import constants

sys.path.append(str(Path(__file__).parents[1]))
from hub_files import revision_folder
from hub_server import HubServer

SMALL = ["model=tiny", "prompt.length=4"]
METHODS = ["fine-tuning", "prompt-tuning", "p-tuning-v2"]


def plan(folder: Path, *words: str, **environment: str) -> Done:
    """`ptv2 plan WORDS...`."""
    return run(["plan", *words], folder, environment={"COLUMNS": "200", **environment})


def planned(folder: Path, *words: str) -> dict[str, Any]:
    done = plan(folder, *words, "--json")
    assert (done.code, done.err) == (0, ""), done.err
    return json.loads(done.out)


def test_a_table_for_all_methods(tmp_path: Path) -> None:
    done = plan(tmp_path, *SMALL, "task=boolq", "method=p-tuning-v2")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("boolq: 9,427 training examples (as published)")
    assert all(len(line) <= 80 for line in lines[2:14])
    head, *rows = lines[3:13]
    assert head.split() == ["method", *METHODS]
    names = ["trained", "of", "weights", "gradients", "optimizer", "activations", "peak", "an", "here"]
    assert [row.split()[0] for row in rows] == names
    assert lines[13].startswith("time: by ")
    assert "measured now on this machine in fp32 (cpu)" in lines[13]
    assert "recipe" not in done.out


def test_each_method_has_its_own_recipe(tmp_path: Path) -> None:
    folder = tmp_path / "conf" / "recipe" / "mini-inference" / "tiny"
    folder.mkdir(parents=True)
    text = "# @package _global_\nrecipe: {kind: ours, source: a try}\nprompt: {length: 3}\n"
    (folder / "p-tuning-v2.yaml").write_text(text)
    words = ["task=mini-inference", "model=tiny", "method=fine-tuning"]
    methods = planned(tmp_path, *words, "--config-dir", str(tmp_path / "conf"))["methods"]
    assert methods["p-tuning-v2"]["recipe"] == "recipe mini-inference/tiny/p-tuning-v2.yaml, ours: a try"
    assert methods["p-tuning-v2"]["trained"] == 2 * 2 * 3 * 32 + 3 * 32 + 3
    assert methods["prompt-tuning"]["recipe"] is None


def test_the_numbers_of_the_settings(tmp_path: Path) -> None:
    usual = planned(tmp_path, *SMALL, "task=boolq")["methods"]
    hidden, layers, prompt, labels = 32, 2, 4, 2
    head = labels * hidden + labels
    assert usual["p-tuning-v2"]["trained"] == 2 * layers * prompt * hidden + head
    assert usual["prompt-tuning"]["trained"] == prompt * hidden + head
    assert usual["fine-tuning"]["trained"] == usual["fine-tuning"]["parameters"]
    longer = planned(tmp_path, *SMALL, "task=boolq", "task.max_length=256")["methods"]
    accumulated = planned(tmp_path, *SMALL, "task=boolq", "trainer.accumulation=4")["methods"]
    for method in METHODS:
        assert longer[method]["activations"] > 1.9 * usual[method]["activations"]
        assert accumulated[method]["activations"] < 0.3 * usual[method]["activations"]
        assert accumulated[method]["operations_an_epoch"] == pytest.approx(usual[method]["operations_an_epoch"])


def test_the_data_at_hand_are_counted(tmp_path: Path) -> None:
    data = write_sentences(tmp_path / "data")
    words = [*SMALL, "task=classification", f"data.dir={data}"]
    assert planned(tmp_path, *words)["work"] == {"examples": 70, "longest": 128, "length": 128, "source": "counted"}
    limited = planned(tmp_path, *words, "data.limit.train=30", "--length=20")
    assert limited["work"] == {"examples": 30, "longest": 128, "length": 20, "source": "counted"}
    longest = planned(tmp_path, *words, "--examples=30")
    for method in METHODS:
        whole, mean = longest["methods"][method], limited["methods"][method]
        assert mean["activations"] == whole["activations"]
        assert 0.05 < mean["operations_an_epoch"] / whole["operations_an_epoch"] < 0.25


def test_what_several_tasks_need_together(tmp_path: Path) -> None:
    """One prompt and all heads; memory for the task that takes most of it, an epoch of all tasks by their shares."""
    names = ("mini-entities", "mini-questions")
    words = [*SMALL, "task=mini-entities", f"multitask.tasks=[{','.join(names)}]"]
    method = "multitask-p-tuning-v2"
    found = planned(tmp_path, *words, f"method={method}", "multitask.temperature=1")["methods"]
    assert list(found) == [*METHODS, f"{method}, shared part", method]
    alone = [planned(tmp_path, *SMALL, f"task={name}")["methods"]["p-tuning-v2"] for name in names]
    part = found[f"{method}, shared part"]
    prompt = 2 * 2 * 4 * 32
    assert part["trained"] == sum(each["trained"] for each in alone) - prompt
    assert max(each["activations"] for each in alone) == part["activations"]
    assert part["operations_an_epoch"] == pytest.approx(sum(each["operations_an_epoch"] for each in alone), rel=0.05)
    assert {**found[method], "recipe": None} == {**found["p-tuning-v2"], "recipe": None}


def test_settings_that_nothing_reads_are_named_as_before_a_training(tmp_path: Path) -> None:
    done = plan(tmp_path, *SMALL, "task=boolq", "method=prompt-tuning", "prompt.dropout=0.5")
    assert (done.code, done.err) == (0, "prompt.dropout=0.5: nothing in this run reads it (method=prompt-tuning)\n")
    deep = plan(tmp_path, *SMALL, "task=boolq", "method=p-tuning-v2", "prompt.dropout=0.5")
    assert (deep.code, deep.err) == (0, "")


def test_a_refused_method_is_named_beside_the_others(tmp_path: Path) -> None:
    methods = planned(tmp_path, *SMALL, "task=boolq", "model.dtype=bfloat16")["methods"]
    assert "model.dtype=bfloat16" in methods["fine-tuning"]["refused"]
    assert methods["p-tuning-v2"]["weights"] > 0
    done = plan(tmp_path, *SMALL, "task=boolq", "task.max_length=512")
    assert "p-tuning-v2: prompt of 4 and text of 512 tokens are over the positions" in done.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["task=record"], "task record: the number of training examples is not known; give --examples=N"),
        (["+sweep=optuna"], "+sweep=optuna: a plan is of one run; expected settings of that"),
        (["hydra.sweeper.trials=3"], "hydra.sweeper.trials=3: a plan is of one run"),
        (["seed=1,2"], "seed=1,2: expected one value"),
        (["task=conll03"], "task conll03: the number of training examples is not known; give --examples=N"),
        (["--examples=0"], "--examples=0: expected 1 or more"),
        (["--length=300"], "--length=300: expected at most task.max_length=64"),
        (["model=nothing"], "unknown model 'nothing'"),
        (["prompt.lenght=3"], "did you mean prompt.length?"),
        (["model.path=someone/nothing"], "HF_HUB_OFFLINE is set"),
    ],
)
def test_mistakes(words: list[str], said: str, tmp_path: Path) -> None:
    done = run(["plan", *words], tmp_path, before=go_offline)
    assert done.code == 2
    assert said in done.error


def go_offline() -> None:
    """What HF_HUB_OFFLINE=1 sets when the library is imported."""
    constants.HF_HUB_OFFLINE = True


def test_a_hub_model_costs_one_small_file(tmp_path: Path) -> None:
    """In a process of its own: where the hub is, is read at import."""
    folder = revision_folder(tmp_path / "hub", "models", "someone/bert", "main")
    sizes = {"model_type": "bert", "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 2}
    (folder / "config.json").write_text(json.dumps(sizes), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"these are no weights, and nobody may ask for them")
    words = ["-m", "ptv2", "plan", "model.path=someone/bert", "task=cb", "--json"]
    with HubServer(tmp_path / "hub") as server:
        done = finish(python(*words, HF_ENDPOINT=server.url, HF_HOME=str(tmp_path / "cache")))
        asked = [line for line in server.requests if "/resolve/" in line]
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["sizes"] == "someone/bert, config.json"
    assert found["methods"]["p-tuning-v2"]["trained"] == 2 * 3 * 20 * 48 + 3 * 48 + 3
    assert asked
    assert all("config.json" in line for line in asked)
