"""Every file of conf/ composes, and a mistake is answered with one line that names the key and the choices."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from commandline import TIMEOUT
from pydantic import ValidationError

from ptv2.commands import list as list_command
from ptv2.config import paths
from ptv2.config.compose import compose
from ptv2.config.rules import read_settings
from ptv2.config.schema import RunConfig
from ptv2.config.task_schema import GROUPED_METRICS, METRICS
from ptv2.errors import ConfigError
from ptv2.metrics import known_metrics

ROOT = Path(__file__).parents[2]
GROUPS = ("task", "model", "method", "trainer")
FILES = sorted((group, path.stem) for group in GROUPS for path in (paths.conf_dir() / group).glob("*.yaml"))
SWEEPS = sorted(paths.choices("sweep"))
# Folders of conf/ whose files are no choices of a run, or have tests of their own.
ELSEWHERE = {"figure", "hydra", "paper", "recipe", "space", "sweep", "table"}
# A check that sees no files passes too; these are the numbers of the first release.
LEAST = {"task": 11, "model": 8, "method": 3, "trainer": 2}

MY_TASK = """\
# Headlines: is the headline about sport?
name: headlines
shape: classify
source: files
text: [headline]
labels: [other, sport]
max_length: 32
sources:
  files:
    files: {train: [train.csv], dev: [dev.csv]}
"""


def fault(*overrides: str, config_dir: str | None = None) -> str:
    """The message that these overrides are answered with."""
    with pytest.raises(ConfigError) as caught:
        compose(list(overrides), config_dir)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def my_dir(tmp_path: Path) -> Path:
    """A user's own configuration folder with one task."""
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "mine.yaml").write_text(MY_TASK)
    return tmp_path


# What is shipped


def test_the_files_are_counted() -> None:
    seen = {group: sum(of == group for of, _ in FILES) for group in GROUPS}
    assert all(seen[group] >= LEAST[group] for group in GROUPS), seen
    assert {path.name for path in paths.conf_dir().iterdir()} <= {*GROUPS, *ELSEWHERE, "config.yaml"}
    inside = [path for group in GROUPS for path in (paths.conf_dir() / group).iterdir()]
    assert len(inside) == len(FILES), "a file of a group that cannot be chosen"


@pytest.mark.parametrize("name", SWEEPS)
def test_every_sweep_composes(name: str, tmp_path: Path) -> None:
    of_a_task = name.startswith("conll04-")
    config = compose([f"+sweep={name}", *([f"data.dir={tmp_path}"] if of_a_task else [])])
    assert not of_a_task or name == f"{config.task.name}-{config.method}"
    assert paths.summary(paths.conf_dir() / "sweep" / f"{name}.yaml")


@pytest.mark.parametrize(("group", "name"), FILES)
def test_every_file_composes(group: str, name: str, tmp_path: Path) -> None:
    sources = ["mini"]
    if group == "task":
        tree = yaml.safe_load((paths.conf_dir() / "task" / f"{name}.yaml").read_text(encoding="utf-8"))
        sources = [source for source, described in tree["sources"].items() if described]
        assert sources
    for source in sources:
        more = [f"data.dir={tmp_path}"] if source == "files" else []
        more += {"other": ["model.path=some/other"], "multitask-p-tuning-v2": ["task=mini-entities"]}.get(name, [])
        config = compose([f"{group}={name}", f"data.source={source}", *more])
        assert config.data.source == source
    assert {"task": config.task.name, "model": config.model.name, "method": config.method}.get(group, name) == name
    summary = paths.summary(paths.conf_dir() / group / f"{name}.yaml")
    assert summary.endswith((".", "?")), f"the first line of the comment says what it is, in whole sentences: {summary}"


def test_the_default_is_the_embedded_one() -> None:
    config = compose([])
    named = (config.task.name, config.data.source, config.model.name, config.method)
    assert named == ("mini-entities", "mini", "minilm", "p-tuning-v2")


# Mistakes


@pytest.mark.parametrize(
    ("override", "start", "choices"),
    [
        ("task=rt", "unknown task 'rt'; did you mean rte? known: ", ["boolq", "sst2", "wsc"]),
        ("model=minilmm", "unknown model 'minilmm'; did you mean minilm? known: ", ["bert-base-cased", "mpnet-base"]),
        ("method=ptuning", "unknown method 'ptuning'; did you mean p-tuning-v2? known: ", ["fine-tuning"]),
        ("trainer=fast", "unknown trainer 'fast'; known: ", ["default", "smoke"]),
        ("prompt.lenght=3", "unknown config key 'prompt.lenght'; did you mean prompt.length? known below ", ["form, "]),
        ("task.maxlength=3", "unknown config key 'task.maxlength'; did you mean task.max_length?", ["text,"]),
        ("data.limit.tets=3", "unknown config key 'data.limit.tets'; did you mean data.limit.test?", []),
        ("model=./mine/x", "model=./mine/x: no model of `ptv2 list models`; ", ["model.path=./mine/x"]),
        ("model=my/model", "model=my/model: no model of `ptv2 list models`; ", ["hub"]),
        ("data.limit=3", "data.limit=3: expected a split: data.limit.train=3, data.limit.dev or data.limit.test", []),
        ("lr=3", "unknown config key 'lr'; did you mean optim.lr? known: data, ", []),
        ("batch_size=3", "unknown config key 'batch_size'; did you mean trainer.batch_size? known: data, ", []),
        ("optim.learning_rate=3", "unknown config key 'optim.learning_rate'; did you mean optim.lr? known below", []),
        ("num_train_epochs=3", "unknown config key 'num_train_epochs'; did you mean trainer.epochs?", []),
        ("seed=99999999999", "seed=99999999999: expected less than 4294967296", []),
        ("data.limits.test=3", "unknown config key 'data.limits'", ["did you mean data.limit?", "dir,"]),
        ("optm.lr=3", "unknown config key 'optm'; did you mean optim? known: ", ["prompt", "trainer"]),
        ("foo=3", "unknown config key 'foo'; known: ", ["data", "head", "optim", "prompt", "seed", "task"]),
        ("+foo=3", "unknown config key 'foo'; known: ", ["data", "seed"]),
        ("+task.foo=3", "unknown config key 'task.foo';", ["known below task: choices,", "text,"]),
        ("prompt.form=kv", "prompt.form='kv': ", ["key-value", "hidden"]),
        ("prompt.length=long", "prompt.length='long': ", ["whole number"]),
        ("trainer.evaluate_every=0", "trainer.evaluate_every=0: expected epoch or more than 0", []),
        ("trainer.precision=bf17", "trainer.precision='bf17': ", ["fp32", "bf16"]),
        ("task.name=a/b", "task.name='a/b': ", ["letters"]),
        ("task.labels=[yes]", "task.labels=['yes']: ", ["two or more"]),
        ("task.labels=[yes,yes]", "task.labels=['yes', 'yes']: ", ["different"]),
        (
            "task=classification data.dir=d task.text=[sentence,label]",
            "task: text has the field label, which is the right answer (label); expected others",
            [],
        ),
        (
            "task=classification data.dir=d task.label=sentence",
            "task: text has the field sentence, which is the right answer (label); expected others",
            [],
        ),
        ("task.metric=acuracy", "task.metric='acuracy': unknown metric 'acuracy'; did you mean accuracy?", ["record"]),
        ("task.reader=plane", "task.reader='plane': unknown reader 'plane'; did you mean plain?", ["multirc"]),
        (
            "task=mini-inference task.metric=squad task.headline=f1",
            "task: metric=squad is for shape extract; expected one for shape classify: accuracy, cb",
            [],
        ),
        (
            "task.metric=accuracy task.headline=accuracy",
            "task: metric=accuracy is for shape classify, choose; expected one for shape tag: entities, roles",
            [],
        ),
        (
            "task=mini-inference task.metric=multirc task.headline=f1a",
            "task: metric=multirc is for shape classify with reader=multirc; expected one for shape classify: ",
            [],
        ),
        ("task.truncation=only_first", "task: truncation=only_first: shape tag reads long texts in windows, uncut", []),
        ("task=mini-questions task.label=a", "task: shape extract has no label and no labels: its answers are", []),
        ("task=mini-questions task.labels=[a,b]", "task: shape extract has no label and no labels: its answers", []),
        ("task=mini-inference task.text=[]", "task: text needs one or two templates", []),
        (
            "data.dir=here",
            "data.dir is set, but task mini-entities reads no files; expected task=",
            ["classification", "ner"],
        ),
        ("~optim", "optim: has no value; expected optim=VALUE", []),
        ("~model", "a run needs model=NAME", []),
        ("optim.betas=[0.9]", "optim.betas.1: has no value", []),
        (
            "model.config.layers=3",
            "model.config.layers: does not exist yet; +model.config.layers=VALUE adds it",
            [],
        ),
        ("task=null", "task, model and method are chosen by name", []),
        ("seed=1,2", "seed=1,2: expected one value", ["KEY=[a,b]"]),
        ("nonsense", "nonsense: expected key=value", []),
        ("a=b=c", "a=b=c: expected key=value", []),
        ("prompt.length=${nope}", "prompt.length is taken from nope, which has no value", ["in a file"]),
    ],
)
def test_a_mistake_is_named_with_the_choices(override: str, start: str, choices: list[str]) -> None:
    message = fault(*override.split())
    assert message.startswith(start)
    for choice in choices:
        assert choice in message.removeprefix(start) or choice in start


def test_a_template_that_a_task_has_not() -> None:
    assert fault("task=wic", "task.template=5").endswith("template=5: task wic has [0, 1]")


def test_a_source_that_a_task_has_not() -> None:
    message = fault("task=rte", "data.source=mini")
    assert message == "data.source=mini: task rte has no such source (it has: hub, files)"
    assert "data.dir=DIR" in fault("task=rte", "data.source=files")


def test_a_folder_alone_makes_its_files_the_source() -> None:
    """Unless a source is chosen, with the same run and so the same name as when it is files."""
    folder = "data.dir=/x"
    assert compose(["task=rte", folder]) == compose(["task=rte", folder, "data.source=files"])
    assert compose(["task=rte"]).data.source == "hub"
    assert fault("task=rte", folder, "data.source=hub").startswith("data.dir is set but data.source=hub; expected")
    assert fault("task=rte", "data.dir=''").startswith("data.dir")


def test_every_fault_is_reported_not_only_the_first() -> None:
    message = fault("prompt.length=-1", "optim.lr=0", "seed=-1", "+task.foo=1")
    assert [part.partition("=")[0] for part in message.split("; ") if "=" in part] == [
        "prompt.length",
        "optim.lr",
        "seed",
    ]
    assert "unknown config key 'task.foo'" in message


# A model of one's own


def test_a_model_path_is_another_model() -> None:
    shipped = compose(["model=bert-base-cased"]).model
    assert shipped.revision is not None
    for overrides in (["model=bert-base-cased"], []):  # by default: the embedded model with its checksum
        model = compose([*overrides, "model.path=Some-One/Big_Encoder"]).model
        assert (model.name, model.path) == ("big-encoder", "Some-One/Big_Encoder")
        assert (model.revision, model.sha256) == (None, None)


def test_a_model_with_a_checksum_may_lie_in_a_folder(tmp_path: Path) -> None:
    """The checksum then says whether it is the model; another path is another model, as ever."""
    shipped = compose(["model=mpnet-base"]).model
    model = compose(["model=mpnet-base", f"model.path={tmp_path}"]).model
    assert model.model_dump(exclude={"path"}) == shipped.model_dump(exclude={"path"})
    assert model.sha256 is not None
    other = compose(["model=mpnet-base", f"model.path={tmp_path}", "model.sha256=null", "model.name=mine"]).model
    assert (other.name, other.sha256) == ("mine", None)
    foreign = compose(["model=mpnet-base", "model.path=Some-One/Big_Encoder"]).model
    assert (foreign.name, foreign.sha256, foreign.pooler) == ("big-encoder", None, "published")


def test_what_is_said_about_ones_own_model_is_kept() -> None:
    told = ["model.path=/models/mine/", "model.name=mine", "model.revision=v2", f"model.sha256={'0' * 64}"]
    model = compose(told).model
    assert (model.name, model.revision, model.sha256) == ("mine", "v2", "0" * 64)
    assert compose(["model.path=."]).model.name == "model"


# A user's own configuration folder


def test_a_task_of_ten_lines_beside_ours(my_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = compose(["task=mine", f"data.dir={my_dir}", "trainer=smoke"], str(my_dir))
    assert (config.task.name, config.task.labels, config.task.max_length) == ("headlines", ["other", "sport"], 32)
    assert list_command.main(["tasks", "--config-dir", str(my_dir)]) == 0
    listed = capsys.readouterr().out
    assert "mine " in listed
    assert "rte " in listed
    message = fault("task=mien", config_dir=str(my_dir))
    assert message.startswith("unknown task 'mien'; did you mean mine? known: boolq, ")


def test_a_configuration_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder"):
        list_command.main(["tasks", "--config-dir", str(tmp_path / "nowhere")])


# Installed from a wheel


def test_a_wheel_carries_its_configuration(tmp_path: Path) -> None:
    _build(tmp_path)
    (wheel,) = tmp_path.glob("ptv2-*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    packed = sorted(
        path.relative_to(site / "ptv2" / "conf").as_posix() for path in (site / "ptv2/conf").rglob("*.yaml")
    )
    assert packed == sorted(path.relative_to(paths.conf_dir()).as_posix() for path in paths.conf_dir().rglob("*.yaml"))
    parts = {path.name for path in (site / "ptv2" / "report" / "html").iterdir()}
    assert {"page.html", "page.css", "charts.js", "page.js"} <= parts
    assert (site / "hydra_plugins" / "ptv2" / "optuna_sweeper.py").is_file()
    ask = "import ptv2.config.paths as p; from ptv2.config.compose import compose; compose([]); print(p.conf_dir())"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", ask], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()) == (site / "ptv2" / "conf").resolve()


def _build(folder: Path) -> None:
    """Build the wheel: with hatchling where it is installed, else with pip, which has to fetch hatchling first."""
    if importlib.util.find_spec("hatchling"):
        command = ["hatchling", "build", "-t", "wheel", "-d", str(folder)]
    else:
        command = ["pip", "--retries", "0", "--timeout", "10", "wheel", str(ROOT), "--no-deps", "-w", str(folder)]
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode and command[0] == "pip":
        pytest.skip(f"no hatchling here, and pip cannot fetch it: {done.stderr.strip().splitlines()[-1:]}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("path", "repository", "revision"),
    [
        ("some/model@v2", "some/model", "v2"),
        ("some/model@refs/pr/3", "some/model", "refs/pr/3"),
        ("gpt2@0123abc", "gpt2", "0123abc"),
        ("some/model", "some/model", None),
        ("./some@v2", "./some@v2", None),
        ("embedded:minilm", "embedded:minilm", None),
    ],
)
def test_a_revision_may_stand_behind_a_hub_id(path: str, repository: str, revision: str | None) -> None:
    model = compose([f"model.path={path}"]).model
    assert (model.path, model.revision) == (repository, revision)


def test_a_revision_stands_in_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fault("model.path=some/model@v2", "model.revision=v3") == (
        "model.path=some/model@v2 and model.revision=v3: expected one of them"
    )
    assert compose(["model.path=some/model@v2", "model.revision=v2"]).model.revision == "v2"
    assert compose(["model.path=some/model@v2"]) == compose(["model.path=some/model", "model.revision=v2"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some" / "model@v2").mkdir(parents=True)
    assert compose(["model.path=some/model@v2"]).model.path == "some/model@v2", "a folder that is here"


def test_a_model_of_ones_own_may_name_a_revision(my_dir: Path) -> None:
    (my_dir / "model").mkdir()
    (my_dir / "model" / "mine.yaml").write_text("name: mine\npath: some/model@v2\n")
    model = compose(["model=mine"], str(my_dir)).model
    assert (model.name, model.path, model.revision) == ("mine", "some/model", "v2")


def test_every_metric_has_its_shapes() -> None:
    assert {*sum(METRICS.values(), ()), *GROUPED_METRICS} == {*known_metrics()}


@pytest.mark.parametrize(
    ("task", "changes"),
    [
        ("mini-inference", {"trainer": {"accumulation": 64}}),
        ("mini-inference", {"data": {"shots": 4, "limit": {"train": 8}}}),
        ("mini-inference", {"data": {"dir": "somewhere"}}),
        ("mini-inference", {"data": {"split": 0.5}}),
        ("mini-inference", {"task": {"metric": "squad", "headline": "f1"}}),
        ("mini-inference", {"model": {"attention": "flash_attention_2"}}),
        ("mini-inference", {"prompt": {"reparameterization": "glm-mlp"}}),
        ("mini-entities", {"task": {"truncation": "only_first"}}),
        ("mini-questions", {"task": {"label": "answer"}}),
        ("mini-questions", {"task": {"extraction": {"tune_null_threshold": True}}}),
    ],
)
def test_rules_are_for_new_runs(task: str, changes: dict[str, Any]) -> None:
    """A run that was made before there was a rule is read as it is."""
    tree = compose([f"task={task}"]).model_dump(mode="json")
    for section, values in changes.items():
        tree[section] |= values
    with pytest.raises(ValidationError):
        RunConfig.model_validate(tree)
    read = read_settings(RunConfig, tree).model_dump(mode="json")
    assert all(read[section] == tree[section] for section in changes if section != "task")


@pytest.mark.parametrize("changes", [{"seed": -1}, {"warp": 9}, {"method": "later"}, {"task": {}}])
def test_what_is_no_setting_at_all_is_refused_in_old_runs_too(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read_settings(RunConfig, compose(["task=mini-inference"]).model_dump(mode="json") | changes)
