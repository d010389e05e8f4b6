"""What every command prints fits a terminal of 80 columns, and no control characters go where no terminal is."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import sys
import termios
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import yaml
from commandline import cache_folder, finish, only_run, python, run, train_words, write_sentences
from records import result
from rich.cells import cell_len

from ptv2.run_folders.record import write_result

LONG_TASK, LONG_MODEL = "requests-of-customers", "a-very-long-name-from-the-hub"
TINY = ["task=classification", "data.dir=data", "model=tiny", "trainer.max_steps=1"]
NARROW = {"COLUMNS": "80"}
TABLE = f"""# A small table.
title: Made-up sentences of customers
seeds: [1, 2]
methods: [fine-tuning, prompt-tuning, p-tuning-v2]
rows: [tiny, {{name: {LONG_MODEL}, label: A model with a long name, model: tiny}}]
columns:
  - {{name: requests, label: Requests of customers, task: mini-inference}}
  - {{name: conll04, label: CoNLL04}}
  - {{name: mini-entities, label: Entities}}
"""
SCORES = {"fine-tuning": 85.0, "prompt-tuning": 60.0, "p-tuning-v2": 84.0, "multitask-p-tuning-v2": 84.5}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a table, a run of few steps in `few/`, and in `runs/` records of several tasks and seeds."""
    folder = tmp_path_factory.mktemp("there")
    write_sentences(folder / "data", train=12, dev=8, test=8)
    (folder / "conf" / "table").mkdir(parents=True)
    (folder / "conf" / "table" / "small.yaml").write_text(TABLE, encoding="utf-8")
    done = run(train_words(folder / "data", folder / "few", "trainer.max_steps=1"), folder / "streams")
    assert done.code == 0, done.err
    number = 0
    for task, model in (("mini-entities", "minilm"), (LONG_TASK, LONG_MODEL)):
        for method, score in SCORES.items():
            for seed in (1, 2, 3):
                number += 1
                changes = {"prompt": {"length": 16 + number % 2, "init": "vocabulary"}, "optim": {"lr": 0.01}}
                one = result(method, seed, score + number % 3, test=score - number % 4, config=changes)
                name = f"{task}-{model}-{method}-{number:010x}"
                one = replace(one, name=name, task=task, model=model, data={**one.data, "fingerprint": task})
                (folder / "runs" / name).mkdir(parents=True)
                (folder / "runs" / name / "config.yaml").write_text(yaml.safe_dump({"config": one.config}))
                write_result(folder / "runs" / name, one)
    torn = folder / "runs" / f"{LONG_TASK}-{LONG_MODEL}-prompt-tuning-{number + 1:010x}"
    torn.mkdir()
    (torn / "config.yaml").write_text(yaml.safe_dump({"config": one.config}))
    (torn / "result.json").write_text("{")
    return folder


def widest(text: str) -> str:
    """The longest line; a path that stands alone is left whole, so that it can be copied."""
    return max((line for line in text.splitlines() if len(line.split()) > 1), key=cell_len, default="")


@pytest.mark.parametrize(
    "words",
    [
        ["table"],
        ["table", "--headline"],
        ["table", "--split", "test"],
        ["table", "--task", LONG_TASK, "--headline"],
        ["table", "--task", "mini-entities", "--headline"],
        ["table", "--output", "table.md"],
        ["best", f"task={LONG_TASK}", f"model={LONG_MODEL}"],
        ["best", "task=mini-entities", "model=minilm", "--write", "conf"],
        ["best", "task=classification", "model=tiny", "out=few", "--write", "conf"],
        ["list"],
        ["list", "runs"],
        ["list", "runs", "--out", "few"],
        ["list", "recipes"],
        ["list", "models", "--types"],
        ["report"],
        ["evaluate", "classification-tiny", "--out", "few"],
        ["train", *TINY, "out=few", "optim.lr=0.03"],
        ["train", *TINY, "seed=4", "out=new"],
        ["train", *TINY, "out=new", "seed=5", "prompt.length=600,4", "method=p-tuning-v2,prompt-tuning", "-m"],
        ["plan", "task=classification", "data.dir=data"],
        ["plan", "method=multitask-p-tuning-v2", "trainer.precision=bf16", "--examples", "1000", "--length", "30"],
        ["reproduce", "table=small", "--config-dir", "conf", "data=data", "--plan"],
        ["reproduce", "table=small", "--config-dir", "conf", "data=data", "--collect"],
        ["reproduce", "table=2", "--plan", "rows=bert-large", "columns=boolq,cb"],
        ["reproduce", "figure=depth", "task=mini-entities", "model=tiny", "trainer.max_steps=1", "--plan"],
        *(
            [command, "--help"]
            for command in ("evaluate", "predict", "plan", "analyze", "export", "import", "prepare", "list")
        ),
        *([command, "--help"] for command in ("reproduce", "table", "best", "report")),
        ["--help"],
    ],
    ids=" ".join,
)
def test_output_fits_eighty_columns(words: list[str], there: Path) -> None:
    done = run(words, there / "streams", environment=NARROW, before=partial(os.chdir, there))
    text = "\n".join(line for line in f"{done.out}\n{done.err}".splitlines() if not line.startswith("ptv2: error: "))
    assert text.strip(), done
    assert "Traceback" not in text
    assert cell_len(widest(text)) <= 80, widest(text)


def test_scores_and_what_is_left_out_are_said(there: Path) -> None:
    done = run(["table"], there / "streams", environment=NARROW, before=partial(os.chdir, there))
    narrow, whole = done.out, run(["table"], there / "streams", before=partial(os.chdir, there)).out
    assert len(re.findall(r"\d\d\.\d ± \d", narrow)) == len(re.findall(r"\d\d\.\d ± \d", whole)) > 0
    assert f"\n{LONG_TASK}, {LONG_MODEL}\n" in narrow
    assert "left out: train time; add | less -S or --output table.md for all of it" in narrow
    assert "left out: train" not in whole
    header = whole.splitlines()[0].split()
    assert header[:6] == ["task", "model", "method", "settings", "metric", "score"]
    assert header[-2:] == ["train", "time"]


def on_terminal(*words: str, folder: Path, **environment: str) -> str:
    """What a command writes to a terminal of 80 columns."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        surroundings = {**os.environ, "TERM": "xterm-256color", "PTV2_CACHE": cache_folder(), "OMP_NUM_THREADS": "1"}
        surroundings.pop("COLUMNS", None)
        os.execve(sys.executable, [sys.executable, "-m", "ptv2", *words], surroundings | environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    parts = []
    while True:
        try:
            part = os.read(terminal, 2**16)
        except OSError:  # Linux's word for the end
            break
        if not part:
            break
        parts.append(part)
    os.waitpid(child, 0)
    os.close(terminal)
    return b"".join(parts).decode()


def without_styles(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def test_a_terminal_says_its_own_width(there: Path) -> None:
    shown = without_styles(on_terminal("table", "--headline", folder=there))
    assert "\x1b" not in shown
    assert cell_len(widest(shown)) <= 80
    assert "left out: train time" in shown


def test_an_error_is_folded_on_a_terminal_and_one_line_in_a_pipe(there: Path) -> None:
    words = ("train", "task=classification", "seed=x", "trainer.epochs=0", "trainer.precision=f8", "optim.lr=-1")
    shown = on_terminal(*words, folder=there)
    shown = shown.removeprefix("start      reading settings and data\r\n")
    assert "\x1b" not in shown
    assert 1 < len(shown.splitlines()) < 8
    assert cell_len(widest(shown)) <= 80
    piped = finish(python("-m", "ptv2", *words, COLUMNS="80")).err
    assert " ".join(shown.split()) == " ".join(piped.split())
    assert len(piped.splitlines()) == 1


def test_a_dumb_terminal_gets_lines_alone(there: Path) -> None:
    """As in a log of CI or in an editor."""
    words = train_words(there / "data", Path("dumb"), "trainer.max_steps=2")
    shown = on_terminal(*words, folder=there, TERM="dumb", NO_COLOR="1")
    assert "dev      accuracy" in shown
    assert re.findall(r"[\x00-\x09\x0b-\x1f\x7f]", shown.replace("\r\n", "\n")) == []


def test_no_bar_is_drawn_into_a_pipe(there: Path) -> None:
    """FORCE_COLOR asks for colours only."""
    words = train_words(there / "data", there / "piped", "trainer.max_steps=2")
    for environment in ({"FORCE_COLOR": "1"}, {"TERM": "dumb"}):
        done = finish(python("-m", "ptv2", *words, **environment))
        assert done.code == 0, done.err
        text = without_styles(done.out + done.err)
        assert re.findall(r"[\x00-\x09\x0b-\x1f\x7f]", text) == []
        assert "━" not in text


def test_labels_cannot_command_the_terminal(tmp_path: Path) -> None:
    data = write_sentences(tmp_path / "data", train=12, dev=8, test=8)
    for path in data.iterdir():
        path.write_text(path.read_text().replace('"good"', json.dumps("\x1b]0;title\x07good")), encoding="utf-8")
    done = run(train_words(data, tmp_path / "out", "trainer.max_steps=1"), tmp_path / "streams")
    assert done.code == 0, done.err
    assert "labels: ␛]0;title␇good 50.0 %, bad 50.0 %" in done.err or "bad 50.0 %, ␛]0;title␇good 50.0 %" in done.err
    log = (only_run(tmp_path / "out") / "log.txt").read_text(encoding="utf-8")
    for text in (done.out, done.err, log):
        assert re.findall(r"[\x00-\x09\x0b-\x1f\x7f]", text) == []
