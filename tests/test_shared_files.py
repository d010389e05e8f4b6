"""What people share of their runs says nothing of who made them: no folder, user or host."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
from functools import partial
from pathlib import Path

import pytest
from commandline import Done, result_of, run, write_backbone, write_sentences

USER, HOST, FOLDER = "qq-user-qq", "qq-host-qq", "qq-folder-qq"
# What a run needs to be trained and evaluated again here; it has the folders of its data and weights.
FOR_ITSELF = ("config.yaml", "multirun.yaml")
TABLE = """
title: Ours
number: null
seeds: [1]
methods: [fine-tuning, p-tuning-v2]
rows:
  - {name: tiny}
columns:
  - {name: classification, split: dev}
"""


def as_somebody(home: Path) -> None:
    """Called in the command's process: another user on another host, in a folder of theirs."""
    os.chdir(home)
    os.environ.update(HOME=str(home), USER=USER, LOGNAME=USER, HOSTNAME=HOST)
    platform.node = socket.gethostname = lambda: HOST


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that somebody made with ptv2, with absolute paths wherever they can be given."""
    root = tmp_path_factory.mktemp("shared") / FOLDER
    home = root / USER
    home.mkdir(parents=True)
    data, base = write_sentences(root / "data"), write_backbone(root / "models" / "my bert")
    out = root / "runs"

    def ptv2(*words: str, code: int = 0) -> Done:
        done = run(list(words), root.parent / "streams", before=partial(as_somebody, home))
        assert done.code == code, done.err
        return done

    settings = ["task=classification", f"data.dir={data}", f"model.path={base}", f"out={out}"]
    steps = ["trainer.max_steps=3", "trainer.batch_size=8"]
    ptv2("train", *settings, *steps, "method=p-tuning-v2,fine-tuning", "-m")
    ptv2("train", *settings, *steps, "optim.lr=1e20", "seed=9", code=1)
    broken = shutil.copytree(data, root / "broken")
    (broken / "dev.jsonl").write_text('{"sentence": "a text", "label": "no such"}\n')
    ptv2("train", *settings, *steps, f"data.dir={broken}", code=2)
    made = root / "made"
    for ending in ("md", "csv"):
        ptv2("table", "--out", str(out), "--output", str(made / f"table.{ending}"))
    ptv2("report", "--out", str(out), "--output", str(made / "report.html"))
    (trained,) = out.glob("*-p-tuning-v2-*/artifact")
    ptv2("export", str(trained.parent), "--to", "peft", "--output", str(made / "adapter"))
    ptv2("import", str(made / "adapter"), *settings, f"out={made / 'imported'}")
    ptv2("predict", str(trained.parent), "--input", str(data / "test.jsonl"), "--output", str(made / "labels.jsonl"))
    ptv2("analyze", str(trained.parent), "--only", "vocabulary", "--output", str(made / "analysis"))
    own = root / "own"
    (own / "table").mkdir(parents=True)
    (own / "table" / "ours.yaml").write_text(TABLE)
    where = [f"data={data}", f"model.path={base}", f"out={out}", f"results={made / 'results'}", *steps]
    ptv2("reproduce", "table=ours", "--config-dir", str(own), "--collect", *where)
    return root


def test_files_that_are_shared_say_nothing_of_their_maker(home: Path) -> None:
    files = [path for folder in ("runs", "made") for path in (home / folder).rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"result.json", "status.json", "log.txt", "report.html", "table.md", "README.md", "ours-my bert.md"} <= names
    for path in files:
        if path.name not in FOR_ITSELF:
            content = path.read_bytes()
            for word in (USER, HOST, FOLDER, str(Path.home())):
                assert word.encode() not in content, path


def test_and_still_say_what_was_used(home: Path) -> None:
    (trained,) = (home / "runs").glob("*-fine-tuning-*/result.json")
    result = result_of(trained.parent)
    assert result["backbone"]["name"] == "my bert"
    assert len(result["backbone"]["sha256"]) == 64
    assert result["data"]["source"]["train"] == "train.jsonl"
    config = json.loads((home / "made" / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "my bert"
