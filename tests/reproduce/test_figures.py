"""Figures from runs made up on disk: which are found, what is drawn of them, and what the files say."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from ptv2.config.compose import compose
from ptv2.config.paths import conf_dir
from ptv2.errors import ConfigError, RunError
from ptv2.files import write_text_whole
from ptv2.report.points import read_points
from ptv2.reproduce.figure import make as figures
from ptv2.reproduce.figure.make import list_figure_jobs, read_figure_request, reproduce_figure
from ptv2.reproduce.jobs import list_jobs as listing
from ptv2.reproduce.jobs.list_jobs import Job
from ptv2.reproduce.options import Options
from ptv2.run_folders.record import Result, write_result

SMALL = ("data.limit.train=8", "data.limit.dev=4")
Value = Callable[[Job], float]


@pytest.fixture(autouse=True)
def _compose_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal words are composed once: most of the time here would go into Hydra."""
    known = cache(lambda words, config_dir: compose(list(words), config_dir))
    monkeypatch.setattr(listing, "compose", lambda words, config_dir: known(tuple(words), config_dir))


@pytest.fixture
def options(tmp_path: Path) -> Options:
    """A figure of the tiny backbone on the made-up task, from the runs that there are."""
    return Options(
        figure="depth",
        task="mini-inference",
        model="tiny",
        seeds=(1, 2, 3),
        out=str(tmp_path / "runs"),
        results=tmp_path / "results",
        overrides=SMALL,
        collect=True,
    )


def made_up(job: Job, dev: float, **more: Any) -> Result:
    """Write what a finished run of `job` would leave."""
    assert job.folder is not None
    assert job.config is not None
    config = job.config.model_dump(mode="json")
    result = Result(
        name=job.folder.name,
        task=job.config.task.name,
        model=job.config.model.name,
        method=job.config.method,
        seed=job.seed,
        headline="accuracy",
        dev={"accuracy": dev, "loss": 1.0},
        dev_last={"accuracy": dev - 1},
        test={"accuracy": dev - 10},
        best_step=2,
        best_epoch=1.0,
        steps=4,
        steps_planned=4,
        evaluations=2,
        parameters={"trained": 100 + job.seed, "total": 10000, "percent": 1.0},
        data={"fingerprint": "f", "examples": {"train": 8, "dev": 4}, "predicted": {}},
        time={"train": 1.0, "evaluate": 1.0, "total": 2.0, "examples_per_second": 4.0},
        memory={},
        runtime={},
        backbone={"sha256": "b"},
        config=config,
    )
    result = replace(result, **more)
    write_text_whole(job.folder / "config.yaml", yaml.safe_dump({"config": config}))
    write_result(job.folder, result)
    return result


def fill(options: Options, value: Value, *, lines: bool = False, **more: Any) -> list[Job]:
    """Make up the runs of a figure, of its horizontal lines with `lines`; `more` replaces parts of their results."""
    jobs, looked_for = list_figure_jobs(read_figure_request(str(options.figure), options), options)
    for job in [*jobs, *(looked_for if lines else ())]:
        made_up(job, value(job), **more)
    return jobs


def table(options: Options, name: str) -> list[dict[str, str]]:
    with (options.results / "figures" / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


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
    reproduce_figure("depth", replace(options, overrides=(*SMALL, "split=test")))
    rows = table(options, "depth-mini-inference-tiny-test.csv")
    assert {row["split"] for row in rows} == {"test"}
    assert rows[0]["value"] == "51.0"
    with pytest.raises(ConfigError, match=r"split=test-brown: task mini-inference has dev, test$"):
        reproduce_figure("depth", replace(options, overrides=(*SMALL, "split=test-brown")))
    fill(options, by_series_and_layers, test=None)
    with pytest.raises(ConfigError, match=r"split=test: task mini-inference has scores on dev$"):
        reproduce_figure("depth", replace(options, overrides=(*SMALL, "split=test")))
    with pytest.raises(ConfigError, match=r"split=tset: expected dev, test"):
        reproduce_figure("depth", replace(options, overrides=("split=tset",)))


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
        reproduce_figure("learning", replace(options, overrides=("split=test",)))


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


@pytest.fixture
def scale(options: Options, tmp_path: Path) -> Options:
    """Two tasks and two random backbones of different size."""
    (tmp_path / "conf/model").mkdir(parents=True)
    tiny = yaml.safe_load((conf_dir() / "model/tiny.yaml").read_text(encoding="utf-8"))
    (tmp_path / "conf/model/wide.yaml").write_text(yaml.safe_dump({**tiny, "name": "wide"}), encoding="utf-8")
    return replace(
        options,
        figure="scale",
        task="rte,mini-inference",
        model="tiny,wide",
        config_dir=str(tmp_path / "conf"),
        data=data_of(tmp_path),
    )


def data_of(folder: Path) -> Path:
    """A folder of data with a small RTE."""
    path = folder / "data/rte"
    path.mkdir(parents=True)
    for split in ("train", "val"):
        lines = [
            {"premise": f"{split} {i} is so", "hypothesis": f"{i} is", "label": ("entailment", "not_entailment")[i % 2]}
            for i in range(8)
        ]
        (path / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder / "data"


def fill_scale(options: Options, left_out: Callable[[Job], bool] = lambda job: False) -> None:
    """Runs in which p-tuning-v2 is below fine-tuning by 4 points on tiny and 2 on wide, less a tenth of the seed."""
    jobs, _ = list_figure_jobs(read_figure_request("scale", options), options)
    for job in jobs:
        if not left_out(job):
            assert job.config is not None
            wide, prompts = job.config.model.name == "wide", job.config.method == "p-tuning-v2"
            gap = (2 if wide else 4) - job.seed / 10
            sizes = {"trained": 9, "total": 2_000_900 if wide else 500_900, "percent": 1.0, "groups": {"head": 900}}
            made_up(job, 70 + 5 * job.seed - (gap if prompts else 0), parameters=sizes)


def test_the_gap_to_fine_tuning_is_paired_and_stands_at_the_backbones_size(
    scale: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    fill_scale(scale)
    assert reproduce_figure("scale", scale) == 0
    rows = table(scale, "scale-rte+mini-inference-tiny+wide.csv")
    values = {(row["series"], row["model"], row["x"], row["seed"]): float(row["value"]) for row in rows}
    assert values == {
        (task, model, x, str(seed)): pytest.approx(seed / 10 - gap)
        for task in ("rte", "mini-inference")
        for model, x, gap in (("tiny", "0.5", 4), ("wide", "2", 2))
        for seed in (1, 2, 3)
    }
    stem = scale.results / "figures/scale-rte+mini-inference-tiny+wide"
    page = stem.with_suffix(".md").read_text(encoding="utf-8")
    assert "| rte | tiny, 0.5 | -3.8 ± 0.1 | 3 |" in page
    # Table 2 of the paper: 78.3 - 70.4, 89.5 - 86.6, 84.8 - 90.3, 93.1 - 93.1, none of them seen twice
    assert re.search(r"rte: bert-large \+7\.9†, roberta-large \+\d\.\d†, glm-xlarge .*, glm-xxlarge ", page)
    assert "dotted: the paper's published numbers" in page
    assert "not drawn" not in page
    svg = stem.with_suffix(".svg").read_bytes()
    reproduce_figure("scale", scale)
    assert stem.with_suffix(".svg").read_bytes() == svg
    for path in Path(scale.out).glob("*/result.json"):
        path.unlink()
    reproduce_figure("scale", scale)  # from the CSV alone
    assert stem.with_suffix(".svg").read_bytes() == svg
    assert "drawn again from" in capsys.readouterr().err


def test_a_gap_without_fine_tuning_is_named_and_never_drawn(scale: Options) -> None:
    lone = replace(scale, task="mini-inference", methods=("p-tuning-v2",))

    def left_out(job: Job) -> bool:
        method = None if job.config is None else job.config.method
        return method == "fine-tuning" and (job.cell.key[1] == "wide" or job.seed == 3)

    fill_scale(lone, left_out)
    assert reproduce_figure("scale", lone) == 0
    rows = table(lone, "scale-mini-inference-tiny+wide.csv")
    assert [(row["series"], row["model"], row["seed"]) for row in rows] == [
        ("p-tuning-v2", "tiny", "1"),
        ("p-tuning-v2", "tiny", "2"),
    ]
    page = (lone.results / "figures/scale-mini-inference-tiny+wide.md").read_text(encoding="utf-8")
    assert "over 2 seeds" in page
    assert "not drawn, for lack of runs or of fine-tuning: p-tuning-v2 wide" in page
    assert "mean of BoolQ, CB, RTE: bert-large +2.0†" in page


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "tiny,wid"}, "unknown model 'wid'; did you mean wide?"),
        ({"methods": ("fine-tuning",)}, "expected a method to compare with fine-tuning"),
        ({"methods": ("prefix",)}, "unknown method 'prefix'"),
        ({"task": "rte,rte"}, "expected different names"),
        ({"overrides": ("model.path=here",)}, "the figure itself varies the backbone"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_wrong_words_for_a_scale_are_answered_in_one_line(scale: Options, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        reproduce_figure("scale", replace(scale, **changes))
    assert said in str(caught.value)


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
