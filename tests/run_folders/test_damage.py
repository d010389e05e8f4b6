"""Every file of a run damaged in turn: no command ends in a traceback, other runs are shown, and train mends it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from commandline import run
from safetensors.torch import load

from ptv2.cli import main
from ptv2.errors import RunError
from ptv2.report.html.curves import Curves
from ptv2.report.html.shown import read_shown
from ptv2.run_folders.altered import checksum
from ptv2.run_folders.directory import read_config, state_of
from ptv2.run_folders.metrics_log import read_lines
from ptv2.run_folders.record import read_result
from ptv2.run_folders.weights import fault_of_weights

TRAIN = ["train", "model=tiny", "task=mini-inference", "trainer.max_steps=3", "trainer.batch_size=8"]
TRAIN += ["data.limit.train=24", "data.limit.dev=16"]
FILES = ["result.json", "status.json", "config.yaml", "env.json", "metrics.jsonl", "log.txt"]
FILES += ["artifact/artifact.safetensors", "predictions-dev.jsonl"]
DAMAGE = {
    "truncated": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "garbage": lambda content: b"\xff\x00\x9b" * 9,
    "one bad byte": lambda content: content[:9] + b"\xff" + content[10:],
    "list": lambda content: b"[]",
    "null": lambda content: b"null",
    "number": lambda content: b"12",
    "object": lambda content: b"{}",
    "deep": lambda content: b"[" * 100_000,
    "one bit": lambda content: content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],
    "gone": None,
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs: one of fine-tuning, which nothing happens to, and one of p-tuning-v2."""
    out = tmp_path_factory.mktemp("damage") / "runs"
    for method in ("fine-tuning", "p-tuning-v2"):
        done = run([*TRAIN, f"method={method}", f"out={out}"], out.parent)
        assert done.code == 0, done.err
    return out


@pytest.fixture
def out(runs: Path, tmp_path: Path) -> Path:
    return shutil.copytree(runs, tmp_path / "runs")


def victim(out: Path) -> Path:
    (folder,) = out.glob("*-p-tuning-v2-*")
    return folder


def damage(path: Path, kind: str) -> None:
    if (change := DAMAGE[kind]) is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))


def look(out: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What the commands that look at runs say; each must succeed and show the sound run."""
    said = {}
    page = out.parent / "report.html"
    for words in (
        ["list", "runs", "--out", str(out)],
        ["table", "--out", str(out)],
        ["best", "task=mini-inference", "model=tiny", f"out={out}"],
        ["report", "--out", str(out), "--output", str(page)],
    ):
        assert main(words) == 0, words
        captured = capsys.readouterr()
        said[words[0]] = captured.out + captured.err
        assert "fine-tuning" in (page.read_text() if words[0] == "report" else said[words[0]])
    return said


@pytest.mark.parametrize("kind", list(DAMAGE))
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_costs_one_run_at_most(
    file: str, kind: str, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = victim(out)
    damage(folder / file, kind)
    said = look(out, capsys)
    assert folder.name in said["list"]
    assert folder.name in (out.parent / "report.html").read_text()
    if file == "result.json" and kind != "gone":
        assert state_of(folder) == "unreadable"
        for command in ("list", "table", "best"):
            assert "result.json: damaged result" in said[command]
            assert "`ptv2 train` command makes it again" in " ".join(said[command].split())
        assert max(map(len, said["table"].splitlines())) <= 300 + len(str(folder))
    elif file == "result.json":
        assert "result.json: missing, though the run finished" in said["table"]
    else:
        assert "p-tuning-v2" in said["table"]
        assert "left out" not in said["table"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dev", {"accuracy": "high"}),
        ("dev", {}),
        ("dev", None),
        ("method", "magic"),
        ("data", []),
        ("data", {}),
        ("seed", "one"),
        ("config", {}),
        ("config", {"task": 3}),
        ("parameters", {"percent": "x"}),
        ("time", {}),
        ("tests", {"test": {"accuracy": None}}),
        ("schema", 99),
        ("notes", 3),
    ],
)
def test_values_of_another_kind(key: str, value: object, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = victim(out)
    tree = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps({**tree, key: value}))
    said = look(out, capsys)
    assert f"left out: {folder}: " in said["table"]
    assert f"left out: {folder}: " in said["best"]


def test_numbers_that_are_none(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = victim(out)
    tree = json.loads((folder / "result.json").read_text())
    for number in (float("nan"), float("inf")):
        (folder / "result.json").write_text(json.dumps({**tree, "dev": {**tree["dev"], "accuracy": number}}))
        assert "dev.accuracy" in look(out, capsys)["table"]


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("result.json", "one bad byte"),
        ("result.json", "list"),
        ("result.json", "gone"),
        ("status.json", "garbage"),
        ("config.yaml", "garbage"),
        ("config.yaml", "truncated"),
        ("config.yaml", "gone"),
        ("metrics.jsonl", "gone"),
        ("artifact/artifact.safetensors", "truncated"),
        ("artifact/artifact.safetensors", "gone"),
        ("artifact/artifact.safetensors", "one bit"),
        ("result.json", "one bit"),
        ("config.yaml", "one bit"),
        ("metrics.jsonl", "one bit"),
        ("fractions-dev.json", "truncated"),
    ],
)
def test_the_same_command_mends_it(file: str, kind: str, runs: Path, out: Path) -> None:
    folder = victim(out)
    damage(folder / file, kind)
    (folder / ".status.json.x1.tmp").write_bytes(b"torn")
    done = run([*TRAIN, "method=p-tuning-v2", f"out={out}"], out.parent)
    assert done.code == 0, done.err
    assert state_of(folder) == "finished"
    assert json.loads((folder / "status.json").read_text())["state"] == "finished"
    assert not list(folder.glob(".*.tmp"))
    before, after = (json.loads((victim(base) / "result.json").read_text()) for base in (runs, out))
    assert (after["dev"], after["test"]) == (before["dev"], before["test"])
    if file != "metrics.jsonl":  # only a drawing lacks it
        assert len(read_lines(folder / "metrics.jsonl")) == len(read_lines(victim(runs) / "metrics.jsonl"))
    scored = run(["evaluate", str(folder)], out.parent)
    assert scored.code == 0, scored.err


def test_any_altered_digit_of_a_record_is_seen(out: Path) -> None:
    folder = victim(out)
    for name, read in (("result.json", read_result), ("config.yaml", read_config)):
        text = (folder / name).read_text()
        before = read(folder)
        messages: list[str] = []
        unseen: list[str] = []  # but for the last digits of a fraction, which may be more than the number has
        folders = [range(*found.span()) for found in re.finditer(r"/\S*/pytest-\S*", text)]  # may be set anew
        digits = [digit for digit in re.finditer(r"\d", text) if not any(digit.start() in span for span in folders)]
        for digit in digits[::5]:
            other = str((int(digit[0]) + 1) % 10)
            (folder / name).write_text(text[: digit.start()] + other + text[digit.end() :])
            try:
                found = read(folder)
            except RunError as error:
                messages.append(str(error))
            else:
                unseen += [] if found == before else [text[digit.start() - 30 : digit.end()]]
        (folder / name).write_text(text)
        assert read(folder) == before
        assert not unseen
        assert messages
        assert all(re.search(f"{name}: (damaged|not the configuration)", message) for message in messages)


def test_records_of_before_there_were_checksums(out: Path) -> None:
    """Two more fields in result.json, and another checksum in config.yaml."""
    folder = victim(out)
    result = json.loads((folder / "result.json").read_text())
    config = yaml.safe_load((folder / "config.yaml").read_text())
    del result["checksum"], result["files"]
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, "checksum": checksum(config["deciding"])}))
    done = run([*TRAIN, "method=p-tuning-v2", f"out={out}"], out.parent)
    assert (done.code, "nothing was repeated" in done.out) == (0, True)
    assert run(["evaluate", str(folder)], out.parent).code == 0


def test_folders_may_be_set_anew_where_a_run_was_moved(out: Path) -> None:
    folder = victim(out)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["config"]["out"] = "elsewhere"
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert read_config(folder).out == "elsewhere"


def test_a_drawing_leaves_out_what_is_damaged(out: Path) -> None:
    folder = victim(out)
    assert read_shown(folder, 100).curves.dev
    damage(folder / "metrics.jsonl", "one bit")
    shown = read_shown(folder, 100)
    assert (shown.state, shown.curves, shown.counted) == ("finished", Curves(), True)
    assert "metrics.jsonl: damaged" in shown.message


def test_any_altered_byte_of_the_weights_is_seen(out: Path) -> None:
    """Bytes of header and values; a change that alters nothing that is read may pass."""
    folder = victim(out)
    path = folder / "artifact" / "artifact.safetensors"
    content = path.read_bytes()
    tensors = load(content)
    for place in [*range(0, 1500, 7), *range(1500, len(content), 211)]:
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x20]) + content[place + 1 :])
        if fault_of_weights(folder) is None:
            same = load(path.read_bytes())
            assert same.keys() == tensors.keys()
            assert all(torch.equal(same[name], tensors[name]) for name in same)
            assert content[place] in b" "
    path.write_bytes(content)
    assert fault_of_weights(folder) is None


def test_a_run_that_cannot_be_used_says_what_mends_it(out: Path) -> None:
    folder = victim(out)
    (folder / "artifact" / "artifact.safetensors").unlink()
    error = run(["evaluate", str(folder)], out.parent).error
    assert "its weights are missing" in error
    assert "ptv2 train" in error


@pytest.mark.parametrize("name", ["predictions-dev.jsonl", "fractions-dev.json", "env.json", "metrics.jsonl"])
def test_a_file_that_a_folder_took_the_place_of_is_made_again(out: Path, name: str) -> None:
    path = victim(out) / name
    content = path.read_bytes()
    path.unlink()
    path.mkdir()
    done = run([*TRAIN, "method=p-tuning-v2", f"out={out}"], out.parent)
    assert done.code == 0, done.err
    assert path.read_bytes() == content or name in ("env.json", "metrics.jsonl")  # with times


def test_a_finished_run_that_lost_its_result_is_named(out: Path) -> None:
    (victim(out) / "result.json").unlink()
    for words in (
        ["table", "--out", str(out)],
        ["best", "task=mini-inference", "model=tiny", f"out={out}"],
        ["list", "runs", "--out", str(out)],
    ):
        done = run(words, out.parent)
        assert done.code == 0, done.err
        assert victim(out).name in done.out + done.err
        assert "result.json: missing, though the run finished" in done.out + done.err
    shown = read_shown(victim(out), 10)
    assert (shown.state, shown.counted) == ("unreadable", False)
    assert "result.json: missing, though the run finished" in shown.message


def test_only_run_names_are_taken(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder with one file of such a name is somebody else's."""
    (out / "other").mkdir()
    (out / "other" / "result.json").write_text("[]")
    assert "other" not in look(out, capsys)["list"]
