"""Sound inputs that are no training data: configuration, adapters, model folders, files to predict, corpora."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from commandline import Done
from omegaconf import OmegaConf
from sequences import conll12, roles

from torture import oracle, shared
from torture.formats import Format, scores_of
from torture.frame import call, judge

TASK = """\
name: made
shape: classify
source: files
text: [sentence]
label: label
labels: [bad, good]
metric: accuracy
headline: accuracy
max_length: 64
truncation: longest_first
sources:
  files:
    folder: .
    format: auto
    files: {train: [train.jsonl], dev: [dev.jsonl, val.jsonl], test: [test.jsonl]}
"""
MODEL = """\
name: made
scale: small
path: "config:"
pooler: published
attention: sdpa
hidden_dropout: 0.1
config:
  model_type: bert
  vocab_size: 30522
  hidden_size: 32
  num_hidden_layers: 2
  num_attention_heads: 4
  intermediate_size: 64
  max_position_embeddings: 512
"""
RECIPE = """\
# @package _global_
recipe:
  kind: ours
  source: made up
prompt:
  positions: unshifted
  dropout: 0.2
optim:
  lr: 0.05
  head_lr: 5e-3
  betas: [0.9, 0.98]
trainer:
  epochs: 30
  eval_batch_size: 16
"""
TRAINER = "epochs: 2\npatience: 3\nprecision: fp32\nevaluate_every: epoch\naccumulation: 2\ncheckpoint_minutes: 1\n"
SWEEP = """\
# @package _global_
defaults:
  - override /method: prompt-tuning
prompt:
  init: normal
hydra:
  mode: MULTIRUN
  sweeper:
    params:
      optim.lr: 1e-2,3e-2
"""
TABLE = """\
title: Made-up sentences
seeds: [1, 2]
methods: [fine-tuning, {name: p-tuning-v2, overrides: [prompt.length=4, optim.lr=0.03]}]
rows: [{name: tiny, label: Tiny, overrides: [trainer.epochs=4, trainer.batch_size=2]}]
columns:
  - {name: made, label: Made, task: classification, metrics: [accuracy]}
  - {name: conll04, split: test}
"""
FIGURE = """\
title: Lengths
overrides: [method=p-tuning-v2]
x:
  label: tokens
  values: [2, 6]
  scale: log
  overrides: ["prompt.length={x}"]
series:
  - {name: embedding, overrides: [prompt.reparameterization=none]}
levels:
  - {name: fine-tuning, overrides: [method=fine-tuning]}
"""
# Every setting that a case may give any value without work of hours, by how sound values look.
SETTINGS = """\
seed=3
data.limit.train=8
data.split_seed=0
data.workers=1
task.name=mine
task.text=[sentence]
task.label=label
task.labels=[bad,good]
task.metric=accuracy
task.headline=accuracy
task.max_length=32
task.truncation=longest_first
task.template=null
task.sources.files.files.train=[train.jsonl]
model.pooler=published
model.attention=sdpa
model.dtype=float32
model.quantization=none
model.hidden_dropout=0.1
model.attention_dropout=0.1
model.gradient_checkpointing=false
model.revision=null
model.sha256=null
prompt.form=key-value
prompt.length=2
prompt.layers=all
prompt.reparameterization=none
prompt.mlp_hidden=16
prompt.init=normal
prompt.init_std=0.02
prompt.dropout=0.1
prompt.positions=shifted
head.kind=linear
head.dropout=0.1
optim.lr=0.01
optim.prompt_lr=null
optim.head_lr=0.01
optim.adamw=torch
optim.betas=[0.9,0.999]
optim.eps=1e-8
optim.weight_decay=0.0
optim.clip=1.0
optim.schedule=linear
optim.decay=0.95
optim.warmup=0.1
trainer.batch_size=4
trainer.accumulation=1
trainer.eval_batch_size=64
trainer.precision=fp32
trainer.evaluate_every=epoch
trainer.patience=null
trainer.checkpoint_minutes=5
"""
CONLL03 = (
    "-DOCSTART- -X- O O\n\nAnn NNP I-NP I-PER\nLee NNP I-NP I-PER\nRome NNP I-NP I-LOC\n. . O O\n\nEU NNP I-NP I-ORG\n"
)
OFFLINE = (0, 2, 69)  # a path of a model that is no folder any more is a name on the hub


def other_formats() -> list[Format]:
    """Those that other commands, or other settings of `ptv2 train`, read."""
    return [
        _config("task", "made", TASK, ["task=made"]),
        _config("model", "made", MODEL, ["model=made"], OFFLINE),
        _config("recipe/classification/tiny", "p-tuning-v2", RECIPE, []),
        _config("trainer", "made", TRAINER, ["trainer=made"]),
        _config("sweep", "made", SWEEP, ["+sweep=made"], allowed=(0, 1, 2)),
        _planned("table", TABLE),
        _planned("figure", FIGURE),
        Format("settings", _write_settings, ("words.txt",), _settings_words, _result_is_sound, share=3),
        Format("adapter", _write_adapter, ("*.json", "*.safetensors"), _import_words, _imported_answers, 3, OFFLINE),
        Format(
            "model folder", _write_model, ("*.json", "*.safetensors"), _model_words, _result_is_sound, 3, (*OFFLINE, 1)
        ),
        _predicted("classification", _without_labels, "new.jsonl"),
        _predicted("ner", lambda common: "Anna\nmoved\nto\nOslo\n.\n\nNobody\nleft\n", "new.txt"),
        _predicted("squad", lambda common: (common / "data-squad" / "test.json").read_text(), "new.json"),
        _prepared("conll03", _write_conll03),
        _prepared("conll03", _write_conll03_archive),
        _prepared("conll12", _write_gold),
        _prepared("ontonotes", _write_gold),
    ]


def _nothing(folder: Path, victim: Path, done: Done) -> list[str]:
    return []


def _put(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _train_words(folder: Path, common: Path, *more: str) -> list[str]:
    start = ["train", "task=classification", "model=tiny", f"data.dir={shared.sentences(common)}", *shared.SMALL]
    return [*start, f"out={folder.parent}/out", *more]


# Configuration


def _config(group: str, name: str, text: str, chosen: list[str], allowed: tuple[int, ...] = (0, 2)) -> Format:
    file = f"{group}/{name}.yaml"

    def words(folder: Path, common: Path) -> list[str]:
        return _train_words(folder, common, "--config-dir", str(folder), *chosen)

    def meaning(folder: Path, victim: Path, done: Done) -> list[str]:
        faults = _result_is_sound(folder, victim, done)
        result = _result(folder)
        tree = yaml.safe_load(victim.read_text(encoding="utf-8")) or {}
        if "${" in str(tree) or not result:
            return faults
        tree = OmegaConf.to_container(OmegaConf.load(victim)) or {}
        config = result["config"] if group.partition("/")[0] in ("recipe", "sweep") else result["config"][group]
        asked = {key: value for key, value in tree.items() if key not in ("recipe", "hydra", "defaults", "ours")}
        return [*faults, *(f"{place}: {ours} for {theirs}" for place, theirs, ours in _differences(asked, config, ""))]

    share = 1 if group == "sweep" else 3
    return Format(group, lambda folder, common: _put(folder, file, text), (file,), words, meaning, share, allowed)


# Settings that the command line of these cases gives, so that files cannot.
GIVEN = ("trainer.max_steps", "trainer.batch_size", "prompt.length", "method", "data.dir", ".name", ".path")


def _differences(theirs: Any, ours: Any, place: str) -> list[tuple[str, Any, Any]]:
    """Where a resolved configuration has other values than a file."""
    if place.endswith(GIVEN):
        return []
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return [one for k, v in theirs.items() for one in _differences(v, ours.get(str(k)), f"{place}.{k}".strip("."))]
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        return [one for at, v in enumerate(theirs) for one in _differences(v, ours[at], f"{place}.{at}")]
    same = theirs == ours or str(theirs) == str(ours) or oracle.label(theirs) == oracle.label(ours)
    if not same and isinstance(ours, int | float) and isinstance(theirs, str):
        try:
            same = float(theirs) == float(ours)
        except ValueError:
            same = False
    return [] if same else [(place, theirs, ours)]


def _planned(kind: str, text: str) -> Format:
    def words(folder: Path, common: Path) -> list[str]:
        more = (
            ["task=classification", "model=tiny"] if kind == "figure" else [f"data={shared.sentences(common).parent}"]
        )
        return ["reproduce", f"{kind}=made", *more, "--config-dir", str(folder), "--plan", f"out={folder.parent}/out"]

    write = lambda folder, common: _put(folder, f"{kind}/made.yaml", text)  # noqa: E731
    return Format(kind, write, (f"{kind}/made.yaml",), words, _nothing)


def _write_settings(folder: Path, common: Path) -> None:
    _put(folder, "words.txt", SETTINGS)


def _settings_words(folder: Path, common: Path) -> list[str]:
    text = (folder / "words.txt").read_bytes().decode("utf-8", "surrogateescape").replace("\x00", "")
    return _train_words(folder, common, *(line for line in text.split("\n") if line))


def _result(folder: Path) -> dict[str, Any]:
    for path in (folder.parent / "out").glob("*/result.json"):
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return result
    return {}


def _result_is_sound(folder: Path, victim: Path, done: Done) -> list[str]:
    result = _result(folder)
    return scores_of(result) if result else []


# Models and adapters


def _write_adapter(folder: Path, common: Path) -> None:
    shutil.copytree(shared.adapter(common), folder, dirs_exist_ok=True)


def _import_words(folder: Path, common: Path) -> list[str]:
    model = shared.model_folder(common)
    return [
        "import",
        str(folder),
        f"model.path={model}",
        f"data.dir={shared.sentences(common)}",
        f"out={folder.parent}/out",
    ]


def _imported_answers(folder: Path, victim: Path, done: Done) -> list[str]:
    """What an imported adapter predicts is what its run predicted, or it is refused."""
    (run,) = (folder.parent / "out").iterdir()
    common = folder.parents[2] / "common"
    words = ["--input", str(common / "sentences" / "test.jsonl")]
    first, second = (call(["predict", str(one), *words], folder.parent) for one in (run, shared.finished_run(common)))
    faults = judge(first)
    if first.code == 0 and first.out != second.out:
        faults.append("the adapter answers other than the run that it was made from")
    return faults


def _write_model(folder: Path, common: Path) -> None:
    shutil.copytree(shared.model_folder(common), folder, dirs_exist_ok=True)


def _model_words(folder: Path, common: Path) -> list[str]:
    words = [word for word in _train_words(folder, common) if not word.startswith("model=")]
    return [*words, f"model.path={folder}"]


# Predictions


def _predicted(task: str, text: Callable[[Path], str], name: str) -> Format:
    def write(folder: Path, common: Path) -> None:
        shared.finished_run(common, task)
        _put(folder, name, text(common))

    def words(folder: Path, common: Path) -> list[str]:
        return ["predict", str(shared.finished_run(common, task)), "--input", str(folder / name)]

    def meaning(folder: Path, victim: Path, done: Done) -> list[str]:
        answers = [json.loads(line, parse_constant=lambda word: 1 / 0) for line in done.out.splitlines()]
        if task == "ner" and "#" in oracle.text_of(victim):
            return []
        count = {"classification": oracle.rows, "ner": oracle.columns, "squad": oracle.questions}[task](victim).examples
        return [] if count in (-1, len(answers)) else [f"{count} examples are there, {len(answers)} answers"]

    return Format(f"predict {task}", write, (name,), words, meaning)


def _without_labels(common: Path) -> str:
    lines = (shared.sentences(common) / "test.jsonl").read_text().splitlines()
    return "".join(json.dumps({"sentence": json.loads(line)["sentence"]}) + "\n" for line in lines)


# Corpora


def _prepared(corpus: str, write: Callable[[Path, Path], None]) -> Format:
    def words(folder: Path, common: Path) -> list[str]:
        return ["prepare", corpus, "--from", str(folder), "--to", f"{folder.parent}/made", "--allow-mismatch"]

    return Format(f"prepare {corpus} {write.__name__}", write, ("*", "**/*_conll"), words, _nothing)


def _write_conll03(folder: Path, common: Path) -> None:
    for name in ("eng.train", "eng.testa", "eng.testb"):
        _put(folder, name, CONLL03)


def _write_conll03_archive(folder: Path, common: Path) -> None:
    with tarfile.open(folder / "conll.tar.gz", "w:gz") as archive:
        for name in ("eng.train", "eng.testa", "eng.testb"):
            member = tarfile.TarInfo(f"ner/{name}")
            member.size = len(CONLL03)
            archive.addfile(member, io.BytesIO(CONLL03.encode()))


def _write_gold(folder: Path, common: Path) -> None:
    for part in ("train", "development", "test"):
        text = conll12(roles("dev" if part == "development" else part))
        _put(folder, f"data/{part}/data/english/annotations/bn/abc/00/abc_0001.gold_conll", text)
