"""Recipes: those of the published runs say what the scripts said, and each is chosen where it should be."""

from __future__ import annotations

import csv
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from commandline import result_of, run
from omegaconf import OmegaConf

from ptv2.commands import list as list_command
from ptv2.config import paths
from ptv2.config.compose import compose
from ptv2.config.identity import OF_A_MACHINE, run_hash
from ptv2.config.keys import flat, nested
from ptv2.config.recipes import describe_recipe, shipped_and_own
from ptv2.config.schema import RunConfig
from ptv2.errors import ConfigError

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "scripts"))
import write_recipes  # noqa: E402

TABLE = ROOT / "tests" / "reference" / "run_scripts.csv"
with TABLE.open(encoding="utf-8", newline="") as stream:
    ROWS = list(csv.DictReader(stream))
RUNS = [row for row in ROWS if row["script"].startswith("run_script/")]
GRID = [row for row in ROWS if row["script"].startswith("search_script/")]
NAMES = {"conll2003": "conll03", "conll2004": "conll04", "conll2005": "conll05", "conll2012": "conll12"}
OTHER_SCRIPT = "run_script/run_conll12_bert.sh"  # the second of two for one task and model


def task_of(row: dict[str, str]) -> list[str]:
    """Task and model of a row, with a folder where the task reads files."""
    task = NAMES.get(row["dataset"], row["dataset"])
    tree = yaml.safe_load((paths.conf_dir() / "task" / f"{task}.yaml").read_text(encoding="utf-8"))
    folder = ["data.dir=somewhere"] if tree["source"] == "files" else []
    return [f"task={task}", f"model={row['model']}", *folder]


def of(*overrides: str, config_dir: Path | None = None) -> RunConfig:
    return compose(list(overrides), None if config_dir is None else str(config_dir))


def name_of(config: RunConfig) -> str | None:
    return None if config.recipe is None else config.recipe.name


def test_no_recipe_asks_for_a_machine() -> None:
    """Precision and the like depend on what somebody has: in bf16 a processor without it takes ten times as long."""
    files = [*(paths.conf_dir() / "recipe").rglob("*.yaml"), *(paths.conf_dir() / "sweep").rglob("*.yaml")]
    assert len(files) > 60
    for file in files:
        keys = flat(yaml.safe_load(file.read_text(encoding="utf-8")) or {})
        assert not [key for key in keys if key.startswith(OF_A_MACHINE)], file
        if "minilm" in file.parts:  # searched with defaults that may since have changed
            assert {"optim.lr", "trainer.epochs", "trainer.batch_size"} <= set(keys), file


# The published runs


def test_the_table_is_whole() -> None:
    assert (len(RUNS), len(GRID)) == (20, 108)


@pytest.mark.parametrize("row", RUNS, ids=lambda row: Path(row["script"]).stem)
def test_a_published_run_is_composed_as_its_script_had_it(row: dict[str, str]) -> None:
    other = ["recipe=conll12/roberta-large/p-tuning-v2-bert-script"] if row["script"] == OTHER_SCRIPT else []
    config = of(*task_of(row), *other)
    family, dropout = row["task"], float(row["dropout"])
    assert config.method == "p-tuning-v2"
    assert config.recipe is not None
    assert (config.recipe.kind, config.recipe.changed) == ("published", {})
    assert config.recipe.source.startswith(f"{row['script']} ")
    assert config.seed == int(row["seed"])
    assert (config.trainer.batch_size, config.trainer.epochs) == (int(row["batch_size"]), int(row["epochs"]))
    assert config.optim.lr == float(row["learning_rate"])
    assert (config.optim.prompt_lr, config.optim.head_lr) == (None, None)
    assert (config.optim.adamw, config.optim.weight_decay, config.optim.clip) == ("transformers-4", 0.0, 1.0)
    exponential = family != "superglue"
    assert (config.optim.schedule, config.optim.decay) == ("exponential" if exponential else "linear", 0.95)
    assert config.optim.warmup == 0.0
    prompt = config.prompt
    assert (prompt.form, prompt.layers, prompt.length) == ("key-value", "all", int(row["prompt_length"]))
    assert (prompt.reparameterization == "mlp") == (row["prefix_projection"] == "true")
    assert (prompt.mlp_hidden, prompt.init_std, prompt.positions) == (512, 0.02, "shifted")
    assert (prompt.dropout, config.model.hidden_dropout) == (dropout, dropout)
    assert config.model.attention_dropout is None
    assert config.head.dropout == (0.0 if family == "qa" else dropout)
    if family == "superglue":
        assert config.task.max_length == int(row["max_seq_length"])
        assert config.model.pooler == "published"
        assert (config.task.template or 0) == int(row["template_id"])
    if family == "qa":
        assert (config.task.max_length, config.head.span_padding) == (int(row["max_seq_length"]), "published")
    if family == "srl":
        assert config.task.tagging is not None
        assert config.task.tagging.predicate == "published"


def test_the_files_are_what_the_script_writes() -> None:
    written = dict(write_recipes.recipes(TABLE))
    assert len(written) == 20
    folder = paths.conf_dir() / "recipe"
    for name, text in written.items():
        assert (folder / name).read_text(encoding="utf-8") == text, f"{name}: run python scripts/write_recipes.py"
    published = [recipe for recipe in shipped_and_own() if recipe.kind == "published"]
    assert sorted(f"{recipe.name}.yaml" for recipe in published) == sorted(written)


@pytest.mark.parametrize("recipe", list(shipped_and_own()), ids=lambda recipe: recipe.name)
def test_every_recipe_is_found_by_its_task_model_and_method(recipe: Any) -> None:
    task, model, method = recipe.name.split("/") if recipe.name.count("/") == 2 else recipe.name.split("/", 3)[:3]
    method, more = (method, []) if method in paths.choices("method") else ("p-tuning-v2", [f"recipe={recipe.name}"])
    if method == "multitask-p-tuning-v2":
        more = [f"multitask.tasks=[{task},mini-entities]"]  # its family would want folders too
    data = () if task.startswith("mini-") else FILES
    config = of(f"task={'boolq' if task == 'any' else task}", f"model={model}", f"method={method}", *more, *data)
    assert name_of(config) == recipe.name
    assert config.recipe is not None
    assert config.recipe.changed == {}


FILES = ("data.source=files", "data.dir=somewhere")


def test_the_published_grid() -> None:
    tree = OmegaConf.to_container(OmegaConf.load(paths.conf_dir() / "sweep" / "paper.yaml"))
    assert isinstance(tree, dict)
    params = tree["hydra"]["sweeper"]["params"]
    axes = [str(params[key]).split(",") for key in ("optim.lr", "prompt.length", "trainer.epochs")]
    points = {(float(lr), int(length), int(epochs)) for lr, length, epochs in product(*axes)}
    assert points == {(float(r["learning_rate"]), int(r["prompt_length"]), int(r["epochs"])) for r in GRID}
    assert len(params) == 3
    for task, recipe in (("copa", "copa/roberta-large/p-tuning-v2"), ("sst2", None)):
        config = of("+sweep=paper", f"task={task}", "model=roberta-large", "method=fine-tuning", "optim.lr=7e-3")
        assert (config.method, config.optim.lr) == ("fine-tuning", 7e-3)  # what is said on the command line wins
        config = of("+sweep=paper", f"task={task}", "model=roberta-large")
        assert (config.method, name_of(config)) == ("p-tuning-v2", recipe)
    (row,) = {(row["batch_size"], row["seed"], row["dropout"]) for row in GRID}
    config = of("+sweep=paper", "task=copa", "model=roberta-large")
    assert (config.trainer.batch_size, config.seed, config.prompt.dropout) == (int(row[0]), int(row[1]), float(row[2]))


# What wins


MINE = """\
# @package _global_
recipe: {kind: ours, source: a test}
prompt: {length: 7, dropout: 0.3}
trainer: {epochs: 9, batch_size: 5}
"""
ANY = """\
# @package _global_
recipe: {kind: ours, source: another test}
prompt: {length: 3}
head: {dropout: 0.4}
"""
SWEEP = """\
# @package _global_
# A sweep.
defaults: [override /task: conll04]
trainer: {epochs: 4}
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A user's folder with recipes for the tiny model, and a sweep."""
    folder = tmp_path / "mine"
    for name, text in (
        ("recipe/conll04/tiny/p-tuning-v2", MINE),
        ("recipe/any/tiny/p-tuning-v2", ANY),
        ("sweep/mine", SWEEP),
    ):
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return folder


DATA = "data.dir=somewhere"


def test_a_recipe_of_ones_own_over_one_for_any_task(mine: Path) -> None:
    config = of("model=tiny", "task=conll04", DATA, config_dir=mine)
    assert (config.prompt.length, config.prompt.dropout, config.head.dropout) == (7, 0.3, 0.4)
    assert (config.trainer.epochs, config.trainer.batch_size) == (9, 5)
    assert config.recipe is not None
    assert (config.recipe.name, config.recipe.source) == ("conll04/tiny/p-tuning-v2", "a test")
    assert config.recipe.changed == {}
    elsewhere = of("model=tiny", config_dir=mine)
    assert (name_of(elsewhere), elsewhere.prompt.length, elsewhere.prompt.dropout) == (
        "any/tiny/p-tuning-v2",
        3,
        0.1,
    )


def test_a_sweep_file_wins_over_the_recipe_and_the_command_line_over_both(mine: Path) -> None:
    config = of("+sweep=mine", "model=tiny", DATA, config_dir=mine)
    assert (name_of(config), config.trainer.epochs, config.prompt.length) == ("conll04/tiny/p-tuning-v2", 4, 7)
    config = of("+sweep=mine", "model=tiny", DATA, "trainer.epochs=2", "prompt.length=1", config_dir=mine)
    assert (config.trainer.epochs, config.prompt.length) == (2, 1)
    assert config.recipe is not None
    assert config.recipe.changed == {"trainer.epochs": 9, "prompt.length": 7}


def test_a_trainer_that_is_asked_for_wins_over_the_recipe(mine: Path) -> None:
    config = of("model=tiny", "task=conll04", DATA, "trainer=smoke", config_dir=mine)
    assert (config.trainer.epochs, config.trainer.max_steps, config.trainer.batch_size) == (1, 20, 5)


@pytest.mark.parametrize("off", ["recipe=none", "~recipe"])
def test_a_recipe_can_be_switched_off(off: str, mine: Path) -> None:
    config = of("model=tiny", "task=conll04", DATA, off, config_dir=mine)
    assert (name_of(config), config.prompt.length) == ("any/tiny/p-tuning-v2", 3)
    config = of("model=tiny", "task=conll04", DATA, off, "recipe/any=none", config_dir=mine)
    assert (name_of(config), config.prompt.length) == (None, 64)


def test_a_recipe_of_another_case_can_be_taken() -> None:
    config = of("task=rte", "model=bert-base-cased", "recipe=rte/bert-large-cased/p-tuning-v2")
    assert (name_of(config), config.trainer.epochs) == ("rte/bert-large-cased/p-tuning-v2", 60)


def test_other_methods_have_no_published_recipe() -> None:
    for method in ("fine-tuning", "prompt-tuning"):
        assert of("task=rte", "model=bert-large-cased", f"method={method}").recipe is None


def test_a_recipe_decides_nothing_that_its_settings_do_not() -> None:
    """The same settings by hand are the same run."""
    recipe = of("task=rte", "model=bert-large-cased")
    (file,) = (r for r in shipped_and_own() if r.name == "rte/bert-large-cased/p-tuning-v2")
    by_hand = of("recipe=none", "task=rte", "model=bert-large-cased", *(f"{k}={v}" for k, v in file.settings.items()))
    assert by_hand.recipe is None
    assert run_hash(by_hand, "data", "model") == run_hash(recipe, "data", "model")
    assert run_hash(by_hand, "data", "model") != run_hash(
        of("recipe=none", "task=rte", "model=bert-large-cased"), "data", "model"
    )


def test_a_checkpoint_of_ones_own_has_no_recipe_of_the_default_model(mine: Path) -> None:
    (mine / "recipe" / "ner" / "minilm").mkdir(parents=True)
    (mine / "recipe" / "ner" / "minilm" / "p-tuning-v2.yaml").write_text(MINE)
    assert of("task=ner", DATA, config_dir=mine).prompt.length == 7
    elsewhere = of("task=ner", DATA, "model.path=some/checkpoint", config_dir=mine)
    assert (elsewhere.recipe, elsewhere.prompt.length) == (None, 64)
    assert (elsewhere.model.name, elsewhere.model.scale) == ("checkpoint", "base")
    told = of("task=rte", "model=bert-large-cased", "model.path=a/folder")
    assert (told.model.name, name_of(told)) == ("folder", "rte/bert-large-cased/p-tuning-v2")


# Mistakes


@pytest.mark.parametrize(
    ("override", "start"),
    [
        (
            "recipe=rte/bert-large-cased/p-tuning",
            "unknown recipe 'rte/bert-large-cased/p-tuning'; did you mean rte/bert-large-cased/p-tuning-v2? known: ",
        ),
        ("recipe/any=mine", "unknown recipe/any 'mine'; known: glm-xlarge/p-tuning-v2, "),
        ("model=other", "model.path has no default; expected model.path=VALUE"),
    ],
)
def test_a_mistake_is_one_line(override: str, start: str) -> None:
    with pytest.raises(ConfigError) as caught:
        of(override)
    assert str(caught.value).startswith(start)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prompt: {length: 3}\n", "no recipe; expected recipe.kind"),
        ("recipe: {kind: mine, source: me}\n", "unknown recipe.kind 'mine'; known: ours, published"),
        ("recipe: {kind: ours, source: me}\nprompt: {lenght: 3}\n", "unknown config key 'prompt.lenght'; did you mean"),
        ("recipe: {kind: ours, source: me}\nprompt: {length: 0}\n", "prompt.length=0: "),
    ],
)
def test_a_recipe_that_is_not_right(text: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe" / "mini-inference" / "tiny" / "p-tuning-v2.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(f"# @package _global_\n{text}")
    with pytest.raises(ConfigError) as caught:
        of("task=mini-inference", "model=tiny", config_dir=tmp_path)
    assert expected in str(caught.value)


# Defaults, where nothing was published


def test_defaults_go_by_scale_and_shape() -> None:
    def rate(method: str, *more: str) -> float:
        return of("task=mini-inference", f"method={method}", *more).optim.lr

    fine = [rate("fine-tuning", f"model={m}") for m in ("minilm", "bert-base-cased", "roberta-large", "deberta-xlarge")]
    assert fine == sorted(fine, reverse=True)
    assert len(set(fine)) == 4
    assert rate("fine-tuning", "model.scale=large") == rate("fine-tuning", "model=roberta-large")
    lengths = [of(f"task={task}", *FILES, "model=roberta-base").prompt.length for task in ("ontonotes", "rte", "squad")]
    assert lengths == [64, 20, 16]
    epochs = [of(f"task={task}", "model=roberta-base").trainer.epochs for task in ("cb", "rte", "sst2")]
    assert epochs == [80, 60, 20]
    assert of("task=mini-inference").trainer.epochs == 20  # a laptop's backbone
    batches = [of("task=rte", f"model={model}", "recipe=none").trainer.batch_size for model in ("tiny", "roberta-base")]
    assert batches == [8, 32]
    warm = [
        of("task=mini-inference", "method=fine-tuning", f"model={model}").optim.warmup
        for model in ("minilm", "roberta-large")
    ]
    assert warm == [0.0, 0.06]


def test_every_task_model_and_method_has_defaults() -> None:
    """Any task with any model: whatever is not said is the method's, and checked."""
    models = sorted(set(paths.choices("model")) - {"other"})
    for task in sorted(paths.choices("task")):
        tree = yaml.safe_load((paths.conf_dir() / "task" / f"{task}.yaml").read_text(encoding="utf-8"))
        assert tree.get("scale", "medium") in ("small", "medium", "large")
        data = ["data.dir=x"] if tree["source"] == "files" else []
        config = of(f"task={task}", *data, "method=prompt-tuning", "recipe=none")
        assert config.trainer.epochs in (20, 10, 4)
    for model in models:
        assert of("task=mini-inference", f"model={model}", "method=fine-tuning").optim.lr <= 2e-4


def test_flat_and_nested_are_opposites() -> None:
    tree = {"a": {"b": 1, "c": {"d": None, "e": [1, {"f": 2}]}}, "g": {}}
    assert flat(tree) == {"a.b": 1, "a.c.d": None, "a.c.e": [1, {"f": 2}], "g": {}}
    assert nested(flat(tree)) == tree


# The commands


def test_each_job_of_a_sweep_has_its_own_recipe(mine: Path, tmp_path: Path) -> None:
    path = mine / "recipe" / "mini-entities" / "tiny" / "fine-tuning.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("# @package _global_\nrecipe: {kind: ours, source: a third}\noptim: {lr: 0.25}\nseed: 3\n")
    words = "task=mini-inference,mini-entities method=fine-tuning,p-tuning-v2 model=tiny trainer=smoke"
    more = ["trainer.max_steps=1", "data.limit.train=8", "data.limit.dev=8", "prompt.dropout=0", f"out={tmp_path}/out"]
    done = run(["train", "-m", "--config-dir", str(mine), *words.split(), *more], tmp_path / "streams")
    assert done.code == 0, done.err
    made = [result_of(folder.parent) for folder in (tmp_path / "out").glob("*/result.json")]
    assert {
        (r["task"], r["method"], (r["config"]["recipe"] or {}).get("name"), r["config"]["optim"]["lr"]) for r in made
    } == {
        ("mini-inference", "fine-tuning", None, 2e-4),
        ("mini-entities", "fine-tuning", "mini-entities/tiny/fine-tuning", 0.25),
        ("mini-inference", "p-tuning-v2", "any/tiny/p-tuning-v2", 2e-2),
        ("mini-entities", "p-tuning-v2", "any/tiny/p-tuning-v2", 2e-2),
    }
    told = [line.partition(" ")[2] for line in done.err.splitlines() if "recipe" in line]
    assert sorted(told) == [  # three of the four jobs: what has no recipe is not spoken of
        "recipe any/tiny/p-tuning-v2.yaml, ours: another test",
        "recipe any/tiny/p-tuning-v2.yaml, ours: another test",
        "recipe mini-entities/tiny/fine-tuning.yaml, ours: a third",
    ]


def test_what_a_run_has_changed_is_said(mine: Path, tmp_path: Path) -> None:
    words = ["model=tiny", "trainer=smoke", "trainer.max_steps=1", "data.limit.train=8", "data.limit.dev=8"]
    more = ["prompt.length=2", f"out={tmp_path}/out"]
    done = run(["train", "--config-dir", str(mine), *words, *more], tmp_path / "streams")
    assert done.code == 0, done.err
    assert "recipe any/tiny/p-tuning-v2.yaml, ours: another test; changed: prompt.length 2 (3)\n" in done.err
    (log,) = (tmp_path / "out").glob("*/log.txt")
    assert "recipe any/tiny/p-tuning-v2.yaml, ours: another test; changed: prompt.length 2 (3)\n" in log.read_text()
    assert describe_recipe(of("task=rte", "model=roberta-large", "recipe=none")) is None


def test_the_configuration_of_a_job_has_the_recipe(tmp_path: Path) -> None:
    done = run(["train", "task=rte", "model=bert-large-cased", "--cfg", "job"], tmp_path)
    assert done.code == 0, done.err
    tree = yaml.safe_load(done.out)
    assert (tree["recipe"]["kind"], tree["optim"]["lr"], tree["trainer"]["epochs"]) == ("published", 0.01, 60)
    done = run(["train", "task=sick", "data.dir=x", "recipe=none", "--cfg", "job"], tmp_path)
    assert yaml.safe_load(done.out)["trainer"]["epochs"] == 20  # a number, not the rule for it


def test_the_list(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list_command.main(["recipes", "--config-dir", str(mine)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[:3] == ["conll04/tiny/p-tuning-v2", "ours", "a"] for line in lines)
    assert any(line.startswith("rte/bert-large-cased/p-tuning-v2 ") and "run_rte_bert.sh" in line for line in lines)
    assert sum(" of THUDM/P-tuning-v2" in line for line in lines) == 20
