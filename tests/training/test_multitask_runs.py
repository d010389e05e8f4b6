"""Method multitask-p-tuning-v2 as a command: both parts, killed and continued, shared, waited for, in two processes."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from commandline import (
    Command,
    holder,
    log_lines,
    numbers,
    only_run,
    result_of,
    run,
    wait_until,
    write_sentences,
)
from filelock import FileLock
from sequences import check_evaluated, write_entities

from ptv2.run_folders.directory import state_of
from ptv2.run_folders.metrics_log import read_lines
from ptv2.run_folders.weights import FILE

LIMITS = {"train": 40, "dev": 16, "test": 8}
MINI = ("mini-entities", "mini-roles", "mini-questions", "mini-inference")
SETTINGS = (
    "method=multitask-p-tuning-v2",
    "model=tiny",
    "+model.config.initializer_range=0.3",
    "prompt.length=4",
    "trainer.batch_size=8",
    "trainer.epochs=3",
    "optim.lr=0.03",
    "multitask.lr=0.03",
    "multitask.batch_size=8",
    "multitask.epochs=2",
)


def entry(task: str, **more: Any) -> str:
    limits = {f"data.limit.{split}": count for split, count in LIMITS.items()}
    return f"{{{','.join(f'{key}:{value}' for key, value in {'task': task, **limits, **more}.items())}}}"


def words(task: str, out: Path, *more: str) -> list[str]:
    """`ptv2 train` on one of four small tasks of four shapes, after all of them together."""
    tasks = f"multitask.tasks=[{','.join(entry(name) for name in MINI)}]"
    limits = [f"data.limit.{split}={count}" for split, count in LIMITS.items()]
    return ["train", f"task={task}", *limits, tasks, *SETTINGS, f"out={out}", *more]


def shared_run(out: Path) -> Path:
    return only_run(out / "shared")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with a finished run and the part that it began with."""
    out = tmp_path_factory.mktemp("undisturbed")
    done = run(words("mini-entities", out), out.parent)
    assert done.code == 0, done.err
    return out


def test_both_parts(undisturbed: Path) -> None:
    shared, single = result_of(shared_run(undisturbed)), result_of(only_run(undisturbed))
    names = sorted(MINI)
    assert shared["headline"] == "mean"
    headlines = [shared["dev"][f"{name}.{'accuracy' if name == 'mini-inference' else 'f1'}"] for name in names]
    assert shared["dev"]["mean"] == pytest.approx(sum(headlines) / 4)
    assert shared["test"] is None  # nothing of it is for test sets
    assert list(shared["data"]["tasks"]) == names
    assert sum(task["batches_an_epoch"] for task in shared["data"]["tasks"].values()) == shared["steps"] / 2
    for task in shared["data"]["tasks"].values():
        assert {name: split["examples"] for name, split in task["overview"]["splits"].items()} == task["examples"]
    assert shared["parameters"]["groups"]["prompt"] == single["parameters"]["groups"]["prompt"] == 2 * 2 * 4 * 32
    assert single["method"] == "multitask-p-tuning-v2"
    assert single["shared"]["name"] == shared_run(undisturbed).name
    assert single["shared"]["dev"] == shared["dev"]
    assert any(f"shared/{shared['name']}" in note for note in single["notes"])
    assert state_of(shared_run(undisturbed)) == state_of(only_run(undisturbed)) == "finished"
    assert not list(undisturbed.rglob("state-*"))


def test_it_begins_where_the_shared_part_ended(undisturbed: Path, tmp_path: Path) -> None:
    """Without a step to speak of, dev is what the shared part says of the task."""
    shutil.copytree(undisturbed / "shared", tmp_path / "out" / "shared")
    done = run(words("mini-roles", tmp_path / "out", "optim.lr=1e-12", "trainer.max_steps=1"), tmp_path)
    assert done.code == 0, done.err
    shared = result_of(shared_run(undisturbed))
    assert result_of(only_run(tmp_path / "out"))["dev"]["f1"] == pytest.approx(shared["dev"]["mini-roles.f1"])


def test_a_second_task_and_the_other_commands(undisturbed: Path, tmp_path: Path) -> None:
    """The shared part is found and not touched; the runs are for evaluate, predict, table and list what others are."""
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out)
    files = [path for path in shared_run(out).rglob("*") if path.name != ".lock"]
    before = {path: path.stat().st_mtime_ns for path in files}
    done = run(words("mini-inference", out, "trainer.max_steps=4"), tmp_path)
    assert done.code == 0, done.err
    assert f"{shared_run(out)}: finished before" in done.err
    assert {path: path.stat().st_mtime_ns for path in shared_run(out).rglob("*") if path.name != ".lock"} == before
    folder = next(out.glob("mini-inference-*"))
    check_evaluated(folder, "dev", result_of(folder)["dev"], LIMITS["dev"], tmp_path)
    (tmp_path / "new.jsonl").write_text(json.dumps({"premise": "Ann sleeps.", "hypothesis": "Ann is awake."}) + "\n")
    done = run(["predict", str(folder), "--input", str(tmp_path / "new.jsonl")], tmp_path)
    assert done.code == 0, done.err
    assert json.loads(done.out)["label"] in ("entailment", "neutral", "contradiction")
    listed = run(["list", "runs", "--out", str(out)], tmp_path).out
    assert f"shared/{shared_run(out).name}" in listed
    table = run(["table", "--out", str(out), "--headline", "--format", "csv"], tmp_path).out
    assert [line.split(",")[0] for line in table.splitlines()] == ["task", "mini-entities", "mini-inference"]
    done = run(["evaluate", str(shared_run(out))], tmp_path)
    assert done.code == 2
    assert "the shared part of several runs; expected one of these runs" in done.error


def test_only_the_shared_part(undisturbed: Path, tmp_path: Path) -> None:
    """Where its weights are damaged, it is made again."""
    shutil.copytree(undisturbed / "shared", tmp_path / "out" / "shared")
    path = shared_run(tmp_path / "out") / "artifact" / FILE
    content = path.read_bytes()
    path.write_bytes(content[:-100] + bytes([content[-100] ^ 1]) + content[-99:])
    done = run(words("mini-questions", tmp_path / "out", "multitask.only_shared=true"), tmp_path)
    assert done.code == 0, done.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["shared"]
    assert numbers(shared_run(tmp_path / "out")) == numbers(shared_run(undisturbed))


def evaluations(folder: Path, pattern: str) -> int:
    return sum("dev" in line for path in folder.glob(pattern) for line in read_lines(path))


def test_stopped_and_killed_in_both_parts(undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command_words = words("mini-entities", out, "trainer.checkpoint_minutes=0")
    moments = [("shared/*/metrics.jsonl", signal.SIGTERM, 143), ("shared/*/state-0000000[3-9]*", signal.SIGKILL, 137)]
    moments += [("*/state-0000000[2-9]*", signal.SIGKILL, 137), ("mini-*/metrics.jsonl", signal.SIGTERM, 143)]
    for pattern, number, code in moments:
        command = Command(command_words, tmp_path)
        assert wait_until(
            lambda: any(holder(path.parent) == command.process.pid for path in out.glob(pattern)),  # noqa: B023
            lambda: command.running,  # noqa: B023
        )
        command.signal(number)
        done = command.wait()
        assert done.code == code, done.err
        folder = shared_run(out) if pattern.startswith("shared") else only_run(out)
        assert state_of(folder) == "interrupted"
    done = run(command_words, tmp_path)
    assert done.code == 0, done.err
    assert numbers(only_run(out)) == numbers(only_run(undisturbed))
    assert numbers(shared_run(out)) == numbers(shared_run(undisturbed))
    assert result_of(shared_run(out))["runtime"]["resumed"]
    assert result_of(only_run(out))["runtime"]["resumed"]


def test_it_waits_for_another_process(undisturbed: Path, tmp_path: Path) -> None:
    """That trains the shared part now, and then takes what it made."""
    out = tmp_path / "out"
    folder = out / "shared" / shared_run(undisturbed).name
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"):
        command = Command(words("mini-entities", out), tmp_path)
        assert wait_until(lambda: "waiting for" in command._err.read_text(), lambda: command.running)
        time.sleep(0.5)
        shutil.copytree(shared_run(undisturbed), folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".lock"))
    done = command.wait()
    assert done.code == 0, done.err
    assert done.err.count(f"waiting for {folder}: another process is training it") == 1
    assert "mean" not in done.err  # it has not trained it itself
    assert numbers(only_run(out)) == numbers(only_run(undisturbed))


def test_two_processes_are_one(tmp_path: Path) -> None:
    """Heads that a step does not need are waited for by nobody."""
    more = ("model.hidden_dropout=0", "model.attention_dropout=0", "prompt.dropout=0", "head.dropout=0")
    more += ("trainer.max_steps=3", "multitask.max_steps=8", "+model.config.initializer_range=0.1")
    settings = [word for word in words("mini-entities", tmp_path / "two", *more) if "range=0.3" not in word]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    common = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank), **common} for rank in range(2)]
    together = [Command(settings, tmp_path / f"rank{i}", environment=ranks[i]) for i in range(2)]
    alone = run([*settings[: -len(more)], f"out={tmp_path / 'one'}", *settings[-len(more) :]], tmp_path)
    ended = [command.wait() for command in together]
    assert [done.code for done in (alone, *ended)] == [0, 0, 0], ended[0].err + alone.err
    for find in (shared_run, only_run):
        one, two = find(tmp_path / "one"), find(tmp_path / "two")
        assert one.name == two.name
        assert result_of(two)["runtime"]["processes"] == 2
        for key in ("dev", "steps", "best_step", "data"):
            assert result_of(two)[key] == result_of(one)[key], key
        losses = [[line["loss"] for line in log_lines(folder) if "loss" in line] for folder in (one, two)]
        assert losses[1] == pytest.approx(losses[0], abs=1e-4)


def test_tasks_of_ones_own(tmp_path: Path) -> None:
    """Two label sets and two lengths, from files; each of them can be the one to go on with."""
    texts, names = write_sentences(tmp_path / "texts"), write_entities(tmp_path / "names")
    tasks = (
        f"multitask.tasks=[{{task:classification,task.name:moods,data.dir:'{texts}'}},"
        f"{{task:ner,task.name:names,data.dir:'{names}',task.max_length:16,task.tagging.stride:4}}]"
    )
    out = tmp_path / "out"
    common = [tasks, *SETTINGS, f"out={out}", "trainer.epochs=1", "multitask.epochs=1"]
    first = run(["train", "task=classification", "task.name=moods", f"data.dir={texts}", *common], tmp_path)
    assert first.code == 0, first.err
    own = ["task.max_length=16", "task.tagging.stride=4"]
    second = run(["train", "task=ner", "task.name=names", f"data.dir={names}", *own, *common], tmp_path)
    assert second.code == 0, second.err
    assert "finished before" in second.err
    assert result_of(shared_run(out))["task"] == "moods+names"


def test_data_that_are_missing(tmp_path: Path) -> None:
    """All tasks without data are named before anything is trained, with how to leave them out."""
    names = write_entities(tmp_path / "names")
    (tmp_path / "empty").mkdir()
    dirs = f"{{conll04: {names}, ontonotes: {tmp_path / 'empty'}, conll03: {tmp_path / 'nowhere'}}}"
    out = tmp_path / "out"
    tasks = "multitask.tasks=[conll04,conll03,ontonotes,mini-entities]"
    done = run(["train", "task=conll04", tasks, f"multitask.dirs={dirs}", *SETTINGS, f"out={out}"], tmp_path)
    assert done.code == 2
    assert done.error.startswith(f"multitask.tasks: conll03: data.dir: no folder {tmp_path / 'nowhere'}; ontonotes: ")
    assert len(done.error) <= 300 + len("ptv2: error: ")
    if not done.error.endswith("..."):  # long folders cost the line its end
        assert done.error.endswith("without conll03 and ontonotes: multitask.tasks=[conll04,mini-entities]")
    assert not out.exists()
