"""Which runs make one row of a table, which row is the baseline, and how rows that look alike are told apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import result

from ptv2.config.identity import deciding
from ptv2.config.schema import RunConfig
from ptv2.errors import RunError
from ptv2.report import tables
from ptv2.report.ranking import ranked


def test_runs_that_differ_in_seed_and_bookkeeping_only_are_one_row() -> None:
    runs = [
        result("p-tuning-v2", 1, 70.0, config={"out": "a", "trainer": {"device": "cpu"}}),
        result("p-tuning-v2", 2, 72.0, config={"out": "b", "trainer": {"checkpoint_minutes": 1.0}}),
    ]
    assert [row.seeds for row in tables.rows(runs)] == [2]
    fine = [result("fine-tuning", seed, 70.0, config={"prompt": {"length": seed}}) for seed in (1, 2)]
    assert [row.seeds for row in tables.rows(fine)] == [2]


CHANGES = [
    *(
        {"seed": 2},
        {"out": "b"},
        {"data": {"workers": 2}},
        {"model": {"path": "elsewhere"}},
        {"model": {"compile": True}},
    ),
    *({"trainer": {"eval_batch_size": 8}}, {"trainer": {"shard": True}}, {"task": {"scale": "small"}}),
    *({"prompt": {"embedding": "published"}}, {"prompt": {"length": 7}}, {"prompt": {"dropout": 0.2}}),
    *({"optim": {"lr": 1e-4}}, {"head": {"dropout": 0.2}}, {"head": {"span_padding": "published"}}),
    *({"model": {"dtype": "bfloat16"}}, {"task": {"text": ["premise"]}}, {"lora": {"rank": 4}}),
]


@given(st.sampled_from(["fine-tuning", "prompt-tuning", "p-tuning-v2"]), st.lists(st.sampled_from(CHANGES), max_size=3))
def test_runs_share_a_row_and_a_setting_of_best_where_the_identity_says_the_same(
    method: str, changes: list[dict[str, Any]]
) -> None:
    backbone = {"name": "tiny", "revision": None, "sha256": "5a"}
    first, second = result(method, 1, 70.0, backbone=backbone), result(method, 1, 70.0, backbone=backbone)
    for change in changes:
        for key, value in change.items():
            inner = {**second.config[key], **value} if isinstance(value, dict) else value
            second = replace(second, config={**second.config, key: inner})
    second = replace(second, seed=second.config["seed"])
    trees = [deciding(RunConfig.model_validate({**run.config, "seed": 0}), "f00", "5a") for run in (first, second)]
    rows = 1 if trees[0] == trees[1] else 2
    assert len(tables.rows([first, second])) == rows
    assert len(ranked([first, second])) == rows


def test_a_run_from_before_a_setting_was_there_belongs_to_those_with_its_default() -> None:
    old = result("p-tuning-v2", 1, 70.0)
    config = {**old.config, "model": {k: v for k, v in old.config["model"].items() if k not in ("dtype", "scale")}}
    config.pop("recipe")
    new = result("p-tuning-v2", 2, 72.0)
    assert [row.seeds for row in tables.rows([replace(old, config=config), new])] == [2]
    other = result("p-tuning-v2", 2, 72.0, config={"model": {"dtype": "bfloat16"}})
    assert [row.seeds for row in tables.rows([replace(old, config=config), other])] == [1, 1]
    with pytest.raises(RunError, match=f"{old.name}: its configuration is not one of this version"):
        tables.rows([replace(old, config={})])


@pytest.mark.parametrize(
    "more",
    [
        {"config": {"optim": {"lr": 1e-4}}},
        {"config": {"prompt": {"length": 7}}},
        {"config": {"trainer": {"epochs": 3}}},
        {"data": {**result("p-tuning-v2", 2, 72.0).data, "fingerprint": "f01"}},
        {"data": {**result("p-tuning-v2", 2, 72.0).data, "examples": {"train": 50, "dev": 10}}},
    ],
    ids=["lr", "length", "epochs", "other data", "fewer examples"],
)
def test_other_settings_or_data_are_another_row(more: dict[str, Any]) -> None:
    runs = [result("p-tuning-v2", 1, 70.0), result("p-tuning-v2", 2, 72.0, **more)]
    assert [row.seeds for row in tables.rows(runs)] == [1, 1]


def test_rows_of_other_data_say_which() -> None:
    """Runs before and after a file was mended have one task's name; their rows must not look alike."""
    data = result("p-tuning-v2", 1, 70.0).data
    mended = {**data, "fingerprint": "0123456789abcdef, 16 shots by 0", "examples": {"train": 50, "dev": 10}}
    hub = {**data, "fingerprint": "some/set@1234"}
    name, count = data["fingerprint"][:6], f"{data['examples']['train']:,}"
    alone = tables.rows([result("p-tuning-v2", 1, 70.0), result("fine-tuning", 1, 70.0)])
    assert tables.tasks_of(alone) == [alone[0].task] * 2
    runs = [result("p-tuning-v2", 1, 70.0), *(result("p-tuning-v2", 1, 72.0, data=other) for other in (mended, hub))]
    assert sorted(line[0] for line in tables.cells(tables.rows(runs)) if line[4] == "accuracy") == sorted(
        f"{alone[0].task} (data {said} examples)"
        for said in (f"{name}, {count}", "012345, 16 shots by 0, 50", f"some/set@1234, {count}")
    )


def test_runs_that_were_scored_on_other_examples_are_not_compared() -> None:
    """Ten test examples may be easier than all forty, and a pair of scores on both is none."""
    data = result("p-tuning-v2", 1, 70.0).data
    few, all_of_them = ({**data, "examples": {"train": 100, "dev": 10, "test": count}} for count in (10, 40))
    tuned = [result("fine-tuning", seed, 80.0, test=90.0, data=few) for seed in (1, 2)]
    prompts = [result("p-tuning-v2", seed, 70.0, test=60.0 + seed, data=all_of_them) for seed in (1, 2)]
    table = tables.rows([*tuned, *prompts], "test")
    assert tables.baselines_of(table) == [None, None]
    of_dev = tables.rows([*tuned, *prompts])  # which is the same for both
    assert tables.baselines_of(of_dev) == [None, of_dev[0]]
    assert tables.tasks_of(of_dev) == ["made", "made"]
    assert tables.tasks_of(table) == [
        "made (data f00, 100 examples, dev 10, test 10)",
        "made (data f00, 100 examples, dev 10, test 40)",
    ]
    table = tables.rows([*tuned, *prompts, *(replace(run, data=all_of_them) for run in tuned)], "test")
    assert [row is not None for row in tables.baselines_of(table)] == [False, False, True]


def test_dev_sets_that_were_drawn_by_another_seed_are_other_data() -> None:
    runs = [
        result("p-tuning-v2", seed, 70.0 + split_seed, config={"data": {"split": 0.2, "split_seed": split_seed}})
        for seed in (1, 2)
        for split_seed in (0, 1)
    ]
    table = tables.rows(runs)
    assert [(row.seeds, row.dev) for row in table] == [(2, 70.0), (2, 71.0)]
    assert tables.tasks_of(table) == [f"made (data f00, 100 examples, split 0.2 by {seed})" for seed in (0, 1)]
    assert [setting.seeds for setting in ranked(runs)] == [(1, 2), (1, 2)]


def test_rows_that_are_described_alike_say_what_differs() -> None:
    plain, decayed = (
        result("p-tuning-v2", seed, 70.0, config={"optim": {"weight_decay": decay}})
        for seed, decay in ((1, 0.0), (2, 0.01))
    )
    tuned = result("fine-tuning", 1, 80.0, config={"optim": {"weight_decay": 0.01}})
    usual = "P 20, lr 0.02, 20 epochs, batch 8"
    table = tables.rows([plain, decayed, tuned])
    assert [row.settings for row in table] == [
        "lr 0.0002, 10 epochs",
        f"{usual}, optim.weight_decay 0",
        f"{usual}, optim.weight_decay 0.01",
    ]
    (alone,) = tables.rows([decayed])
    assert alone.settings == usual


def test_the_baseline_is_on_the_same_data_and_chosen_on_dev() -> None:
    """The setting of fine-tuning that is best on dev, though the other one is luckier on test."""
    steady = [result("fine-tuning", seed, 80.0, test=70.0) for seed in (1, 2)]
    lucky = [result("fine-tuning", seed, 60.0, test=79.0, config={"optim": {"lr": 1e-4}}) for seed in (1, 2)]
    deep = [result("p-tuning-v2", seed, 81.0, test=75.0) for seed in (1, 2)]
    table = tables.rows([*steady, *lucky, *deep], "test")
    (row,) = [row for row in table if row.method == "p-tuning-v2"]
    elsewhere = replace(row, data="other")
    chosen_otherwise = replace(row, headline="mcc")  # other scores chose other checkpoints
    baseline, *others = tables.baselines_of([row, elsewhere, chosen_otherwise, *table])
    assert baseline is not None
    assert baseline.mean("accuracy") == 70.0
    assert others == [baseline if one is row else None for one in (elsewhere, chosen_otherwise, *table)]
