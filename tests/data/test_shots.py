"""`data.shots`: the same few training examples of each class for every method and seed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from commandline import result_of, run, train_words, write_sentences
from hypothesis import given
from hypothesis import strategies as st

from ptv2.config.compose import compose
from ptv2.config.identity import run_hash
from ptv2.data.records import Record
from ptv2.data.sources import open_source
from ptv2.data.split import choose_shots
from ptv2.errors import ConfigError


@given(st.lists(st.sampled_from("abc"), max_size=60), st.integers(1, 20), st.integers(0, 3))
def test_so_many_of_each_class_in_the_order_of_the_file(labels: list[str], shots: int, seed: int) -> None:
    records = [Record({"label": label}, f"line {number}") for number, label in enumerate(labels)]
    few, counts = choose_shots(records, shots, seed, lambda record: record.fields["label"])
    assert counts == Counter(labels)
    assert Counter(record.fields["label"] for record in few) == {
        label: min(shots, count) for label, count in Counter(labels).items()
    }
    assert few == [record for record in records if record in few]
    more, _ = choose_shots(records, shots + 1, seed, lambda record: record.fields["label"])
    assert all(record in more for record in few)


def test_the_draws_of_two_classes_are_not_one() -> None:
    """Of files that are in the same order in every class, such as by length, the same places would be taken."""
    records = [Record({"label": label}, f"{place}") for label in "ab" for place in range(40)]
    few, _ = choose_shots(records, 8, 0, lambda record: record.fields["label"])
    first, second = ({record.where for record in few if record.fields["label"] == label} for label in "ab")
    assert first != second


def read(folder: Path, *words: str) -> list[Record]:
    config = compose(["task=classification", f"data.dir={folder}", *words])
    return list(open_source(config).read("train"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sentences(tmp_path_factory.mktemp("shots"))


def test_the_draw_depends_on_its_own_seed_only(data: Path) -> None:
    assert read(data, "data.shots=4") == read(data, "data.shots=4", "seed=5", "method=fine-tuning")
    draws = [read(data, "data.shots=4", f"data.seed={seed}") for seed in range(5)]
    assert any(draw != draws[0] for draw in draws)
    assert {len(draw) for draw in draws} == {8}


def test_runs_of_other_shots_are_other_runs(data: Path) -> None:
    """They are data of another fingerprint, so that no table takes them for seeds of one setting."""

    def fingerprint(*words: str) -> str:
        return open_source(compose(["task=classification", f"data.dir={data}", *words])).fingerprint

    plain = fingerprint()
    others = {fingerprint("data.shots=4"), fingerprint("data.shots=5"), fingerprint("data.shots=4", "data.seed=1")}
    assert plain not in others
    assert len(others) == 3
    assert plain == fingerprint("data.seed=1")
    config = compose(["task=classification", f"data.dir={data}"])
    seeded = compose(["task=classification", f"data.dir={data}", "data.seed=1"])
    assert run_hash(config, plain, "model") == run_hash(seeded, plain, "model")


def test_a_run_says_what_it_was_trained_on(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    for shots, words in ((3, []), (40, ["seed=2"])):
        done = run([*train_words(data, out, f"data.shots={shots}", "trainer.epochs=1"), *words], tmp_path)
        assert done.code == 0, done.err
        assert f"train is {shots} examples of each class, drawn by data.seed=0 (data.shots)" in " ".join(
            done.err.split()
        )
    results = [result_of(path.parent) for path in out.glob("*/result.json")]
    few, all_there_are = sorted(results, key=lambda result: result["data"]["examples"]["train"])
    assert few["data"]["examples"]["train"] == 6
    assert set(few["data"]["labels"]["train"].values()) == {3}
    assert any("fewer: " in note for note in all_there_are["data"]["overview"]["guesses"])
    table = run(["table", "--out", str(out), "--format", "csv"], tmp_path)
    assert len([line for line in table.out.splitlines() if ",accuracy," in line]) == 2


def test_tasks_without_classes_take_so_many_examples(tmp_path: Path) -> None:
    source = open_source(compose(["task=mini-entities", "data.shots=7"]))
    assert len(list(source.read("train"))) == 7
    assert list(source.notes) == ["train is 7 examples, drawn by data.seed=0 (data.shots)"]


@pytest.mark.parametrize("words", [["data.shots=0"], ["data.shots=x"], ["data.shots=4", "data.limit.train=9"]], ids=str)
def test_wrong_shots_are_refused(words: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"data\.shots"):
        compose(["task=mini-inference", *words])


def test_plan_counts_the_few(tmp_path: Path) -> None:
    done = run(["plan", "task=mini-inference", "model=tiny", "data.shots=16", "--json"], tmp_path)
    assert done.code == 0, done.err
    assert json.loads(done.out)["work"]["examples"] == 48
