"""`ptv2 reproduce` end to end: a small table of one's own, killed midway and run again, is the same table."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from commandline import Command, finish, holder, python, run, wait_until

from ptv2.cli import main
from ptv2.files import write_text_whole
from ptv2.report.kept import compact
from ptv2.run_folders.directory import state_of
from ptv2.run_folders.record import read_result

TABLE = """# A small table of made-up sentences.
title: Made-up sentences
seeds: [1, 2]
methods: [fine-tuning, {name: p-tuning-v2, overrides: [prompt.length=4, optim.lr=0.03]}]
rows: [{name: tiny, overrides: [trainer.epochs=4, trainer.batch_size=2, trainer.checkpoint_minutes=0]}]
columns:
  - {name: made, label: Made, task: made}
  - {name: conll04, split: test}
"""
TASK = """# Made up: told apart by one word.
name: made
shape: classify
source: files
text: [sentence]
sources:
  files:
    files: {train: [train.jsonl], dev: [dev.jsonl]}
"""
TIMES = ("train_seconds", "shared_seconds", "total_seconds", "memory_bytes")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A user's folder: a table, a task and its data."""
    for name, text in (("table/small", TABLE), ("task/made", TASK)):
        path = tmp_path / "conf" / f"{name}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    data = tmp_path / "data" / "made"
    data.mkdir(parents=True)
    for split, count in (("train", 80), ("dev", 20)):
        words = [("bright", "good") if i % 2 else ("dull", "bad") for i in range(count)]
        rows = [
            json.dumps({"sentence": f"the {word} thing {i}", "label": label}) for i, (word, label) in enumerate(words)
        ]
        (data / f"{split}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path


def words(own: Path, out: str, *more: str) -> list[str]:
    start = ["reproduce", "table=small", f"data={own}/data", f"out={own}/{out}", f"results={own}/{out}-results"]
    return [*start, "--config-dir", f"{own}/conf", *more]


def files(own: Path, out: str) -> dict[str, bytes]:
    return {path.suffix: path.read_bytes() for path in (own / f"{out}-results").iterdir()}


def without_times(found: dict[str, bytes]) -> dict[str, Any]:
    """The files without what two runs of the same training differ in."""
    tree = json.loads(found[".json"])
    for number in tree["numbers"]:
        for key in TIMES:
            (number["cost"] or {}).pop(key, None)
    lines = list(csv.DictReader(io.StringIO(found[".csv"].decode())))
    timeless = [{key: value for key, value in line.items() if key not in TIMES} for line in lines]
    cost = r"\d+:\d\d( \+ \d+:\d\d)?( \| | & )\d+ (\||\\)"
    return {".json": tree, ".csv": timeless, **{e: re.sub(cost, "COST", found[e].decode()) for e in (".md", ".tex")}}


def unfinished(out: Path) -> Path | None:
    """A run that has saved a state and no result."""
    begun = [path.parent for path in out.glob("*/state-*.safetensors")]
    return next((folder for folder in begun if not (folder / "result.json").exists()), None)


def test_a_table_killed_midway_and_run_again_is_the_same_table(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for method in (["fine-tuning"], ["p-tuning-v2", "prompt.length=4", "optim.lr=0.03"]):
        for seed in (1, 2):  # the reference, without interruption and without `reproduce`
            trained = ["train", "--config-dir", f"{own}/conf", "task=made", "model=tiny", f"method={method[0]}"]
            trained += [*method[1:], "trainer.epochs=4", "trainer.batch_size=2", f"data.dir={own}/data/made"]
            assert run([*trained, f"out={own}/whole", f"seed={seed}"], own / "streams").code == 0
    assert main(words(own, "whole", "--collect")) == 0
    capsys.readouterr()

    *given, _ = sorted((own / "whole").glob("made-tiny-*"))
    for folder in given:  # the table finds them, wherever they were made
        shutil.copytree(folder, own / "runs" / folder.name)
    first = Command(words(own, "runs"), own / "streams")
    assert wait_until(lambda: unfinished(own / "runs") is not None, lambda: first.running)
    half = unfinished(own / "runs")
    assert half is not None
    first.signal(signal.SIGKILL)
    pid = holder(half)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert "small: 1 run to make" in first.wait().err, "runs that are there are found"
    assert wait_until(lambda: state_of(half) == "interrupted", lambda: True), "its lock went with it"
    assert not (own / "runs-results").exists()

    again = run(words(own, "runs"), own / "streams")
    assert again.code == 0, again.err
    assert json.loads((half / "result.json").read_text())["runtime"]["resumed"] == 1, "what had begun goes on"
    made = files(own, "runs")
    assert without_times(made) == without_times(files(own, "whole"))
    assert "no data" in again.out

    assert main(words(own, "runs")) == 0
    assert "to make" not in capsys.readouterr().err
    assert files(own, "runs") == made, "byte for byte: nothing was run"

    records = own / "records"
    for folder in (own / "whole").glob("made-tiny-*"):
        result = read_result(folder)
        assert result is not None
        write_text_whole(records / "made" / f"{folder.name}.json", compact(result, folder))
    (own / "new-results").mkdir()
    shutil.rmtree(own / "runs")
    one = next((records / "made").glob("*.json"))
    elsewhere = one.rename(own / one.name)
    assert main([*words(own, "new", "--plan"), f"kept={records}"]) == 0
    assert "1 run to make" in capsys.readouterr().out
    elsewhere.rename(one)
    assert main([*words(own, "new"), f"kept={records}"]) == 0
    assert "to make" not in capsys.readouterr().err
    assert not list((own / "new").glob("*/")), "nothing was run or laid out there"
    assert files(own, "new")[".csv"] == files(own, "whole")[".csv"]
    shutil.rmtree(own / "data" / "made")
    assert main([*words(own, "new"), f"kept={records}"]) == 0, "without data"
    assert files(own, "new")[".csv"] == files(own, "whole")[".csv"]
    for folder in ("data", "whole"):
        shutil.rmtree(own / folder)
    (own / "kept-results").mkdir()
    kept = ["table=small", f"records={records}", f"results={own}/kept-results", "--config-dir", f"{own}/conf"]
    assert main(["reproduce", *kept]) == 0
    pages = [found[".md"].decode() for found in (files(own, "kept"), files(own, "whole"))]
    from_records, from_runs = (set(re.sub("no (data|record)", "none", page).splitlines()) for page in pages)
    assert not [line for line in from_runs - from_records if not line.startswith("- none: expected train.txt")]
    assert "Written from kept records of the runs" in pages[0]
    assert "[" in pages[0].partition("## Comparisons")[2], "intervals too, which need what each example adds"


def test_a_wrong_word_is_answered_in_one_line(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(own, "runs", "rows=tinyy")) == 2
    assert capsys.readouterr().err.splitlines() == ["ptv2: error: unknown row 'tinyy'; did you mean tiny? known: tiny"]
    assert main(words(own, "runs", "methods=p-tuning-v2", "optim.lrr=1")) == 2
    assert "optim.lrr" in capsys.readouterr().err


def test_collecting_needs_no_torch_and_says_what_is_missing(own: Path) -> None:
    call = f"main({words(own, 'none', '--collect')!r})"
    code = f"import sys; from ptv2.cli import main; assert {call} == 0; assert 'torch' not in sys.modules"
    done = finish(python("-c", code))
    assert done.code == 0, done.err
    assert "not run yet" in done.out
    assert "no data" in done.out
