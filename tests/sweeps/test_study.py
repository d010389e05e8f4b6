"""Studies on disk, and what a trial tells its study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from ptv2.config import paths
from ptv2.config.compose import compose
from ptv2.errors import ConfigError, Pruned, RunError

pytest.importorskip("optuna", reason="the extra ptv2[optuna] is not installed")

from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from ptv2.sweeps import study as studies
from ptv2.sweeps.outcomes import Outcome
from ptv2.sweeps.pruning import watch_of

SPACE = {"optim.lr": FloatDistribution(1e-3, 1e-1, log=True)}
FIXED = ["task=rte"]
SETTINGS = {"task.name": "rte", "trainer.epochs": 5}


def sweeper(**changes: Any) -> DictConfig:
    """`hydra.sweeper` as conf/ has it."""
    folder = paths.conf_dir() / "hydra" / "sweeper"
    config = OmegaConf.load(folder / "optuna.yaml")
    config.sampler = OmegaConf.load(folder / "sampler" / "tpe.yaml")
    config.pruner = OmegaConf.load(folder / "pruner" / "median.yaml")
    return OmegaConf.merge(config, {"study": "mine", **changes})


def finished(score: float) -> Outcome:
    return Outcome(0, [], "finished", "", score, "runs/some")


def ask_and_tell(folder: Path, count: int, **changes: Any) -> list[dict[str, float]]:
    with studies.opened(sweeper(**changes), folder, SETTINGS) as search:
        for _ in range(count):
            trial = search.ask(SPACE, FIXED)
            search.tell(trial, finished(100 * trial.params["optim.lr"]))
        return [trial.params for trial in search.trials]


def test_a_study_in_two_parts_asks_for_the_same_as_in_one(tmp_path: Path) -> None:
    """Past the random trials, too, where the sampler builds on what came before."""
    whole = ask_and_tell(tmp_path / "whole", 12)
    for count in (3, 7, 2):
        parts = ask_and_tell(tmp_path / "parts", count)
    assert parts == whole
    assert len({params["optim.lr"] for params in whole}) == 12


def test_how_trials_end(tmp_path: Path) -> None:
    with studies.opened(sweeper(trials=4), tmp_path, SETTINGS) as search:
        trials = [search.ask(SPACE, FIXED) for _ in range(4)]
        search.tell(trials[0], finished(80.0))
        search.tell(trials[1], Outcome(1, [], "pruned", "ended early"))
        search.tell(trials[2], Outcome(2, [], "failed", "no memory"))
        search.tell(trials[3], Outcome(3, [], "interrupted", "stopped", signal=15))
    with studies.opened(sweeper(trials=4), tmp_path, SETTINGS) as search:  # the next command
        states = [trial.state for trial in search.trials]
        assert states == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING]
        assert search.left == 2  # the failed one is replaced
        (again,) = search.interrupted
        assert again.number == 3
        assert again.user_attrs[studies.OVERRIDES][0] == "task=rte"
        assert search.trials[2].user_attrs[studies.MESSAGE] == "no memory"
        assert search.best is not None
        assert (search.best.number, search.best.value) == (0, 80.0)


def test_a_study_is_not_mixed_with_another(tmp_path: Path) -> None:
    ask_and_tell(tmp_path, 1)
    told = r"study=mine is a study of other settings \(trainer.epochs: 5 there, 9 here\)"
    longer = studies.opened(sweeper(), tmp_path, {**SETTINGS, "trainer.epochs": 9})
    with pytest.raises(ConfigError, match=told), longer:
        pass


def test_a_study_is_open_once(tmp_path: Path) -> None:
    busy = pytest.raises(RunError, match="study mine: another command goes on with it now")
    with studies.opened(sweeper(), tmp_path, SETTINGS), busy:
        ask_and_tell(tmp_path, 1)


def test_a_line_torn_by_a_power_cut_is_cut_off(tmp_path: Path) -> None:
    before = ask_and_tell(tmp_path, 2)
    with studies.journal(tmp_path, "mine").open("ab") as file:
        file.write(b'{"op_code":4,"worker')
    assert ask_and_tell(tmp_path, 1)[:2] == before
    assert len(ask_and_tell(tmp_path, 0)) == 3


@pytest.mark.parametrize("part", ["sampler", "pruner"])
def test_what_optuna_does_not_have(part: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"^hydra\.sweeper\.{part}: "):
        ask_and_tell(tmp_path, 1, **{part: {"_target_": "optuna.nothing.Here"}})
    assert not list(tmp_path.iterdir())


def test_what_makes_a_study() -> None:
    config = OmegaConf.create(
        {"task": {"name": "rte"}, "method": "p-tuning-v2", "optim": {"lr": 1.0, "eps": 2.0}, "out": "here", "hydra": {}}
    )
    settings = studies.settings_of(config, SPACE)
    assert set(settings) == {"task.name", "method", "optim.eps", "optim.lr"}
    elsewhere = OmegaConf.merge(config, {"out": "there"})
    assert studies.default_name(settings) == studies.default_name(studies.settings_of(elsewhere, SPACE))
    other = OmegaConf.merge(config, {"optim": {"eps": 3.0}})
    assert studies.default_name(settings) != studies.default_name(studies.settings_of(other, SPACE))
    assert studies.default_name(settings).startswith("rte-p-tuning-v2-")


@pytest.mark.parametrize(("every", "first"), [("epoch", 1), ("3", 3)])
def test_a_trial_reports_and_is_pruned(every: str, first: int, tmp_path: Path) -> None:
    """A fourth trial, worse than three others, is ended, but never at its last evaluation."""
    pruner = {"n_startup_trials": 3, "n_warmup_steps": 0}
    made = sweeper(pruner=pruner)
    config = compose(["task=mini-inference", "model=tiny", f"trainer.evaluate_every={every}"])
    with studies.opened(made, tmp_path, SETTINGS) as search:
        for score in (80.0, 70.0, 60.0, 50.0):
            trial = search.ask(SPACE, FIXED)
            hydra = OmegaConf.create({"sweeper": {**made, "trial": trial.number}, "sweep": {"dir": str(tmp_path)}})
            watch = watch_of(hydra, config)
            assert watch is not None
            watch.started(0, 6)
            if score == 50.0:
                with pytest.raises(
                    Pruned, match=r"^ended by MedianPruner at (epoch 1|step 3), dev accuracy 50.00; no result$"
                ):
                    watch.evaluated(3, 1.0, {"accuracy": score, "loss": 1.0}, best=True)
            else:
                watch.evaluated(3, 1.0, {"accuracy": score, "loss": 1.0}, best=True)
            watch.evaluated(6, 2.0, {"accuracy": score, "loss": 1.0}, best=False)
            search.tell(trial, finished(score))
        assert search.trials[3].intermediate_values == {first: 50.0, 2 * first: 50.0}


def test_a_job_outside_a_study_has_nothing_to_report() -> None:
    config = compose(["task=mini-inference", "model=tiny"])
    assert watch_of(OmegaConf.create({"sweeper": {"params": None}}), config) is None
