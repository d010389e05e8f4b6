"""The tasks of multitask-p-tuning-v2: names, mappings, families become configurations; mistakes are one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from ptv2.config.compose import compose
from ptv2.config.identity import run_hash, run_name, shared_hash, shared_name
from ptv2.config.multitask import in_override, shared_parts
from ptv2.config.schema import RunConfig
from ptv2.errors import ConfigError, NetworkError

METHOD = "method=multitask-p-tuning-v2"
TWO = "multitask.tasks=[mini-entities,mini-roles]"


def composed(*overrides: str, task: str = "mini-entities", config_dir: str | None = None) -> RunConfig:
    return compose([METHOD, "model=tiny", f"task={task}", *overrides], config_dir)


def fault(*overrides: str, task: str = "mini-entities") -> str:
    with pytest.raises(ConfigError) as caught:
        composed(*overrides, task=task)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def tasks_of(config: RunConfig) -> dict[str, str | None]:
    """The folder of each task."""
    assert config.multitask is not None
    return {entry.task.name: entry.data.dir for entry in config.multitask.tasks}


# What may be written


@pytest.mark.parametrize(
    ("task", "family"),
    [
        ("conll03", ["conll03", "conll04", "ontonotes"]),
        ("conll12", ["conll05", "conll12"]),
        ("squad", ["squad", "squad_v2"]),
    ],
)
def test_the_families_of_the_paper(task: str, family: list[str]) -> None:
    dirs = ", ".join(f"{name}: DIR" for name in family)
    assert list(tasks_of(composed(f"multitask.dirs={{{dirs}}}", task=task))) == family


def test_folders_of_tasks() -> None:
    """The run's own task may have its folder in either place."""
    words = ["multitask.tasks=[conll04,conll12,mini-roles]"]
    expected = {"conll04": "/a b/c", "conll12": "/d", "mini-roles": None}
    inside = composed(*words, "multitask.dirs={conll04: '/a b/c', conll12: /d}", task="conll04")
    beside = composed(*words, "multitask.dirs={conll12: /d}", "data.dir=/a b/c", task="conll04")
    assert tasks_of(inside) == tasks_of(beside) == expected
    assert inside.data.dir == beside.data.dir == "/a b/c"
    assert inside == beside


def test_tasks_of_ones_own(tmp_path: Path) -> None:
    entries = (
        "[{task: srl, task.name: mine, data.dir: '/it''s here', task.labels: [A0, A1], data.limit.train: 7}, conll12]"
    ).replace("''", "\\'")
    config = composed(f"multitask.tasks={entries}", "data.dir=/b", task="conll12")
    assert config.multitask is not None
    mine = next(entry for entry in config.multitask.tasks if entry.task.name == "mine")
    assert (mine.data.dir, mine.task.labels, mine.data.limit["train"]) == ("/it's here", ["A0", "A1"], 7)
    (tmp_path / "task").mkdir()
    shipped = Path(__file__).parents[2] / "conf" / "task" / "mini-roles.yaml"
    text = shipped.read_text(encoding="utf-8").replace("name: mini-roles", "name: other-roles")
    (tmp_path / "task" / "other-roles.yaml").write_text(text, encoding="utf-8")
    config = composed("multitask.tasks=[mini-entities,other-roles]", config_dir=str(tmp_path))
    assert list(tasks_of(config)) == ["mini-entities", "other-roles"]


@pytest.mark.parametrize(
    "entry",
    ["conll12", "{task: conll12}", "{task: conll12, data.dir: /a}", "{task: conll12, task.max_length: 40}"],
)
def test_the_runs_own_task_is_as_it_is_configured(entry: str) -> None:
    settings = ["data.dir=/a", "task.max_length=40"] if "max" in entry or entry == "conll12" else ["data.dir=/a"]
    config = composed(f"multitask.tasks=[mini-roles,{entry}]", *settings, task="conll12")
    assert config.multitask is not None
    own = next(part for part in config.multitask.tasks if part.task.name == "conll12")
    assert (own.task, own.data) == (config.task, config.data)


def test_the_parts_have_the_settings_of_the_shared_part() -> None:
    config = composed(TWO, "optim.lr=1", "optim.weight_decay=0.1", "multitask.lr=2", "multitask.epochs=3", "seed=5")
    parts = shared_parts(config)
    assert list(parts) == ["mini-entities", "mini-roles"]
    for name, part in parts.items():
        assert (part.task.name, part.method, part.multitask) == (name, "p-tuning-v2", None)
        assert (part.optim.lr, part.optim.weight_decay, part.trainer.epochs, part.seed) == (2, 0.1, 3, 5)
    assert config.optim.lr == 1
    assert config.tuning.name == "p-tuning-v2"


@pytest.mark.parametrize(
    "value",
    [
        "it's",
        "a\\b",
        "end\\",
        "\\'",
        "a,b: {c}",
        "",
        3,
        2.5,
        True,
        None,
        ["a b", 1],
        {"x": ["y", "z z"]},
        "1e3",
        "null",
    ],
)
def test_any_value_passes_through_an_override(value: Any) -> None:
    parsed = OverridesParser.create().parse_override(f"key={in_override(value)}").value()
    assert (str(parsed) if isinstance(value, str) else parsed) == value


# Mistakes


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["multitask.tasks=[mini-entities]"], "multitask: tasks has mini-entities alone; expected two or more"),
        (["multitask.tasks=[]"], "multitask: tasks has nothing alone; expected two or more"),
        (["multitask.tasks=[mini-entities,mini-roles,mini-roles]"], "multitask: tasks has mini-roles twice"),
        (
            ["multitask.tasks=[mini-entities,mini-role]"],
            "multitask.tasks: unknown task 'mini-role'; did you mean mini-",
        ),
        (
            ["multitask.tasks=[mini-roles,mini-questions]"],
            "multitask.tasks has no mini-entities, the task to go on with",
        ),
        (["multitask.tasks=mini-roles"], "multitask.tasks='mini-roles': expected a list of tasks"),
        (["multitask.tasks=[mini-entities,3]"], "multitask.tasks: 3: expected a task's name, or {task: NAME"),
        (
            ["multitask.tasks=[mini-entities,{data.dir: a}]"],
            "multitask.tasks: {'data.dir': 'a'}: expected a task's name",
        ),
        (["multitask.tasks=[mini-entities,{task: srl, optim.lr: 1}]"], "multitask.tasks: optim.lr: expected task, "),
        (
            ["multitask.tasks=[mini-entities,{task: srl, task.nme: a}]"],
            "multitask.tasks: unknown config key 'task.nme'",
        ),
        (
            ["multitask.tasks=[mini-roles,{task: mini-entities, task.max_length: 9}]"],
            "multitask.tasks: mini-entities, this run's own task, has other settings there",
        ),
        (
            [TWO, "multitask.dirs={conll04: a}"],
            "multitask.dirs: unknown task 'conll04'; known: mini-entities, mini-roles",
        ),
        ([TWO, "multitask.temperature=0"], "multitask.temperature=0: expected more than 0"),
        ([TWO, "multitask.lrr=1"], "unknown config key 'multitask.lrr'; did you mean multitask.lr?"),
        ([TWO, "method=fine-tuning"], "multitask.tasks: settings of method=multitask-p-tuning-v2 and of no other"),
        ([TWO, "method=prompt-tuning"], "multitask.tasks: settings of method=multitask-p-tuning-v2 and of no other"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes(words: list[str], expected: str) -> None:
    assert fault(*words).startswith(expected)


def test_settings_without_the_method() -> None:
    with pytest.raises(ConfigError, match="settings of method=multitask-p-tuning-v2 and of no other"):
        compose(["+multitask.lr=1"])


def test_no_family() -> None:
    said = fault(task="rte")
    assert said.startswith("multitask.tasks is not given, and rte is of no family (conll03, ontonotes, conll04; ")
    assert said.endswith("expected multitask.tasks=[rte,...]")


def test_no_verbalizer() -> None:
    said = fault("multitask.tasks=[mini-inference,mini-roles]", "head.kind=verbalizer", task="mini-inference")
    assert "head.kind=verbalizer: method=multitask-p-tuning-v2 has a new head per task; expected linear" in said


def test_all_tasks_without_a_folder_are_named_with_how_to_leave_them_out() -> None:
    said = fault("multitask.tasks=[conll04,conll05,conll12,mini-roles]", "data.dir=/a", task="conll04")
    assert said == (
        "multitask.tasks: no data for conll05, conll12; give multitask.dirs={conll05: DIR, conll12: DIR}; "
        "without conll05 and conll12: multitask.tasks=[conll04,mini-roles]"
    )
    said = fault("multitask.tasks=[conll04,conll12]", "data.dir=/a", task="conll04")
    assert said.endswith("give multitask.dirs={conll12: DIR}")  # two are needed
    said = fault("multitask.tasks=[conll04,conll12]", "data.dir=/a", "multitask.dirs={conll04: /b}", task="conll04")
    assert said == "multitask.dirs: conll04 is in /b, but data.dir=/a"


# Identity

DATA = {"mini-entities": "a", "mini-roles": "b"}


def shared(*overrides: str, task: str = "mini-entities", data: dict[str, str] | None = None) -> str:
    return shared_hash(composed(TWO, *overrides, task=task), data or DATA, "model")


def test_runs_on_several_tasks_share_one_part() -> None:
    assert shared() == shared(task="mini-roles")
    assert shared() == shared("multitask.tasks=[mini-roles,mini-entities]")
    name = shared_name(composed(TWO), DATA, "model")
    assert name == f"mini-entities+mini-roles-tiny-{shared()}"


@pytest.mark.parametrize(
    "change",
    ["optim.lr=1", "trainer.epochs=9", "trainer.batch_size=3", "out=elsewhere", "multitask.only_shared=true"],
)
def test_what_only_the_run_has_does_not_matter_to_the_shared_part(change: str) -> None:
    assert shared(change) == shared()


@pytest.mark.parametrize(
    "change",
    [
        "multitask.lr=1",
        "multitask.temperature=1",
        "multitask.epochs=3",
        "multitask.batch_size=3",
        "multitask.max_steps=3",
        "multitask.tasks=[mini-entities,{task: mini-roles, task.max_length: 9}]",
        "multitask.tasks=[mini-entities,{task: mini-roles, data.limit.train: 9}]",
        "prompt.length=3",
        "seed=12",
        "head.dropout=0.2",
    ],
)
def test_what_the_shared_part_computes_with_matters_to_it_and_to_the_run(change: str) -> None:
    plain, changed = composed(TWO), composed(TWO, change)
    hashes = [shared_hash(config, DATA, "model") for config in (plain, changed)]
    assert hashes[0] != hashes[1]
    assert run_hash(plain, "a", "model", hashes[0]) != run_hash(changed, "a", "model", hashes[1])


def test_a_tasks_data_and_the_weights_matter() -> None:
    config = composed(TWO)
    other = {**DATA, "mini-roles": "c"}
    assert len({shared(), shared(data=other), shared_hash(config, DATA, "other")}) == 3
    hashes = {run_hash(config, "a", "model", shared_hash(config, data, "model")) for data in (DATA, other)}
    assert len(hashes) == 2  # even though the run's own data are the same


def test_a_run_is_named_for_its_method() -> None:
    config = composed(TWO)
    assert run_name(config, "a", "model", "s").startswith("mini-entities-tiny-multitask-p-tuning-v2-")
    with pytest.raises(ValueError, match="shared part None"):
        run_hash(config, "a", "model")
    with pytest.raises(ValueError, match="shared part s"):
        run_hash(compose(["model=tiny"]), "a", "model", "s")


def test_a_task_of_several_that_the_hub_does_not_give() -> None:
    """What helps a run of one task, data.dir, would be of another task here."""
    from ptv2.data.hub import OTHER_SOURCES
    from ptv2.experiment.open import for_each_task

    def fail(name: str) -> None:
        raise NetworkError(f"some/{name}: not reachable; {OTHER_SOURCES}")

    config = compose(["task=mini-entities"])
    with pytest.raises(NetworkError) as caught:
        for_each_task({"conll03": config}, fail, config)
    assert str(caught.value) == "multitask.tasks: some/conll03: not reachable; or give multitask.dirs={conll03: DIR}"
