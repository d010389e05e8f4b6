"""Studies from the command line: they go on after a kill, prune, survive failing trials, and refuse mistakes."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from commandline import Command, log_lines, numbers, result_of, run, wait_until, write_sentences

from ptv2.config.methods import METHODS
from ptv2.run_folders.directory import state_of

optuna = pytest.importorskip("optuna", reason="the extra ptv2[optuna] is not installed")

SPACE = ("optim.lr=tag(log,interval(1e-3,1e-1))", "prompt.length=2,8")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sentences(tmp_path_factory.mktemp("data"), 32, 16, 8)


def words(data: Path, out: Path, *settings: str) -> list[str]:
    """A study of the tiny backbone."""
    start = [
        "train",
        "task=classification",
        f"data.dir={data}",
        "model=tiny",
        f"out={out}",
        "hydra/sweeper=optuna",
        "-m",
    ]
    small = ["+model.config.initializer_range=0.3", "trainer.batch_size=8", "trainer.checkpoint_minutes=0"]
    return [*start, *small, *settings]


def trials(out: Path) -> list[tuple[Any, ...]]:
    """What the one study below `out` has on disk."""
    (path,) = (out / ".sweeps").glob("*.journal")
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    study = optuna.load_study(study_name=path.stem, storage=storage)
    return [(trial.state.name, trial.params, trial.value, trial.intermediate_values) for trial in study.trials]


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if not method.several_tasks])
def test_every_method_has_a_space(method: str, data: Path, tmp_path: Path) -> None:
    start = [word for word in words(data, tmp_path / "out") if word not in ("hydra/sweeper=optuna", "-m")]
    short = ("+sweep=optuna", f"method={method}", "hydra.sweeper.trials=2", "trainer.max_steps=1")
    done = run([*start, *short], tmp_path)
    assert done.code == 0, done.err
    ended = trials(tmp_path / "out")
    assert [state for state, *_ in ended] == ["COMPLETE"] * 2
    assert ended[0][1] != ended[1][1]
    assert all("optim.lr" in settings for _, settings, *_ in ended)
    if method == "lora":
        names = {"optim.lr", "trainer.epochs", "lora.rank", "lora.targets"}
        assert all(settings.keys() == names for _, settings, *_ in ended)


def test_a_killed_study_goes_on_like_one_that_was_not(data: Path, tmp_path: Path) -> None:
    settings = (*SPACE, "hydra.sweeper.trials=3", "trainer.epochs=4", "hydra/sweeper/pruner=none")
    done = run(words(data, tmp_path / "whole", *settings), tmp_path)
    assert done.code == 0, done.err
    whole = trials(tmp_path / "whole")
    assert [state for state, *_ in whole] == ["COMPLETE"] * 3
    best = max(range(3), key=lambda number: whole[number][2])
    assert f"best on dev: trial {best}, {whole[best][2]:.2f}: optim.lr=" in done.out

    out = tmp_path / "killed"
    command = Command(words(data, out, *settings), tmp_path)

    def second_has_begun() -> bool:
        logs = [path.parent for path in out.glob("*/metrics.jsonl") if not (path.parent / "result.json").is_file()]
        return bool(list(out.glob("*/result.json")) and logs and any("dev" in line for line in log_lines(logs[0])))

    assert wait_until(second_has_begun, lambda: command.running)
    command.signal(signal.SIGKILL)
    assert command.wait().code == 137
    (first,) = out.glob("*/result.json")
    before = first.stat().st_mtime_ns
    assert [state for state, *_ in trials(out)] == ["COMPLETE", "RUNNING"]

    done = run(words(data, out, *settings), tmp_path)
    assert done.code == 0, done.err
    assert "trial 0" not in done.err
    assert trials(out) == whole
    assert first.stat().st_mtime_ns == before
    for folder in (tmp_path / "whole").glob("[!.]*/"):
        assert numbers(out / folder.name) == numbers(folder)

    done = run(words(data, out, *settings), tmp_path)  # all trials are there: nothing is begun
    assert (done.code, "trial" in done.err) == (0, False)
    assert f"best on dev: trial {best}" in done.out


def test_the_same_settings_side_by_side_are_one_run(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    settings = ("optim.lr=choice(0.03)", "trainer.epochs=1", "hydra.sweeper.trials=2", "hydra.sweeper.jobs=2")
    done = run(words(data, out, *settings), tmp_path)
    assert done.code == 0, done.err
    assert [(state, params) for state, params, *_ in trials(out)] == [("COMPLETE", {"optim.lr": "0.03"})] * 2
    assert len(list(out.glob("*/result.json"))) == 1
    assert "finished before" not in done.out


def test_scores_on_other_data_begin_another_study(tmp_path: Path) -> None:
    folder = write_sentences(tmp_path / "data", 32, 16, 8)
    command = words(folder, tmp_path / "out", "optim.lr=1e-3,1e-2", "hydra.sweeper.trials=1", "trainer.max_steps=1")
    assert run(command, tmp_path).code == 0
    train = folder / "train.jsonl"
    train.write_text("\n".join(train.read_text("utf-8").splitlines()[:-1]) + "\n", encoding="utf-8")
    assert run(command, tmp_path).code == 0
    assert len(list((tmp_path / "out" / ".sweeps").glob("*.journal"))) == 2
    missing = run([*command, f"data.dir={tmp_path}/none"], tmp_path)
    assert missing.code == 2
    assert "none" in missing.err
    assert len(list((tmp_path / "out" / ".sweeps").glob("*.journal"))) == 2


def test_ctrl_c_leaves_the_trial_open(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = Command(words(data, out, *SPACE, "hydra.sweeper.trials=2", "trainer.epochs=40"), tmp_path)
    assert wait_until(lambda: bool(list(out.glob("*/state-*"))), lambda: command.running)
    command.signal(signal.SIGINT)
    done = command.wait()
    assert (done.code, done.error.startswith("stopped at step ")) == (130, True)
    assert [state for state, *_ in trials(out)] == ["RUNNING"]
    assert "no trial has a dev score yet" in done.out


def test_pruned_and_failing_trials(data: Path, tmp_path: Path) -> None:
    """No score is good enough for the pruner, and one rate in two is none to train with."""
    out = tmp_path / "out"
    pruner = [
        "hydra/sweeper/pruner=none",
        "hydra.sweeper.pruner._target_=optuna.pruners.ThresholdPruner",
        "+hydra.sweeper.pruner.lower=101",
        "+hydra.sweeper.pruner.n_warmup_steps=2",
    ]
    done = run(words(data, out, "optim.lr=1e30,0.03", "trainer.epochs=4", "hydra.sweeper.trials=4", *pruner), tmp_path)
    assert done.code == 1, done.err
    ended = {params["optim.lr"]: (state, len(values)) for state, params, _, values in trials(out)}
    assert ended == {"0.03": ("PRUNED", 2), "1e+30": ("FAIL", 0)}
    assert "ended by ThresholdPruner at epoch 2, dev accuracy" in done.err
    assert "the loss or its gradient is not finite" in done.out
    (pruned,) = (path for path in out.glob("*/") if state_of(path) == "pruned")
    assert not [*pruned.glob("state-*"), *pruned.glob("best-*"), *pruned.glob("result.json")]

    one = [
        word
        for word in words(data, out, "optim.lr=0.03", "trainer.epochs=4")
        if word not in ("-m", "hydra/sweeper=optuna")
    ]
    done = run(one, tmp_path)  # outside the study it is a run like any other
    assert done.code == 0, done.err
    assert (state_of(pruned), result_of(pruned)["evaluations"]) == ("finished", 4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["optim.lrr=1,2"], "unknown config key 'optim.lrr'; did you mean optim.lr?"),
        (["seed=1,2"], "seed=1,2: Optuna chooses by the dev score, and seed changes what is scored"),
        ([], "hydra/sweeper=optuna: nothing to search; expected settings with several values"),
        (["prompt.length=interval(2,8)"], "prompt.length="),
        (["optim.lr=1,2", "hydra.sweeper.trails=3"], "hydra.sweeper.trails: no setting of what is chosen"),
        (["optim.lr=1,2", "hydra.sweeper.sampler._target_=optuna.Nothing"], "hydra.sweeper.sampler: "),
        (["optim.lr=1,2", "hydra.sweeper.jobs=0"], "hydra.sweeper.jobs=0: expected a whole number from 1"),
        (["optim.lr=1,2", "hydra.sweeper.trials=x"], "hydra.sweeper.trials=x: expected a whole number from 1"),
        (["optim.lr=1,2", "hydra/sweeper=basic", "hydra.sweeper.max_batch_size=0"], "hydra.sweeper.max_batch_size=0: "),
        (["optim.lr=interval(1,2)", "hydra/sweeper=basic"], "an interval has no end of values to combine"),
    ],
)
def test_mistakes_begin_nothing(settings: list[str], message: str, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    start = [word for word in words(data, out) if not (word.startswith("hydra/") and "hydra/sweeper=basic" in settings)]
    done = run([*start, *settings], tmp_path)
    assert done.code == 2
    assert done.error.startswith(message)
    assert not list(out.glob("*/config.yaml"))
    assert not list(out.glob(".sweeps/*.journal"))


@pytest.mark.parametrize(("choice", "extra"), [("sweeper=optuna", "optuna"), ("launcher=ray", "ray")])
def test_what_is_not_installed_is_named(choice: str, extra: str, data: Path, tmp_path: Path) -> None:
    start = [word for word in words(data, tmp_path / "out") if word != "hydra/sweeper=optuna"]
    done = run([*start, f"hydra/{choice}", "optim.lr=1,2"], tmp_path, before=hide)
    assert done.code == 2
    assert f"pip install 'ptv2[{extra}]'" in done.error


def test_a_launcher_that_is_not_installed_is_named(data: Path, tmp_path: Path) -> None:
    start = [word for word in words(data, tmp_path / "out") if word != "hydra/sweeper=optuna"]
    done = run([*start, "hydra/launcher=nobody", "optim.lr=1,2"], tmp_path, before=know_nobody)
    assert (done.code, done.error) == (2, "hydra/launcher=nobody is not installed: pip install 'ptv2[somebody]'")


def hide() -> None:
    """Make this process one without Optuna and Ray."""
    for name in ("optuna", "ray"):
        for module in [name, *(key for key in sys.modules if key.startswith(f"{name}."))]:
            sys.modules[module] = None  # type: ignore[assignment]


def know_nobody() -> None:
    """Make this process expect a launcher that no package has."""
    from ptv2.sweeps import launching

    launching.LAUNCHER_EXTRAS["nobody"] = "somebody"
