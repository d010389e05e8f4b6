"""What every command takes: flags, versions, exit codes in the help, and one grammar for values."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from commandline import Done, only_run, run, train_words, write_sentences

from ptv2.commands.verbs import COMMANDS
from ptv2.console.arguments import in_one_grammar
from ptv2.errors import ConfigError


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_versions_flags_and_exit_codes(command: str, tmp_path: Path) -> None:
    versions = run(["--version"], tmp_path)
    for words in ([command, "--version"], ["-V", command], [command, "task=nothing", "-V", "--nothing"]):
        assert run(words, tmp_path) == versions
    done = run([command, "--help"], tmp_path, environment={"COLUMNS": "80"})
    assert (done.code, done.err) == (0, "")
    for text in ("-q, --quiet ", "-v, --verbose ", "-V, --version ", "exit codes: 0 done, 1 a run failed, 2 wrong "):
        assert text in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_a_flag_that_cannot_be_taken(tmp_path: Path) -> None:
    for words, message in (
        ("list -q -v", "--quiet and --verbose: expected one of them"),
        ("train --quiet=1", "--quiet: takes no value"),
    ):
        done = run(words.split(), tmp_path)
        assert (done.code, done.out, done.error) == (2, "", message)
    done = run(["list"], tmp_path, environment={"PTV2_VERBOSITY": "loud"})
    assert (done.code, done.error) == (2, "PTV2_VERBOSITY=loud: expected one of quiet, normal, verbose")


# Quiet and verbose


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sentences(tmp_path_factory.mktemp("data"), train=12, dev=8, test=8)


@pytest.mark.parametrize("flag", ["-q", "--quiet", "PTV2_VERBOSITY"])
def test_quiet_says_the_result_and_errors(flag: str, data: Path, tmp_path: Path) -> None:
    (tmp_path / "own" / "task").mkdir(parents=True)
    (tmp_path / "own" / "task" / "rte.yaml").write_text("defaults: [classification, _self_]\nname: rte\n")
    words = ["train", "--config-dir", str(tmp_path / "own"), "task=rte", f"data.dir={data}", "model=tiny"]
    words += [f"out={tmp_path / 'runs'}", "trainer.max_steps=1", "trainer.batch_size=32"]
    environment = {"PTV2_VERBOSITY": "quiet"} if flag == "PTV2_VERBOSITY" else {}
    more = [] if environment else [flag]
    done = run([*words, *more], tmp_path, environment=environment)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("dev ")
    assert "epoch 1" in (only_run(tmp_path / "runs") / "log.txt").read_text()  # a run's log has all
    failing = run([*words, "optim.lr=x", *more], tmp_path, environment=environment)
    assert (failing.code, failing.out, len(failing.err.splitlines())) == (2, "", 1)
    assert failing.error.startswith("optim.lr='x'")
    spoken = run(words, tmp_path)
    assert "task/rte.yaml is taken from" in spoken.err


def test_settings_that_nothing_reads(data: Path, tmp_path: Path) -> None:
    """A sweep may try what only one of its methods reads."""
    words = train_words(data, tmp_path / "runs", "trainer.max_steps=1", "prompt.length=4", "prompt.dropout=0.5")
    shallow = run([*words, "method=prompt-tuning"], tmp_path)
    assert shallow.code == 0
    assert "prompt.dropout=0.5: nothing in this run reads it (method=prompt-tuning)\n" in shallow.err
    assert "prompt.length=4: nothing" not in shallow.err
    several = run([*words, "method=prompt-tuning,p-tuning-v2", "-m"], tmp_path)
    assert (several.code, "nothing in this run" in several.err) == (0, False)


def test_quiet_sweeps(data: Path, tmp_path: Path) -> None:
    """Their workers: `config/test_own_place.py`."""
    done = run(train_words(data, tmp_path / "runs", "trainer.max_steps=1", "seed=1,2", "-m", "-q"), tmp_path)
    assert (done.code, done.err) == (0, "")
    assert "2 jobs" in done.out


def test_verbose_says_what_is_held_back(data: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    words = train_words(data, tmp_path / "runs", "trainer.max_steps=1")
    usual = run(words, tmp_path, environment={"PTV2_CONFIG_DIR": str(tmp_path / "own")})
    told = run([*words, "-v", "seed=2"], tmp_path, environment={"PTV2_CONFIG_DIR": str(tmp_path / "own")})
    line = f"searched for your own files: {tmp_path / 'own'}"
    assert (usual.code, line in usual.err) == (0, False)
    assert (told.code, line in told.err) == (0, True)
    for done in (usual, told):  # what a run says itself is said once
        assert done.err.count("dev accuracy") == 1
    other = run(["-v", *words, "seed=3"], tmp_path, before=_warn_while_training)
    assert (other.code, "some.library: a warning of a library" in other.err) == (0, True)
    assert "a warning of a library" not in run([*words, "seed=4", "-q"], tmp_path, before=_warn_while_training).err


def _warn_while_training() -> None:
    """Let a library log a warning where a run is begun."""
    from ptv2.experiment import run as module

    begin = module.begin_job

    def warn() -> None:
        logging.getLogger("some.library").warning("a warning of a library")
        begin()

    module.begin_job = warn


# One grammar


def test_words_and_options_say_the_same() -> None:
    read = {"keys": ("out",), "options": ("--split", "--task"), "several": ("task",)}
    for words in (["out=a", "split=dev"], ["--out", "a", "--split", "dev"], ["--out=a", "--split=dev"]):
        assert in_one_grammar(words, **read) == ["out=a", "--split=dev"]
    assert in_one_grammar(["--out", "a", "x", "out=a", "--out=a"], **read) == ["out=a", "x"]
    assert in_one_grammar(["--task", "a", "task=b"], **read) == ["--task=a", "--task=b"]
    assert in_one_grammar(["--split", "--out", "a"], **read) == ["--split", "--out", "a"]  # no value: refused later
    assert in_one_grammar(["out=", "--", "split=dev"], **read) == ["out=", "--", "split=dev"]
    assert in_one_grammar(["seed=1", "-m", "a/out=b"], **read) == ["seed=1", "-m", "a/out=b"]
    with pytest.raises(ConfigError, match=r"^--split dev and split=test: expected one of them$"):
        in_one_grammar(["--split", "dev", "split=test"], **read)


FORMS = {"word": ["out=OUT"], "option": ["--out", "OUT"], "both": ["--out=OUT", "out=OUT"]}


@pytest.mark.parametrize("form", FORMS)
def test_every_command_takes_out_in_every_form(form: str, data: Path, tmp_path: Path) -> None:
    def ask(*words: str) -> Done:
        done = run([*words, *(word.replace("OUT", str(tmp_path / "runs")) for word in FORMS[form])], tmp_path)
        assert done.code == 0, done.err
        return done

    words = [word for word in train_words(data, tmp_path, "trainer.max_steps=1") if not word.startswith("out=")]
    ask(*words)
    name = only_run(tmp_path / "runs").name
    assert name in ask("list", "runs").out
    assert "classification" in ask("table").out
    assert "1 setting" in ask("best", "task=classification", "--model", "tiny").out
    assert name in ask("evaluate", name, "split=test").out
    ask("report", f"output={tmp_path / 'page.html'}")
    ask("analyze", name, "only=vocabulary", f"output={tmp_path / 'analysis'}", "limit=2")
    ask("predict", name, f"input={data / 'dev.jsonl'}", "--output", str(tmp_path / "new.jsonl"))
    assert len((tmp_path / "new.jsonl").read_text().splitlines()) == 8
    assert "optim.lr" not in ask("plan", *words[1:], "length=5").err
    figure = ["reproduce", "--figure", "length", "task=mini-inference", "model=tiny", "seeds=1", "--plan"]
    assert "2 runs" in ask(*figure, "--figure.x.values=[1]" if form == "never" else "figure.x.values=[1]").out


def test_two_folders_are_refused_by_every_command(tmp_path: Path) -> None:
    for command in sorted(COMMANDS.keys() - {"prepare", "compare"}):  # compare also takes out=FILE.md
        done = run([command, "x=1", "--out", "a", "out=b"], tmp_path)
        assert (done.code, done.error) == (2, "--out a and out=b: expected one of them"), command
    done = run(["prepare", "conll03", "from=a", "to=b", "--to", "c"], tmp_path)
    assert (done.code, done.error) == (2, "to=b and --to c: expected one of them")
