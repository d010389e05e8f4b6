"""Runs are found by the folders that hold them, and by their names, hashes, and the beginnings of both."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptv2.config.compose import compose
from ptv2.errors import RunError
from ptv2.run_folders.directory import RunDirectory, chosen_runs, find_run, find_runs


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Three runs, a folder that is none, and a file."""
    base, out = compose(["model=tiny"]), tmp_path / "runs"
    for seed in (1, 2, 3):
        with RunDirectory(base.model_copy(update={"out": str(out), "seed": seed}), "data", "model").locked():
            pass
    (out / ".sweeps").mkdir()
    (out / "notes.txt").write_text("none")
    return out


def test_runs_are_found_at_and_below_folders(out: Path) -> None:
    runs = find_runs([str(out)])
    assert len(runs) == 3
    assert runs == sorted(runs)
    assert find_runs([str(runs[0]), str(out)]) == runs
    assert find_runs([str(runs[1])]) == [runs[1]]
    assert find_runs([str(out / "nowhere")]) == []
    with pytest.raises(RunError, match=r"notes\.txt: a file; expected a folder with runs"):
        find_runs([str(out / "notes.txt")])


def test_a_run_by_folder_name_and_hash(out: Path) -> None:
    wanted = find_runs([str(out)])[1]
    for name in (str(wanted), wanted.name, wanted.name.rpartition("-")[2]):
        assert find_run(name, str(out)) == wanted


@pytest.fixture
def named(tmp_path: Path) -> Path:
    """Runs with names that begin alike."""
    for name in ("boolq-tiny-p-tuning-v2-04a1", "rte-tiny-p-tuning-v2-04b2", "rte-tiny-p-tuning-v2-77c3", "rte"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.yaml").write_text("{}")
    return tmp_path / "runs"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("boolq", "boolq-tiny-p-tuning-v2-04a1"),
        ("b", "boolq-tiny-p-tuning-v2-04a1"),
        ("04b", "rte-tiny-p-tuning-v2-04b2"),
        ("7", "rte-tiny-p-tuning-v2-77c3"),
        ("rte-tiny-p-tuning-v2-7", "rte-tiny-p-tuning-v2-77c3"),
        ("rte", "rte"),
    ],
)
def test_a_run_by_the_beginning_of_its_name_or_hash(name: str, wanted: str, named: Path) -> None:
    assert find_run(name, str(named)) == find_run(f"{named}/{name}", "elsewhere") == named / wanted
    assert chosen_runs([name], str(named)) == [named / wanted]


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("04", "boolq-tiny-p-tuning-v2-04a1, rte-tiny-p-tuning-v2-04b2"),
        ("rte-", "rte-tiny-p-tuning-v2-04b2, rte-tiny-p-tuning-v2-77c3"),
    ],
)
def test_a_beginning_that_several_runs_have(name: str, listed: str, named: Path) -> None:
    with pytest.raises(RunError, match=f"^'{name}' fits 2 runs; expected more of the name: {listed}$"):
        find_run(name, str(named))


def test_what_begins_no_name(named: Path) -> None:
    for name in ("te-tiny", "", ".", "tiny"):
        with pytest.raises(RunError, match="unknown run"):
            find_run(name, str(named))
    with pytest.raises(RunError, match="looked in elsewhere/"):
        find_run("elsewhere/rte", str(named))


def test_messages_name_a_few_of_many_runs(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"rte-{number:04}").mkdir()
        (tmp_path / f"rte-{number:04}" / "config.yaml").write_text("{}")
    with pytest.raises(RunError, match=r"fits 20 runs; expected more of the name: rte-0000, .*, rte-0007 and 12 more"):
        find_run("rte", str(tmp_path))
    with pytest.raises(RunError, match=r"^unknown run 'nothing'; `ptv2 list runs --out \S+` lists them"):
        find_run("nothing", str(tmp_path))
    with pytest.raises(RunError, match=r"^unknown run 'rte0003'; did you mean rte-0003\? \(looked at 20 runs in "):
        find_run("rte0003", str(tmp_path))


def test_the_words_of_a_command_mean_runs_and_folders_of_runs(out: Path) -> None:
    runs = find_runs([str(out)])
    assert chosen_runs([], str(out)) == runs
    last = runs[-1].name.rpartition("-")[2]
    assert chosen_runs([last, str(runs[0]), last], str(out)) == [runs[-1], runs[0]]
    assert chosen_runs([last, str(out)], str(out)) == [runs[-1], *runs[:-1]]
    with pytest.raises(RunError, match="unknown run 'any'"):
        chosen_runs([last, "any"], str(out))


def test_no_run_of_that_name(out: Path, tmp_path: Path) -> None:
    name = find_runs([str(out)])[0].name
    with pytest.raises(
        RunError, match=rf"^unknown run '{name}x'; did you mean {name}\? known: .* \(looked in {out}/\)$"
    ):
        find_run(f"{name}x", str(out))
    with pytest.raises(RunError, match=r"^unknown run 'any'; known: none \(looked in "):
        find_run("any", str(tmp_path / "nowhere"))


def test_a_name_that_means_several_runs(out: Path) -> None:
    first = find_runs([str(out)])[0]
    digest = first.name.rpartition("-")[2]
    first.rename(out / f"a-{digest}")
    (out / f"b-{digest}").mkdir()
    (out / f"b-{digest}" / "config.yaml").write_text("{}")
    with pytest.raises(RunError, match=rf"'{digest}' fits 2 runs; expected more of the name: a-{digest}, b-{digest}"):
        find_run(digest, str(out))
