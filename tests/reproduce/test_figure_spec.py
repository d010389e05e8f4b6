"""Figures as data: what is refused in a file, and which runs a figure expands to."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptv2.config import paths
from ptv2.config.compose import compose
from ptv2.errors import ConfigError
from ptv2.reproduce.figure.cells import cells_of, layer_groups, layers_of, level_cells, refuse_fixed_axis
from ptv2.reproduce.figure.scale import Gaps, gap_cells
from ptv2.reproduce.figure.spec import read_figure

BASE = ("task=mini-inference", "model=tiny")
RATES = """\
# Learning rate.
title: Learning rate
overrides: [method=p-tuning-v2]
x:
  label: learning rate
  values: [1e-3, 0.005]
  scale: log
  overrides: ["optim.lr={x}"]
series:
  - {name: p-tuning-v2}
"""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["x.values=[]"], "x.values=[]: expected one or more different values"),
        (["x.values=[1,1]"], "x.values=[1, 1]: expected one or more different values"),
        (["x.values=[few,many]"], "scale=log needs numbers"),
        (["x.values=[0,1]"], "scale=log needs values above 0"),
        (
            ["x.values=some"],
            "x.values='some': expected layers, evaluations or models or a list, such as [a,b] or settings below it",
        ),
        (["x.overrides=[]"], "series embedding: no setting has {x}"),
        (["x.overrides=[length]"], "x.overrides.0='length': expected key=value"),
        (["overrides=['prompt.dropout={x}',method=p-tuning-v2]"], "prompt.dropout={x}: {x} has no value here"),
        (["overrides=[]"], "series embedding: expected method=NAME"),
        (["series.1.name=embedding"], "'embedding' is there twice"),
        (["series.0.name=fine-tuning"], "'fine-tuning' is there twice"),
        (["series.0.name=_hidden"], "does not begin with _"),
        (["series=[]"], "series"),
        (["x.values=models"], "values=models draws the gap to fine-tuning, the only level; expected no levels"),
        (["x.values=models", "levels=[]", "x.scale=category"], "values=models are numbers"),
        (["x.values=models", "levels=[]"], "prompt.length={x}: {x} has no value here"),
        (["seeds=[]"], "seeds"),
        (["x.scal=log"], "unknown key 'x.scal'; did you mean scale? known: label, overrides, scale, values"),
        (["colour=red"], "unknown key 'colour'; known: levels, overrides, seeds, series, title, x"),
        (["series.9.name=a"], "list index out of range"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_faulty_figure_is_answered_with_what_is_expected(changes: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_figure("length", changes)
    assert str(caught.value).startswith("figure length: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_figure_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match="unknown figure 'dept'; did you mean depth\\? known: batches, changes, depth, "
    ):
        read_figure("dept")


def test_every_shipped_figure_is_one_that_trains() -> None:
    names = sorted(paths.choices("figure"))
    assert names == [
        "batches",
        "changes",
        "depth",
        "dropout",
        "epochs",
        "head",
        "initialisation",
        "learning",
        "length",
        "scale",
    ]
    runs = 0
    for name in names:
        spec = read_figure(name)
        if name == "scale":
            gaps = Gaps(("mini-inference", "mini-entities"), ("tiny",), spec.series)
            cells = gap_cells(gaps, spec)
        else:
            cells = cells_of(spec, spec.series, BASE, layers=2) + level_cells(spec, spec.levels, BASE)
        assert paths.summary(paths.choices("figure")[name])
        for cell in cells:
            compose(list(cell.overrides))
        runs += len({cell.overrides for cell in cells})
    assert runs == (13 + 2) + (14 + 1) + (3 + 1) + 3 * 2 + (5 + 1) + 4 + (3 + 1) + 3 + (14 + 1) + 4


@pytest.mark.parametrize(
    ("layers", "groups"),
    [
        (1, [1]),
        (2, [1, 2]),
        (6, [1, 2, 3, 4, 5, 6]),
        (7, [2, 4, 6, 7]),
        (12, [2, 4, 6, 8, 10, 12]),
        (24, [4, 8, 12, 16, 20, 24]),
        (36, [6, 12, 18, 24, 30, 36]),
        (48, [8, 16, 24, 32, 40, 48]),
    ],
)
def test_groups_of_layers_suit_the_depth(layers: int, groups: list[int]) -> None:
    assert layer_groups(layers) == groups


def test_all_layers_are_one_run_of_both_series() -> None:
    spec = read_figure("depth")
    cells = cells_of(spec, spec.series, BASE, layers=12)
    settings = {cell.key: cell.overrides[-1].removeprefix("prompt.layers=") for cell in cells}
    up, down = (part.name for part in spec.series)
    assert [settings[up, str(k)] for k in (2, 4, 10, 12)] == ["first-2", "first-4", "first-10", "all"]
    assert [settings[down, str(k)] for k in (2, 4, 10, 12)] == ["last-2", "last-4", "last-10", "all"]
    assert len(cells) == 12
    assert len({cell.overrides for cell in cells}) == 11


def test_the_backbone_says_how_many_layers_it_has() -> None:
    assert layers_of("tiny", []) == 2
    assert layers_of("tiny", ["model.config.num_hidden_layers=7", "data.limit.train=3"]) == 7
    assert layers_of(None, []) == 6
    assert layers_of("gpt2", ["model.path=config:"]) == 12  # whose own name for it is n_layer


def test_settings_of_a_place_come_from_its_name_or_stand_behind_it() -> None:
    length = read_figure("length", ["x.values=[3,40]"])
    cells = {cell.key: cell.overrides for cell in cells_of(length, length.series, BASE)}
    assert cells["MLP", "40"] == (*BASE, "method=p-tuning-v2", "prompt.reparameterization=mlp", "prompt.length=40")
    drawn = read_figure("initialisation")
    cells = {cell.key: cell.overrides for cell in cells_of(drawn, drawn.series, BASE)}
    assert cells["p-tuning-v2", "normal, std 1"][-2:] == ("prompt.init=normal", "prompt.init_std=1.0")


def test_a_figure_of_ones_own_may_vary_any_setting(tmp_path: Path) -> None:
    (tmp_path / "figure").mkdir()
    (tmp_path / "figure/rates.yaml").write_text(RATES, encoding="utf-8")
    spec = read_figure("rates", config_dir=str(tmp_path))
    cells = cells_of(spec, spec.series, BASE)
    assert [compose(list(cell.overrides)).optim.lr for cell in cells] == [0.001, 0.005]
    assert [cell.key for cell in cells] == [("p-tuning-v2", "0.001"), ("p-tuning-v2", "0.005")]


@pytest.mark.parametrize("text", ["- a list", "title: [", "title: x"])
def test_a_file_that_is_no_figure_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "figure").mkdir()
    (tmp_path / "figure/mine.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_figure("mine", config_dir=str(tmp_path))
    assert "mine" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("word", ["prompt.length=8", "++prompt.length=8", "prompt.reparameterization=mlp"])
def test_what_the_figure_varies_cannot_be_set_for_all(word: str) -> None:
    with pytest.raises(ConfigError, match="the figure itself varies"):
        refuse_fixed_axis(read_figure("length"), [word])
    refuse_fixed_axis(read_figure("length"), ["prompt.dropout=0", "optim.lr=1e-3"])
