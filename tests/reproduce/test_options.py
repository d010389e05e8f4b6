"""The words of `ptv2 reproduce`: what they mean, and the line that a wrong one gets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ptv2.cli import main
from ptv2.errors import ConfigError
from ptv2.reproduce.options import choose_names, read_settings


def test_words_of_ours_and_settings_of_the_runs_are_told_apart(tmp_path: Path) -> None:
    words = ["table=2", "rows=[bert-large,roberta-large]", "columns=rte", "seeds=1,4-6", "trainer.precision=bf16"]
    found = read_settings([*words, f"data={tmp_path}", "jobs=2", "margin=0.5", "+model.config.a=1"], plan=True)
    assert (found.table, found.rows, found.columns) == ("2", ("bert-large", "roberta-large"), ("rte",))
    assert found.seeds == (1, 4, 5, 6)
    assert (found.data, found.jobs, found.margin, found.plan) == (tmp_path, 2, 0.5, True)
    assert found.overrides == ("trainer.precision=bf16", "+model.config.a=1")
    assert found.common == (*found.overrides, "out=runs")
    assert read_settings(["figure=depth", "task=rte", "split=test"]).split == "test"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rte"], "rte: expected key=value"),
        ([], "expected table=NAME or figure=NAME"),
        (["table=2", "figure=depth"], "one of them"),
        (["table=2", "task=rte"], "expected columns=rte"),
        (["table=2", "seed=1"], "expected seeds=1,2,3"),
        (["table=2", "method=p-tuning-v2"], "expected methods=NAME,NAME"),
        (["table=2", "data.dir=x"], "expected data=DIR"),
        (["table=2", "hydra.launcher.together=3"], "together=3: expected fuse=3"),
        (["table=2", "hydra.launcher.batch_size=3"], "expected jobs=N"),
        (["table=2", "+hydra.run.dir=x"], "+hydra.run.dir=x: a table or figure says itself which runs it has"),
        (["table=2", "+sweep=optuna"], "+sweep=optuna: a table or figure says itself which runs it has; ptv2 compare"),
        (["figure=depth", "task=rte", "sweep=paper"], "sweep=paper: a table or figure says itself which runs it has"),
        (["table=2", "seeds=3-1"], "seeds=3-1: expected whole numbers"),
        (["table=2", "seeds="], "seeds=: expected whole numbers, such as 1,2,3 or 1-3"),
        (["table=2", "seeds=1-9999999999"], "seeds=1-9999999999: expected at most 1000 seeds"),
        (["table=2", "seeds=²"], "seeds=²: expected whole numbers"),
        (["table=2", "seeds=1,1"], "seeds=1,1: expected every seed once"),
        (["table=2", "seeds=1-3,2"], "every seed once"),
        (["table=2", "jobs=²"], "jobs=²: expected a whole number from 1 on"),
        (["table=2", f"jobs={'9' * 5000}"], "...: expected a whole number from 1 on"),
        (["table=2", "jobs=0"], "jobs=0: expected a whole number from 1 on"),
        (["table=2", "margin=-1"], "margin=-1: expected points"),
        (["table=2", "data=/no/such"], "data: no folder /no/such"),
        (["table=2", "table=3"], "table is given twice"),
        (["table=2", "split=test"], "split=test: each column of a table has a split of its own"),
        (["figure=depth", "split=tset"], "split=tset: expected dev, test or test-brown"),
        (["figure=depth", "rows=abc"], "rows=: tables have it"),
        (["figure=depth", "columns=abc"], "columns=: tables have it"),
        (["figure=depth", "margin=2"], "margin=: tables have it"),
        (["figure=depth", "share=table"], "share=: tables have it"),
        (["table=2", "rows=a,,b"], "rows=a,,b"),
        (["table=2", "name=../x"], "name=../x: expected a name of files without folder and ending"),
        (["figure=depth", "name="], "name=: expected a name of files"),
        (["table="], "table=: expected a value"),
    ],
)
def test_a_wrong_word_is_named(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        read_settings(words)


@pytest.mark.parametrize(
    "words",
    [
        "reproduce table=2 columns=rte methods=p-tuning-v2",
        "reproduce figure=length task=mini-inference",
        "compare task=mini-inference",
    ],
)
def test_results_that_cannot_be_written_are_refused_before_anything_runs(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/nowhere/results")
    for results, said in {
        "file": "a file is there; expected a folder",
        "link": "a link to /nowhere/results, which is not there; expected a folder",
        "x" * 300: "File name too long",
    }.items():
        assert main([*words.split(), "model=tiny", "trainer.max_steps=1", f"results={results}"]) == 2
        assert said in capsys.readouterr().err
        assert not (tmp_path / "runs").exists()


def test_filters_keep_the_order_of_the_table_and_name_the_choices() -> None:
    assert choose_names("row", ["c", "a"], ["a", "b", "c"]) == ["a", "c"]
    assert choose_names("row", [], ["a", "b"]) == ["a", "b"]
    with pytest.raises(ConfigError, match="unknown row 'bert-lrge'; did you mean bert-large"):
        choose_names("row", ["bert-lrge"], ["bert-large", "roberta-large"])
