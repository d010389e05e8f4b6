"""Tables from records written by hand: mean, spread, pairing, marks, and the same bytes every time."""

from __future__ import annotations

import csv
import io
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import result
from scipy.stats import ttest_rel

from ptv2.cli import main
from ptv2.config.identity import deciding
from ptv2.config.schema import RunConfig
from ptv2.errors import RunError
from ptv2.report import tables
from ptv2.report.ranking import ranked
from ptv2.run_folders.record import Result, read_result, write_result

FINE = {11: 80.0, 12: 82.0, 13: 84.0}
DEEP = {11: 81.0, 12: 85.0, 14: 90.0}


@pytest.fixture
def results() -> list[Result]:
    return [
        *(result("p-tuning-v2", seed, value) for seed, value in DEEP.items()),
        *(result("fine-tuning", seed, value) for seed, value in FINE.items()),
    ]


def by_method(results: list[Result], split: str = "dev") -> dict[str, tables.Row]:
    return {row.method: row for row in tables.rows(results, split)}


def cell(results: list[Result], method: str, metric: str = "accuracy") -> dict[str, str]:
    """A line of the table by its header."""
    lines = [dict(zip(tables.HEADER, line, strict=True)) for line in tables.cells(tables.rows(results))]
    (found,) = [line for line in lines if (line["method"], line["metric"]) == (method, metric)]
    return found


# Numbers


def test_mean_and_spread_over_seeds(results: list[Result]) -> None:
    row = by_method(results)["fine-tuning"]
    assert (row.seeds, row.mean("accuracy"), row.spread("accuracy")) == (3, 82.0, pytest.approx(2.0))
    assert cell(results, "fine-tuning")["score"] == "82.0 ± 2.0"
    assert cell(results, "fine-tuning")["train time"] == "1:42"  # 90 s and the mean of 11, 12 and 13


def test_one_seed_has_no_spread() -> None:
    alone = [result("prompt-tuning", 11, 60.0)]
    assert by_method(alone)["prompt-tuning"].spread("accuracy") is None
    assert cell(alone, "prompt-tuning")["score"] == "60.0"
    assert cell(alone, "prompt-tuning")["seeds"] == "1"
    assert cell(alone, "prompt-tuning")["vs fine-tuning"] == ""


def test_pairs_are_the_seeds_that_both_have(results: list[Result]) -> None:
    rows = by_method(results)
    found = tables.compare_rows(rows["p-tuning-v2"], rows["fine-tuning"], "accuracy")
    assert found.difference == pytest.approx(statistics.fmean([81.0 - 80.0, 85.0 - 82.0]))
    assert found.p == pytest.approx(ttest_rel([81.0, 85.0], [80.0, 82.0]).pvalue)
    line = cell(results, "p-tuning-v2")
    assert (line["vs fine-tuning"], line["p"]) == ("+2.0", f"{found.p:.2f}")
    assert cell(results, "fine-tuning")["vs fine-tuning"] == ""


def test_no_p_without_two_pairs_or_where_all_differences_are_equal(results: list[Result]) -> None:
    rows = by_method([*results, result("prompt-tuning", 11, 70.0)])
    found = tables.compare_rows(rows["prompt-tuning"], rows["fine-tuning"], "accuracy")
    assert (found.difference, found.p) == (-10.0, None)
    shifted = [result("prompt-tuning", seed, value - 1) for seed, value in FINE.items()]
    rows = by_method([*results, *shifted])
    found = tables.compare_rows(rows["prompt-tuning"], rows["fine-tuning"], "accuracy")
    assert (found.difference, found.p) == (-1.0, None)


def test_without_a_common_seed_the_means_are_compared(results: list[Result]) -> None:
    others = [result("prompt-tuning", seed, 70.0) for seed in (1, 2)]
    rows = by_method([*results, *others])
    found = tables.compare_rows(rows["prompt-tuning"], rows["fine-tuning"], "accuracy")
    assert (found.difference, found.p) == (-12.0, None)


def test_every_metric_has_a_line_the_headline_first(results: list[Result]) -> None:
    lines = [line[4] for line in tables.cells(tables.rows(results))]
    assert lines == ["accuracy", "extra"] * 2


def test_methods_come_in_the_order_of_the_paper(results: list[Result]) -> None:
    more = [*results, result("prompt-tuning", 11, 70.0)]
    assert [row.method for row in tables.rows(more)] == ["fine-tuning", "prompt-tuning", "p-tuning-v2"]


# What belongs together


def test_runs_that_differ_in_seed_and_bookkeeping_only_are_one_row() -> None:
    runs = [
        result("p-tuning-v2", 1, 70.0, config={"out": "a", "trainer": {"device": "cpu"}}),
        result("p-tuning-v2", 2, 72.0, config={"out": "b", "trainer": {"checkpoint_minutes": 1.0}}),
    ]
    assert [row.seeds for row in tables.rows(runs)] == [2]
    fine = [result("fine-tuning", seed, 70.0, config={"prompt": {"length": seed}}) for seed in (1, 2)]
    assert [row.seeds for row in tables.rows(fine)] == [2]


CHANGES = [
    *(
        {"seed": 2},
        {"out": "b"},
        {"data": {"workers": 2}},
        {"model": {"path": "elsewhere"}},
        {"model": {"compile": True}},
    ),
    *({"trainer": {"eval_batch_size": 8}}, {"trainer": {"shard": True}}, {"task": {"scale": "small"}}),
    *({"prompt": {"embedding": "published"}}, {"prompt": {"length": 7}}, {"prompt": {"dropout": 0.2}}),
    *({"optim": {"lr": 1e-4}}, {"head": {"dropout": 0.2}}, {"head": {"span_padding": "published"}}),
    *({"model": {"dtype": "bfloat16"}}, {"task": {"text": ["premise"]}}, {"lora": {"rank": 4}}),
]


@given(st.sampled_from(["fine-tuning", "prompt-tuning", "p-tuning-v2"]), st.lists(st.sampled_from(CHANGES), max_size=3))
def test_runs_share_a_row_and_a_setting_of_best_where_the_identity_says_the_same(
    method: str, changes: list[dict[str, Any]]
) -> None:
    backbone = {"name": "tiny", "revision": None, "sha256": "5a"}
    first, second = result(method, 1, 70.0, backbone=backbone), result(method, 1, 70.0, backbone=backbone)
    for change in changes:
        for key, value in change.items():
            inner = {**second.config[key], **value} if isinstance(value, dict) else value
            second = replace(second, config={**second.config, key: inner})
    second = replace(second, seed=second.config["seed"])
    trees = [deciding(RunConfig.model_validate({**run.config, "seed": 0}), "f00", "5a") for run in (first, second)]
    rows = 1 if trees[0] == trees[1] else 2
    assert len(tables.rows([first, second])) == rows
    assert len(ranked([first, second])) == rows


def test_a_run_from_before_a_setting_was_there_belongs_to_those_with_its_default() -> None:
    old = result("p-tuning-v2", 1, 70.0)
    config = {**old.config, "model": {k: v for k, v in old.config["model"].items() if k not in ("dtype", "scale")}}
    config.pop("recipe")
    new = result("p-tuning-v2", 2, 72.0)
    assert [row.seeds for row in tables.rows([replace(old, config=config), new])] == [2]
    other = result("p-tuning-v2", 2, 72.0, config={"model": {"dtype": "bfloat16"}})
    assert [row.seeds for row in tables.rows([replace(old, config=config), other])] == [1, 1]
    with pytest.raises(RunError, match=f"{old.name}: its configuration is not one of this version"):
        tables.rows([replace(old, config={})])


@pytest.mark.parametrize(
    "more",
    [
        {"config": {"optim": {"lr": 1e-4}}},
        {"config": {"prompt": {"length": 7}}},
        {"config": {"trainer": {"epochs": 3}}},
        {"data": {**result("p-tuning-v2", 2, 72.0).data, "fingerprint": "f01"}},
        {"data": {**result("p-tuning-v2", 2, 72.0).data, "examples": {"train": 50, "dev": 10}}},
    ],
    ids=["lr", "length", "epochs", "other data", "fewer examples"],
)
def test_other_settings_or_data_are_another_row(more: dict[str, Any]) -> None:
    runs = [result("p-tuning-v2", 1, 70.0), result("p-tuning-v2", 2, 72.0, **more)]
    assert [row.seeds for row in tables.rows(runs)] == [1, 1]


def test_rows_of_other_data_say_which() -> None:
    """Runs before and after a file was mended have one task's name; their rows must not look alike."""
    data = result("p-tuning-v2", 1, 70.0).data
    mended = {**data, "fingerprint": "0123456789abcdef, 16 shots by 0", "examples": {"train": 50, "dev": 10}}
    hub = {**data, "fingerprint": "some/set@1234"}
    name, count = data["fingerprint"][:6], f"{data['examples']['train']:,}"
    alone = tables.rows([result("p-tuning-v2", 1, 70.0), result("fine-tuning", 1, 70.0)])
    assert tables.tasks_of(alone) == [alone[0].task] * 2
    runs = [result("p-tuning-v2", 1, 70.0), *(result("p-tuning-v2", 1, 72.0, data=other) for other in (mended, hub))]
    assert sorted(line[0] for line in tables.cells(tables.rows(runs)) if line[4] == "accuracy") == sorted(
        f"{alone[0].task} (data {said} examples)"
        for said in (f"{name}, {count}", "012345, 16 shots by 0, 50", f"some/set@1234, {count}")
    )


def test_settings_are_told() -> None:
    deep = result("p-tuning-v2", 1, 70.0, config={"prompt": {"layers": "last-1", "form": "hidden"}})
    assert cell([deep], "p-tuning-v2")["settings"] == "P 20, lr 0.03, 10 epochs, last-1, hidden"
    assert cell([result("fine-tuning", 1, 70.0)], "fine-tuning")["settings"] == "lr 0.0002, 10 epochs"
    # Shallow prompts have no dropout, but may have an MLP.
    prompt = {"dropout": 0.0, "form": "hidden", "reparameterization": "mlp"}
    apart = result("prompt-tuning", 1, 70.0, config={"optim": {"head_lr": 1e-3}, "prompt": prompt})
    assert cell([apart], "prompt-tuning")["settings"] == "P 20, lr 0.005, 10 epochs, mlp, head lr 0.001"
    more = {"prompt": {"positions": "unshifted", "init": "vocabulary", "dropout": 0.0}, "trainer": {"batch_size": 16}}
    far = result("p-tuning-v2", 1, 70.0, config={**more, "model": {"hidden_dropout": 0.2}})
    told = "P 20, lr 0.03, 10 epochs, unshifted, vocabulary init, prompt dropout 0, dropout 0.2, batch 16"
    assert cell([far], "p-tuning-v2")["settings"] == told


def test_rows_that_are_described_alike_say_what_differs() -> None:
    plain, decayed = (
        result("p-tuning-v2", seed, 70.0, config={"optim": {"weight_decay": decay}})
        for seed, decay in ((1, 0.0), (2, 0.01))
    )
    tuned = result("fine-tuning", 1, 80.0, config={"optim": {"weight_decay": 0.01}})
    usual = "P 20, lr 0.03, 10 epochs"
    table = tables.rows([plain, decayed, tuned])
    assert [row.settings for row in table] == [
        "lr 0.0002, 10 epochs",
        f"{usual}, optim.weight_decay 0",
        f"{usual}, optim.weight_decay 0.01",
    ]
    (alone,) = tables.rows([decayed])
    assert alone.settings == usual


@pytest.mark.parametrize(
    ("config", "steps", "planned", "told"),
    [
        ({"epochs": 10}, [20, 20], 20, "10 epochs"),
        ({"epochs": 1}, [2], 2, "1 epoch"),
        ({"epochs": 10, "max_steps": 1}, [1], 1, "1 step"),
        ({"epochs": 10, "max_steps": 15}, [15, 12], 15, "12-15 steps"),
        ({"epochs": 10, "max_steps": 100}, [20], 20, "10 epochs"),
        ({"epochs": 10, "patience": 2}, [6, 10, 20], 20, "3-10 of 10 epochs"),
        ({"epochs": 10, "patience": 2}, [7], 20, "3.5 of 10 epochs"),
        ({"epochs": 10, "patience": 2}, [20, 20], 20, "10 epochs"),
    ],
)
def test_settings_say_how_long_was_trained(
    config: dict[str, Any], steps: list[int], planned: int, told: str, tmp_path: Path
) -> None:
    runs = [
        result("fine-tuning", seed, 70.0, steps=done, steps_planned=planned, config={"trainer": config})
        for seed, done in enumerate(steps)
    ]
    assert cell(runs, "fine-tuning")["settings"] == f"lr 0.0002, {told}"


def test_half_precision_of_several_processors_is_said(results: list[Result]) -> None:
    def made(precision: str, *processors: str) -> list[tables.Row]:
        config = {"trainer": {"precision": precision}}
        runs = [
            result("p-tuning-v2", seed, 70.0, config=config, runtime={"processor": name} if name else {})
            for seed, name in enumerate(processors)
        ]
        return tables.rows(runs)

    (note,) = tables.notes(made("bf16", "Some CPU 3", "GPU H", "GPU H"))
    assert note.startswith("Half precision on 2 kinds of processors, ")
    assert note.endswith(": Some CPU 3; GPU H.")
    assert note in tables.markdown(made("bf16", "Some CPU 3", "GPU H"), "dev")
    assert tables.notes(made("bf16", "GPU H", "GPU H", "")) == []
    for whole in ("fp32", "tf32"):
        assert tables.notes(made(whole, "GPU H", "Some CPU 3")) == []


def test_what_some_runs_lack_is_said(results: list[Result]) -> None:
    (old, *others) = [result("p-tuning-v2", seed, 70.0) for seed in (1, 2, 3)]
    old = replace(old, dev={"accuracy": 70.0})
    table = tables.rows([old, *others])
    assert cell([old, *others], "p-tuning-v2", "accuracy")["seeds"] == "3"
    assert cell([old, *others], "p-tuning-v2", "extra")["seeds"] == "2"
    assert tables.notes(table) == ["Not every run has extra: the column of seeds counts those that do."]


def test_the_baseline_is_on_the_same_data_and_chosen_on_dev() -> None:
    """The setting of fine-tuning that is best on dev, though the other one is luckier on test."""
    steady = [result("fine-tuning", seed, 80.0, test=70.0) for seed in (1, 2)]
    lucky = [result("fine-tuning", seed, 60.0, test=79.0, config={"optim": {"lr": 1e-4}}) for seed in (1, 2)]
    deep = [result("p-tuning-v2", seed, 81.0, test=75.0) for seed in (1, 2)]
    table = tables.rows([*steady, *lucky, *deep], "test")
    (row,) = [row for row in table if row.method == "p-tuning-v2"]
    elsewhere = replace(row, data="other")
    chosen_otherwise = replace(row, headline="mcc")  # other scores chose other checkpoints
    baseline, *others = tables.baselines_of([row, elsewhere, chosen_otherwise, *table])
    assert baseline is not None
    assert baseline.mean("accuracy") == 70.0
    assert others == [baseline if one is row else None for one in (elsewhere, chosen_otherwise, *table)]


# Marks and splits


def test_a_model_that_gives_one_answer_is_marked() -> None:
    stuck = result("prompt-tuning", 1, 50.0)
    stuck.data["predicted"] = {"dev": {"yes": 10, "no": 0}}
    line = cell([stuck, result("prompt-tuning", 2, 60.0)], "prompt-tuning")
    assert line["score"] == "55.0 ± 7.1 (one class: 1 of 2)"


def test_test_scores_are_their_own_table(results: list[Result]) -> None:
    assert tables.rows(results, "test") == []
    tested = result("p-tuning-v2", 15, 70.0, test=65.0)
    (row,) = tables.rows([*results, tested], "test")
    assert row.metrics == {"accuracy": {15: 65.0}}
    assert "optimistic" in tables.footnote("dev")
    assert "test" in tables.footnote("test")


# Forms


def test_markdown_has_a_cell_for_each_column(results: list[Result]) -> None:
    lines = tables.markdown(tables.rows(results), "dev").splitlines()
    body = [line for line in lines if line.startswith("|")]
    assert {line.count("|") for line in body} == {len(tables.HEADER) + 1}
    assert len(body) == 2 + 4
    assert lines[-1] == tables.footnote("dev")


def test_csv_has_a_line_for_each_metric_and_seed(results: list[Result]) -> None:
    lines = list(csv.DictReader(io.StringIO(tables.comma_separated(tables.rows(results), "dev"))))
    assert len(lines) == 2 * 2 * 3
    values = {
        int(line["seed"]): float(line["value"])
        for line in lines
        if (line["method"], line["metric"]) == ("fine-tuning", "accuracy")
    }
    assert values == FINE
    assert {line["split"] for line in lines} == {"dev"}


def test_the_order_of_the_runs_does_not_matter(results: list[Result]) -> None:
    for write in (tables.markdown, tables.comma_separated):
        assert write(tables.rows(results), "dev") == write(tables.rows(results[::-1]), "dev")


# The command


@pytest.fixture
def out(tmp_path: Path, results: list[Result]) -> Path:
    """A folder of finished runs, and one that is not finished."""
    for one in results:
        folder = tmp_path / "runs" / one.name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("{}\n")
        write_result(folder, one)
        assert read_result(folder) == one
    unfinished = tmp_path / "runs" / "made-tiny-p-tuning-v2-unfinished"
    unfinished.mkdir()
    (unfinished / "config.yaml").write_text("{}\n")
    return tmp_path / "runs"


@pytest.mark.parametrize("kind", ["md", "csv"])
def test_a_table_built_twice_is_the_same_file(out: Path, tmp_path: Path, kind: str) -> None:
    files = [tmp_path / f"{n}.{kind}" for n in (1, 2)]
    for file in files:
        assert main(["table", "--out", str(out), "--output", str(file)]) == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    assert b"82.0" in files[0].read_bytes()


def test_the_printed_table(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", "--out", str(out), "--format", "md"]) == 0
    printed = capsys.readouterr().out
    assert printed == tables.markdown(
        tables.rows([read_result(folder) for folder in sorted(out.iterdir()) if read_result(folder)]), "dev"
    )  # type: ignore[misc]
    assert main(["table", str(out / "made-tiny-fine-tuning-0000000011"), "--format", "md"]) == 0
    assert "| 80.0 | 1 |" in capsys.readouterr().out
    assert main(["table", "0000000012", "--out", str(out)]) == 2  # the end of two names


def test_the_headline_alone(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", "--out", str(out), "--headline", "--format", "csv"]) == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {line["metric"] for line in lines} == {"accuracy"}
    assert len(lines) == len(FINE) + len(DEEP)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["made-tiny-fine-tuning-0000000099"],
            "unknown run 'made-tiny-fine-tuning-0000000099'; did you mean made-tiny-fine",
        ),
        (["--task", "other"], "no finished run with dev scores"),
        (["--split", "test"], "no finished run with test scores"),
        (["--output", "table.txt"], "--output table.txt: give --format md, csv or json"),
    ],
)
def test_what_cannot_be_tabled(out: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str) -> None:
    assert main(["table", "--out", str(out), *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ptv2: error: ")
    assert expected in line


def test_a_record_that_cannot_be_read(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = out / "made-tiny-fine-tuning-0000000011" / "result.json"
    for text in ("{", '{"schema": 99}', "[]"):
        path.write_text(text)
        assert main(["table", "--out", str(out)]) == 0
        shown = capsys.readouterr()
        (line,) = shown.err.splitlines()
        assert line.startswith(f"left out: {path.parent}: result.json: "), "the others are shown"
        assert "p-tuning-v2" in shown.out
