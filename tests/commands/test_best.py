"""`ptv2 best` on made-up runs: dev alone ranks, and the recipe that it writes makes the same run again."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from commandline import finish, python
from records import result

from ptv2.cli import main
from ptv2.config.compose import compose
from ptv2.config.identity import run_hash
from ptv2.report.ranking import on_most_data, ranked
from ptv2.report.settings import decisive, varying
from ptv2.run_folders.record import Result, write_result

TASK = ["task=conll04", "data.dir=somewhere", "model=tiny"]


@cache
def composed(*overrides: str) -> dict[str, Any]:
    """Composed once, since a test's folder has ten runs."""
    return compose([*TASK, *overrides]).model_dump(mode="json")


def made(seed: int, dev: float, *overrides: str, method: str = "p-tuning-v2", **more: Any) -> Result:
    """A finished run with these settings."""
    config = composed(f"method={method}", *overrides)
    name = hashlib.sha256(f"{method} {seed} {overrides} {more}".encode()).hexdigest()[:10]
    one = result(method if method != "multitask-p-tuning-v2" else "p-tuning-v2", seed, dev, test=100.0 - dev)
    named = {"name": f"conll04-tiny-{method}-{name}", "task": "conll04", "model": "tiny", "headline": "accuracy"}
    return replace(one, **{**named, "method": method, "config": {**config, "seed": seed}, **more})


def write(folder: Path, results: list[Result]) -> Path:
    for one in results:
        (folder / one.name).mkdir(parents=True)
        (folder / one.name / "config.yaml").write_text("{}\n")
        write_result(folder / one.name, one)
    return folder


STEADY = ["optim.lr=0.04", "prompt.length=16", "trainer.precision=bf16"]
LUCKY = ["optim.lr=0.05", "prompt.length=16", "trainer.precision=bf16"]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Three settings of deep prompts and one of fine-tuning; test scores are the other way round."""
    return write(
        tmp_path / "runs",
        [
            *(made(seed, dev, *STEADY) for seed, dev in ((1, 80.0), (2, 82.0), (3, 81.0))),
            *(made(seed, dev, *LUCKY) for seed, dev in ((1, 84.0), (2, 70.0), (3, 74.0))),
            *(made(seed, 60.0) for seed in (1, 2, 3)),
            made(1, 50.0, method="fine-tuning"),
        ],
    )


def best(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    assert main(["best", *words]) == code
    captured = capsys.readouterr()
    return captured.out, captured.err


def recipe_in(text: str) -> dict[str, Any]:
    """The recipe that was printed, the only one of the output."""
    assert text.count("# @package _global_") == 1
    return yaml.safe_load(text.partition("# @package _global_\n")[2])


# Ranking


def test_the_mean_over_seeds_on_dev_ranks(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, err = best(capsys, "task=conll04", "model=tiny", "method=p-tuning-v2", f"out={out}")
    lines = [line.split() for line in text.splitlines()]
    scores = [line[0] for line in lines if line[1:2] == ["±"]]
    assert scores == ["81.00", "76.00", "60.00"]
    assert "3 settings, 9 runs" in text
    assert "81.00 ± 1.00  1, 2, 3  prompt.length=16 optim.lr=0.04 trainer.precision=bf16" in text
    assert "prompt.length=64 optim.lr=0.02 trainer.precision=fp32" in text
    assert err == ""


def test_every_method_that_has_runs_is_told_of(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, _ = best(capsys, "task=conll04", "model=tiny", f"out={out}")
    assert text.count("# @package _global_") == 2
    assert text.index("method=fine-tuning: 1 setting, 1 run") < text.index("method=p-tuning-v2: 3 settings, 9 runs")


def test_unequal_seeds_are_warned_of(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(out, [made(1, 99.0, "optim.lr=0.9")])
    words = ["task=conll04", "model=tiny", "method=p-tuning-v2", f"out={out}"]
    text, err = best(capsys, *words)
    assert recipe_in(text)["optim"]["lr"] == 0.9
    assert err.startswith("warning: settings have different seeds (1 to 3 of them): ")
    text, err = best(capsys, *words, "--least-seeds", "2")
    assert (recipe_in(text)["optim"]["lr"], err) == (0.04, "")


def test_a_method_with_too_few_seeds_does_not_keep_the_others_back(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["task=conll04", "model=tiny", f"out={out}", "--least-seeds", "3", "--write", str(tmp_path)]
    text, err = best(capsys, *words)
    assert recipe_in(text)["optim"]["lr"] == 0.04
    assert "left out: method=fine-tuning: no settings with 3 seeds or more" in err
    assert [path.stem for path in (tmp_path / "recipe").rglob("*.yaml")] == ["p-tuning-v2"]


def test_runs_on_less_data_do_not_compete() -> None:
    few = [made(seed, 95.0, "data.limit.train=10") for seed in (1, 2)]
    few = [replace(one, data={**one.data, "examples": {"train": 10, "dev": 10}}) for one in few]
    whole = made(1, 60.0)
    assert on_most_data([*few, whole]) == [whole]
    assert on_most_data([]) == []


def test_data_left_out_are_said(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = made(1, 95.0)
    write(out, [replace(more, name="other-data", data={**more.data, "examples": {"train": 10, "dev": 10}})])
    text, err = best(capsys, "task=conll04", "model=tiny", "method=p-tuning-v2", f"out={out}")
    assert "3 settings, 9 runs" in text
    assert "left out: 1 run on other data than these 100 training examples" in err


def test_runs_that_another_score_chose_are_ranked_apart(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mcc = [made(seed, 60.0, "seed=9", headline="mcc") for seed in (1, 2)]
    write(out, [replace(one, dev={**one.dev, "mcc": 40.0 + one.seed}) for one in mcc])
    words = ["task=conll04", "model=tiny", "method=p-tuning-v2", f"out={out}"]
    text, err = best(capsys, *words)
    assert "dev accuracy" in text
    assert "3 settings, 9 runs" in text
    assert "left out: 2 runs whose checkpoints mcc chose: headline=mcc ranks them" in err
    text, err = best(capsys, *words, "headline=mcc")
    assert "dev mcc" in text
    assert "41.50 ± 0.71" in text
    assert err == ""


def test_of_equals_the_one_that_trains_fewer_parameters() -> None:
    long, short = made(1, 80.0, "prompt.length=32"), made(1, 80.0, "prompt.length=8")
    long = replace(long, parameters={**long.parameters, "trained": 1000})
    assert [setting.runs[0] for setting in ranked([long, short])] == [short, long]
    assert varying([setting.settings for setting in ranked([long, short])]) == ["prompt.length"]


def test_a_setting_that_a_method_does_not_use_is_none_of_its_settings() -> None:
    for method, changed in (("fine-tuning", "prompt.length=3"), ("prompt-tuning", "prompt.dropout=0.4")):
        first, second = made(1, 80.0, method=method), made(2, 80.0, changed, method=method)
        assert not {key for key in ranked([first])[0].settings if key == changed.partition("=")[0]}
        assert ranked([first])[0].settings == ranked([second])[0].settings


def test_the_words_of_labels_are_none_of_the_settings_of_a_linear_head() -> None:
    def settings(*overrides: str) -> set[str]:
        return set(decisive(compose(["task=rte", "model=tiny", *overrides])))

    assert settings("head.kind=verbalizer") - settings() == {
        key for key in settings("head.kind=verbalizer") if key.startswith("task.verbalizer.")
    }
    assert settings("head.kind=verbalizer") > settings()


# The recipe


def test_the_recipe_is_what_differs_from_the_defaults_and_what_a_version_may_default_otherwise(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, _ = best(capsys, "task=conll04", "model=tiny", "method=p-tuning-v2", f"out={out}")
    recipe = recipe_in(text)
    said = recipe.pop("recipe")
    defaults = compose(["task=conll04", "model=tiny", "data.source=files", "data.dir=D"]).trainer
    steps = {"epochs": defaults.epochs, "batch_size": defaults.batch_size}
    assert recipe == {"prompt": {"length": 16}, "optim": {"lr": 0.04}, "trainer": steps}  # bf16 is the machine's matter
    assert said["kind"] == "ours"
    hashes = ", ".join(made(seed, dev, *STEADY).name[-10:] for seed, dev in ((1, 80.0), (2, 82.0), (3, 81.0)))
    assert said["source"] == (
        "ptv2 best task=conll04 model=tiny method=p-tuning-v2: dev accuracy 81.00 ± 1.00 over seeds 1, 2, 3, "
        f"first of 3 settings; runs {hashes}"
    )
    assert str(out) not in text  # no machine's folder


def test_a_written_recipe_makes_the_same_run(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine"
    _, err = best(capsys, "task=conll04", "model=tiny", f"out={out}", "--write", str(mine))
    assert f"written: {mine}/recipe/conll04/tiny/p-tuning-v2.yaml; this takes it:\n" in err
    assert f"  ptv2 train --config-dir {mine} task=conll04 model=tiny method=p-tuning-v2\n" in err
    assert (mine / "recipe" / "conll04" / "tiny" / "fine-tuning.yaml").is_file()
    again = compose([*TASK, "seed=2", "trainer.precision=bf16"], str(mine))
    assert again.recipe is not None
    assert (again.recipe.name, again.recipe.kind) == ("conll04/tiny/p-tuning-v2", "ours")
    by_hand = compose([*TASK, "seed=2", *STEADY])
    assert run_hash(again, "data", "model") == run_hash(by_hand, "data", "model")
    fine = compose([*TASK, "method=fine-tuning"], str(mine))
    assert run_hash(fine, "data", "model") == run_hash(compose([*TASK, "method=fine-tuning"]), "data", "model")


def test_a_written_recipe_counts_before_the_shipped_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = compose(["task=rte", "model=bert-large-cased", "optim.lr=0.004"]).model_dump(mode="json")
    named = {"name": "rte-bert-large-cased-p-tuning-v2-0123456789", "task": "rte", "model": "bert-large-cased"}
    out = write(tmp_path / "runs", [replace(made(1, 70.0), config=config, **named)])
    mine = tmp_path / "mine"
    _, err = best(capsys, "task=rte", "model=bert-large-cased", f"out={out}", "--write", str(mine))
    assert f"  ptv2 train --config-dir {mine} task=rte model=bert-large-cased method=p-tuning-v2\n" in err
    again = compose(["task=rte", "model=bert-large-cased"], str(mine))
    assert (again.optim.lr, again.optim.adamw, again.trainer.epochs) == (0.004, "transformers-4", 60)
    assert again.recipe is not None
    assert again.recipe.source.startswith("ptv2 best ")


def test_a_task_that_has_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = write(tmp_path / "runs", [replace(made(1, 70.0), task="mine")])
    text, err = best(capsys, "task=mine", "model=tiny", f"out={out}")
    assert "1 setting, 1 run" in text
    assert err.startswith("no recipe: task mine has no file task/mine.yaml, by which a recipe is found (write one ")
    _, err = best(capsys, "task=mine", "model=tiny", f"out={out}", "--write", str(tmp_path / "mine"), code=2)
    assert "ptv2: error: task mine has no file task/mine.yaml" in err


def test_several_tasks_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["task=mini-entities", "model=tiny", "method=multitask-p-tuning-v2", "multitask.lr=0.25", "optim.lr=0.125"]
    config = compose(words).model_dump(mode="json")
    one = replace(made(1, 70.0), task="mini-entities", method="multitask-p-tuning-v2", config=config)
    text, _ = best(capsys, "task=mini-entities", "model=tiny", f"out={write(tmp_path / 'runs', [one])}")
    recipe = recipe_in(text)
    assert (recipe["optim"], recipe["multitask"]["lr"]) == ({"lr": 0.125}, 0.25)
    assert "tasks" not in recipe["multitask"]


# Mistakes, and what it costs to ask


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["model=tiny"], "expected task=NAME; known: conll04 (finished runs in "),
        (["task=conll04"], "expected model=NAME; known: tiny (finished runs in "),
        ([], "expected task=NAME; known: conll04 (finished runs in "),
        (["task=conll04", "model=tiny", "seed=1"], "unknown key 'seed'; known: headline, method, model, out, task"),
        (["task=conll04", "tiny"], "tiny: expected key=value with one of task, model, method, headline, out as key"),
        (
            ["."],
            "expected key=value with one of task, model, method, headline, out as key; the folder of the runs is out=.",
        ),
        (
            ["task=conll4", "model=tiny"],
            "unknown task 'conll4'; did you mean conll04? known: conll04 (finished runs in ",
        ),
        (["task=conll04", "model=tiny", "method=prompt-tuning"], "unknown method 'prompt-tuning'; did you mean "),
        (["task=conll04", "model=tiny", "--least-seeds", "9"], "no settings with 9 seeds or more among 10 "),
    ],
)
def test_a_mistake_is_one_line(out: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str) -> None:
    _, err = best(capsys, *words, f"out={out}", code=2)
    (line,) = err.splitlines()
    assert expected in line


def test_it_is_answered_without_torch(out: Path) -> None:
    ask = (
        "import sys\n"
        "from ptv2.cli import main\n"
        "code = main(sys.argv[1:])\n"
        "sys.exit('torch' if {'torch', 'transformers', 'datasets'} & set(sys.modules) else code)\n"
    )
    done = finish(python("-c", ask, "best", "task=conll04", "model=tiny", f"out={out}"))
    assert (done.code, done.err) == (0, "")
