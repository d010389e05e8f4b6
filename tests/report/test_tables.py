"""Tables from records written by hand: mean, spread, pairing, marks, and the same bytes every time."""

from __future__ import annotations

import csv
import io
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from records import result
from scipy.stats import ttest_rel

from ptv2.cli import main
from ptv2.report import tables
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


# Settings and notes


def test_settings_are_told() -> None:
    deep = result("p-tuning-v2", 1, 70.0, config={"prompt": {"layers": "last-1", "form": "hidden"}})
    assert cell([deep], "p-tuning-v2")["settings"] == "P 20, lr 0.02, 20 epochs, last-1, hidden, batch 8"
    assert cell([result("fine-tuning", 1, 70.0)], "fine-tuning")["settings"] == "lr 0.0002, 10 epochs"
    # Shallow prompts have no dropout, but may have an MLP.
    prompt = {"dropout": 0.0, "form": "hidden", "reparameterization": "mlp"}
    apart = result("prompt-tuning", 1, 70.0, config={"optim": {"head_lr": 1e-3}, "prompt": prompt})
    assert cell([apart], "prompt-tuning")["settings"] == "P 20, lr 0.005, 10 epochs, mlp, head lr 0.001"
    more = {"prompt": {"positions": "unshifted", "init": "vocabulary", "dropout": 0.0}, "trainer": {"batch_size": 16}}
    far = result("p-tuning-v2", 1, 70.0, config={**more, "model": {"hidden_dropout": 0.2}})
    told = "P 20, lr 0.02, 20 epochs, unshifted, vocabulary init, prompt dropout 0, dropout 0.2, batch 16"
    assert cell([far], "p-tuning-v2")["settings"] == told


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
def test_settings_say_how_long_was_trained(config: dict[str, Any], steps: list[int], planned: int, told: str) -> None:
    runs = [
        result("fine-tuning", seed, 70.0, steps=done, steps_planned=planned, config={"trainer": config})
        for seed, done in enumerate(steps)
    ]
    assert cell(runs, "fine-tuning")["settings"] == f"lr 0.0002, {told}"


def test_half_precision_of_several_processors_is_said() -> None:
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


def test_what_some_runs_lack_is_said() -> None:
    (old, *others) = [result("p-tuning-v2", seed, 70.0) for seed in (1, 2, 3)]
    old = replace(old, dev={"accuracy": 70.0})
    table = tables.rows([old, *others])
    assert cell([old, *others], "p-tuning-v2", "accuracy")["seeds"] == "3"
    assert cell([old, *others], "p-tuning-v2", "extra")["seeds"] == "2"
    assert tables.notes(table) == ["Not every run has extra: the column of seeds counts those that do."]


# Marks and splits


def test_a_model_that_gives_one_answer_is_marked() -> None:
    stuck = result("prompt-tuning", 1, 50.0)
    stuck.data["predicted"] = {"dev": {"yes": 10, "no": 0}}
    line = cell([stuck, result("prompt-tuning", 2, 60.0)], "prompt-tuning")
    assert line["score"] == "55.0 ± 7.1 (one class: 1 of 2)"
    line = cell([stuck, stuck, result("prompt-tuning", 2, 60.0)], "prompt-tuning")  # a copy of its folder
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
