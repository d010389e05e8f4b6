"""Kept records: found by the settings of their runs, whole, and with nothing that a table would lack."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from figure_runs import fill

from ptv2.cli import main
from ptv2.config.compose import compose
from ptv2.config.identity import run_name, shared_hash
from ptv2.config.multitask import shared_parts
from ptv2.config.schema import RunConfig
from ptv2.errors import RunError
from ptv2.files import write_text_whole
from ptv2.models.fingerprint import join_hashes
from ptv2.report.kept import as_runs, compact
from ptv2.reproduce.jobs.recorded import RecordedRuns
from ptv2.reproduce.options import Options
from ptv2.run_folders.directory import find_runs
from ptv2.run_folders.record import read_result, write_result

RECORDS = Path(__file__).parents[2] / "results" / "runs"


def test_every_record_here_has_the_name_that_its_settings_give() -> None:
    paths = sorted(RECORDS.glob("*/*.json"))
    assert paths
    for path in paths:
        record = json.loads(path.read_text(encoding="utf-8"))
        config, backbone = RunConfig.model_validate(record["config"]), record["backbone"]
        shared = record["shared"]["name"].rpartition("-")[2] if record["shared"] else None
        model = join_hashes(backbone["sha256"], backbone.get("config_sha256"))
        assert run_name(config, record["data"]["fingerprint"], model, shared) == path.stem


@pytest.fixture
def run(options: Options) -> Path:
    """A finished run with the files that tables read."""
    fill(options, lambda job: 50.0)
    folder, *others = find_runs([options.out])
    for other in others:
        shutil.rmtree(other)
    result = read_result(folder)
    assert result is not None
    write_text_whole(folder / "env.json", json.dumps({"git": "ü+changes"}, indent=1, ensure_ascii=False) + "\n")
    fractions = {"unit": "example", "scores": {"accuracy": [[[1.0, 0.0, 2 / 3, 1.0], [1.0, 1.0, 1.0, 1.0]]]}}
    write_text_whole(folder / "fractions-dev.json", json.dumps(fractions))
    write_text_whole(folder / "predictions-dev.jsonl", '{"text": "private"}\n')
    write_result(folder, result)
    return folder


def keep(run: Path, records: Path) -> Path:
    """The record of a run."""
    result = read_result(run)
    assert result is not None
    path = records / result.task / f"{result.name}.json"
    write_text_whole(path, compact(result, run))
    return path


def test_a_record_gives_back_what_tables_read(run: Path, tmp_path: Path) -> None:
    record = keep(run, tmp_path / "records")
    assert "private" not in record.read_text(encoding="utf-8")
    with as_runs([record]) as folder:
        again = folder / run.name
        assert sorted(path.name for path in again.iterdir() if path.stat().st_size) == [
            "env.json",
            "fractions-dev.json",
            "result.json",
        ]
        for name in ("env.json", "fractions-dev.json"):
            assert (again / name).read_bytes() == (run / name).read_bytes()


def test_a_run_whose_files_were_changed_is_not_kept(run: Path, tmp_path: Path) -> None:
    text = (run / "fractions-dev.json").read_text(encoding="utf-8")
    (run / "fractions-dev.json").write_text(text.replace("0.0", "1.0"), encoding="utf-8")
    with pytest.raises(RunError, match=r"fractions-dev\.json: damaged"):
        keep(run, tmp_path)


def test_a_damaged_record_is_made_from_its_run_again(run: Path, tmp_path: Path) -> None:
    """`ptv2 train` would not write it."""
    record = keep(run, tmp_path / "records")
    record.write_text(record.read_text(encoding="utf-8").replace("50.0", "90.0"), encoding="utf-8")
    with pytest.raises(RunError) as caught, as_runs([record]):
        pass
    why = "damaged result (its checksum is another); `ptv2 table RUNS --keep DIR` makes records from runs"
    assert str(caught.value) == f"{record}: {why}"


def test_a_record_writes_nowhere_else(run: Path, tmp_path: Path) -> None:
    record = keep(run, tmp_path / "records")
    tree = json.loads(record.read_text(encoding="utf-8"))
    for beside in ({"../../stolen.json": {}}, {"fractions-../x.json": {}}, {"artifact.json": {}}):
        record.write_text(json.dumps({**tree, "beside": beside}), encoding="utf-8")
        with pytest.raises(RunError, match="beside the result; expected"), as_runs([record]):
            pass
    for beside in (3, ["env.json"], None):
        record.write_text(json.dumps({**tree, "beside": beside}), encoding="utf-8")
        with pytest.raises(RunError, match="checksum"), as_runs([record]):
            pass


def test_a_finished_run_is_taken_before_its_record(run: Path, tmp_path: Path) -> None:
    result = read_result(run)
    assert result is not None
    config = RunConfig.model_validate(result.config)
    with as_runs([keep(run, tmp_path / "records")]) as out:
        known = RecordedRuns(out)
        known.note(result)
        absent = run.parent / "of-other-data"
        assert known.instead_of(run, config) == run
        assert known.instead_of(absent, config) == absent
        assert known.instead_of(None, config) is None, "no run of these settings"
        (run / "result.json").unlink()
        assert known.instead_of(run, config) == out / run.name


def test_a_shared_part_is_found_by_the_data_of_all_its_tasks(tmp_path: Path) -> None:
    words = ["task=mini-inference", "model=tiny", "method=multitask-p-tuning-v2", f"out={tmp_path}"]
    config = compose([*words, "multitask.tasks=[mini-inference,mini-roles]"])
    data = {"mini-inference": "f1", "mini-roles": "f2"}
    assert set(shared_parts(config)) == set(data)
    folder = tmp_path / run_name(config, "f1", "m", shared_hash(config, data, "m"))
    folder.mkdir()
    (folder / "config.yaml").touch()
    known = RecordedRuns(tmp_path, {name: ["f0", value] for name, value in data.items()}, ["other", "m"])
    assert known.folder(config) == folder
    assert known.folder(config.model_copy(update={"seed": 2})) is None
    assert RecordedRuns(tmp_path, {"mini-inference": ["f1"]}, ["m"]).folder(config) is None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["records=nowhere"], "records: no folder nowhere"),
        (["records=empty"], "records: no records in empty; expected empty/TASK/NAME.json"),
        (["records=kept"], "figure length: no finished run to draw (no record)"),
        (["figure=learning", "records=kept"], "figure=learning shows every evaluation, and records have only"),
        (["figure=learning", "kept=kept"], "figure=learning shows every evaluation, and records have only"),
        (["kept=empty"], "records: no records in empty; expected empty/TASK/NAME.json"),
        (["kept=nowhere"], "kept: no folder nowhere"),
    ],
)
def test_where_there_are_no_records(
    words: list[str],
    expected: str,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    keep(run, tmp_path / "kept")
    figure = [] if words[0].startswith("figure=") else ["figure=length"]
    assert main(["reproduce", *figure, "task=mini-inference", "model=tiny", *words]) != 0
    assert expected in capsys.readouterr().err


def test_a_comparison_needs_its_searches_too(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    keep(run, tmp_path / "kept")
    words = ["compare", "task=mini-inference", "model=tiny", "records=kept"]
    assert main(words) != 0
    assert "no compare-mini-inference-tiny.json, which has the trials" in capsys.readouterr().err
    (tmp_path / "compare-mini-inference-tiny.json").write_text('{"searches": []}', encoding="utf-8")
    assert main(words) != 0
    assert "compare-mini-inference-tiny.json: damaged, or of another comparison" in capsys.readouterr().err


@pytest.mark.parametrize("idle", ["data=.", "out=mine", "jobs=2", "fuse=2", "kept=.", "--plan", "--anyway"])
@pytest.mark.parametrize("command", ["reproduce figure=length task=mini-inference", "compare task=mini-inference"])
def test_what_makes_runs_is_refused_beside_records(
    command: str, idle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*command.split(), "model=tiny", "records=.", idle]) == 2
    expected = idle if idle.startswith("--") else f"{idle.partition('=')[0]}="
    assert f"records=: nothing is run from records; expected no {expected}" in capsys.readouterr().err
