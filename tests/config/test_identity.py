"""What decides a run's numbers changes its hash; where it runs and how it is kept does not."""

from __future__ import annotations

import copy
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import run_config

from ptv2.config.compose import compose
from ptv2.config.identity import run_hash, run_name, unread
from ptv2.config.schema import RunConfig
from ptv2.run_folders.directory import RunDirectory

METHODS = ("fine-tuning", "prompt-tuning", "p-tuning-v2")
BASE: dict[str, dict[str, Any]] = {
    method: compose(["model=tiny", "task=mini-inference", f"method={method}"]).model_dump(mode="json")
    for method in METHODS
}


def vary(method: str, **changes: Any) -> RunConfig:
    """The default configuration of a method with other values; `prompt__length` stands for prompt.length."""
    tree = copy.deepcopy(BASE[method])
    for key, value in changes.items():
        *parents, leaf = key.split("__")
        node = tree
        for parent in parents:
            node = node[parent]
        node[leaf] = value
    return RunConfig.model_validate(tree)


def identity(config: RunConfig, data: str = "data", model: str = "model") -> str:
    return run_hash(config, data, model)


def test_a_name_says_what_the_run_is() -> None:
    name = run_name(vary("p-tuning-v2"), "data", "model")
    assert re.fullmatch(r"mini-inference-tiny-p-tuning-v2-[0-9a-f]{10}", name)


@pytest.mark.parametrize(
    ("method", "known"), [("fine-tuning", "52b49f47c8"), ("prompt-tuning", "0da532c885"), ("p-tuning-v2", "60e4431176")]
)
def test_runs_keep_their_names(method: str, known: str) -> None:
    """Settings that come with a new version do not rename the runs that were made without them."""
    assert identity(run_config(method=method)) == known


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "change",
    [
        {"out": "elsewhere"},
        {"trainer__device": "cpu"},
        {"trainer__checkpoint_minutes": 0.5},
        {"trainer__halve_on_oom": True},
        {"data__limit": {"train": None}},
        {"model__revision": "main"},
        {"model__sha256": "0" * 64},
    ],
    ids=str,
)
def test_bookkeeping_does_not_matter(method: str, change: dict[str, Any]) -> None:
    assert identity(vary(method, **change)) == identity(vary(method))


def test_the_folder_of_the_model_does_not_matter() -> None:
    here, there = (vary("p-tuning-v2", model__path=folder) for folder in ("a/folder", "another"))
    assert identity(here) == identity(there)


def test_the_folder_of_the_data_does_not_matter() -> None:
    sources = {"files": {"folder": ".", "files": {}}}
    here, there = (
        vary("p-tuning-v2", task__sources=sources, data__source="files", data__dir=folder)
        for folder in ("here", "there")
    )
    assert identity(here) == identity(there)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "change",
    [
        {"seed": 12},
        {"optim__lr": 1e-3},
        {"optim__adamw": "transformers-4"},
        {"head__dropout": 0.2},
        {"trainer__epochs": 3},
        {"trainer__batch_size": 12},
        {"trainer__precision": "bf16"},
        {"data__limit": {"train": 100}},
        {"task__max_length": 48},
        {"task__text": ["hypothesis", "premise"]},
        {"task__headline": "mcc"},
        {"model__pooler": "none"},
        {"model__hidden_dropout": 0.2},
    ],
    ids=str,
)
def test_what_decides_the_numbers_matters(method: str, change: dict[str, Any]) -> None:
    assert identity(vary(method, **change)) != identity(vary(method))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "change",
    [{"trainer__eval_batch_size": 8}, {"model__gradient_checkpointing": True}, {"model__compile": True}],
    ids=str,
)
def test_what_memory_asks_for_is_the_same_run(method: str, change: dict[str, Any], tmp_path: Path) -> None:
    """Unless a run was made with this very value when it was still part of the name: then it is that run."""
    assert identity(vary(method, **change)) == identity(vary(method))
    config = vary(method, **change, out=str(tmp_path))
    assert RunDirectory(config, "data", "model").path.name == run_name(vary(method), "data", "model")
    earlier = tmp_path / run_name(config, "data", "model", earlier=True)
    assert earlier.name != run_name(config, "data", "model")
    earlier.mkdir()
    assert RunDirectory(config, "data", "model").path == earlier


def test_span_padding_matters_where_there_are_spans() -> None:
    for task, count in (("mini-questions", 2), ("mini-inference", 1)):
        plain, published = (
            compose(["model=tiny", f"task={task}", f"head.span_padding={choice}"]) for choice in ("masked", "published")
        )
        assert len({identity(plain), identity(published)}) == count


def test_a_verbalizer_matters_where_the_head_is_one() -> None:
    other = "task.verbalizer.words.neutral=[perhaps]"
    for kind, count in (("verbalizer", 2), ("linear", 1)):
        plain, changed = (
            compose(["model=tiny", "task=mini-inference", f"head.kind={kind}", *more]) for more in ([], [other])
        )
        assert len({identity(plain), identity(changed)}) == count
    assert identity(compose(["model=tiny", "task=mini-inference", "head.kind=verbalizer"])) != identity(
        vary("p-tuning-v2")
    )


def test_data_and_weights_matter() -> None:
    config = vary("p-tuning-v2")
    assert len({identity(config), identity(config, data="other"), identity(config, model="other")}) == 3


def test_methods_differ() -> None:
    settings_of_one = {"optim__lr": 1e-3}
    assert len({identity(vary(method, **settings_of_one)) for method in METHODS}) == len(METHODS)


@pytest.mark.parametrize(
    ("change", "deciding_for"),
    [
        ({"prompt__length": 7}, ["p-tuning-v2", "prompt-tuning"]),
        ({"prompt__init": "vocabulary"}, ["p-tuning-v2", "prompt-tuning"]),
        ({"prompt__layers": "last-1"}, ["p-tuning-v2"]),
        ({"prompt__form": "hidden"}, ["p-tuning-v2"]),
        ({"prompt__positions": "unshifted"}, ["p-tuning-v2"]),
        ({"prompt__dropout": 0.3}, ["p-tuning-v2"]),
        ({"prompt__embedding": "published"}, ["prompt-tuning"]),
    ],
    ids=str,
)
def test_a_method_ignores_the_prompt_settings_that_it_does_not_use(
    change: dict[str, Any], deciding_for: list[str]
) -> None:
    changed = [method for method in METHODS if identity(vary(method, **change)) != identity(vary(method))]
    assert sorted(changed) == deciding_for


@pytest.mark.parametrize(
    ("word", "beside", "counts"),
    [
        ("optim.prompt_lr=0.5", "method=fine-tuning", False),
        ("optim.prompt_lr=0.5", "method=head-only", False),
        ("optim.prompt_lr=0.5", "method=prompt-tuning", True),
        ("optim.backbone_lr=0.5", "method=p-tuning-v2", False),
        ("optim.backbone_lr=0.5", "method=lora", True),
        ("optim.head_lr=0.5", "head.kind=verbalizer", False),
        ("optim.head_lr=0.5", "head.kind=linear", True),
        ("optim.decay=0.5", "optim.schedule=linear", False),
        ("optim.decay=0.5", "optim.schedule=exponential", True),
        ("prompt.init_std=0.5", "prompt.init=vocabulary", False),
        ("prompt.init_std=0.5", "prompt.reparameterization=mlp", True),
        ("prompt.mlp_hidden=8", "prompt.reparameterization=none", False),
        ("prompt.mlp_hidden=8", "prompt.reparameterization=mlp", True),
        ("head.dropout=0.5", "head.kind=verbalizer", False),
        ("head.dropout=0.5", "task=mini-entities", True),
        ("head.span_padding=published", "task=mini-inference", False),
        ("data.split_seed=4", "data.split=null", False),
        ("prompt.length=3", "method=fine-tuning", False),
        ("prompt.dropout=0.5", "method=prompt-tuning", False),
        ("lora.rank=3", "method=p-tuning-v2", False),
        ("lora.rank=3", "method=lora", True),
    ],
)
def test_a_setting_that_nothing_reads_makes_no_other_run(word: str, beside: str, counts: bool) -> None:
    words = ["model=tiny", "recipe=none", *([] if beside.startswith("task=") else ["task=mini-inference"]), beside]
    changed = compose([*words, word])
    assert (identity(changed) != identity(compose(words))) == counts
    assert (word.partition("=")[0] in unread(changed)) == (not counts)


def test_a_template_by_number_is_the_template() -> None:
    one = compose(["task=wic", "task.template=1"])
    other = compose(["task=wic", "task.template=0"])
    assert identity(one) != identity(other)


def test_the_order_of_overrides_does_not_matter() -> None:
    overrides = ["seed=3", "model=tiny", "task=wic", "prompt.length=5", "optim.lr=0.01"]
    assert identity(compose(overrides)) == identity(compose(overrides[::-1]))


@settings(max_examples=50, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(chance: random.Random) -> None:
    def shuffled(tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tree
        keys = list(tree)
        chance.shuffle(keys)
        return {key: shuffled(tree[key]) for key in keys}

    assert identity(RunConfig.model_validate(shuffled(BASE["p-tuning-v2"]))) == identity(vary("p-tuning-v2"))


SETTINGS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 3),
        "optim__lr": st.sampled_from([1e-3, 0.001, 2e-3]),
        "prompt__length": st.integers(1, 3),
        "prompt__layers": st.sampled_from(["all", "last-1", [0], [0, 1]]),
    }
)


@settings(max_examples=100, deadline=None)
@given(SETTINGS, SETTINGS)
def test_two_runs_share_a_hash_exactly_if_their_settings_are_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (identity(vary("p-tuning-v2", **one)) == identity(vary("p-tuning-v2", **other))) == (one == other)
