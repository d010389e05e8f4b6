"""Search spaces in Hydra's words become Optuna's distributions, and their values words again."""

from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from ptv2.errors import ConfigError

pytest.importorskip("optuna", reason="the extra ptv2[optuna] is not installed")

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from ptv2.sweeps.space import a_point, as_overrides, split_space


def split(*words: str) -> tuple[dict, list[str]]:
    return split_space(OverridesParser.create().parse_overrides(list(words)))


@pytest.mark.parametrize(
    ("word", "distribution"),
    [
        ("tag(log, interval(1e-4, 1e-1))", FloatDistribution(1e-4, 1e-1, log=True)),
        ("interval(0, 0.5)", FloatDistribution(0, 0.5)),
        ("int(interval(4, 64))", IntDistribution(4, 64)),
        ("int(tag(log, interval(4, 64)))", IntDistribution(4, 64, log=True)),
        ("range(8, 33, step=8)", IntDistribution(8, 32, step=8)),
        ("range(0, 0.3, step=0.1)", FloatDistribution(0, 0.2, step=0.1)),
        ("range(8, 0, step=-4)", CategoricalDistribution(["8", "4"])),
        ("8,16,32", CategoricalDistribution(["8", "16", "32"])),
        ("choice(true, none, 2e-2)", CategoricalDistribution(["True", "none", "0.02"])),
        ("choice([0,1], [2,3])", CategoricalDistribution(["[0,1]", "[2,3]"])),
    ],
)
def test_words_and_distributions(word: str, distribution: object) -> None:
    space, fixed = split("seed=3", f"optim.lr={word}", "task=rte")
    assert space == {"optim.lr": distribution}
    assert fixed == ["seed=3", "task=rte"]


def test_the_last_word_on_a_setting_counts() -> None:
    space, fixed = split("optim.lr=interval(0,1)", "prompt.length=4", "optim.lr=0.5", "prompt.length=4,8")
    assert (set(space), fixed) == ({"prompt.length"}, ["optim.lr=0.5"])


@pytest.mark.parametrize(
    "word", ["seed=1,2,3", "task=rte,cb", "data.limit.train=range(10,100)", "task.max_length=64,128"]
)
def test_what_changes_the_question_is_not_searched(word: str) -> None:
    with pytest.raises(ConfigError, match=r"Optuna chooses by the dev score, and .* changes what is scored"):
        split(word)


def test_an_interval_that_is_none() -> None:
    with pytest.raises(ConfigError, match=r"^optim\.lr=interval\(2,1\): "):
        split("optim.lr=interval(2,1)")


def test_values_are_words_that_hydra_reads_back() -> None:
    words = as_overrides({"optim.lr": 0.0123456789, "prompt.length": 16, "prompt.layers": "[0,1]", "optim.eps": 1e-08})
    assert words == ["optim.lr=0.01235", "prompt.length=16", "prompt.layers=[0,1]", "optim.eps=1e-08"]
    values = [override.value() for override in OverridesParser.create().parse_overrides(words)]
    assert values == [0.01235, 16, [0, 1], 1e-8]


def test_a_point_shows_what_a_setting_would_not_take() -> None:
    """`interval(4,64)` is of rates, to Hydra; no length takes most of them."""
    space, _ = split("prompt.length=interval(4,64)", "prompt.mlp_hidden=range(4,9)", "method=fine-tuning,p-tuning-v2")
    point = a_point(space)
    assert (point["prompt.mlp_hidden"], point["method"]) == (4, "fine-tuning")
    assert not float(point["prompt.length"]).is_integer()
