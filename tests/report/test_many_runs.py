"""What looks at thousands of runs reads equal settings once; it must say the same as for each run alone."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from records import result
from rich.text import Text

from ptv2.cli import main
from ptv2.config.identity import same_but_seed
from ptv2.console import columns
from ptv2.report.html.shown import mark_copies, read_shown
from ptv2.report.tables import same_settings
from ptv2.report.usable import distinct_results, usable_results
from ptv2.run_folders.directory import find_runs
from ptv2.run_folders.record import Result, read_result, write_result


def write(out: Path, one: Result, **changes: object) -> None:
    folder = out / one.name
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("{}")
    (folder / "result.json").write_text(json.dumps(asdict(one) | changes))


def test_shared_records_are_those_on_disk(tmp_path: Path) -> None:
    for seed in range(4):
        one = result("p-tuning-v2", seed, 70.0 + seed, config={"optim": {"lr": [1, 1.0, 0.5, 0.5][seed]}})
        write(tmp_path, one)
    results, faults = usable_results(find_runs([str(tmp_path)]))
    assert not faults
    alone = [read_result(tmp_path / one.name) for one in results]
    assert json.dumps(list(map(asdict, results))) == json.dumps([asdict(one) for one in alone if one])
    assert results[2].config["optim"] is results[3].config["optim"]
    assert [[run.seed for run in group] for group in same_settings(results)] == [[0, 1], [2, 3]]


@pytest.mark.parametrize("seed", [-1, 2**32, "one", None, 1.5])
def test_a_run_whose_settings_have_no_valid_seed_is_left_out(seed: object, tmp_path: Path) -> None:
    """Though its other settings are those of a run that was read before."""
    sound, other = result("p-tuning-v2", 1, 70.0), result("p-tuning-v2", 2, 70.0)
    write(tmp_path, sound)
    write(tmp_path, other, config=other.config | {"seed": seed})
    results, faults = usable_results(find_runs([str(tmp_path)]))
    assert [one.name for one in results] == [sound.name]
    assert [fault.reason for fault in faults] == ["its configuration is not one of this version of ptv2"]


def test_equal_settings_are_compared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(30):
        write(tmp_path, result("p-tuning-v2", seed, 70.0, config={"optim": {"lr": 0.123 + seed % 2}}))
    calls = []

    def count(*words: object) -> str:
        calls.append(words)
        return same_but_seed(*words)  # type: ignore[arg-type]

    monkeypatch.setattr("ptv2.report.tables.same_but_seed", count)
    results, _ = usable_results(find_runs([str(tmp_path)]))
    assert len(same_settings(results)) == 2
    assert len(calls) == 2


def test_a_table_of_many_rows_measures_each_cell_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def count(text: Text) -> int:
        calls.append(text)
        return len(text.plain)

    monkeypatch.setattr(columns, "_width", count)
    rows = [(f"run {number}", "finished") for number in range(500)]
    lines, lacks = columns.lay_out(columns.Table([columns.Column("run"), columns.Column("state")], rows), None)
    assert (len(lines), lacks) == (501, "")
    assert lines[10].plain == "run 9    finished"
    assert len(calls) < 10 * 1000


def test_a_copy_of_a_run_counts_once(tmp_path: Path) -> None:
    """Also where it has another name, or lies in another folder that the words name."""
    one = result("p-tuning-v2", 1, 70.0)
    for folder, run in (("a/x", one), ("b/renamed", one), ("b/x", one), ("c/x", result("p-tuning-v2", 1, 60.0))):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "config.yaml").touch()
        write_result(tmp_path / folder, run)
    every = [tmp_path / folder for folder in ("a/x", "b/renamed", "b/x", "c/x")]
    results, faults = distinct_results(every)
    assert list(results) == [every[0]]
    assert [(fault.folder, fault.reason) for fault in faults] == [
        (every[3], f"the run of {every[0]} again, with other scores")
    ]
    assert main(["table", str(tmp_path / "b"), "--keep", str(tmp_path / "kept")]) == 0
    assert [path.stem for path in tmp_path.glob("kept/*/*.json")] == [one.name]


def test_an_unfinished_copy_hides_no_finished_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "x").mkdir(parents=True)
        (tmp_path / name / "x" / "config.yaml").touch()
    write_result(tmp_path / "a" / "x", result("p-tuning-v2", 1, 70.0))
    assert main(["table", str(tmp_path / "a"), str(tmp_path / "b"), "--headline"]) == 0
    assert "70.0" in capsys.readouterr().out


def test_the_page_of_runs_counts_a_copy_once_too(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").touch()
        write_result(tmp_path / name, result("p-tuning-v2", 1, 70.0))
    shown = mark_copies([read_shown(tmp_path / name, 10) for name in ("a", "b")])
    assert [(run.state, run.message.rpartition("/")[2]) for run in shown] == [
        ("finished", ""),
        ("left out", "the run of a again"),
    ]
