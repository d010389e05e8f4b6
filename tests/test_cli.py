"""The real command line: what it costs to ask, and what wrong input is answered with.

Questions that need no torch are asked of `python -m ptv2`; those that do, of processes forked after the import.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commandline import finish, python, run
from questions import ENVIRONMENT, MY_TASK, good, ptv2, write

from ptv2 import __version__
from ptv2.cli import COMMANDS
from ptv2.models.families import FAMILIES

# Asking


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["train", "-V"],
        ["best", "--version"],
        ["list"],
        ["list", "--help"],
        ["table", "--help"],
        ["train", "--cfg", "job"],
    ],
    ids=" ".join,
)
def test_questions_are_answered_without_torch(words: list[str]) -> None:
    ask = (
        "import sys\n"
        "from ptv2.cli import main\n"
        "try:\n    code = main(sys.argv[1:])\n"
        "except SystemExit as end:\n    code = end.code\n"
        "heavy = {'torch', 'transformers', 'datasets', 'evaluate', 'accelerate'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else code)\n"
    )
    done = finish(python("-c", ask, *words, **ENVIRONMENT))
    assert (done.code, done.err) == (0, "")
    assert len(done.out) > 5


def test_help_and_version(tmp_path: Path) -> None:
    done = ptv2("--version")
    assert (done.code, done.err) == (0, "")
    assert re.fullmatch(rf"ptv2 {__version__}\nPython 3\.\d+\.\d+, torch \d.+, transformers \d.+\n", done.out)
    help_text = ptv2("--help").out
    assert run([], tmp_path).out == run(["-h"], tmp_path).out == help_text
    for command in ("train", "evaluate", "predict", "list", "table"):
        assert f"\n  {command} " in help_text
    done = run(["train", "--help"], tmp_path)
    assert (done.code, done.err) == (0, "")
    for word in ("mini-inference", "roberta-large", "checkpoint_minutes", "--config-dir"):
        assert word in done.out
    for text in (help_text, done.out):
        assert "train.csv and dev.csv of your own" in text
    assert re.search(r"^  task\. +name, text, ", done.out, re.MULTILINE), "what a user names comes first"
    assert re.search(r"^  model\. +name, path, ", done.out, re.MULTILINE)
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "mine.yaml").write_text(MY_TASK)
    folded = run(["train", "--config-dir", str(tmp_path), "-h"], tmp_path / "streams", environment={"COLUMNS": "80"})
    assert " mine, " in folded.out
    assert max(map(len, folded.out.splitlines())) <= 80
    assert len(folded.out.splitlines()) < 65
    assert "exit codes: 0 done" in help_text


def test_lists(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "mine.yaml").write_text(MY_TASK)
    streams = tmp_path / "streams"
    own = ["--config-dir", str(tmp_path)]
    everything = run(["list", *own], streams, environment={"COLUMNS": "80"}).out
    for name in (
        "rte",
        "mine",
        "roberta-large",
        "prompt-tuning",
        "ptv2 list tasks|models|methods|recipes|settings|runs",
    ):
        assert name in everything
    assert len(everything.splitlines()) <= 24
    assert max(map(len, everything.splitlines())) <= 80
    assert "Headlines: is the headline about sport?" in run(["list", "tasks", *own], streams).out
    assert "rte " not in run(["list", "methods"], streams).out
    types = run(["list", "models", "--types"], streams).out
    assert [line.split()[0] for line in types.splitlines() if " token " in line] == list(FAMILIES)
    assert f"runs in {tmp_path}/" in run(["list", "runs", "--out", str(tmp_path)], streams).out
    nowhere = run(["list", "runs", "--out", "nowhere"], streams)
    assert (nowhere.code, nowhere.err) == (0, "no run in nowhere/, since there is no such folder\n")


def test_the_composed_configuration_with_ones_own_task(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "mine.yaml").write_text(MY_TASK)
    done = ptv2("train", "--config-dir", str(tmp_path), "task=mine", f"data.dir={tmp_path}", "--cfg", "job")
    assert (done.code, done.err) == (0, "")
    assert "name: headlines\n" in done.out
    assert "lr: 0.02\n" in done.out
    assert not (tmp_path / "runs").exists()


def test_a_sweep_goes_on_after_a_failing_job_and_says_so(tmp_path: Path) -> None:
    write(tmp_path, train=good(), dev=good())
    out = tmp_path / "runs"
    start = ["train", "-m", "task=classification", f"data.dir={tmp_path}", "model=tiny", f"out={out}", "trainer=smoke"]
    done = run([*start, "prompt.length=510,3", "trainer.max_steps=1"], tmp_path / "streams")
    assert done.code == 1
    assert "Traceback" not in done.err
    assert "2 jobs" in done.out
    assert "the longest text that fits is 2 tokens" in done.err
    assert len(list(out.glob("*/result.json"))) == 1


@pytest.mark.parametrize("name", ["random", "datasets", "tokenizers"])
def test_files_of_the_user_stand_for_no_library(name: str, tmp_path: Path) -> None:
    write(tmp_path, train=good(), dev=good())
    (tmp_path / f"{name}.py").write_text("raise SystemExit(77)\n")
    words = ["train", "-m", "task=classification", "data.dir=.", "model=tiny", "trainer=smoke", "trainer.max_steps=1"]
    joblib = ["seed=1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"] if name == "random" else ["seed=1"]
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-m", "ptv2", *words, *joblib], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "runs").glob("*/result.json"))) == len(joblib[0].split(","))


# Output that nobody reads or that has no room


@pytest.mark.parametrize("words", [["--help"], ["list"], ["train", "--cfg", "job"]], ids=" ".join)
def test_a_reader_that_goes_away(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    environment = {**os.environ, **ENVIRONMENT}
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "ptv2", *words], stdout=pipe, stderr=subprocess.PIPE, env=environment, check=False
        )
    assert done.stderr == b""
    assert done.returncode == 141


def test_a_standard_input_that_is_closed_is_empty() -> None:
    """As of `ptv2 predict RUN --input -` in a job that has none."""
    script = "import ptv2.cli as c, sys; c._open_closed_streams(); sys.exit(sys.stdin.buffer.read() != b'')"
    words = ["sh", "-c", 'exec "$0" -c "$1" <&-', sys.executable, script]
    assert subprocess.run(words, stderr=subprocess.PIPE, timeout=60).stderr == b""


@pytest.mark.parametrize(("closed", "code"), [(">&-", 0), ("2>&-", 2), ("<&- >&- 2>&-", 2)])
def test_streams_that_are_closed(closed: str, code: int) -> None:
    words = "list tasks" if code == 0 else "train task=nowhere"
    command = f"exec {sys.executable} -m ptv2 {words} {closed}"
    done = subprocess.run(command, shell=True, capture_output=True, env={**os.environ, **ENVIRONMENT}, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, a file that is always full")
@pytest.mark.parametrize("words", [["--help"], ["list"]], ids=" ".join)
def test_no_room_for_the_output(words: list[str]) -> None:
    environment = {**os.environ, **ENVIRONMENT}
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ptv2", *words], stdout=full, stderr=subprocess.PIPE, env=environment, check=False
        )
    assert (done.returncode, done.stderr) == (74, b"ptv2: error: writing: No space left on device\n")


# Shell completion


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ptv2 ", set(COMMANDS)),
        ("ptv2 list ", {"tasks", "models", "methods", "recipes", "settings", "runs"}),
        ("ptv2 train task=r", {"task=record", "task=rte"}),
        ("ptv2 train task=rte model=mini", {"model=minilm"}),
        ("ptv2 train prompt.le", {"prompt.length="}),
    ],
)
def test_completion(line: str, expected: set[str], tmp_path: Path) -> None:
    done = run(["-sc", "query=bash"], tmp_path, environment={**ENVIRONMENT, "COMP_LINE": line})
    assert (done.code, done.err) == (0, "")
    assert set(done.out.split()) == expected


def test_completion_in_a_shell(tmp_path: Path) -> None:
    bash, command = shutil.which("bash"), Path(sys.executable).with_name("ptv2")
    if not (bash and command.exists()):
        pytest.skip("needs bash and the installed command")
    script = (
        'eval "$(ptv2 -sc install=bash)"; complete -p ptv2\n'
        'COMP_LINE="ptv2 train task=rt"; COMP_POINT=${#COMP_LINE}; COMP_CWORD=2\n'
        'hydra_bash_completion; echo "${COMPREPLY[@]}"\n'
    )
    environment = {**os.environ, **ENVIRONMENT, "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [bash, "-c", script], env=environment, capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.stderr == ""
    registered, found = done.stdout.splitlines()
    assert registered.endswith("hydra_bash_completion ptv2")
    assert found == "task=rte"
