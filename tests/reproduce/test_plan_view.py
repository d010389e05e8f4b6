"""What `--plan` says, and what a run's cost is reckoned from."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from commandline import write_sentences
from records import result

from ptv2.config.compose import compose
from ptv2.config.schema import RunConfig
from ptv2.reproduce.jobs import cost
from ptv2.reproduce.jobs import feasible as memory
from ptv2.reproduce.jobs import show_plan as plan_view
from ptv2.reproduce.jobs.cost import PassCost
from ptv2.reproduce.jobs.list_jobs import Cell, Job, list_jobs
from ptv2.reproduce.jobs.timing import Clock, done, work
from ptv2.reproduce.options import Options

PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
SMALL = ("task=mini-inference", "model=tiny", "trainer.epochs=3", "data.limit.train=100")


def cell(name: str, *words: str) -> Cell:
    return Cell((name,), (*SMALL, *words))


def finish(job: Job, seconds: float) -> None:
    assert job.folder is not None
    job.folder.mkdir(parents=True)
    (job.folder / "config.yaml").touch()
    times = {"train": seconds, "evaluate": 0.0, "total": seconds, "examples_per_second": 1.0}
    (job.folder / "result.json").write_text(json.dumps(asdict(result("p-tuning-v2", job.seed, 80.0, time=times))))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass of 32 examples costs 32 GFLOP, whatever the run is."""
    monkeypatch.setattr(plan_view, "pass_cost", lambda config: PassCost(32, 10, 1000, 3 * memory.GIB, 32 * 10**9))
    monkeypatch.setattr(plan_view, "example_count", lambda config: config.data.limit.get("train") or 1440)


@pytest.mark.usefixtures("counted")
def test_the_plan_lists_runs_operations_memory_and_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = [cell("deep"), cell("tuned", "method=fine-tuning"), Cell(("none",), ("task=conll04", "model=tiny"))]
    jobs = list_jobs(cells, [1, 2], [f"out={tmp_path}"], None)
    finish(jobs[0], 60.0)
    plan_view.show_plan(jobs, Options(table="x"))
    said = capsys.readouterr().out
    lines = {line.split()[0]: " ".join(line.split()) for line in said.splitlines() if line}
    assert "1 finished, 1 to run" in lines["deep"]
    assert "300.00 GFLOP" in lines["deep"], "3 epochs of 100 examples"
    assert lines["deep"].endswith("3.0 GiB 1:00")
    assert lines["tuned"].endswith("3.0 GiB 1:30"), "by its operations, 6 to 4"
    assert "no data: expected train.txt, dev.txt in DIR/conll04 (data=DIR)\n  none\n" in said
    assert lines["3"].startswith("3 runs to make, 900.00 GFLOP at most")
    assert "about 4:00" in lines["3"]


def test_a_plan_of_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = list_jobs([cell("deep"), Cell(("none",), ("task=conll04", "model=tiny"))], [1], [f"out={tmp_path}"], None)
    finish(jobs[0], 60.0)
    plan_view.show_plan(jobs, Options(table="x"))
    said = capsys.readouterr().out
    assert said.endswith("No runs to make: each is finished or cannot be made here.\n")
    assert "no data: expected train.txt, dev.txt in DIR/conll04" in said


@pytest.mark.usefixtures("counted")
def test_the_part_that_tasks_share_counts_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shared = ["method=multitask-p-tuning-v2", "multitask.tasks=[mini-inference,mini-entities]", "multitask.epochs=2"]
    cells = [
        Cell((name,), (f"task={name}", "model=tiny", "trainer.epochs=1", *shared))
        for name in ("mini-inference", "mini-entities")
    ]
    plan_view.show_plan(list_jobs(cells, [1], [f"out={tmp_path}"], None), Options(table="x"))
    text = " ".join(capsys.readouterr().out.split())
    assert "1.44 TFLOP + shared 5.76 TFLOP" in text
    assert f"2 runs to make, {2 * 1.44 + 5.76:.2f} TFLOP at most" in text


@pytest.mark.usefixtures("counted")
def test_jobs_side_by_side_are_done_sooner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = list_jobs([cell("deep")], [1, 2, 3], [f"out={tmp_path}"], None)
    finish(jobs[0], 60.0)
    plan_view.show_plan(jobs, Options(table="x", jobs=2))
    assert "about 1:00" in capsys.readouterr().out


# Time


def test_time_is_learned_from_the_most_alike(tmp_path: Path) -> None:
    deep, other, tuned = (
        list_jobs([made], [1], [f"out={tmp_path}"], None)[0]
        for made in (cell("deep"), cell("other", "prompt.length=5"), cell("tuned", "method=fine-tuning"))
    )
    clock = Clock([(deep, None)])
    assert clock.expected(deep) is None
    assert clock.left([deep], 1) is None
    seconds = {"train": 0.0, "evaluate": 0.0, "examples_per_second": 0.0}
    clock.add(tuned, result("fine-tuning", 1, 0.0, time={**seconds, "total": 90.0}))
    assert clock.expected(deep) == pytest.approx(90 * work(deep) / work(tuned)) == pytest.approx(60)
    clock.add(other, result("p-tuning-v2", 1, 0.0, time={**seconds, "total": 50.0}))
    assert clock.expected(deep) == pytest.approx(50), "of the same method"
    clock.add(deep, result("p-tuning-v2", 1, 0.0, time={**seconds, "total": 40.0}))
    second = replace(deep, seed=2, folder=tmp_path / "second")
    assert clock.expected(second) == pytest.approx(40), "of the same cell"
    assert clock.left([second, tuned], 1) == pytest.approx(130)
    assert clock.left([second, tuned], 1, {second.folder: 30.0}) == pytest.approx(100)
    assert clock.left([second], 1, {second.folder: 300.0}) == pytest.approx(2), "later than expected, and not done"
    assert clock.left([second, tuned], 2) == pytest.approx(90), "the longest of those side by side"


def test_runs_of_other_tables_in_the_same_folder_tell_the_time_too(tmp_path: Path) -> None:
    first, second = (
        list_jobs([made], [1], [f"out={tmp_path}"], None)[0] for made in (cell("a", "prompt.length=5"), cell("b"))
    )
    assert first.config is not None
    finish(first, 30.0)
    assert first.folder is not None
    (first.folder / "config.yaml").write_text(json.dumps({"config": first.config.model_dump(mode="json")}))
    assert Clock([(second, None)]).expected(second) == pytest.approx(30)
    (longer,) = list_jobs([cell("d", "prompt.length=6", "trainer.epochs=20")], [1], [f"out={tmp_path}"], None)
    brief = {"train": 4.0, "evaluate": 1.0, "total": 30.0, "examples_per_second": 1.0}
    clock = Clock([(first, result("p-tuning-v2", 1, 0.0, time=brief))])
    assert clock.expected(longer) == pytest.approx(25 + 5 * work(longer) / work(first)), "a start takes its time once"
    assert work(longer) > work(first)
    (larger,) = list_jobs([cell("c", "model=minilm")], [1], [f"out={tmp_path}"], None)
    assert Clock([(larger, None)]).expected(larger) is None, "another backbone tells nothing"


def test_runs_that_end_now_set_the_pace(tmp_path: Path) -> None:
    first, second, third = (
        list_jobs([made], [1], [f"out={tmp_path}"], None)[0]
        for made in (cell("a", "prompt.length=5"), cell("b"), cell("c", "method=fine-tuning"))
    )
    seconds = {"train": 0.0, "evaluate": 0.0, "examples_per_second": 0.0}
    past = result("p-tuning-v2", 1, 0.0, time={**seconds, "total": 600.0})
    clock = Clock([(first, past), (second, None), (third, None)])
    assert clock.expected(second) == pytest.approx(600)
    clock.add(second, result("p-tuning-v2", 1, 0.0, time={**seconds, "total": 60.0}))
    assert clock.expected(third) == pytest.approx(90), "a tenth of 900, as the run before it"
    assert clock.expected(first) == pytest.approx(60)
    assert clock.expected(second) == pytest.approx(60), "its own runs of now, not the past's"


def test_what_a_run_has_behind_it_does_not_count(tmp_path: Path) -> None:
    (job,) = list_jobs([cell("deep")], [1], [f"out={tmp_path}"], None)
    assert job.folder is not None
    assert done(job) == 0
    job.folder.mkdir()
    lines = [{"step": 4, "loss": 1.0}, {"step": 4, "epoch": 1.0, "dev": {}}, {"step": 8, "epoch": 2.0, "dev": {}}]
    (job.folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert done(job) == pytest.approx(2 / 3)


# Operations and memory


def test_a_pass_is_counted_once_and_as_plan_counts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTV2_CACHE", str(tmp_path))
    config = compose([*SMALL, "trainer.batch_size=4", "task.max_length=32"])
    counted = cost.pass_cost(config)
    assert (counted.rows, counted.parameters > counted.trained) == (4, True)
    more = cost.pass_cost(compose([*SMALL, "trainer.batch_size=8", "task.max_length=32"]))
    assert more.each == pytest.approx(counted.each, rel=0.01), "operations an example"
    of_precision = {name: cost.pass_cost(compose([*SMALL, f"trainer.precision={name}"])).peak for name in PRECISIONS}
    assert of_precision["fp32"] == of_precision["tf32"] != of_precision["bf16"] == of_precision["fp16"]
    monkeypatch.setattr(cost, "_count", lambda config: pytest.fail("counted again"))
    assert cost.pass_cost(config) == counted
    assert cost.example_count(config) == 100
    assert cost.example_count(compose(["task=mini-inference", "model=tiny"])) == 1440


def test_examples_are_counted_anew_where_another_part_of_them_is_dev(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTV2_CACHE", str(tmp_path / "cache"))
    rows = [{"sentence": f"text {number}", "label": number % 2} for number in range(40)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["task=classification", f"data.dir={tmp_path}", "model=tiny"]
    shares = {
        "data.split=0.25": 30,
        "data.split=0.5": 20,
        "data.folds=4 data.fold=0": 30,
        "data.folds=8 data.fold=0": 35,
    }
    assert {share: cost.example_count(compose([*words, *share.split()])) for share in shares} == shares


def test_shots_are_of_each_class() -> None:
    words = ["task=cb", "data.dir=.", "data.source=files", "model=tiny"]
    few, as_many = (compose([*words, more]) for more in ("data.shots=4", "data.limit.train=12"))
    assert work(_job(few)) == work(_job(as_many)) < work(_job(compose([*words, "data.shots=5"])))


def test_a_run_whose_data_were_moved_tells_no_times(tmp_path: Path) -> None:
    """It would count as one of a single token."""
    data = write_sentences(tmp_path / "data")
    words = ["task=classification", "model=tiny", "data.source=files"]
    past, coming = (_job(compose([*words, f"data.dir={folder}"])) for folder in (tmp_path / "moved", data))
    coming = replace(coming, cell=Cell(("another",), ()))
    assert work(past) is None
    clock = Clock([(past, result("p-tuning-v2", 1, 70.0)), (coming, None)])
    assert clock.expected(coming) is None
    (tmp_path / "data").rename(tmp_path / "moved")
    assert work(past) is not None


def _job(config: RunConfig) -> Job:
    return Job(Cell(("cell",), ()), config.seed, (), config, None, None)


@pytest.mark.parametrize(
    ("words", "fits"),
    [
        (["model=tiny", "method=fine-tuning"], True),
        (["model=roberta-large", "method=p-tuning-v2"], True),
        (["model=glm-xxlarge", "method=p-tuning-v2"], False),
        (["model=glm-xxlarge", "method=p-tuning-v2", "model.dtype=bfloat16"], True),
        (["model=glm-xxlarge", "method=fine-tuning", "model.dtype=bfloat16"], False),
    ],
)
def test_large_models_are_refused_by_what_they_need_at_least(
    words: list[str], fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available", lambda device: (24.0 * memory.GIB, "this machine"))
    config = compose(["task=rte", *words])
    said = memory.why_hopeless(config)
    assert (said is None) == fits
    assert said is None or said.startswith("too large: needs at least ")


def test_the_bounds_enclose_the_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PTV2_CACHE", str(tmp_path))
    for method in ("fine-tuning", "p-tuning-v2"):
        config = compose(["task=mini-inference", "model=minilm", f"method={method}", "task.max_length=128"])
        shape = memory.sizes_of(config)
        assert shape is not None
        least, most = memory.bounds(config, shape)
        assert least <= cost.pass_cost(config).peak <= most


def test_between_the_bounds_the_count_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    config: RunConfig = compose(["task=rte", "model=roberta-large", "method=fine-tuning"])
    shape = memory.sizes_of(config)
    assert shape is not None
    least, most = memory.bounds(config, shape)
    middle = (least + most) / 2
    monkeypatch.setattr(memory, "available", lambda device: (middle, "this machine"))
    for peak, fits in ((middle - 1, True), (middle + memory.GIB, False)):
        monkeypatch.setattr(cost, "pass_cost", lambda config, peak=peak: PassCost(1, 1, 1, int(peak), 1))
        said: Any = memory.why_too_large(config)
        assert (said is None) == fits, said
