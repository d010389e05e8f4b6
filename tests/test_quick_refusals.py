"""Wrong input is refused before torch and its companions are imported, which alone take seconds.

Commands are forked from a process that has imported what `ptv2 train` imports before it looks at its words.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commandline import Done, write_sentences
from hub_commands import Commands, run_all

from ptv2.config.compose import compose

HEAVY = ("torch", "transformers", "datasets", "accelerate", "evaluate", "sklearn")
IMPORTED = f'print("imported:", *(name for name in {HEAVY} if name in sys.modules))'
TRAIN = ["train", "task=classification", "model=tiny"]


WRONG: list[tuple[list[str], str]] = [
    (["trian"], "trian"),
    ([*TRAIN, "seed=x"], "seed"),
    ([*TRAIN, "trainer.epoch=3"], "trainer.epoch"),
    (["train", "task=rtee"], "rtee"),
    ([*TRAIN, "data.dir={there}/data", "task.headline=foo"], "known: accuracy, macro_f1, mcc"),
    ([*TRAIN, "data.dir=nowhere"], "nowhere"),
    ([*TRAIN, "data.dir={there}/empty"], "no train file"),
    ([*TRAIN, "data.dir={there}/no-label"], "dev.jsonl:1"),
    ([*TRAIN, "data.dir={there}/torn"], "train.jsonl:1"),
    ([*TRAIN, "data.dir={there}/data", "task.labels=[yes,no]"], "train.jsonl:1"),
    ([*TRAIN, "data.dir={there}/data", "model.path=./nowhere"], "no such folder"),
    ([*TRAIN, "data.dir={there}/data", "model.path={there}/empty"], "no model.safetensors"),
    ([*TRAIN, "data.dir={there}/data", "model.path={there}/weightless"], "no model.safetensors"),
    ([*TRAIN, "data.dir={there}/data", "model.path=embedded:maxilm"], "maxilm"),
    ([*TRAIN, "data.dir={there}/data", "out={there}/data/dev.jsonl"], "expected a folder"),
    (["evaluate", "nowhere"], "nowhere"),
    (["evaluate", "begun-tiny-p-tuning-v2-0123456789", "--out", "{there}/runs"], "not finished"),
    (["evaluate", "begun", "--out", "{there}/runs"], "begun-tiny-p-tuning-v2-0123456789: the run is not finished"),
    (["predict", "{there}/runs/begun-tiny-p-tuning-v2-0123456789", "--input", "x.jsonl"], "not finished"),
    (["analyze", "{there}/runs/begun-tiny-p-tuning-v2-0123456789"], "not finished"),
    (["analyze", "nowhere", "--only", "atention"], "atention"),
    (["export", "{there}/runs/begun-tiny-p-tuning-v2-0123456789", "--to", "peft", "--output", "x"], "not finished"),
    (["import", "{there}/empty"], "adapter_config.json"),
    (["import", "nowhere"], "adapter_config.json"),
    (["plan", "task=rtee"], "rtee"),
    (["plan", "task=classification", "data.dir=nowhere"], "nowhere"),
    (["plan", "task=classification", "data.dir={there}/data", "model.path=./nowhere"], "nowhere"),
    (["plan", "task=classification", "data.dir={there}/data", "model.path=some/one"], "HF_HUB_OFFLINE is set"),
    (["plan", "task=boolq", "model.path=./nowhere", "--examples=10"], "nowhere"),
    (["plan", "task=conll03"], "give --examples=N"),
    (["train", "task=rte", "model.path=./nowhere"], "no such folder"),
    (["evaluate", "nowhere", "--split", "tset"], "nowhere"),
    (["reproduce", "table=9"], "9"),
    (["reproduce", "table=2", "data=nowhere"], "nowhere"),
    (["reproduce", "figure=depht"], "depht"),
    (["compare", "task=rtee"], "rtee"),
    (["compare", "task=mini-inference", "methods=loar"], "loar"),
    (["compare", "task=sick", "data={there}/empty"], "methods=fine-tuning cannot run on sick: no data"),
    (
        ["compare", "task=mini-inference", "model.path={there}/mamba", "methods=lora,p-tuning-v2"],
        "methods=lora can",
    ),
    (["prepare", "conll03", "--from", "nowhere"], "nowhere"),
    (["list", "modls"], "modls"),
    (["table", "nowhere"], "nowhere"),
    (["table", "--out", "{there}/empty"], "no finished run"),
    (["best", "task=classification", "model=tiny", "out={there}/runs"], "no finished run"),
    (["report", "nowhere"], "nowhere"),
]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a folder that is no backbone, a run that is not finished, and files of other kinds."""
    folder = tmp_path_factory.mktemp("there")
    write_sentences(folder / "data")
    write_sentences(folder / "no-label")
    (folder / "no-label" / "dev.jsonl").write_text('{"sentence": "a"}\n')
    write_sentences(folder / "torn")
    (folder / "torn" / "train.jsonl").write_text('{"sentence": \n')
    (folder / "empty").mkdir()
    (folder / "mamba").mkdir()
    (folder / "mamba" / "config.json").write_text('{"model_type": "mamba"}')
    (folder / "mamba" / "model.safetensors").write_text("")
    (folder / "weightless").mkdir()
    (folder / "weightless" / "config.json").write_text("{}")
    run = folder / "runs" / "begun-tiny-p-tuning-v2-0123456789"
    run.mkdir(parents=True)
    config = compose([*TRAIN[1:], f"data.dir={folder / 'data'}"]).model_dump(mode="json")
    (run / "config.yaml").write_text(json.dumps({"config": config}))
    (run / "status.json").write_text(json.dumps({"state": "interrupted"}))
    return folder


@pytest.fixture(scope="module")
def refused(there: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    commands: Commands = {
        str(number): ([word.replace("{there}", str(there)) for word in words], {})
        for number, (words, _) in enumerate(WRONG)
    }
    return run_all(tmp_path_factory.mktemp("streams"), commands, "little", IMPORTED, HF_HUB_OFFLINE="1")


@pytest.mark.parametrize("number", range(len(WRONG)), ids=lambda number: " ".join(WRONG[number][0]))
def test_wrong_input_is_refused_before_torch_is_imported(number: int, refused: dict[str, Done]) -> None:
    done = refused[str(number)]
    assert WRONG[number][1] in done.error
    assert (done.code, done.out.splitlines()[-1]) == (2, "imported:")
