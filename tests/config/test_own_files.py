"""Files of `--config-dir` are data: whatever they name, nothing is run and nothing is resolved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from commandline import run
from hypothesis import given, settings
from hypothesis import strategies as st

from ptv2.config import paths
from ptv2.config.own_files import DRAWN, SETTINGS, TOP, check_file
from ptv2.config.schema import RunConfig
from ptv2.errors import ConfigError

TARGETS = [
    "distutils.spawn.spawn",
    "shutil.copy",
    "shutil.rmtree",
    "ptv2.files.write_text_whole",
    "numpy.save",
    "numpy.load",
    "joblib.load",
    "torch.load",
    "torch.hub.load_state_dict_from_url",
    "torch.hub.load",
    "os.system",
    "os.remove",
    "os.execv",
    "subprocess.run",
    "subprocess.Popen",
    "builtins.exec",
    "builtins.eval",
    "builtins.open",
    "importlib.import_module",
    "pathlib.Path.write_text",
    "runpy.run_path",
    "pickle.load",
]
PLACES: dict[str, Any] = {
    "callback": {"hydra": {"callbacks": {"x": {"_target_": "TARGET"}}}},
    "launcher": {"hydra": {"launcher": {"_target_": "TARGET"}}},
    "sweeper": {"hydra": {"sweeper": {"_target_": "TARGET", "params": {}}}},
    "pruner": {"hydra": {"sweeper": {"params": {"optim.lr": {"_target_": "TARGET"}}}}},
    "within": {"model": {"config": {"x": {"_target_": "TARGET"}}}},
    "list": {"task": {"text": [{"_target_": "TARGET"}]}},
    "partial": {"model": {"config": {"_partial_": True, "f": "TARGET"}}},
    "override": {"overrides": ["+hydra.callbacks.x._target_=TARGET"]},
    "plain override": {"overrides": ["hydra.launcher._target_=TARGET"]},
    "multitask": {"multitask": {"tasks": [{"task": "sst2", "hydra.callbacks.x._target_": "TARGET"}]}},
    "defaults": {"defaults": [{"override /hydra/launcher": "TARGET"}]},
    "defaults in another package": {"defaults": [{"/task@hydra.callbacks": "TARGET"}]},
}
SECRETS = [
    "${oc.env:PTV2_SECRET}",
    "${oc.env:PTV2_SECRET,default}",
    "a ${oc.env:PTV2_SECRET} b",
    "${oc.select:x,${oc.env:PTV2_SECRET}}",
    "${oc.decode:${oc.env:PTV2_SECRET}}",
    "${oc.create:{a:1}}",
    "${hydra:runtime.cwd}",
    "${hydra.runtime.cwd}",
    "${ oc.env:PTV2_SECRET }",
    "${now:%Y}",
    "${task.${oc.env:PTV2_SECRET}}",
]


def write(folder: Path, group: str, tree: Any, head: str = "# @package _global_\n", name: str = "mine") -> Path:
    path = folder / group / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head + (tree if isinstance(tree, str) else yaml.safe_dump(tree)), encoding="utf-8")
    return path


def put(tree: Any, target: str) -> Any:
    return json.loads(json.dumps(tree).replace("TARGET", target))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("place", PLACES)
def test_no_file_names_code(place: str, target: str, tmp_path: Path) -> None:
    for group in (*SETTINGS, *DRAWN):
        path = write(tmp_path, group, put(PLACES[place], target))
        with pytest.raises(ConfigError) as caught:
            check_file(path, group)
        assert str(caught.value).startswith(f"{path}: ")
        assert len(str(caught.value)) <= 300 + len(str(path))


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("group", [*SETTINGS, *DRAWN])
def test_no_file_asks_a_resolver(secret: str, group: str, tmp_path: Path) -> None:
    for tree in (
        {"task": {"name": secret}},
        {"task": {"text": [secret]}},
        {"task": {secret: 1}},
        {"defaults": [secret]},
    ):
        path = write(tmp_path, group, tree)
        with pytest.raises(ConfigError, match=r"mine\.yaml"):
            check_file(path, group)


NAMES = st.sampled_from(["task", "model", "optim", "x", "a.b", "0"])
LEAVES = st.one_of(
    st.sampled_from([f"${{oc.env:{name}}}" for name in ("HOME", "A,b")]),
    st.just({"_target_": "os.system"}),
    st.just({"hydra": {"job": {"chdir": True}}}),
    st.just(["hydra.run.dir=/"]),
    st.just(["++hydra.callbacks.a._target_=os.system"]),
)


@settings(max_examples=300, deadline=None)
@given(tree=st.recursive(LEAVES, lambda inner: st.dictionaries(NAMES, inner, min_size=1) | st.lists(inner, min_size=1)))
def test_anywhere_in_a_file(tree: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = write(tmp_path_factory.mktemp("f"), "task", {"model": tree})
    with pytest.raises(ConfigError):
        check_file(path, "task")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "line 2: no YAML"),
        ("a: !!python/object/apply:os.system [ls]", "line 2: no YAML"),
        ("a: !mine 1", "line 2: no YAML"),
        ("- a", "expected settings (key: value), found a list"),
        ("text", "expected settings (key: value), found a text"),
        ("a: " + "[" * 3000, "no YAML (nested too deeply)"),
        ("a: \0", "no YAML (character 24 is '\\x00')"),
        ("a: 2024-13-45", "no YAML (month must be in 1..12)"),
        ("out: /elsewhere", "out cannot be set in a file"),
        ("optim: {lr: 1, &x: 2}", "None: expected a text in its place, the name of a setting"),
        ("optim: {2024-01-01: 2}", "2024-01-01: expected a text in its place, the name of a setting"),
        ("defaults: {}", "defaults: {}; expected a list"),
        ("defaults: [{'override /method ': prompt-tuning}]", "expected NAME, or GROUP: NAME"),
        ("defaults: [{/method: [1]}]", "expected NAME, or GROUP: NAME"),
        ("defaults: [[/method]]", "expected NAME, or GROUP: NAME"),
        ("defaults: [{/method: a, /task: b}]", "expected NAME, or GROUP: NAME"),
        ("model: {trust_remote_code: true}", "trust_remote_code can be set on the command line only"),
        ("model: {trust_remote_code: '${task.name}'}", "trust_remote_code can be set on the command line only"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, "recipe", text)
    with pytest.raises(ConfigError) as caught:
        check_file(path, "recipe")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_alias_that_stands_for_millions(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    path = write(tmp_path, "task", "\n".join(lines), head="")
    with pytest.raises(ConfigError, match="more than 100,000 values"):
        check_file(path, "task")


@pytest.mark.parametrize("package", ["hydra", "hydra.callbacks", "task", "_name_"])
def test_other_packages_are_refused(package: str, tmp_path: Path) -> None:
    path = write(tmp_path, "task", {"x": {"_x": 1}}, head=f"# a comment\n# @package {package}\n")
    with pytest.raises(ConfigError, match="@package"):
        check_file(path, "task")


@pytest.mark.parametrize("group", ["recipe", "sweep"])
@pytest.mark.parametrize("head", ["", "# @packag _global_\n", "\ufeff# @package _global_\n", "# @package _group_\n"])
def test_no_recipe_is_read_as_nothing(group: str, head: str, tmp_path: Path) -> None:
    """Settings of a file without the line would be put where nobody looks for them."""
    path = write(tmp_path, group, {"optim": {"lr": 1}}, head=head)
    with pytest.raises(ConfigError, match="expected the line `# @package _global_` at its top"):
        check_file(path, group)


@pytest.mark.parametrize("group", ["recipe", "sweep"])
@pytest.mark.parametrize("text", ["", "# @package _global_\n"])
def test_an_empty_file_is_not_read_as_nothing(group: str, text: str, tmp_path: Path) -> None:
    """A copy that broke off trained with the defaults."""
    path = write(tmp_path, group, text, head="")
    with pytest.raises(ConfigError, match=r"expected settings \(key: value\), found nothing"):
        check_file(path, group)


def test_what_ships_is_data_too() -> None:
    """But for the space of Optuna, and the sweeps that choose Optuna and have a space for each method."""
    checked = 0
    for group in (*SETTINGS, *DRAWN):
        for path in sorted((paths.conf_dir() / group).rglob("*.yaml")):
            if path.name != "optuna.yaml" and not path.name.startswith("compute"):
                check_file(path, group)
                checked += 1
    assert checked > 100


def test_a_sweep_of_ones_own(tmp_path: Path) -> None:
    tree = {
        "hydra": {"mode": "MULTIRUN", "sweeper": {"params": {"optim.lr": "1e-3,1e-2", "seed": 1}}},
        "optim": {"lr": 1},
    }
    check_file(write(tmp_path, "sweep", tree), "sweep")
    for other in ({"callbacks": {}}, {"sweeper": {"params": "x"}}, {"mode": []}, {"sweeper": {"storage": "x"}}, "x"):
        with pytest.raises(ConfigError):
            check_file(write(tmp_path, "sweep", {"hydra": other}), "sweep")


# Through the command line


@pytest.mark.parametrize("command", ["train", "plan", "list", "reproduce", "sweep"])
def test_no_command_reads_such_a_folder(command: str, tmp_path: Path) -> None:
    mine, mark = tmp_path / "mine", tmp_path / "mark"
    callback = {"_target_": "ptv2.files.write_text_whole", "path": str(mark), "text": "run"}
    write(mine, "recipe", {"hydra": {"callbacks": {"x": callback}}}, name="mini-entities/tiny/p-tuning-v2")
    here = ["--config-dir", str(mine)]
    words = {
        "train": ["train", *here, "model=tiny", "trainer.max_steps=1"],
        "sweep": ["train", f"--config-dir={mine}", "model=tiny", "seed=1,2", "-m"],
        "plan": ["plan", "model=tiny", *here],
        "list": ["list", "recipes", *here],
        "reproduce": ["reproduce", "table=2", "--plan", *here],
    }[command]
    done = run(words, tmp_path)
    assert done.code == 2
    assert "hydra cannot be set in a file" in done.error
    assert not mark.exists()


def test_a_task_of_ones_own_is_taken(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    text = (paths.conf_dir() / "task" / "mini-entities.yaml").read_text(encoding="utf-8")
    write(mine, "task", text, head="")
    done = run(["train", "--config-dir", str(mine), "task=mine", "model=tiny", "--cfg", "job"], tmp_path)
    assert done.code == 0, done.err


def test_a_folder_of_hydras_own_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "hydra/launcher", {"x": 1})
    done = run(["train", "--config-dir", str(tmp_path), "model=tiny"], tmp_path / "streams")
    assert done.code == 2
    assert "such files would be run by Hydra" in done.error


@pytest.mark.parametrize(
    "text", ["", "name: x\n", "defaults: [x]\nname: x\n", "defaults: [classification]\n", "a: 1\n"]
)
def test_a_file_that_says_little_is_listed(text: str, tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "x.yaml").write_text(text)
    done = run(["list", "tasks", "--config-dir", str(tmp_path)], tmp_path / "streams")
    assert done.code == 0, done.err
    row = next(line for line in done.out.splitlines() if line.startswith("x "))
    assert ("files*" in row) == ("classification" in text)


def test_files_that_begin_with_one_another(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    for name, other in (("x", "y"), ("y", "x")):
        (tmp_path / "task" / f"{name}.yaml").write_text(f"defaults: [{other}]\nname: x\n")
    done = run(["train", "task=x", "--config-dir", str(tmp_path)], tmp_path / "streams")
    assert (done.code, "in their defaults" in done.error) == (2, True)


def test_a_file_may_set_all_of_a_run_but_where_it_and_its_numbers_go() -> None:
    assert set(TOP) == {*RunConfig.model_fields, "ours"} - {"out", "track"}
