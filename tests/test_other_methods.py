"""BitFit, LoRA, (IA)3 and a head alone through every command, as the other methods."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
from commandline import Command, Done, only_run, result_of, run
from safetensors import safe_open

from ptv2.run_folders.altered import with_checksum
from ptv2.run_folders.record import read_status
from ptv2.run_folders.weights import FILE

METHODS = ("bitfit", "head-only", "lora", "ia3")
ROWS = [{"sentence": f"the {word} tale {i}", "label": word} for i in range(30) for word in ("bright", "dull")]
WORDS = ["task=classification", "model=tiny", "trainer.epochs=3", "trainer.batch_size=8", "optim.lr=0.01"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for split, rows in (("train", ROWS), ("dev", ROWS[:16]), ("test", ROWS[16:40])):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def train(method: str, data: Path, out: Path, *words: str) -> Done:
    return run(["train", *WORDS, f"method={method}", f"data.dir={data}", f"out={out}", *words], out.parent / "streams")


@pytest.mark.parametrize("method", METHODS)
def test_from_training_to_predictions(method: str, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    done = train(method, data, out)
    assert done.code == 0, done.err
    folder = only_run(out)
    result = result_of(folder)
    groups = result["parameters"]["groups"]
    assert set(groups) == ({"head"} if method == "head-only" else {"head", "backbone"})
    assert result["parameters"]["percent"] < 50
    with safe_open(folder / "artifact" / FILE, "pt") as file:
        names = list(file.keys())
    ending = {
        "bitfit": "bias",
        "lora": ".default.weight",
        "ia3": ".ia3_l.default",
        "head-only": "nothing of the backbone",
    }[method]
    assert all(name.startswith(("head.", "pooler.")) or name.endswith(ending) for name in names)

    again = run(["evaluate", folder.name, "--out", str(out), "--split", "test"], tmp_path)
    assert again.code == 0, again.err
    score = f"{result['test']['accuracy']:.2f}"
    assert ["accuracy", score, score] in [line.split() for line in again.out.splitlines()]
    rows = run(["predict", folder.name, "--out", str(out), "--input", str(data / "test.jsonl")], tmp_path)
    assert rows.code == 0, rows.err
    predicted = [json.loads(line) for line in rows.out.splitlines()]
    written = [json.loads(line) for line in (folder / "predictions-test.jsonl").read_text().splitlines()]
    assert [row["label"] for row in predicted] == [row["label"] for row in written]


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_run_ends_as_one_that_was_not(method: str, data: Path, tmp_path: Path) -> None:
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "killed"
    assert train(method, data, undisturbed).code == 0
    words = ["train", *WORDS, f"method={method}", f"data.dir={data}", f"out={out}", "trainer.checkpoint_minutes=0"]
    command = Command(words, tmp_path / "streams")
    while command.running and not list(out.glob("*/state-*")):
        pass
    command.signal(9)
    command.wait()
    done = run(words, tmp_path / "streams")
    assert done.code == 0, done.err
    ended, expected = result_of(only_run(out)), result_of(only_run(undisturbed))
    assert {key: ended[key] for key in ("dev", "test", "best_step")} == {
        key: expected[key] for key in ("dev", "test", "best_step")
    }


def test_in_tables_beside_the_others(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    sweep = ["method=fine-tuning,head-only,bitfit,lora,p-tuning-v2", "seed=1,2", "-m"]
    done = run(["train", *WORDS, f"data.dir={data}", f"out={out}", *sweep], tmp_path / "streams")
    assert done.code == 0, done.err
    table = run(["table", "--out", str(out), "--headline", "--format", "csv"], tmp_path / "streams")
    assert table.code == 0, table.err
    rows = list(csv.DictReader(io.StringIO(table.out)))
    assert [row["method"] for row in rows[::2]] == ["fine-tuning", "head-only", "bitfit", "lora", "p-tuning-v2"]
    settings = {row["method"]: row["settings"] for row in rows}
    assert settings["bitfit"] == settings["head-only"] == "lr 0.01, 3 epochs, batch 8"
    assert settings["lora"] == "rank 8, lr 0.01, 3 epochs, batch 8"
    assert run(["table", "--out", str(out)], tmp_path / "streams").out.count("bitfit") == 3
    assert run(["report", "--out", str(out), "--output", str(tmp_path / "r.html")], tmp_path / "streams").code == 0
    assert '"head-only"' in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert {read_status(folder)["state"] for folder in out.iterdir() if folder.name.startswith("class")} == {"finished"}


def test_a_written_recipe_holds_the_settings_of_lora(data: Path, tmp_path: Path) -> None:
    out, mine = tmp_path / "runs", tmp_path / "mine"
    mine.mkdir()
    assert train("lora", data, out, "lora.rank=2", "lora.targets=[key,output.dense]", "trainer.max_steps=1").code == 0
    words = ["task=classification", "model=tiny", f"out={out}"]
    best = run(["best", *words, "--write", str(mine)], tmp_path)
    assert best.code == 0, best.err
    again = run(["train", *words, "method=lora", f"data.dir={data}", "--config-dir", str(mine)], tmp_path)
    assert again.code == 0, again.err
    assert "finished before; nothing was repeated" in again.out


def test_a_run_of_a_method_that_is_not_known_hides_no_other(data: Path, tmp_path: Path) -> None:
    """As one that a later version has made."""
    out = tmp_path / "runs"
    assert train("head-only", data, out, "trainer.max_steps=1").code == 0
    folder = only_run(out)
    later = shutil.copytree(folder, out / "classification-tiny-later-0123456789")
    tree = json.loads((later / "result.json").read_text(encoding="utf-8"))
    tree |= {"name": later.name, "method": "later", "config": {**tree["config"], "method": "later"}}
    tree.pop("checksum")
    (later / "result.json").write_text(json.dumps(with_checksum(tree)), encoding="utf-8")
    for words in (["table"], ["list", "runs"], ["report", "--output", str(tmp_path / "r.html")]):
        done = run([*words, "--out", str(out)], tmp_path / "streams")
        assert done.code == 0, done.err
    table = run(["table", "--out", str(out)], tmp_path / "streams")
    assert "head-only" in table.out
    assert f"left out: {later}: its configuration is not one of this version of ptv2" in table.err


@pytest.mark.parametrize("method", ["bitfit", "lora", "ia3"])
def test_plan_counts_it_beside_the_papers(method: str, data: Path, tmp_path: Path) -> None:
    done = run(["plan", *WORDS[:2], f"data.dir={data}", f"method={method}", "--json"], tmp_path)
    assert done.code == 0, done.err
    counts = json.loads(done.out)["methods"]
    assert sorted(counts) == sorted(["fine-tuning", method, "prompt-tuning", "p-tuning-v2"])
    assert counts[method]["trained"] < counts["fine-tuning"]["trained"]


@pytest.mark.parametrize("method", METHODS)
def test_prompts_that_it_has_not(method: str, data: Path, tmp_path: Path) -> None:
    """Settings of prompts change neither its name nor its numbers; there is nothing to export."""
    out = tmp_path / "runs"
    assert train(method, data, out, "trainer.max_steps=1").code == 0
    done = train(method, data, out, "trainer.max_steps=1", "prompt.length=7")
    assert "finished before; nothing was repeated" in done.out
    words = ["export", only_run(out).name, "--to", "peft", "--out", str(out), "--output", str(tmp_path / "adapter")]
    assert run(words, tmp_path).code == 2
