"""`data.folds`: every example is in dev once, and tables show the folds as one."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from commandline import run, write_sentences
from hypothesis import given
from hypothesis import strategies as st
from records import result
from report_pages import write

from ptv2.config.compose import compose
from ptv2.config.identity import run_hash
from ptv2.config.spelling import every_fold
from ptv2.data.records import Record
from ptv2.data.sources import open_source
from ptv2.data.split import take_fold
from ptv2.errors import ConfigError, DataError
from ptv2.experiment.read import read_examples
from ptv2.interchange.about import about
from ptv2.report.folds import pool_folds
from ptv2.report.ranking import on_most_data, ranked
from ptv2.report.tables import baselines_of, markdown, rows
from ptv2.reproduce.figure.scale import recorded_gaps
from ptv2.run_folders.record import Result

ROWS = st.lists(st.tuples(st.integers(0, 20), st.sampled_from("ab")), min_size=2, max_size=60)


def fold(records: list[Record], folds: int, number: int, seed: int = 0) -> tuple[list[Record], list[Record]]:
    return take_fold(records, folds, number, seed, lambda r: r.fields["text"], lambda r: r.fields["label"])


@given(ROWS, st.integers(2, 7), st.integers(0, 3))
def test_every_record_is_in_dev_once_and_groups_stay_whole(
    content: list[tuple[int, str]], folds: int, seed: int
) -> None:
    records = [Record({"text": text, "label": label}, f"line {n}") for n, (text, label) in enumerate(content)]
    if len({text for text, _ in content}) < folds:
        with pytest.raises(DataError, match="; expected no more folds than these"):
            fold(records, folds, 0, seed)
        return
    in_dev = []
    for number in range(folds):
        train, dev = fold(records, folds, number, seed)
        assert dev
        assert sorted([*train, *dev], key=records.index) == records
        assert not {r.fields["text"] for r in train} & {r.fields["text"] for r in dev}
        in_dev += dev
    assert sorted(in_dev, key=records.index) == records


def test_classes_keep_their_shares_and_seeds_differ() -> None:
    records = [Record({"text": n, "label": "ab"[n % 4 == 0]}, f"line {n}") for n in range(400)]
    parts = [fold(records, 5, number)[1] for number in range(5)]
    assert {len(part) for part in parts} == {80}
    assert all(Counter(r.fields["label"] for r in part) == {"a": 60, "b": 20} for part in parts)
    assert fold(records, 5, 0, seed=1)[1] != parts[0]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_sentences(tmp_path_factory.mktemp("folds"))
    for name in ("dev", "val"):
        for file in folder.glob(f"{name}.*"):
            file.unlink()
    return folder


def words(data: Path, *more: str) -> list[str]:
    return ["task=classification", f"data.dir={data}", "model=tiny", "trainer=smoke", "trainer.max_steps=1", *more]


def test_each_fold_is_a_run_of_its_own_and_old_runs_keep_their_names(data: Path) -> None:
    configs = [compose(words(data, "data.folds=3", f"data.fold={number}")) for number in range(3)]
    other = compose(words(data, "data.folds=3", "data.fold=0", "data.seed=1"))
    plain = compose(words(data, "data.split=0.1"))
    assert len({run_hash(config, "d", "m") for config in (*configs, other, plain)}) == 5
    sets = [[record.where for record in open_source(config).read("dev")] for config in configs]
    assert len({where for one in sets for where in one}) == sum(map(len, sets)) > 0


def test_a_class_of_one_example_is_known_in_every_fold(tmp_path: Path) -> None:
    texts = [*(f"text {n},{'ab'[n % 2]}" for n in range(12)), "odd,rare"]
    (tmp_path / "train.csv").write_text("\n".join(["sentence,label", *texts]))
    for number in range(3):
        config = compose(words(tmp_path, "data.folds=3", f"data.fold={number}"))
        read = read_examples(config, open_source(config))
        assert read.task.labels == ["a", "b", "rare"]
        assert read.facts.examples["train"] + read.facts.examples["dev"] == 13


def test_classes_that_a_limit_leaves_out_are_explained(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("sentence,label\none,a\ntwo,a\nthree,b\nfour,b\n")
    config = compose(words(tmp_path, "data.split=0.5", "data.limit.train=1"))
    message = r"train.csv:\d: expected two or more labels in 'label', found only a \(data.limit.train=1\)$"
    with pytest.raises(DataError, match=message):
        read_examples(config, open_source(config))


@pytest.mark.parametrize(
    ("given_words", "message"),
    [
        (["data.folds=3"], "expected data.fold=0 to 2 beside it"),
        (["data.folds=3", "data.fold=3"], "expected data.fold=0 to 2 beside it"),
        (["data.fold=1"], "data.fold=1: expected data.folds"),
        (["data.folds=1", "data.fold=0"], "data.folds=1"),
        (["data.folds=3", "data.fold=0", "data.split=0.1"], "expected no data.split beside it"),
    ],
)
def test_wrong_folds_are_named(data: Path, given_words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose(words(data, *given_words))


def test_folds_without_a_number_are_a_sweep() -> None:
    assert every_fold(["seed=1", "data.folds=3"]) == ["-m", "seed=1", "data.folds=3", "data.fold=0,1,2"]
    assert every_fold(["-m", "data.folds=2", "seed=1,2"]) == ["-m", "data.folds=2", "seed=1,2", "data.fold=0,1"]
    for kept in (["data.folds=3", "data.fold=1"], ["data.folds=null"], ["--cfg", "job", "data.folds=3"], ["seed=1"]):
        assert every_fold(kept) == kept
    for wrong in ("data.folds=1", "data.folds=2,3", "data.folds=x", "data.folds=1000", "data.folds=²"):
        with pytest.raises(ConfigError, match="expected one number from 2 to 100"):
            every_fold([wrong])
    with pytest.raises(ConfigError, match="a trial of a search is one run"):
        every_fold(["+sweep=optuna", "data.folds=3"])


def of_fold(data: Path, number: int, seed: int, dev: float, examples: int, method: str = "p-tuning-v2") -> Result:
    more = ["data.folds=3", f"data.fold={number}", f"seed={seed}", f"method={method}"]
    one = result(method, seed, dev, config=compose(words(data, *more)).model_dump(mode="json"))
    one.data["examples"] = one.data["examples"] | {"dev": examples, "train": 100 - examples}
    return one


def test_a_table_shows_folds_as_one_score_of_each_seed(data: Path) -> None:
    runs = [of_fold(data, n, 1, dev, size) for n, (dev, size) in enumerate([(60.0, 10), (90.0, 20), (30.0, 10)])]
    runs += [of_fold(data, n, 2, 50.0, 10) for n in range(2)]
    (row,) = rows(runs)
    assert row.metrics[row.headline] == {1: pytest.approx((600 + 1800 + 300) / 40), 2: 50.0}
    text = markdown([row], "dev")
    assert "3 folds" in text
    assert "weighted by the number of their examples" in text
    assert "seed 2 has 2 of 3 folds" in text
    assert "seed 1 has" not in text
    (setting,) = ranked(runs)
    assert setting.seeds == (1, 2)
    assert pool_folds(runs[:1])[0].data["folds"] == [0]


def test_folds_of_other_data_are_other_rows_and_those_of_one_set_compete_together(data: Path) -> None:
    """Parts differ by an example, which makes them no other data; a limit does."""
    whole = [of_fold(data, number, 1, 60.0 + number, 33 + (number == 0)) for number in range(3)]
    few = [of_fold(data, number, 1, 90.0, 10) for number in range(3)]
    for one in few:
        one.config["data"] = one.config["data"] | {"limit": {"train": 20, "dev": None}}
        one.data["examples"] = {"train": 20, "dev": 10}
    assert on_most_data([*few, *whole]) == whole
    assert sorted(row.dev for row in rows([*whole, *few])) == [pytest.approx(61.0, abs=0.1), 90.0]
    assert pool_folds(on_most_data(whole))[0].data["folds"] == [0, 1, 2]


def test_a_seed_that_lacks_folds_is_compared_too(data: Path) -> None:
    """The mean size of fewer parts may round to another number of examples."""
    sizes = [20, 20, 10]
    runs = [of_fold(data, number, 1, 60.0, size) for number, size in enumerate(sizes)]
    tuned = of_fold(data, 0, 1, 62.0, 20, "fine-tuning")
    first, second = baselines_of(rows([*runs, tuned]))
    assert first is None
    assert second is not None


def test_folds_are_one_set_of_examples_in_a_line_over_backbones(data: Path) -> None:
    runs = []
    for model in ("small", "large"):
        for number, (size, gap) in enumerate([(34, -2.0), (33, 1.0), (33, 1.0)]):
            for method, dev in (("fine-tuning", 80.0), ("p-tuning-v2", 80.0 + gap)):
                one = of_fold(data, number, 1, dev, size, method)
                runs.append(replace(one, model=model, name=f"{model}-{method}-{number}"))
    _, points = recorded_gaps(runs, "p-tuning-v2")
    assert {(point.model, point.value) for point in points} == {("small", -0.02), ("large", -0.02)}


def test_the_card_of_an_adapter_counts_seeds_and_not_folds(data: Path, tmp_path: Path) -> None:
    for seed in (1, 2):
        for number in range(3):
            write(tmp_path, replace(of_fold(data, number, seed, 60.0, 10), name=f"fold-{number}-{seed}"))
    config = compose(words(data, "data.folds=3", "data.fold=1", "seed=2"))
    made = about(tmp_path / "fold-1-2", config, "classification", None)
    assert sorted(run.seed for run in made.equals) == [1, 2]


def test_the_command_makes_a_run_of_each_and_the_table_one_line(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(["train", *words(data, "data.folds=2", f"out={out}")], tmp_path)
    assert done.code == 0, done.err
    records = [json.loads(path.read_text()) for path in out.glob("*/result.json")]
    assert sorted(record["config"]["data"]["fold"] for record in records) == [0, 1]
    done = run(["table", "--out", str(out), "--format", "csv"], tmp_path)
    assert done.code == 0, done.err
    lines = [line for line in done.out.splitlines() if ",accuracy," in line]
    assert len(lines) == 1
