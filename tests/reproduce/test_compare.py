"""`ptv2 compare` end to end: as many trials for each method, picked by dev, several seeds; it goes on after a kill."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commandline import Command, holder, result_of, run, wait_until, write_sentences
from records import result as finished

from ptv2.config.compose import compose
from ptv2.errors import ConfigError
from ptv2.report.points import read_points
from ptv2.reproduce.compare import make
from ptv2.reproduce.compare.finalists import Finalist, run_finalists
from ptv2.reproduce.compare.options import CompareOptions, read_compare_settings
from ptv2.reproduce.compare.search import Pick, Search, mean_epochs
from ptv2.reproduce.compare.write import format_command, notes_of
from ptv2.reproduce.jobs.execute import JobStatus
from ptv2.reproduce.jobs.list_jobs import Cell, Job
from ptv2.reproduce.table.entries import entries
from ptv2.run_folders.directory import state_of

optuna = pytest.importorskip("optuna", reason="the extra ptv2[optuna] is not installed")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sentences(tmp_path_factory.mktemp("data"), 32, 16, 8)


def words(data: Path, folder: Path, *more: str) -> list[str]:
    start = ["compare", "task=classification", f"data.dir={data}", "model=tiny", f"out={folder}/runs"]
    return [*start, f"results={folder}/results", "+model.config.initializer_range=0.3", *more]


def record(folder: Path) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads((folder / "results" / "compare-classification-tiny.json").read_text())
    return tree


def test_a_comparison_killed_midway_goes_on_and_a_second_run_is_the_same(data: Path, tmp_path: Path) -> None:
    asked = (
        "methods=head-only,p-tuning-v2",
        "budget=2",
        "seeds=1,2",
        "trainer.epochs=4",
        "trainer.checkpoint_minutes=0",
    )
    command = words(data, tmp_path, *asked, "prompt.length=4", f"out={tmp_path}/table.md")
    first = Command(command, tmp_path)
    runs = tmp_path / "runs"

    def second_study_has_begun() -> bool:
        return bool(list(runs.glob("*-p-tuning-v2-*/state-*")))

    assert wait_until(second_study_has_begun, lambda: first.running)
    first.signal(signal.SIGKILL)
    (half,) = runs.glob("*-p-tuning-v2-*")
    pid = holder(half)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert "picked  classification head-only  dev " in first.wait().err
    assert wait_until(lambda: state_of(half) == "interrupted", lambda: True)
    before = {path: path.stat().st_mtime_ns for path in runs.glob("*/result.json")}
    assert len(before) == 2

    done = run(command, tmp_path)
    assert done.code == 0, done.err
    assert "search: 2 trials to make, of 1 method" in done.err
    assert "fixed for all methods, not searched: trainer.epochs=4 prompt.length=4" in done.err
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    tree = record(tmp_path)
    assert [len(search["trials"]) for search in tree["searches"]] == [2, 2]
    for search in tree["searches"]:
        scores = [trial["dev"] for trial in search["trials"]]
        best = search["trials"][scores.index(max(scores))]["settings"]
        assert search["picked"][0] == f"optim.lr={best['optim.lr']:.4g}"
        assert search["space"].keys() <= {"optim.lr", "prompt.reparameterization"}
    results = [result_of(path.parent) for path in runs.glob("*/result.json")]
    assert sorted((result["method"], result["seed"]) for result in results if result["seed"] != 11) == [
        *(("head-only", 1), ("head-only", 2), ("p-tuning-v2", 1), ("p-tuning-v2", 2))
    ]
    written = (tmp_path / "table.md").read_text()
    figures = "results/figures/compare-classification-tiny-shares"
    assert f"({figures}.png)" in written
    beside = (tmp_path / "results" / "compare-classification-tiny.md").read_text()
    assert written == beside.replace("(figures/", "(results/figures/")
    points = read_points(tmp_path / f"{figures}.csv")
    assert sorted((point.series, point.seed, point.value) for point in points) == sorted(
        (result["method"], result["seed"], round(result["test"]["accuracy"], 4))
        for result in results
        if result["seed"] != 11
    )
    assert {point.series: float(point.x) for point in points}["head-only"] < 1
    assert "| classification: accuracy, test | p-tuning-v2 |" in written
    assert str(tmp_path) not in written

    files = sorted(path for path in runs.rglob("*") if path.is_file())
    again = run(command, tmp_path)
    assert (again.code, again.out) == (0, done.out)
    assert "to make" not in again.err
    assert sorted(path for path in runs.rglob("*") if path.is_file()) == files
    assert (tmp_path / "table.md").read_text() == written

    planned = run([*command, "--plan"], tmp_path)
    assert (planned.code, "all are finished" in planned.out) == (0, True)

    records = tmp_path / "results" / "kept"
    assert run(["table", str(runs), "--keep", str(records)], tmp_path).code == 0
    shutil.rmtree(runs)
    from_kept = run([*command, f"kept={records}"], tmp_path)
    assert from_kept.code == 0, from_kept.err
    assert "to make" not in from_kept.err
    assert not list(runs.glob("*/")), "neither trials nor runs were made"
    now = (tmp_path / "table.md").read_text()
    assert "Runs with a record in" in now
    assert now.partition("## Notes")[0] == written.partition("## Notes")[0]
    wider = ["methods=head-only,prompt-tuning,p-tuning-v2" if word == asked[0] else word for word in command]
    planned = run([*wider, f"kept={records}", "--plan"], tmp_path)
    assert "2 trials and 2 runs to make" in planned.out, "those of the method that is new"
    deeper = run(
        [*("budget=3" if word == "budget=2" else word for word in command), f"kept={records}", "--plan"], tmp_path
    )
    assert "6 trials and 4 runs to make" in deeper.out, "a search with fewer trials is not the one that is asked for"


def test_of_several_finalists_the_best_over_all_seeds_is_taken(data: Path, tmp_path: Path) -> None:
    rates = "optim.lr=0.001,0.01,0.1"
    asked = ("methods=head-only", "budget=6", "seeds=1,2", rates, "trainer.epochs=2", "finalists=2")
    planned = run([*words(data, tmp_path, *asked), "--plan"], tmp_path)
    assert "6 trials and 4 runs to make" in planned.out
    together = run([*words(data, tmp_path, *asked[:-1]), "--plan", "fuse=4", "finalists=5"], tmp_path)
    assert "6 trials and 6 runs to make" in together.out, "three settings make three finalists"
    assert "fused: 6 runs in 2 groups of up to 3" in together.out, "one of each finalist; weights are drawn by seed"
    done = run(words(data, tmp_path, *asked), tmp_path)
    assert done.code == 0, done.err
    (search,) = record(tmp_path)["searches"]
    means = {}
    for path in (tmp_path / "runs").glob("*/result.json"):
        result = result_of(path.parent)
        if result["seed"] != 11:
            means.setdefault(result["config"]["optim"]["lr"], []).append(result["dev"]["accuracy"])
    trials = {trial["settings"]["optim.lr"]: trial["dev"] for trial in search["trials"] if trial["dev"] is not None}
    assert sorted(map(len, means.values())) == [2, 2]
    assert set(map(float, trials)) >= set(means)
    assert sum(means[float(search["picked"][0].partition("=")[2])]) == max(map(sum, means.values()))
    (other,) = search["not_taken"]
    assert sorted(other["dev"].values()) == sorted(means[float(other["settings"][0].partition("=")[2])])
    page = (tmp_path / "results" / "compare-classification-tiny.md").read_text()
    assert f"head-only, finalist not taken: {other['settings'][0]}  dev " in page
    assert "the 2 best by dev were run with seeds 1, 2, and the best of them by mean dev was taken" in page
    assert "finalists=2" in page
    assert "same scores chose" not in page  # they are on test
    assert run(words(data, tmp_path, *asked), tmp_path).out == done.out


def test_failed_trials_count_and_are_named(data: Path, tmp_path: Path) -> None:
    fixed = ("trainer.epochs=3", "prompt.length=2", "prompt.reparameterization=none")
    asked = ("methods=p-tuning-v2", "budget=4", "seeds=1,2", "optim.lr=1e30,0.03", *fixed)
    done = run(words(data, tmp_path, *asked), tmp_path)
    assert done.code == 0, done.err
    (search,) = record(tmp_path)["searches"]
    states = [trial["state"] for trial in search["trials"]]
    assert sorted(set(states)) == ["complete", "fail"]
    assert len(states) == 4
    assert search["picked"] == ["optim.lr=0.03"]
    failed = states.count("fail")
    assert f"4 ({failed} failed)" in done.out
    assert done.err.count("  failed: ") == failed
    assert run(words(data, tmp_path, *asked), tmp_path).out == done.out


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["methods=lora,loar"], "unknown method 'loar'"),
        (["methods=multitask-p-tuning-v2"], "known: all, bitfit"),
        (["seeds=3"], "expected two seeds or more"),
        (["seed=1,2"], "expected one whole number"),
        (["budget=0"], "expected a whole number from 1 on"),
        (["method=lora"], "expected methods=NAME,NAME"),
        (["optim.lr=1e-3", "trainer.epochs=1"], "methods=fine-tuning: nothing is left to search"),
        (["trainer.epoch=3"], "trainer.epoch"),
        (["sweep=nothing"], "unknown sweep 'nothing'"),
        (
            ["sweep=compute", "methods=ia3,lora"],
            "methods=ia3: sweep=compute has no space for it; expected some of",
        ),
        (["sweep=paper"], "expected `override /hydra/sweeper: optuna`"),
        (["hydra.launcher.together=3"], "expected fuse=3"),
        (["hydra.sweeper.trials=3"], "expected only hydra/sweeper/pruner="),
        (["seed=3", "data.shots=1,2"], "data.shots changes what is scored"),
        (["data.dir=nowhere"], "no folder nowhere"),
        (["data.folds=3"], "expected data.fold=0 beside it"),
    ],
)
def test_refusals(more: list[str], expected: str, data: Path, tmp_path: Path) -> None:
    done = run(words(data, tmp_path, *more), tmp_path)
    assert (done.code, expected in done.error) == (2, True), done.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("sweep", "fine_tuning", "prompts"),
    [
        ("compute", "optim.lr=tag(log, interval(1e-5, 1e-4)) trainer.epochs=choice(2, 4)", "choice(8, 16, 32)"),
        ("compute-small", "optim.lr=tag(log, interval(5e-5, 5e-4)) trainer.epochs=choice(4, 8)", "choice(8, 16, 32)"),
        (
            "compute-tagging",
            "optim.lr=tag(log, interval(2e-5, 2e-4)) trainer.epochs=choice(4, 8)",
            "choice(16, 32, 64)",
        ),
    ],
)
def test_the_searches_at_equal_compute(sweep: str, fine_tuning: str, prompts: str, data: Path, tmp_path: Path) -> None:
    """Two of them say only what differs from the first."""
    done = run(words(data, tmp_path, "--plan", f"sweep={sweep}", "methods=fine-tuning,p-tuning-v2"), tmp_path)
    assert done.code == 0, done.err
    epochs = "trainer.epochs=choice(4, 8)" if sweep == "compute" else "trainer.epochs=choice(8, 16)"
    lines = {
        method: next(line for line in done.out.splitlines() if f" {method} " in line)
        for method in ("fine-tuning", "p-tuning-v2")
    }
    assert fine_tuning in lines["fine-tuning"]
    assert f"{epochs} prompt.length={prompts}" in lines["p-tuning-v2"]


def search_of(words: tuple[str, ...], **space: str) -> Search:
    """A search without trials on disk; `space` has the names of settings without their section."""
    names = {"lr": "optim.lr", "epochs": "trainer.epochs", "length": "prompt.length"}
    job = Job(Cell(("compare", "made", "p-tuning-v2"), ()), 11, (), compose(["task=mini-inference"]), None, None)
    return Search(job, {names[key]: value for key, value in space.items()}, words, "made", Path("nowhere"), 2)


def test_edges_are_marked_but_for_values_that_the_command_lists() -> None:
    search = search_of(
        ("optim.lr=interval(0.001,0.1)", "trainer.epochs=4,8"),
        lr="interval(0.001,0.1)",
        epochs="4,8",
        length="choice(8,16)",
    )
    tried = [(4.0, {"optim.lr": 0.002, "trainer.epochs": "4", "prompt.length": "8"})]
    tried.append((5.0, {"optim.lr": 0.05, "trainer.epochs": "8", "prompt.length": "16"}))
    trials = [
        optuna.trial.create_trial(params=params, distributions=search.distributions, value=value)
        for value, params in tried
    ]
    edges = Pick(search, tuple(trials)).edges
    assert [(edge.key, edge.which) for edge in edges] == [("optim.lr", "largest"), ("prompt.length", "largest")]


@pytest.mark.parametrize(
    ("epochs", "mean"),
    [("4,8", 6), ("interval(2,8)", 5), ("range(2,9,2)", 5), ("tag(log,interval(1,8))", 7 / math.log(8))],
)
def test_the_plan_counts_the_mean_of_the_epochs(epochs: str, mean: float) -> None:
    assert mean_epochs(search_of((), epochs=epochs)) == pytest.approx(mean)


def made_trials(search: Search, *tried: tuple[str, float]) -> tuple[Any, ...]:
    trials = []
    for number, (rate, value) in enumerate(tried):
        trial = optuna.trial.create_trial(params={"optim.lr": rate}, distributions=search.distributions, value=value)
        trial.number = number
        trials.append(trial)
    return tuple(trials)


def test_of_equal_trials_the_first_is_taken_also_where_its_settings_come_again() -> None:
    search = search_of((), lr="choice(1,2,3)")
    picked = Pick(search, made_trials(search, ("1", 80.0), ("2", 80.0), ("3", 70.0), ("1", 80.0), ("3", 70.0)))
    assert [trial.number for trial in picked.ranked] == [0, 1, 2]
    assert picked.settings == ["optim.lr=1"]


def test_where_no_trial_has_a_score_no_run_is_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    search = search_of((), lr="choice(1,2)")
    failed = optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL)
    monkeypatch.setattr(make, "pick", lambda search: Pick(search, (failed,) * 2))
    assert make._jobs_to_come(search, CompareOptions(seeds=(1, 2))) == []


def test_the_notes_say_where_there_were_fewer_finalists_and_what_chose_them() -> None:
    search = search_of((), lr="choice(1,2,3)")
    options = read_compare_settings(["task=mini-inference", "model=tiny", "finalists=2"])
    request = make.request_of(options)
    picked = Pick(search, made_trials(search, ("1", 80.0), ("2", 70.0)))
    other = Finalist(replace(picked, taken=1), ())

    def notes(trials: int) -> str:
        few = replace(picked, trials=picked.trials[:trials])
        on_dev = replace(entries(request, {p.key: [] for p in request.positions}, 1.0)[0], split="dev")
        return "\n".join(notes_of(request, [on_dev], [few], [other][: trials - 1], options))

    assert "the 2 best by dev were run with seeds 1, 2, 3, and" in notes(2)
    assert "Where scores are on dev, the same scores chose among the finalists" in notes(2)
    assert "the 2 best by dev (fewer where fewer have a score) were run" in notes(1)
    assert "the same scores chose" not in notes(1)


def test_a_search_that_is_not_finished_has_no_finalists() -> None:
    search = replace(search_of((), lr="choice(1,2,3)"), budget=3)
    picked = Pick(search, made_trials(search, ("1", 80.0), ("2", 70.0)))
    assert picked.finalists(2) == [picked]


def test_a_setting_that_fails_with_other_seeds_is_not_taken() -> None:
    search = search_of((), lr="choice(1,2,3)")
    trials = made_trials(search, ("1", 84.0), ("2", 84.4), ("2", 84.4), ("3", 70.0))
    dev = {("optim.lr=1", 1): 82.0, ("optim.lr=1", 2): 83.0, ("optim.lr=2", 1): 84.0, ("optim.lr=2", 2): 56.4}

    def jobs_of(one: Pick) -> list[Job]:
        return [replace(search.job, seed=seed, overrides=tuple(one.settings)) for seed in (1, 2)]

    def run_all(jobs: list[Job]) -> list[JobStatus]:
        scores = [dev[job.overrides[0], job.seed] for job in jobs]
        results = [finished("p-tuning-v2", job.seed, score) for job, score in zip(jobs, scores, strict=True)]
        return [JobStatus(job, "finished", one, "") for job, one in zip(jobs, results, strict=True)]

    (taken,), (other,) = run_finalists([Pick(search, trials)], 2, jobs_of, run_all)
    assert taken.pick.settings == ["optim.lr=1"]
    assert other.dev == {1: 84.0, 2: 56.4}
    assert other.note == "made p-tuning-v2, finalist not taken: optim.lr=2  dev 70.2 ± 19.5 (seeds 1, 2)"


@pytest.mark.parametrize(("state", "code"), [("failed", 1), ("finished", 0)])
def test_only_what_is_taken_can_make_a_comparison_fail(state: Any, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    search = search_of((), lr="choice(1,2)")
    picked = Pick(search, made_trials(search, ("1", 84.0), ("2", 80.0)))
    taken = Finalist(picked, (JobStatus(search.job, state, None, ""),))
    other = Finalist(picked, (JobStatus(search.job, "failed", None, ""),))
    for name, value in (
        ("base_jobs", []),
        ("list_searches", [search]),
        ("fixed_of", []),
        ("make_searches", {}),
        ("pick", picked),
        ("run_finalists", ([taken], [other])),
        ("finish", None),
    ):
        monkeypatch.setattr(make, name, lambda *given, value=value: value)
    assert make.compare(read_compare_settings(["task=mini-inference", "model=tiny", "finalists=2"])) == code


def test_names_are_looked_at_before_optuna_is_imported() -> None:
    with pytest.raises(ConfigError, match="unknown task 'rtee'; did you mean rte"):
        read_compare_settings(["task=rtee"])
    with pytest.raises(ConfigError, match="unknown model 'tinny'; did you mean tiny"):
        read_compare_settings(["task=rte", "model=tinny"])


@pytest.mark.parametrize(
    ("word", "near"), [("bugdet=3", "budget"), ("trainr=smoke", "trainer"), ("+mrgin=1", "margin")]
)
def test_a_word_that_is_none_is_named_with_those_of_the_command(word: str, near: str) -> None:
    with pytest.raises(ConfigError, match=rf"unknown word '\w+'; did you mean {near}\?"):
        read_compare_settings(["task=rte", word])
    words = ["task=rte", "trainer=smoke", "recipe=none", "optim.lr=1"]
    assert read_compare_settings(words).overrides == ("trainer=smoke", "recipe=none", "optim.lr=1")


@pytest.mark.parametrize(("words", "said"), [([], False), (["margin=0.5"], True), (["margin=1"], False)])
def test_the_printed_command_has_a_margin_of_its_own(words: list[str], said: bool) -> None:
    options = read_compare_settings(["task=mini-inference", *words])
    assert (" margin=" in format_command(options)) == said
