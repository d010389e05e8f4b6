"""What trackers show of a run: all that `metrics.jsonl` has, once, however often the run was stopped.

Other trackers than TensorBoard: `test_other_trackers.py`.
"""

from __future__ import annotations

import json
import random
import re
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from commandline import (
    Command,
    ended,
    numbers,
    only_run,
    result_of,
    run,
    start_two,
    train_words,
    wait_until,
)
from tracked_runs import EVALUATIONS, SETTINGS, assert_same, needs, stop_twice

from ptv2.config.compose import compose
from ptv2.config.schema import TRACKERS
from ptv2.run_folders.directory import state_of


def in_tensorboard(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard reads of a run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    tags = events.Tags()["scalars"]
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}


# What any tracker has in common


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("track=tensorboard", ["tensorboard"]),
        ("track=tensorboard,wandb", ["tensorboard", "wandb"]),
        ("track=[wandb,mlflow]", ["wandb", "mlflow"]),
        ("track=wandb,wandb", ["wandb"]),
        ("track=null", []),
        ("track=[]", []),
    ],
)
def test_names(word: str, names: list[str]) -> None:
    assert compose([word]).track == names


@pytest.mark.parametrize("word", ["track=tensorbord", "track=[wandb,tensorbord]", "track=wandb,tensorbord"])
def test_an_unknown_name_lists_the_choices(word: str, tmp_path: Path) -> None:
    done = run(["train", word, f"out={tmp_path / 'out'}"], tmp_path)
    assert done.code == 2
    assert "unknown tracker 'tensorbord'; did you mean tensorboard? known: mlflow, tensorboard, trackio, wandb" in (
        done.error
    )
    assert not (tmp_path / "out").exists()


def hide(name: str) -> None:
    sys.modules[name] = None  # type: ignore[assignment]


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_package_is_refused_before_training(name: str, data: Path, tmp_path: Path) -> None:
    words = train_words(data, tmp_path / "out", *SETTINGS, f"track={name}")
    done = run(words, tmp_path, before=partial(hide, name))
    assert done.code == 2
    assert done.error == f"track={name} needs the package {name}; pip install 'ptv2[{name}]'"
    assert not (tmp_path / "out").exists()


def test_nothing_is_imported_unless_it_is_asked_for(data: Path, tmp_path: Path) -> None:
    words = train_words(data, tmp_path / "out", *SETTINGS, "trainer.max_steps=1")
    done = run(words, tmp_path, after=say_imported)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "imported: []"


def say_imported() -> None:
    print("imported:", [name for name in TRACKERS if name in sys.modules])


# TensorBoard


def spoil(calls: int) -> None:
    """Let TensorBoard fail after so many lines."""
    from accelerate.tracking import TensorBoardTracker

    log, count = TensorBoardTracker.log, iter(range(10**6))

    def fail(self: Any, *values: Any, **more: Any) -> None:
        if next(count) >= calls:
            raise OSError(28, "No space left on device")
        log(self, *values, **more)

    TensorBoardTracker.log = fail


@needs("tensorboard")
class TestTensorBoard:
    def test_it_has_all_that_the_run_has(self, data: Path, untracked: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        words = train_words(data, out, *SETTINGS, "track=tensorboard")
        done = run(words, tmp_path)
        assert done.code == 0, done.err
        assert f"tracked: tensorboard --logdir {out}" in done.err
        folder = only_run(out)
        assert folder.name == untracked.name
        mine, others = numbers(folder), numbers(untracked)
        assert set(mine.pop("files")) - set(others.pop("files")) == {"tensorboard", "tracking.json"}
        assert mine == others
        tracked = in_tensorboard(folder)
        assert_same(tracked, folder)
        assert [value for _, value in tracked["epoch"]] == list(range(1, EVALUATIONS + 1))
        assert all(value > 0 for _, value in tracked["train/gradient_norm"])

        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        again = run(words, tmp_path)
        assert again.code == 0, again.err
        assert "tracked" not in again.err
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before

    def test_settings_are_there_to_compare_runs_by(self, data: Path, tmp_path: Path) -> None:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.plugins.hparams import plugin_data_pb2

        words = train_words(data, tmp_path / "out", *SETTINGS, "trainer.max_steps=2", "track=tensorboard")
        assert run(words, tmp_path).code == 0
        events = EventAccumulator(str(only_run(tmp_path / "out") / "tensorboard")).Reload()
        (text,) = events.Tensors("settings/text_summary")
        assert "| optim.lr | 0.03 |" in text.tensor_proto.string_val[0].decode()
        content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
        start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
        assert start.hparams["trainer.max_steps"].number_value == 2
        assert start.hparams["seed"].number_value == 11
        assert str(tmp_path) not in str(start)

    def test_kills_leave_no_gap_and_no_double(self, data: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        words = train_words(data, out, *SETTINGS, "trainer.checkpoint_minutes=0", "track=tensorboard")
        draw = random.Random(7)
        killed = 0
        for step in sorted(draw.sample(range(10, 60), 3)):
            command = Command(words, tmp_path)

            def passed(step: int = step) -> bool:
                steps = [int(path.stem.partition("-")[2]) for path in out.glob("*/state-*")]
                return max(steps, default=0) >= step

            wait_until(passed, lambda: command.running)  # noqa: B023
            time.sleep(draw.uniform(0, 0.03))
            command.signal(signal.SIGKILL)
            killed += command.wait().code == 137
            assert wait_until(lambda: state_of(only_run(out)) != "running", lambda: True)
        assert killed
        done = run(words, tmp_path)
        assert done.code == 0, done.err
        assert_same(in_tensorboard(only_run(out)), only_run(out))

    def test_stopped_without_a_state_in_between(self, data: Path, tmp_path: Path) -> None:
        """What was logged after the last state is not logged twice."""
        out = tmp_path / "out"
        words = train_words(data, out, *SETTINGS, "track=tensorboard")
        stop_twice(words, out, tmp_path, {})
        assert_same(in_tensorboard(only_run(out)), only_run(out))

    def test_a_run_that_was_begun_without_has_it_all(self, data: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        words = train_words(data, out, *SETTINGS)
        command = Command(words, tmp_path)
        assert wait_until(lambda: any(out.glob("*/best-*")), lambda: command.running)
        command.signal(signal.SIGINT)
        assert command.wait().code == 130
        assert run([*words, "track=tensorboard"], tmp_path).code == 0
        assert_same(in_tensorboard(only_run(out)), only_run(out))

    @pytest.mark.parametrize("calls", [0, 5])
    def test_one_that_fails_costs_a_line(self, calls: int, data: Path, untracked: Path, tmp_path: Path) -> None:
        words = train_words(data, tmp_path / "out", *SETTINGS, "track=tensorboard")
        done = run(words, tmp_path, before=partial(spoil, calls))
        assert done.code == 0, done.err
        warning = "warning: track=tensorboard: [Errno 28] No space left on device; the run goes on without it"
        assert done.err.count("warning:") == done.err.count(warning) == 1
        assert "Traceback" not in done.err
        folder = only_run(tmp_path / "out")
        assert warning in (folder / "log.txt").read_text(encoding="utf-8")
        assert result_of(folder)["test"] == result_of(untracked)["test"]

    def test_one_that_cannot_begin_costs_a_line(self, data: Path, untracked: Path, tmp_path: Path) -> None:
        folder = tmp_path / "out" / untracked.name
        folder.mkdir(parents=True)
        (folder / "tensorboard").write_text("a file in its place", encoding="utf-8")
        done = run(train_words(data, tmp_path / "out", *SETTINGS, "track=tensorboard"), tmp_path)
        assert done.code == 0, done.err
        assert len(re.findall(r"^warning: track=tensorboard: .*; the run goes on without it$", done.err, re.M)) == 1
        assert result_of(folder)["test"] == result_of(untracked)["test"]

    def test_the_main_process_tracks_alone(self, data: Path, tmp_path: Path) -> None:
        words = train_words(data, tmp_path / "out", *SETTINGS, "trainer.epochs=2", "track=tensorboard")
        done = ended(start_two(words, tmp_path))
        assert [each.code for each in done] == [0, 0], done[0].err
        folder = only_run(tmp_path / "out")
        assert len(list((folder / "tensorboard").iterdir())) == 1
        assert "".join(each.err for each in done).count("tracked: ") == 1
        assert_same(in_tensorboard(folder), folder)

    def test_a_sweep_tracks_each_of_its_runs(self, data: Path, tmp_path: Path) -> None:
        words = train_words(
            data, tmp_path / "out", *SETTINGS, "trainer.epochs=1", "seed=1,2", "track=tensorboard", "-m"
        )
        done = run(words, tmp_path)
        assert done.code == 0, done.err
        folders = [path.parent for path in (tmp_path / "out").glob("*/result.json")]
        assert len(folders) == 2
        for folder in folders:
            assert_same(in_tensorboard(folder), folder)

    def test_the_part_that_tasks_share_is_tracked_too(self, tmp_path: Path) -> None:
        mini = ["train", "method=multitask-p-tuning-v2", "task=mini-inference", "model=tiny", f"out={tmp_path / 'out'}"]
        short = ["multitask.tasks=[mini-inference,mini-entities]", "multitask.max_steps=3", "trainer.max_steps=2"]
        limits = [f"data.limit.{split}=16" for split in ("train", "dev", "test")]
        done = run([*mini, *short, *limits, "track=tensorboard"], tmp_path)
        assert done.code == 0, done.err
        shared, after = (path.parent for path in sorted((tmp_path / "out").glob("**/result.json"), reverse=True))
        assert [step for step, _ in in_tensorboard(shared)["dev/mean"]] == [3]
        assert_same(in_tensorboard(after), after)


def test_lines_that_a_server_has_are_not_logged_again(tmp_path: Path) -> None:
    """W&B says how many rows it has, which may be fewer than were handed to it before a kill."""
    from ptv2.experiment.trackers import TRACKERS, Subject, Tracker
    from ptv2.experiment.tracking import Tracking

    logged: list[int] = []

    class Server(Tracker):
        def start(self, subject: Subject, known: dict[str, Any]) -> dict[str, Any]:
            self.logged = 2
            return {**known, "id": "known"}

        def log(self, values: Any, step: int) -> None:
            logged.append(step)

        def end(self, code: int) -> None: ...

        def where(self) -> str:
            return ""

    (tmp_path / "tracking.json").write_text('{"wandb": {"id": "known", "loss": 40, "dev": 40}}', encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TRACKERS, "wandb", Server)
        tracking = Tracking(tmp_path)
        tracking.start(["wandb"], Subject("run", tmp_path, None, {}, ()))
        for step in (10, 20, 30, 40, 50):
            tracking.follow({"step": step, "loss": 1.0})
        tracking.end()
    assert logged == [30, 40, 50]
    assert json.loads((tmp_path / "tracking.json").read_text(encoding="utf-8"))["wandb"]["loss"] == 50


@pytest.mark.parametrize("command", ["train", "reproduce"])
def test_a_missing_package_is_refused_once_for_all_runs(command: str, data: Path, tmp_path: Path) -> None:
    if command == "train":
        pytest.importorskip("optuna", reason="the extra ptv2[optuna] is not installed")
        words = [*train_words(data, tmp_path / "out"), "hydra/sweeper=optuna", "prompt.length=2,4", "-m"]
    else:
        words = ["reproduce", "table=2", "columns=boolq", "model=tiny", f"out={tmp_path / 'out'}"]
    done = run([*words, "track=mlflow"], tmp_path, before=partial(hide, "mlflow"))
    assert done.code == 2
    assert done.error == "track=mlflow needs the package mlflow; pip install 'ptv2[mlflow]'"
