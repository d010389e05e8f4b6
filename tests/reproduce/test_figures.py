"""Figures from runs made up on disk: which are found, what is drawn of them, and what the files say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from figure_runs import SMALL, fill, made_up, table

from ptv2.errors import ConfigError, RunError
from ptv2.files import write_text_whole
from ptv2.report.points import read_points
from ptv2.reproduce.figure import make as figures
from ptv2.reproduce.figure.make import list_figure_jobs, read_figure_request, reproduce_figure
from ptv2.reproduce.jobs.list_jobs import Job
from ptv2.reproduce.options import Options


def by_series_and_layers(job: Job) -> float:
    series, k = job.cell.key
    return 50.0 + 10 * int(k or 0) + (5 if series.startswith("descending") and k == "1" else 0) + job.seed


def test_points_are_the_runs_that_each_place_means(options: Options) -> None:
    jobs = fill(options, by_series_and_layers)
    assert len({job.folder for job in jobs}) == 9  # first-1, last-1 and all, with three seeds each
    assert reproduce_figure("depth", options) == 0
    rows = table(options, "depth-mini-inference-tiny.csv")
    values = {(row["series"].partition(":")[0], row["x"], int(row["seed"])): float(row["value"]) for row in rows}
    assert values == {
        **{("ascending", "1", seed): 60.0 + seed for seed in (1, 2, 3)},
        **{("ascending", "2", seed): 70.0 + seed for seed in (1, 2, 3)},
        **{("descending", "1", seed): 65.0 + seed for seed in (1, 2, 3)},
        **{("descending", "2", seed): 70.0 + seed for seed in (1, 2, 3)},
    }
    folders = {(job.cell.key[0], job.cell.key[1], job.seed): job.folder for job in jobs}
    for row in rows:
        folder = folders[row["series"], row["x"], int(row["seed"])]
        assert folder is not None
        assert row["run"] == folder.name
        assert row["trained"] == str(100 + int(row["seed"]))
        assert (row["task"], row["model"], row["split"], row["metric"]) == ("mini-inference", "tiny", "dev", "accuracy")


def test_the_summary_has_means_and_paths(options: Options, capsys: pytest.CaptureFixture[str]) -> None:
    fill(options, by_series_and_layers)
    reproduce_figure("depth", options)
    said = capsys.readouterr().out
    assert "62.0 ± 1.0" in said
    assert "3 seeds" in said
    for ending in ("png", "svg", "csv", "md"):
        path = options.results / "figures" / f"depth-mini-inference-tiny.{ending}"
        assert path.is_file()
        assert str(path) in said


def test_places_by_hand_are_the_same_runs_as_the_groups_of_layers(options: Options) -> None:
    fill(options, by_series_and_layers)
    by_hand = replace(options, overrides=(*SMALL, "figure.x.values=[1,2]"))
    assert reproduce_figure("depth", by_hand) == 0
    page = (options.results / "figures" / "depth-mini-inference-tiny.md").read_text()
    assert "prompted layers k (of 2)" in page
    assert " 'figure.x.values=[1,2]'`" in page  # as a shell takes it
    assert len(table(options, "depth-mini-inference-tiny.csv")) == 12


def test_a_series_can_be_given_its_own_rate(options: Options) -> None:
    rate = "figure.series.1.overrides=[prompt.reparameterization=mlp,optim.lr=1e-3]"
    request = read_figure_request("length", replace(options, overrides=(*SMALL, rate)))
    jobs, _ = list_figure_jobs(request, options)
    rates = {job.cell.key[0]: job.config.optim.lr for job in jobs if job.config is not None}
    assert rates["MLP"] == 1e-3
    assert rates["embedding"] != 1e-3


def test_files_are_the_same_each_time_and_drawn_again_from_the_csv_alone(
    options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(options, by_series_and_layers)
    reproduce_figure("depth", options)
    folder = options.results / "figures"
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(first) == [f"depth-mini-inference-tiny.{ending}" for ending in ("csv", "md", "png", "svg")]
    for path in folder.glob("*.[ps][nv]g"):
        path.unlink()
    reproduce_figure("depth", replace(options, out="none"))
    assert "drawn again from" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first


def test_lines_are_drawn_where_their_runs_are_and_run_where_they_are_asked_for(options: Options) -> None:
    fill(options, by_series_and_layers, lines=True)
    reproduce_figure("depth", options)
    level = [row for row in table(options, "depth-mini-inference-tiny.csv") if not row["x"]]
    assert [(row["series"], row["value"]) for row in level] == [("fine-tuning", f"{50.0 + s}") for s in (1, 2, 3)]

    jobs, looked_for = list_figure_jobs(read_figure_request("depth", options), options)
    assert {job.cell.key[0] for job in looked_for} == {"fine-tuning"}
    assert "fine-tuning" not in {job.cell.key[0] for job in jobs}
    asked = replace(options, methods=("fine-tuning", "p-tuning-v2"))
    jobs, looked_for = list_figure_jobs(read_figure_request("depth", asked), asked)
    assert "fine-tuning" in {job.cell.key[0] for job in jobs}
    assert not looked_for
    without = replace(options, methods=("p-tuning-v2",))
    reproduce_figure("depth", without)
    assert all(row["x"] for row in table(options, "depth-mini-inference-tiny.csv"))


def test_a_line_falls_back_to_the_best_fine_tuning_on_the_same_data(options: Options) -> None:
    fill(options, by_series_and_layers)
    for rate, dev in (("1e-5", 80.0), ("2e-5", 90.0), ("3e-5", 99.0)):
        other = replace(options, methods=("fine-tuning", "p-tuning-v2"), overrides=(*SMALL, f"optim.lr={rate}"))
        jobs, _ = list_figure_jobs(read_figure_request("depth", other), other)
        for job in jobs:
            if job.cell.key[0] == "fine-tuning":
                strange = {"data": {"fingerprint": "g", "examples": {"train": 8, "dev": 4}, "predicted": {}}}
                made_up(job, dev + job.seed, **(strange if rate == "3e-5" else {}))
    reproduce_figure("depth", options)
    level = [row for row in table(options, "depth-mini-inference-tiny.csv") if not row["x"]]
    assert {row["series"] for row in level} == {"fine-tuning, best found"}
    assert [(row["seed"], row["value"]) for row in level] == [("1", "91.0"), ("2", "92.0"), ("3", "93.0")]


def test_another_split_has_files_of_its_own_and_is_one_that_the_runs_have(options: Options) -> None:
    fill(options, by_series_and_layers)
    reproduce_figure("depth", replace(options, split="test"))
    rows = table(options, "depth-mini-inference-tiny-test.csv")
    assert {row["split"] for row in rows} == {"test"}
    assert rows[0]["value"] == "51.0"
    with pytest.raises(ConfigError, match=r"split=test-brown: task mini-inference has dev, test$"):
        reproduce_figure("depth", replace(options, split="test-brown"))
    fill(options, by_series_and_layers, test=None)
    with pytest.raises(ConfigError, match=r"split=test: task mini-inference has scores on dev$"):
        reproduce_figure("depth", replace(options, split="test"))


def test_a_name_keeps_another_figure_of_the_task_from_being_overwritten(options: Options) -> None:
    fill(options, by_series_and_layers)
    reproduce_figure("depth", options)
    reproduce_figure("depth", replace(options, name="again", overrides=(*SMALL, "figure.title=Depth again")))
    folder = options.results / "figures"
    names = {
        f"{stem}.{ending}" for stem in ("depth-mini-inference-tiny", "again") for ending in ("csv", "md", "png", "svg")
    }
    assert {path.name for path in folder.iterdir()} == names
    page = (folder / "again.md").read_text(encoding="utf-8")
    assert "# Depth again: mini-inference, tiny" in page
    assert "](again.png)" in page
    assert " name=again " in page


def test_learning_curves_are_the_evaluations_of_each_run(options: Options) -> None:
    options = replace(options, figure="learning", seeds=(1, 2), methods=("fine-tuning", "p-tuning-v2"))
    for job in fill(options, lambda job: 60.0):
        assert job.folder is not None
        lines = ['{"step": 1, "loss": 2.0, "lr": 1, "train_seconds": 1}\n'] + [
            f'{{"step": {step}, "epoch": {step / 4}, "dev": {{"accuracy": {40 + step + job.seed}}}, "best": true}}\n'
            for step in (2, 4, 6)
        ]
        write_text_whole(job.folder / "metrics.jsonl", "".join(lines))
    assert reproduce_figure("learning", options) == 0
    rows = table(options, "learning-mini-inference-tiny.csv")
    own = [(row["x"], row["value"]) for row in rows if (row["series"], row["seed"]) == ("p-tuning-v2", "2")]
    assert own == [("0.5", "44.0"), ("1", "46.0"), ("1.5", "48.0")]
    assert {row["series"] for row in rows} == {"fine-tuning", "p-tuning-v2"}
    with pytest.raises(ConfigError, match="expected split=dev"):
        reproduce_figure("learning", replace(options, split="test"))


def test_places_without_a_run_are_named(options: Options, capsys: pytest.CaptureFixture[str]) -> None:
    jobs, _ = list_figure_jobs(read_figure_request("depth", options), options)
    for job in jobs:
        if job.cell.key[1] == "1" and job.seed < 3:
            made_up(job, 60.0 + job.seed)
    assert reproduce_figure("depth", options) == 0
    captured = capsys.readouterr()
    assert "2 seeds" in captured.out
    assert "not drawn" in captured.err
    assert "and 4 more: not run yet" in captured.err


def test_nothing_to_draw_is_said_with_the_reason(options: Options) -> None:
    with pytest.raises(RunError, match=r"figure depth: no finished run to draw \(not run yet\)"):
        reproduce_figure("depth", options)
    with pytest.raises(RunError, match="no data"):
        reproduce_figure("length", replace(options, task="up_ewt"))


def test_a_comparison_of_one_is_refused_before_anything_is_run(
    options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "execute", lambda *_: pytest.fail("it would train"))
    live = replace(options, figure="head", collect=False, model="minilm")
    with pytest.raises(ConfigError, match=r"only '\[CLS\] and linear' can be run: .*lacks the language-model head"):
        reproduce_figure("head", live)
    with pytest.raises(ConfigError, match=r"only '.*linear' can be run: .*task mini-entities has none"):
        reproduce_figure("head", replace(live, task="mini-entities"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": None}, "expected task=NAME"),
        ({"methods": ("prompt-tuning",)}, "unknown method 'prompt-tuning'"),
        ({"methods": ("fine-tuning",)}, "leaves figure depth no series"),
        ({"overrides": ("prompt.layers=all",)}, "the figure itself varies prompt.layers"),
        ({"overrides": ("figure.x.label=",)}, "x.label"),
        ({"overrides": ("prompt.lenth=3",)}, "did you mean prompt.length"),
        ({"task": "mini"}, "unknown task 'mini'"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_words_that_do_not_fit_are_answered_in_one_line(options: Options, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        reproduce_figure("depth", replace(options, **changes))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_csv_of_another_kind_is_named(options: Options) -> None:
    path = options.results / "figures/depth-mini-inference-tiny.csv"
    write_text_whole(path, "a,b\n1,2\n")
    with pytest.raises(RunError, match=r"depth-mini-inference-tiny\.csv: expected the columns task,model"):
        reproduce_figure("depth", options)
    fill(options, by_series_and_layers)
    reproduce_figure("depth", options)
    path.write_text(path.read_text(encoding="utf-8").replace(",100", ",many").replace(",101", ",many"))
    with pytest.raises(RunError, match=r"tiny\.csv:2: not a point"):
        read_points(path)


def test_a_plan_runs_nothing(
    options: Options, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(figures, "execute", lambda *_: pytest.fail("it would train"))
    assert reproduce_figure("dropout", replace(options, collect=False, plan=True)) == 0
    said = capsys.readouterr().out
    assert "p-tuning-v2 0.5" in said
    assert "15 runs to make" in said
    assert "fine-tuning" not in said
    assert not options.results.exists()
