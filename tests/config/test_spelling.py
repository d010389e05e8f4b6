"""Settings as people type them, and what wrong ones get: one line in a user's words."""

from __future__ import annotations

from pathlib import Path

import pytest
from commandline import run, write_sentences

from ptv2.config.compose import compose
from ptv2.config.spelling import spelled
from ptv2.errors import ConfigError

WRONG = [
    ("data.limit=10", "data.limit=10: expected a split: data.limit.train=10, data.limit.dev or data.limit.test"),
    ("prompt=20", "prompt=20: expected settings below it: prompt.NAME=VALUE"),
    ("trainer.device=cuda", "trainer.device='cuda': expected auto or cpu"),
    ("prompt.length=0", "prompt.length=0: expected more than 0"),
    ("prompt.length=true", "prompt.length=True: expected a whole number"),
    ("prompt.length=many", "prompt.length='many': expected a whole number"),
    ("trainer.epochs=2.5", "trainer.epochs=2.5: expected a whole number"),
    ("optim.lr=1e300", "optim.lr=1e+300: expected at most 1e+30"),
    ("optim.lr=nan", "optim.lr=nan: expected"),
    ("optim.betas=[1.0,1.0]", "optim.betas.0=1.0: expected less than 1"),
    ("optim.betas=[0.9]", "optim.betas.1: has no value"),
    ("optim.eps=nan", "optim.eps=nan: expected"),
    ("optim.clip=inf", "optim.clip=inf: expected a finite number"),
    ("optim.weight_decay=inf", "optim.weight_decay=inf: expected a finite number"),
    ("trainer.checkpoint_minutes=inf", "trainer.checkpoint_minutes=inf: expected a finite number"),
    ("+model.config.x=inf", "model.config.x=inf: expected"),
    ("prompt.length=99999999999", "prompt.length=99999999999: expected at most 1e+09"),
    ("seed=true", "seed=True: expected a whole number"),
    ("prompt.layers=[true]", "prompt.layers"),
    ("out=", "out='': expected text, found nothing"),
    ("model.path=", "model.path='': expected text, found nothing"),
    ("=3", "=3: expected key=value"),
    ("optim=[1]", "optim=[1]: expected another kind of value"),
    ("task.text={a:b}", "task.text={a:b}: expected another kind of value"),
    ("seed=range(1,3)", "seed=range(1,3): several values are a sweep; add -m"),
    ("data.limit={foo:3}", "unknown config key 'data.limit.foo'"),
    (f"task.name={'x' * 200}", "task.name='xxx"),
    ("task.text=['{text.__class__}']", "task.text.0='{text.__class__}': expected {FIELD}"),
    ("task.text=['{text[0]}']", "task.text.0='{text[0]}': expected {FIELD}"),
    ("task.text=['{text:>9999999999}']", "task.text.0='{text:>9999999999}': expected {FIELD}"),
    ("task.text=['{text!r}']", "task.text.0='{text!r}': expected {FIELD}"),
    ("task.text=['{text']", "task.text.0='{text': no template"),
    ("prompt.dropout=x", "prompt.dropout='x': expected a number"),
    ("model.compile=maybe", "model.compile='maybe': expected true or false"),
    ("--seed 3", "--seed: settings are written without dashes: seed="),
    ("--optim.lr=3", "--optim.lr: settings are written without dashes: optim.lr=3"),
    ("seed=1,2", "seed=1,2: several values are a sweep; add -m"),
    ("task=null", "task, model and method are chosen by name"),
    ("--info=foo", "unknown value of --info 'foo'"),
    ("--package trainer", "--package: says what --cfg shows; expected --cfg job beside it"),
    ("--cfg job --package foo", "--package foo: no such part, or one without a value; known: task, data,"),
    ("--cfg job -p task.verbalizer", "--package task.verbalizer: no such part, or one without a value"),
    ("--cfg job --info all", "--cfg and --info: expected one of them"),
    ("-m --run", "--multirun and --run: expected one of them"),
    ("--multirun=3", "--multirun: takes no value"),
    ("--resolve", "--resolve: says what --cfg shows; expected --cfg job beside it"),
    ("--hydra-help", "unknown option '--hydra-help'"),
    ("--shell-completion", "unknown option '--shell-completion'"),
    ("--config-path /x", "unknown option '--config-path'"),
    ("--config-name x", "unknown option '--config-name'"),
    ("--experimental-rerun x.pickle", "unknown option '--experimental-rerun'"),
    ("--config-di x", "unknown option '--config-di'"),
    ("-cdx", "unknown option '-cdx'"),
    ("--config-dir a --config-dir b", "--config-dir: given 2 times; expected one folder"),
    ("--config-dir=a -cd b", "--config-dir: given 2 times; expected one folder"),
    ("seed=1 --config-dir", "--config-dir: expected a value"),
    ("hydra.searchpath=[file:///x]", "hydra.searchpath: expected --config-dir DIR"),
    ("+hydra.searchpath=x", "hydra.searchpath: expected --config-dir DIR"),
    (
        "task.text=[#1,b]",
        "task.text=[#1,b]: names with blanks or other signs stand in quotes: \"task.text=['#1','b']\"",
    ),
    ("head.dropout=(1", "head.dropout=(1: a value with blanks, brackets or other signs stands in quotes"),
]
FOREIGN = ("pydantic", "Hydra", "OmegaConf", "Lexer", "struct", "Input should be")


@pytest.mark.parametrize(("words", "message"), WRONG, ids=lambda value: value[:40])
def test_a_wrong_setting_gets_one_line(words: str, message: str, tmp_path: Path) -> None:
    done = run(["train", *words.split()], tmp_path)
    assert done.code == 2
    assert done.error.startswith(message)
    assert len(done.error) <= 300
    text = done.error.lower().replace("hydra.searchpath", "").replace("--hydra-help", "")  # as the user types them
    assert not [word for word in FOREIGN if word.lower() in text]


@pytest.mark.parametrize("name", ["Dätä (1), x", "a=b", "[c]", "it's", "{d}", "$e f", "dash-1"])
def test_a_folder_needs_no_quotes(name: str, tmp_path: Path) -> None:
    folder = write_sentences(tmp_path / name)
    words = ["task=classification", "model=tiny", f"data.dir={folder}"]
    assert compose(words).data.dir == str(folder)


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/people/ann")
    assert spelled(["data.dir=~/x", "out=~/runs", "+a=1"]) == ["data.dir=/people/ann/x", "out=/people/ann/runs", "+a=1"]


def test_folders_of_a_sweep_are_several() -> None:
    assert spelled(["-m", "data.dir=a b,c"]) == ["-m", "data.dir='a b',c"]
    assert spelled(["data.dir=a b,c"]) == ["data.dir='a b,c'"]


FIELDS = [
    ("review", ["review"]),
    ("Review Text", ["Review Text"]),
    ("Review Text,b", ["Review Text", "b"]),
    ("a,b", ["a", "b"]),
    ("[a,b]", ["a", "b"]),
]


@pytest.mark.parametrize(("given", "fields"), FIELDS)
def test_fields_need_no_brackets(given: str, fields: list[str]) -> None:
    assert compose(["task=classification", "data.dir=d", f"task.text={given}"]).task.text == fields


def test_a_name_may_be_a_number() -> None:
    assert compose(["task=classification", "data.dir=d", "task.text=a", "task.name=2024"]).task.name == "2024"


def test_what_is_written_out_stays() -> None:
    words = ["data.dir='a'", "task.text=['{a} b']", "data.dir=choice(a,b)", "out=${x}", "model.path=config:", "seed=3"]
    assert spelled(words) == words
    with pytest.raises(ConfigError):
        spelled(["--seed=3"])


@pytest.mark.parametrize("option", [["--config-dir", "DIR"], ["--config-dir=DIR"], ["-cd", "DIR"]])
def test_options_may_stand_between_settings(option: list[str], tmp_path: Path) -> None:
    words = [word.replace("DIR", str(tmp_path)) for word in option]
    done = run(["train", "model=tiny", *words, "seed=5", "--cfg", "job", "trainer.epochs=3"], tmp_path / "streams")
    assert done.code == 0, done.err
    assert "seed: 5\n" in done.out
    assert "epochs: 3\n" in done.out


def test_a_folder_given_for_all_of_data_is_named_with_the_setting_meant() -> None:
    with pytest.raises(ConfigError, match=r"^data=/here: expected settings below it: data.NAME=VALUE; data.dir=/here"):
        compose(["data=/here", "data.limit.train=5"])
