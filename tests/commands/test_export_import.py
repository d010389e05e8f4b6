"""`ptv2 export --to peft` and `ptv2 import`: there and back, a run answers as it did."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from commandline import Done, only_run, run, write_backbone, write_sentences
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

ENV = {"PTV2_SECRET": "in-the-environment"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sentences(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_backbone(tmp_path_factory.mktemp("base") / "my bert")


@pytest.fixture(scope="module")
def trained(data: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with deep prompts."""
    out = tmp_path_factory.mktemp("runs")
    settings = ["prompt.length=3", "trainer.batch_size=8", "trainer.epochs=2", "optim.lr=0.03", f"out={out}"]
    words = ["train", "task=classification", f"data.dir={data}", f"model.path='{base}'", *settings]
    done = run(words, out)
    assert done.code == 0, done.err
    return only_run(out)


@pytest.fixture(scope="module")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "adapter"
    done = run(["export", str(trained), "--to", "peft", "--output", str(folder)], folder.parent)
    assert done.code == 0, done.err
    assert done.err.splitlines()[-1] == f"written: {folder} (PREFIX_TUNING, SEQ_CLS)"
    return folder


def import_run(adapter: Path, tmp_path: Path, *settings: str) -> Done:
    return run(["import", str(adapter), f"out={tmp_path / 'imported'}", *settings], tmp_path)


def test_the_adapter_is_two_files_and_a_card(exported: Path, base: Path) -> None:
    assert sorted(path.name for path in exported.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    config = json.loads((exported / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == base.name, "where the folder lies is its maker's business"
    assert config["num_virtual_tokens"] == 3
    card = (exported / "README.md").read_text(encoding="utf-8")
    assert "Scores stand for bad, good" in card
    sha256 = hashlib.sha256((base / "model.safetensors").read_bytes()).hexdigest()
    assert f"a folder named {base.name}, which the code expects beside this file; SHA-256 of its weights: {sha256}" in (
        card.replace("\n", " ")
    )


def test_the_card_works_with_the_backbone_beside_it(
    trained: Path, exported: Path, base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As somebody else has it: other folders, no ptv2 run."""
    adapter = shutil.copytree(exported, tmp_path / "adapter")
    assert_card_answers(adapter, base, trained, data, tmp_path, monkeypatch)


def assert_card_answers(
    adapter: Path, base: Path, trained: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card's code, the backbone beside it, gives the probabilities of `ptv2 predict`."""
    shutil.copytree(base, adapter / base.name)
    card = (adapter / "README.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    monkeypatch.chdir(adapter)
    exec(card.partition("```python\n")[2].partition("```")[0], names)
    sentences = [json.loads(line)["sentence"] for line in (data / "test.jsonl").read_text().splitlines()]
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(base / "tokenizer.json"))
    batch = {key: torch.tensor([values]) for key, values in tokenizer(sentences[0]).items()}
    scores = names["scores"](batch).softmax(-1)[0].tolist()
    done = run(["predict", str(trained), "--input", str(data / "test.jsonl")], tmp_path)
    probabilities = json.loads(done.out.splitlines()[0])["probabilities"]
    assert scores == pytest.approx(list(probabilities.values()), abs=1e-4)


def test_there_and_back(trained: Path, exported: Path, base: Path, data: Path, tmp_path: Path) -> None:
    done = import_run(exported, tmp_path, f"data.dir={data}")
    assert done.error.startswith("the adapter's backbone is a folder named 'my bert' (SHA-256 of its weights: ")
    assert done.error.endswith("; expected model.path=FOLDER")
    here = [f"data.dir={data}", f"model.path={base}"]
    done = import_run(exported, tmp_path, *here)
    assert done.code == 0, done.err
    imported = only_run(tmp_path / "imported")
    assert imported.name.startswith("classification-my-bert-p-tuning-v2-peft-")
    answers = []
    for folder in (trained, imported):
        done = run(["predict", str(folder), "--input", str(data / "test.jsonl")], tmp_path)
        assert done.code == 0, done.err
        answers.append([json.loads(line) for line in done.out.splitlines()])
    assert [row["label"] for row in answers[0]] == [row["label"] for row in answers[1]]
    assert len({row["label"] for row in answers[0]}) == 2
    scored = run(["evaluate", imported.name.rpartition("-")[2], "--out", str(imported.parent)], tmp_path)
    result = json.loads((trained / "result.json").read_text(encoding="utf-8"))
    assert scored.out.splitlines()[2].split() == ["accuracy", f"{result['dev']['accuracy']:.2f}"]
    again = import_run(exported, tmp_path, *here)
    assert again.code == 0
    assert only_run(tmp_path / "imported") == imported, "the same import is the same run"
    shutil.copytree(data, tmp_path / "moved")
    shutil.copytree(base, tmp_path / "moved base" / base.name)
    moved = [f"data.dir={tmp_path / 'moved'}", f"model.path={tmp_path / 'moved base' / base.name}"]
    assert run(["import", str(exported), f"out={tmp_path / 'elsewhere'}", *moved], tmp_path).code == 0
    assert only_run(tmp_path / "elsewhere").name == imported.name, "wherever its files are"
    listed = run(["list", "runs", "--out", str(imported.parent)], tmp_path)
    assert "imported" in listed.out


def test_labels_keep_their_order_under_another_name(
    trained: Path, exported: Path, base: Path, data: Path, tmp_path: Path
) -> None:
    settings = ["task=classification", "task.name=other", "task.labels=[good,bad]", f"model.path='{base}'"]
    done = import_run(exported, tmp_path, *settings, f"data.dir={data}")
    assert done.code == 0, done.err
    words = ["--input", str(data / "test.jsonl")]
    answers = [run(["predict", str(one), *words], tmp_path).out for one in (trained, only_run(tmp_path / "imported"))]
    assert answers[0] == answers[1] != ""


def test_files_of_the_user_are_neither_replaced_nor_pushed(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("my notes")
    export = ["export", str(trained), "--to", "peft", "--output", str(tmp_path)]
    done = run(export, tmp_path / "streams")
    assert (done.code, done.error) == (
        2, f"--output: {tmp_path} holds a README.md, which would be replaced; expected another folder"
    )  # fmt: skip
    assert (tmp_path / "README.md").read_text() == "my notes"
    (tmp_path / "README.md").rename(tmp_path / "data.csv")
    done = run([*export, "--push", "me/mine"], tmp_path / "streams")
    assert done.error.startswith(f"--output: {tmp_path} holds data.csv, streams, which would be pushed too")


def test_mistakes_are_one_line(exported: Path, base: Path, data: Path, tmp_path: Path) -> None:
    assert import_run(tmp_path, tmp_path).error.endswith("no adapter of PEFT (it has no adapter_config.json)")
    here, mine = f"data.dir={data}", f"model.path={base}"
    assert import_run(exported, tmp_path, here, mine, "prompt.length=5").error == (
        "prompt.length=5: the adapter decides it (prompt.length=3); leave it out"
    )
    assert import_run(exported, tmp_path, here, mine, "nonsense").error == "nonsense: expected key=value"
    other = shutil.copytree(base, tmp_path / "other")
    BertModel(BertConfig.from_pretrained(base)).save_pretrained(other)
    assert (
        "not the weights that the adapter was trained on"
        in import_run(exported, tmp_path, here, f"model.path={other}").error
    )
    changed = shutil.copytree(base, tmp_path / "changed")
    config = json.loads((changed / "config.json").read_text(encoding="utf-8"))
    (changed / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 0.1}), encoding="utf-8")
    assert import_run(exported, tmp_path, here, f"model.path={changed}").error == (
        f"{exported}: was trained with another config.json or tokenizer than changed has now; put those files back, "
        "or train again"
    )
    assert (
        "the adapter (SEQ_CLS) is for classification, the task needs tagging"
        in import_run(exported, tmp_path, "task=mini-entities", mine).error
    )
    assert not (tmp_path / "imported").exists()


def test_an_altered_weight_is_seen(trained: Path, exported: Path, base: Path, data: Path, tmp_path: Path) -> None:
    def alter(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[-100] ^= 4
        path.write_bytes(content)

    adapter = shutil.copytree(exported, tmp_path / "adapter")
    alter(adapter / "adapter_model.safetensors")
    assert "adapter_model.safetensors: not an adapter, or damaged" in import_run(adapter, tmp_path).error
    here = [f"data.dir={data}", f"model.path={base}"]
    assert import_run(exported, tmp_path, *here).code == 0
    imported = only_run(tmp_path / "imported")
    alter(imported / "artifact" / "artifact.safetensors")
    error = run(["evaluate", str(imported)], tmp_path).error
    assert error == (
        f"{imported}: its weights are damaged (artifact/artifact.safetensors); `ptv2 import` writes it again"
    )
    assert import_run(exported, tmp_path, *here).code == 0
    assert run(["evaluate", str(imported)], tmp_path).code == 0
    folder = shutil.copytree(trained, tmp_path / "run")
    alter(folder / "artifact" / "artifact.safetensors")
    words = ["export", str(folder), "--to", "peft", "--output", str(tmp_path / "none")]
    assert "its weights are damaged" in run(words, tmp_path).error
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["model=tiny"], "its backbone has random weights, and PEFT needs a checkpoint"),
        (["method=fine-tuning"], "method fine-tuning has neither prompts nor layers of PEFT"),
    ],
)
def test_runs_that_cannot_be_exported(
    settings: list[str], message: str, data: Path, base: Path, tmp_path: Path
) -> None:
    model = [] if "model=tiny" in settings else [f"model.path='{base}'"]
    words = ["train", "task=classification", f"data.dir={data}", *model, "trainer.max_steps=1", f"out={tmp_path}"]
    assert run([*words, *settings], tmp_path).code == 0
    done = run(["export", str(only_run(tmp_path)), "--to", "peft", "--output", str(tmp_path / "a")], tmp_path)
    assert message in done.error
    assert done.code == 2
    assert not (tmp_path / "a").exists()


def test_lora_is_an_adapter_like_any_other(
    data: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card's code, with PEFT alone, answers as `ptv2 predict`."""
    settings = ["method=lora", "lora.rank=2", "trainer.batch_size=8", "trainer.epochs=2", "optim.lr=0.03"]
    words = ["train", "task=classification", f"data.dir={data}", f"model.path='{base}'", f"out={tmp_path / 'runs'}"]
    done = run([*words, *settings], tmp_path)
    assert done.code == 0, done.err
    trained, adapter = only_run(tmp_path / "runs"), tmp_path / "adapter"
    done = run(["export", str(trained), "--to", "peft", "--output", str(adapter)], tmp_path)
    assert done.code == 0, done.err
    assert done.err.splitlines()[-1] == f"written: {adapter} (LORA, SEQ_CLS)"
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    assert (config["r"], config["lora_alpha"], config["target_modules"]) == (2, 16, ["query", "value"])
    assert_card_answers(adapter, base, trained, data, tmp_path, monkeypatch)
    done = import_run(adapter, tmp_path, f"data.dir={data}", f"model.path={base}")
    assert done.code == 0, done.err
    imported = only_run(tmp_path / "imported")
    assert imported.name.startswith("classification-my-bert-lora-peft-")
    answers = [
        run(["predict", str(folder), "--input", str(data / "test.jsonl")], tmp_path).out
        for folder in (trained, imported)
    ]
    assert answers[0] == answers[1]
    assert len(answers[0].splitlines()) == 25


SECRET = "${oc.env:PTV2_SECRET}"
CONFIGS: list[tuple[Any, str]] = [
    ([], "expected a JSON object, found a list"),
    (None, "expected a JSON object, found null"),
    ("text", "expected a JSON object, found a text"),
    (5, "expected a JSON object, found a number"),
    *(({"num_virtual_tokens": value}, "num_virtual_tokens is") for value in ("3", None, 0, -1, 2.5, [3], True, 10**9)),
    *(
        ({key: value}, f"{key} is")
        for key in ("base_model_name_or_path", "revision")
        for value in (SECRET, "a\nb", 5, ["a"], "x" * 5000)
    ),
    *(({key: value}, f"{key} is") for key in ("peft_type", "task_type") for value in ("LOHA", None, ["SEQ_CLS"], {})),
    ({"peft_type": "LORA"}, "r is missing"),
]
HEADERS: list[tuple[Any, str]] = [
    ([], "expected a JSON object, found a list"),
    (5, "expected a JSON object, found a number"),
    *(({"labels": value}, "labels") for value in (5, "ab", [1, 2], {"a": 1})),
    *(({"positions": value}, "positions is") for value in (SECRET, "elsewhere", 3)),
    *(({"kind": value}, "kind is") for value in ("verbalizer", 3, [])),
    *(({"path": value, "task": "classification"}, "path is") for value in (SECRET, 3)),
    *(({"backbone": value}, "backbone") for value in ("text", [1], {"sha256": SECRET})),
]


@pytest.mark.parametrize(("change", "message"), CONFIGS, ids=str)
def test_a_config_that_is_not_what_peft_writes(
    change: Any, message: str, exported: Path, data: Path, tmp_path: Path
) -> None:
    """Values out of somebody else's file are never resolved, and never become part of a setting unchecked."""
    adapter = shutil.copytree(exported, tmp_path / "adapter")
    file = adapter / "adapter_config.json"
    tree = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**tree, **change} if isinstance(change, dict) else change), encoding="utf-8")
    done = run(["import", str(adapter), f"out={tmp_path / 'imported'}", f"data.dir={data}"], tmp_path, environment=ENV)
    assert done.code == 2
    assert f"{file}: {message}" in done.error
    assert "in-the-environment" not in done.error
    assert len(done.error) <= 300 + len(str(file))
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize(("key", "value"), [("num_layers", 99), ("token_dim", 7), ("num_layers", "2")])
def test_prompts_laid_out_for_another_backbone(
    key: str, value: Any, exported: Path, base: Path, data: Path, tmp_path: Path
) -> None:
    """Twelve layers of half the width have as many numbers, and would be read as something else."""
    adapter = shutil.copytree(exported, tmp_path / "adapter")
    tree = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    (adapter / "adapter_config.json").write_text(json.dumps({**tree, key: value}), encoding="utf-8")
    done = import_run(adapter, tmp_path, "task=classification", f"data.dir={data}", f"model.path={base}")
    assert (done.code, done.error) == (
        2,
        f"the adapter has {key} {value!r}, this backbone {tree[key]}: another backbone?",
    )
    assert not (tmp_path / "imported").exists()


def test_a_pointer_of_git_lfs_is_no_adapter(exported: Path, data: Path, tmp_path: Path) -> None:
    adapter = shutil.copytree(exported, tmp_path / "adapter")
    file = adapter / "adapter_model.safetensors"
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    done = import_run(adapter, tmp_path, "task=classification", f"data.dir={data}")
    assert (done.code, done.error) == (
        2,
        f"{file}: a pointer of Git LFS, not the file itself; `git lfs pull` fetches it",
    )


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_no_numbers(value: float, exported: Path, data: Path, tmp_path: Path) -> None:
    adapter = shutil.copytree(exported, tmp_path / "adapter")
    file = adapter / "adapter_model.safetensors"
    tensors = load_file(file)
    tensors["prompt_embeddings"][1, 2] = value
    save_file(tensors, file, metadata={"format": "pt"})
    done = import_run(adapter, tmp_path, "task=classification", f"data.dir={data}")
    assert (done.code, done.error) == (2, f"{file}: prompt_embeddings holds NaN or infinity")
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize(("header", "message"), HEADERS, ids=str)
def test_a_header_that_is_not_ours(header: Any, message: str, exported: Path, data: Path, tmp_path: Path) -> None:
    adapter = shutil.copytree(exported, tmp_path / "adapter")
    file = adapter / "adapter_model.safetensors"
    save_file(load_file(file), file, metadata={"format": "pt", "ptv2": json.dumps(header)})
    done = run(["import", str(adapter), f"out={tmp_path / 'imported'}", f"data.dir={data}"], tmp_path, environment=ENV)
    assert done.code == 2
    assert f"{file}: {message}" in done.error
    assert "in-the-environment" not in done.error
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 50_000, b"\xff\xfe", b'{"a": 1'], ids=lambda b: str(b)[:12])
def test_a_config_that_is_no_json(content: bytes, exported: Path, tmp_path: Path) -> None:
    adapter = shutil.copytree(exported, tmp_path / "adapter")
    (adapter / "adapter_config.json").write_bytes(content)
    done = import_run(adapter, tmp_path, "task=classification")
    assert done.code == 2
    assert "adapter_config.json: expected a JSON object" in done.error
