"""scripts/write_results.py: records make the tables that their runs make, byte for byte, or say why not."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))
from records import result

from ptv2.cli import main
from ptv2.report import tables
from ptv2.report.points import comma_separated, point_of
from ptv2.report.shares import shares_of
from ptv2.report.usable import usable_results
from ptv2.reproduce.figure.scale import recorded_gaps
from ptv2.run_folders.directory import find_runs
from ptv2.run_folders.record import Result, write_result

REPOSITORY = Path(__file__).parents[2]
NOTE = "examples that also stand in train, word for word: 3 of dev"


def write_pages(records: Path | str, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(REPOSITORY / "scripts" / "write_results.py"), "--records", str(records)]
    environment = {**os.environ, **more}
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=cwd, env=environment)


def keep_records(runs: Path, records: Path) -> int:
    """Keep the records of runs as their user does."""
    return main(["table", str(runs), "--keep", str(records)])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "runs"
    for method, score in (("fine-tuning", 80.0), ("p-tuning-v2", 78.5)):
        for seed in (1, 2, 3):
            made = result(method, seed, score + seed, test=score - seed / 3)
            made.data["overview"] = {"notes": [NOTE], "splits": {"train": {"labels": {"yes": 5}}}}
            made.data["labels"] = {"train": {"yes": 50, "no": 50}}
            made.parts["dev"] = {"yes": {"f1": 70.0}}
            (folder / made.name).mkdir(parents=True)
            (folder / made.name / "config.yaml").touch()
            (folder / made.name / "predictions-dev.jsonl").write_text('{"text": "private"}\n', encoding="utf-8")
            write_result(folder / made.name, made)
    return folder


def test_records_make_the_tables_of_their_runs(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = tmp_path / "records"
    assert keep_records(runs, records) == 0
    assert "6 records in" in capsys.readouterr().err
    done = write_pages(records)
    assert done.returncode == 0, done.stderr
    page = (records / "made.md").read_bytes()
    results, _ = usable_results(find_runs([str(runs)]))
    for split in ("dev", "test"):
        assert tables.markdown(tables.rows(results, split), split).rstrip("\n") in page.decode()
    for path in runs.glob("*/result.json"):
        record = records / "made" / f"{path.parent.name}.json"
        assert record.stat().st_size < path.stat().st_size
        assert "private" not in record.read_text(encoding="utf-8")
        assert json.loads(record.read_text(encoding="utf-8"))["data"]["overview"] == {"notes": [NOTE]}


def test_a_table_of_records_is_that_of_their_runs(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keep_records(runs, tmp_path) == 0
    of_runs = capsys.readouterr().out
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "damaged.json").write_text("{", encoding="utf-8")
    assert main(["table", "--records", str(tmp_path), "--task", "made"]) == 0  # no other record is read
    assert capsys.readouterr().out == of_runs
    assert main(["table", "--records", str(tmp_path)]) == 2
    assert "other/damaged.json: " in capsys.readouterr().err
    assert main(["table", "--records", str(tmp_path), str(runs)]) == 2
    assert "--records: read in the place of runs; expected no runs" in capsys.readouterr().err
    assert main(["table", "--records", str(runs)]) == 2
    assert ": a run; expected a folder of records, as ptv2 table --keep makes it" in capsys.readouterr().err
    assert main(["table", "--records", str(tmp_path / "made")]) == 2
    assert f"no finished run with dev scores in {tmp_path / 'made'}" in capsys.readouterr().err


def test_only_the_runs_of_the_table_are_kept(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", str(runs), "--task", "other", "--keep", str(tmp_path / "records")]) != 0
    assert "record" not in capsys.readouterr().err.replace(str(tmp_path), "")
    assert main(["table", str(runs / "missing"), "--keep", str(tmp_path / "records")]) != 0
    assert not (tmp_path / "records").exists()
    (tmp_path / "file").touch()
    assert main(["table", str(runs), "--keep", str(tmp_path / "file")]) == 2
    assert "is a file; expected a folder" in capsys.readouterr().err


def test_backbones_on_the_same_examples_are_in_the_figure_of_scale(tmp_path: Path) -> None:
    """Without the seed that chose the settings, and without runs that try changes of them."""
    gaps = {"small": (22_000_000, 100, -6.0), "large": (109_000_000, 100, -1.5), "elsewhere": (330_000_000, 500, 0.0)}
    for model, (size, examples, gap) in gaps.items():
        for method, score in (("fine-tuning", 80.0), ("p-tuning-v2", 80.0 + gap)):
            for seed in (1, 2, 11):
                made = result(method, seed, score + seed, model=model, name=f"made-{model}-{method}-{seed}")
                made.parameters["total"] = size
                made.data["examples"]["train"] = examples
                (tmp_path / "runs" / made.name).mkdir(parents=True)
                (tmp_path / "runs" / made.name / "config.yaml").touch()
                write_result(tmp_path / "runs" / made.name, made)
    (tmp_path / "figures").mkdir()
    for seed, study in ((1, "changes"), (2, "batches"), (3, "changes")):  # more than of the others
        made = result(
            "p-tuning-v2", seed, 99.0, model="small", name=f"made-changed-{seed}", config={"optim": {"lr": 0.5}}
        )
        (tmp_path / "runs" / made.name).mkdir()
        (tmp_path / "runs" / made.name / "config.yaml").touch()
        write_result(tmp_path / "runs" / made.name, made)
        points = [point_of(made, "p-tuning-v2", "rate 0.5", 99.0, "dev")]
        (tmp_path / "figures" / f"{study}-made-{seed}.csv").write_text(comma_separated(points), encoding="utf-8")
    both = [
        point_of(result("p-tuning-v2", 1, 75.0, model="small", name="made-small-p-tuning-v2-1"), "", "10", 75.0, "dev")
    ]
    (tmp_path / "figures" / "epochs-made.csv").write_text(comma_separated(both), encoding="utf-8")
    of_table = {"numbers": [{"runs": ["made-small-p-tuning-v2-1"]}]}
    (tmp_path / "table9-small.json").write_text(json.dumps(of_table), encoding="utf-8")
    comparison = {"trial_seed": 11, "searches": [{"task": "made", "method": "fine-tuning"}]}
    (tmp_path / "compare-made-small.json").write_text(json.dumps(comparison), encoding="utf-8")
    assert keep_records(tmp_path / "runs", tmp_path / "records") == 0
    done = write_pages(tmp_path / "records")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "records" / "scale.csv").read_text(encoding="utf-8")
    lines = list(csv.DictReader(text.splitlines()))
    drawn = {(line["model"], line["x"], line["seed"], float(line["value"])) for line in lines}
    assert drawn == {(m, x, s, g) for m, x, g in (("small", "22", -6.0), ("large", "109", -1.5)) for s in "12"}
    picture = (tmp_path / "records" / "scale.svg").read_text(encoding="utf-8")
    assert "Gap to fine-tuning" in picture
    assert "not drawn" not in picture


def test_a_task_of_one_backbone_is_in_the_figure_of_scale() -> None:
    results = [
        result(method, seed, score, model=model, task=task, name=f"{task}-{model}-{method}-{seed}")
        for task, models in {"made": ("small", "large"), "other": ("large",)}.items()
        for model in models
        for method, score in (("fine-tuning", 80.0), ("p-tuning-v2", 70.0))
        for seed in (1, 2)
    ]
    gaps, points = recorded_gaps(results, "p-tuning-v2")
    assert gaps.tasks == ("made", "other")
    assert {(point.task, point.model) for point in points} == {("made", "small"), ("made", "large"), ("other", "large")}


def on_other_data() -> list[Result]:
    """Two backbones on the same examples, and twice as many of their seeds on others."""
    made = []
    for fingerprint, gap, seeds in (("f00, 16 shots by 1", -6.0, (1, 2)), ("f00, 16 shots by 2", -1.0, (1, 2, 3, 4))):
        for model, size in (("small", 22_000_000), ("large", 109_000_000)):
            for method, score in (("fine-tuning", 80.0), ("p-tuning-v2", 80.0 + gap)):
                for seed in seeds:
                    name = f"{model}-{method}-{seed}-{fingerprint[-1]}"
                    one = result(method, seed, score, model=model, name=name)
                    one.parameters["total"] = size
                    one.data["fingerprint"] = fingerprint
                    made.append(one)
    return made


def test_a_line_over_sizes_of_backbones_mixes_no_data() -> None:
    results = on_other_data()
    _, points = recorded_gaps(results, "p-tuning-v2")
    assert {(point.model, point.value) for point in points} == {("small", -6.0), ("large", -6.0)}
    for one in results:
        if one.data["fingerprint"].endswith("2"):
            one.data["examples"]["train"] = 200
    _, points = recorded_gaps(results, "p-tuning-v2")
    assert {(point.model, point.value) for point in points} == {("small", -1.0), ("large", -1.0)}


def test_data_with_as_many_examples_have_panels_of_their_own() -> None:
    panels = {title: len(points) for title, points in shares_of(on_other_data()).items()}
    assert panels == {
        "made, small, 100 examples": 4,
        "made (data f00, 16 shots by 2, 100 examples), small": 8,
        "made, large, 100 examples": 4,
        "made (data f00, 16 shots by 2, 100 examples), large": 8,
    }


def test_a_changed_or_misplaced_record_is_named(runs: Path, tmp_path: Path) -> None:
    assert keep_records(runs, tmp_path) == 0
    path = sorted((tmp_path / "made").glob("*.json"))[0]
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"accuracy":81.0', '"accuracy":91.0'), encoding="utf-8")
    done = write_pages(tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {path}: ")
    assert "checksum" in done.stderr
    path.write_text(text, encoding="utf-8")
    path.rename(path.with_stem("other"))
    done = write_pages(tmp_path)
    assert done.returncode == 2
    assert "expected its own name" in done.stderr


def test_the_pages_here_are_those_of_the_records_here(tmp_path: Path) -> None:
    """Every table and figure whose command stands in commands.txt, and the pages of the records, byte for byte.

    Whether the hub can be asked changes nothing.
    """
    committed = REPOSITORY / "results"
    shutil.copytree(committed / "runs", tmp_path / "results" / "runs", ignore=made)
    (tmp_path / "results" / "figures").mkdir()
    for pattern in ("compare-*.json", "figures/*.csv"):
        for path in committed.glob(pattern):
            shutil.copy(path, tmp_path / "results" / path.relative_to(committed))
    done = write_pages("results/runs", cwd=tmp_path, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    written = [line.strip() for line in done.stdout.splitlines() if line.startswith("results/")]
    drawn_alike = f"matplotlib=={version('matplotlib')}" in (REPOSITORY / "constraints.txt").read_text().split()
    endings = {".md", ".csv", ".tex", ".json"} | ({".svg"} if drawn_alike else set())  # another version: other bytes
    compared = [name for name in written if Path(name).suffix in endings]
    for name in compared:
        assert (tmp_path / name).read_bytes() == (REPOSITORY / name).read_bytes(), name
    pages = [name for name in compared if name.endswith(".md")]
    of_records = {path.relative_to(REPOSITORY).as_posix() for path in committed.glob("runs/*.md")}
    assert of_records <= set(pages)
    commands = (committed / "runs" / "commands.txt").read_text(encoding="utf-8").splitlines()
    assert len(set(pages) - of_records) == sum(not line.startswith("#") for line in commands)
    some = ("table2-minilm.json", "compare-sst2-minilm.md", "figures/epochs-sick-minilm.csv", "runs/shares.csv")
    assert {f"results/{name}" for name in some} <= set(compared)


def made(folder: str, names: list[str]) -> set[str]:
    """What `make results` makes in the folder of the records, which is not copied."""
    return {name for name in names if Path(folder).name == "runs" and "." in name and name != "commands.txt"}


def test_every_score_of_the_comparison_stands_in_a_record() -> None:
    recorded = set()
    for path in REPOSITORY.glob("results/runs/*/*.json"):
        run = json.loads(path.read_text(encoding="utf-8"))
        scores = {"dev": run["dev"], "test": run["test"] or {}, **run["tests"]}
        recorded |= {
            (run["task"], run["method"], split, metric, run["seed"], round(value, 4))
            for split, values in scores.items()
            for metric, value in values.items()
        }
    tables = list(REPOSITORY.glob("results/compare-*.csv"))
    assert tables
    for table in tables:
        for line in csv.DictReader(table.read_text(encoding="utf-8").splitlines()):
            for word in line["values"].split():
                seed, _, value = word.partition(":")
                key = (line["task"], line["method"], line["split"], line["metric"], int(seed), float(value))
                assert key in recorded, key
