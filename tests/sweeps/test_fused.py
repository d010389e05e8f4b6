"""`hydra/launcher=fused`: jobs that are trained together have the names and numbers of the same jobs alone."""

from __future__ import annotations

import errno
import gc
import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from commandline import (
    Command,
    Done,
    finish,
    log_lines,
    numbers,
    python,
    result_of,
    run,
    train_words,
    wait_until,
    write_backbone,
    write_sentences,
)

from ptv2.sweeps.job import SEPARATOR, TOGETHER

FUSED = ("-m", "hydra/launcher=fused")
OFF = ("model.hidden_dropout=0", "model.attention_dropout=0", "prompt.dropout=0", "head.dropout=0")
CLOSE = 1e-5


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sentences(tmp_path_factory.mktemp("data"), 48, 16, 8)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_backbone(tmp_path_factory.mktemp("model") / "bb")


def runs(out: Path) -> dict[str, Path]:
    return {path.parent.name: path.parent for path in out.glob("*/result.json")}


def same_numbers(one: Path, other: Path) -> None:
    """Every loss within 1e-5, the same evaluations and artifact up to that."""
    assert runs(one).keys() == runs(other).keys() != set()
    for name, folder in runs(one).items():
        expected, found = log_lines(folder), log_lines(other / name)
        assert len(expected) == len(found)
        for a, b in zip(expected, found, strict=True):
            assert a.keys() == b.keys()
            assert a["step"] == b["step"]
            if "loss" in a:
                assert b["loss"] == pytest.approx(a["loss"], abs=CLOSE)
            else:
                assert b == a
        results = result_of(folder), result_of(other / name)
        for key in ("best_step", "steps", "test", "parameters", "evaluations"):
            assert results[0][key] == results[1][key], key


def one_pass() -> None:
    """Let several trainings share a pass, as on a GPU."""
    from ptv2.training import together

    together.SEPARATE = frozenset()


def own_passes() -> None:
    """As it is on a CPU: one job follows the other."""


def both(words: list[str], folder: Path, *, code: int = 0, before: Callable[[], None] = one_pass) -> Done:
    """Run a sweep alone (`folder/alone`) and together (`folder/fused`)."""
    alone = run([*words, f"out={folder / 'alone'}", "-m"], folder / "streams")
    assert alone.code == code, alone.err
    fused = run([*words, f"out={folder / 'fused'}", *FUSED], folder / "streams", before=before)
    assert fused.code == code, fused.err
    return fused


def words_of(data: Path, backbone: Path, *words: str) -> list[str]:
    start = train_words(data, Path("unused"), f"model.path={backbone}", *OFF, "trainer.batch_size=8")
    return [word for word in [*start, *words] if not word.startswith("out=") and word != "optim.lr=0.03"]


def test_different_seeds_and_lengths(data: Path, backbone: Path, tmp_path: Path) -> None:
    words = words_of(data, backbone, "seed=1,2", "prompt.length=3,6", "trainer.epochs=9", "optim.lr=0.01")
    done = both(words, tmp_path)
    same_numbers(tmp_path / "alone", tmp_path / "fused")
    results = [result_of(folder) for folder in runs(tmp_path / "fused").values()]
    assert {result["steps"] for result in results} == {54}
    assert {result["runtime"]["together"] for result in results} == {4}
    assert all(any("together with 3 other jobs" in note for note in result["notes"]) for result in results)
    names = {result["name"] for result in results}
    assert all(set(result["runtime"]["together_with"]) == names - {result["name"]} for result in results)
    assert "alone" not in done.err


def test_methods_and_forms_go_together_with_their_own(data: Path, backbone: Path, tmp_path: Path) -> None:
    """Deep prompts, both forms, shallow ones and none; a fine-tuning beside them is trained alone, and it is said."""
    words = words_of(data, backbone, "seed=1,2", "optim.lr=0.01")
    methods = ["method=p-tuning-v2,prompt-tuning,head-only,fine-tuning"]
    done = both([*words, *methods, "trainer.epochs=3"], tmp_path)
    both([*words, "prompt.form=hidden", "trainer.epochs=2,9", "prompt.length=4"], tmp_path)
    same_numbers(tmp_path / "alone", tmp_path / "fused")
    assert "trained alone: jobs 3, 7: method=fine-tuning" in done.err
    together = [result_of(folder)["runtime"].get("together") for folder in runs(tmp_path / "fused").values()]
    assert sorted(map(str, together)) == ["2"] * 6 + ["4"] * 4 + ["None"] * 2


@pytest.mark.parametrize(
    ("task", "method"),
    [
        ("mini-entities", "p-tuning-v2"),
        ("mini-questions", "prompt-tuning"),
        pytest.param("mini-questions", "p-tuning-v2", marks=pytest.mark.slow),
    ],
)
def test_heads(task: str, method: str, backbone: Path, tmp_path: Path) -> None:
    words = ["train", f"task={task}", "model=tiny", f"model.path={backbone}", *OFF, "trainer.max_steps=50"]
    words += ["trainer.evaluate_every=25", f"method={method}", "prompt.length=3,5", "optim.lr=0.01", "seed=1"]
    words += ["trainer.batch_size=8", "data.limit.train=80", "data.limit.dev=16", "data.limit.test=8"]
    both(words, tmp_path)
    same_numbers(tmp_path / "alone", tmp_path / "fused")


def test_tasks_with_other_labels_go_together(backbone: Path, tmp_path: Path) -> None:
    """Heads of other sizes, and texts of other lengths."""
    words = ["train", "task=mini-entities,mini-roles", "model=tiny", f"model.path={backbone}", *OFF, "optim.lr=0.01"]
    words += ["trainer.max_steps=20", "trainer.evaluate_every=20", "trainer.batch_size=8", "data.limit.train=60"]
    both([*words, "data.limit.dev=16", "data.limit.test=8"], tmp_path)
    same_numbers(tmp_path / "alone", tmp_path / "fused")
    assert [result_of(folder)["runtime"]["together"] for folder in runs(tmp_path / "fused").values()] == [2, 2]


@pytest.mark.parametrize("before", [one_pass, own_passes])
def test_one_fails_and_one_stops_early(before: Callable[[], None], data: Path, backbone: Path, tmp_path: Path) -> None:
    words = words_of(data, backbone, "optim.lr=0.01,1e29,0.02", "trainer.epochs=6", "trainer.patience=1", "seed=1")
    done = both([*words, "optim.clip=null"], tmp_path, code=1, before=before)
    same_numbers(tmp_path / "alone", tmp_path / "fused")
    assert len(runs(tmp_path / "fused")) == 2
    assert "finite" in done.out + done.err
    states = {json.loads(path.read_text())["state"] for path in (tmp_path / "fused").glob("*/status.json")}
    assert states == {"finished", "failed"}


def prune_the_second_trial() -> None:
    from ptv2.errors import Pruned
    from ptv2.sweeps.pruning import TrialMonitor

    original = TrialMonitor.evaluated

    def evaluated(monitor: TrialMonitor, *words: Any, **options: Any) -> None:
        original(monitor, *words, **options)
        if monitor._storage.get_trial(monitor._trial).number == 1:
            raise Pruned("ended; no result")

    one_pass()
    TrialMonitor.evaluated = evaluated  # type: ignore[method-assign]


def test_a_pruned_trial_leaves_the_others(data: Path, backbone: Path, tmp_path: Path) -> None:
    """Each trial reports its own scores, though their turns change within an epoch."""
    pytest.importorskip("optuna")
    search = ["hydra/sweeper=optuna", "hydra.sweeper.trials=3", "optim.lr=tag(log,interval(1e-3,1e-1))", "seed=1"]
    search += ["hydra/sweeper/pruner=none", "trainer.epochs=3", f"out={tmp_path / 'out'}", *FUSED]
    done = run([*words_of(data, backbone), *search], tmp_path, before=prune_the_second_trial)
    assert done.code == 0, done.err
    results = [result_of(folder) for folder in runs(tmp_path / "out").values()]
    assert [result["evaluations"] for result in results] == [3, 3]
    assert [result["runtime"]["together"] for result in results] == [3, 3]
    states = [json.loads(path.read_text())["state"] for path in (tmp_path / "out").glob("*/status.json")]
    assert sorted(states) == ["finished", "finished", "pruned"]
    again = run([*words_of(data, backbone), *search], tmp_path, before=prune_the_second_trial)
    assert (again.code, len(runs(tmp_path / "out"))) == (0, 2), "no trial is left"


def fill_the_disk_once() -> None:
    """Let the second file of best weights find no room."""
    from ptv2.training import state

    original, written = state.save_best, []

    def save(folder: Path, *words: Any) -> None:
        written.append(folder)
        if len(written) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
        original(folder, *words)

    one_pass()
    state.save_best = save


def test_a_full_disk_ends_the_job_that_met_it(data: Path, backbone: Path, tmp_path: Path) -> None:
    words = [*words_of(data, backbone, "optim.lr=0.01", "trainer.epochs=2", "seed=1,2,3"), f"out={tmp_path / 'out'}"]
    done = run([*words, *FUSED], tmp_path, before=fill_the_disk_once)
    assert (done.code, len(runs(tmp_path / "out"))) == (1, 2)
    assert done.out.count("No space left on device") == 1
    assert run([*words, *FUSED], tmp_path).code == 0
    assert len(runs(tmp_path / "out")) == 3


def test_on_a_cpu_the_numbers_are_the_same_with_dropout_too(data: Path, backbone: Path, tmp_path: Path) -> None:
    words = [word for word in words_of(data, backbone, "seed=1,2", "optim.lr=0.01") if word not in OFF]
    both([*words, "trainer.epochs=2", "method=p-tuning-v2,prompt-tuning"], tmp_path, before=own_passes)
    for name, folder in runs(tmp_path / "alone").items():
        assert numbers(folder) == numbers(tmp_path / "fused" / name)
    results = [result_of(folder) for folder in runs(tmp_path / "fused").values()]
    assert [result["runtime"]["together"] for result in results] == [2] * 4
    assert not any("together_with" in result["runtime"] for result in results)


@pytest.mark.parametrize(("number", "before"), [(signal.SIGKILL, one_pass), (signal.SIGTERM, own_passes)])
def test_goes_on_after_a_kill(
    number: int, before: Callable[[], None], data: Path, backbone: Path, tmp_path: Path
) -> None:
    """With states of their own, also with other company than before."""
    words = words_of(data, backbone, "optim.lr=0.01", "trainer.epochs=25", "trainer.checkpoint_minutes=0")
    whole = run([*words, "seed=1,2,3", f"out={tmp_path / 'alone'}", "-m"], tmp_path)
    assert whole.code == 0, whole.err
    out = tmp_path / "fused"
    command = Command([*words, "seed=1,2,3", f"out={out}", *FUSED], tmp_path, before=before)

    begun = 3 if before is one_pass else 1

    def under_way() -> bool:
        return len({path.parent for path in out.glob("*/state-*.safetensors") if steps(path) > 12}) == begun

    assert wait_until(under_way, lambda: command.running)
    command.signal(number)
    stopped = command.wait()
    assert stopped.code == 128 + number, stopped.err
    assert not runs(out)
    fused = [*FUSED, "hydra.launcher.together=2"]
    again = run([*words, "seed=3,1,2", f"out={out}", *fused], tmp_path, before=before)
    assert again.code == 0, again.err
    same_numbers(tmp_path / "alone", out)
    resumed = [result_of(folder)["runtime"]["resumed"] for folder in runs(out).values()]
    assert (max(resumed), sum(resumed) >= begun) == (1, True)


def stop_before_the_second_training(number: int) -> None:
    """Send a signal while the second job reads its data."""
    from ptv2.experiment import train

    original, begun = train.encode_data, []

    def encode(*words: Any, **options: Any) -> Any:
        begun.append(True)
        if len(begun) == 2:
            os.kill(os.getpid(), number)
        return original(*words, **options)

    train.encode_data = encode


def terminate() -> None:
    stop_before_the_second_training(signal.SIGTERM)


def terminate_in_one_pass() -> None:
    one_pass()
    terminate()


def press_ctrl_c() -> None:
    stop_before_the_second_training(signal.SIGINT)


@pytest.mark.parametrize(
    ("before", "code", "finished"), [(terminate, 143, 1), (press_ctrl_c, 130, 1), (terminate_in_one_pass, 143, 0)]
)
def test_a_signal_between_two_trainings_is_heeded(
    before: Callable[[], None], code: int, finished: int, data: Path, backbone: Path, tmp_path: Path
) -> None:
    """By the next one, which would have its own ear for signals otherwise; the jobs after it are not begun."""
    words = [*words_of(data, backbone, "optim.lr=0.01", "trainer.epochs=2", "seed=1,2,3"), f"out={tmp_path / 'out'}"]
    done = run([*words, *FUSED], tmp_path, before=before)
    assert done.code == code, done.err
    assert len(runs(tmp_path / "out")) == finished
    states = [json.loads(path.read_text())["state"] for path in (tmp_path / "out").glob("*/status.json")]
    assert states.count("finished") == finished
    assert "interrupted" in states
    assert run([*words, *FUSED], tmp_path).code == 0
    assert len(runs(tmp_path / "out")) == 3


def steps(path: Path) -> int:
    return int(path.stem.partition("-")[2])


def test_second_time_nothing_is_repeated(data: Path, backbone: Path, tmp_path: Path) -> None:
    words = [*words_of(data, backbone, "optim.lr=0.01", "trainer.epochs=1", "seed=1,2"), f"out={tmp_path / 'out'}"]
    assert run([*words, *FUSED], tmp_path).code == 0
    again = run([*words, *FUSED], tmp_path)
    assert again.code == 0
    assert again.out.count("finished before; nothing was repeated") == 2


def as_launched(words: list[str]) -> list[str]:
    return [*words, "seed=1,2", *FUSED]


def as_reproduced(words: list[str]) -> list[str]:
    first, *settings = words
    return [first, TOGETHER, *settings, SEPARATOR, *settings, "seed=1"]


def stop_in_the_first_training() -> None:
    from ptv2.training.trainer import Trainer

    original = Trainer._train_step

    def step(trainer: Trainer) -> None:
        original(trainer)
        if trainer.at.step == 3:
            Trainer._train_step = original  # type: ignore[method-assign]
            os.kill(os.getpid(), signal.SIGTERM)

    Trainer._train_step = step  # type: ignore[method-assign]


@pytest.mark.parametrize("command", [as_launched, as_reproduced])
def test_after_a_signal_no_further_job_is_begun(
    command: Callable[[list[str]], list[str]], data: Path, backbone: Path, tmp_path: Path
) -> None:
    words = [*words_of(data, backbone, "optim.lr=0.01", "trainer.epochs=2"), f"out={tmp_path / 'out'}"]
    done = run(command(words), tmp_path, before=stop_in_the_first_training)
    assert done.code == 143, done.err
    assert "stopped at step 3 of 12; the same command goes on from there" in done.error
    assert len([*(tmp_path / "out").glob("classification-*")]) == 1


def terminate_after_the_first_job() -> None:
    from ptv2.sweeps import job

    def collect() -> None:
        job.gc = gc  # type: ignore[attr-defined]
        os.kill(os.getpid(), signal.SIGTERM)

    job.gc = SimpleNamespace(collect=collect)  # type: ignore[attr-defined]


def test_a_signal_after_a_job_ends_the_sweep(data: Path, backbone: Path, tmp_path: Path) -> None:
    """Hydra notes the exception as that job's and would go on with the next; what has finished is shown."""
    words = [*words_of(data, backbone, "optim.lr=0.01", "trainer.epochs=1", "seed=1,2,3"), f"out={tmp_path / 'out'}"]
    done = run([*words, "-m"], tmp_path, before=terminate_after_the_first_job)
    assert done.code == 143, done.err
    assert len([*(tmp_path / "out").glob("classification-*")]) == 1
    assert re.findall(r"^[0-9] .*?(\w+)  dev", done.out, re.MULTILINE) == ["finished"]


@pytest.mark.parametrize("command", [as_launched, as_reproduced])
def test_collections_skip_what_torch_brought(
    command: Callable[[list[str]], list[str]], data: Path, backbone: Path, tmp_path: Path
) -> None:
    """Where they do not, the one after each job takes half a second."""
    code = "import gc, sys; from ptv2.cli import main; code = main(); print(gc.get_freeze_count()); sys.exit(code)"
    words = [*words_of(data, backbone, "optim.lr=0.01", "trainer.max_steps=1"), f"out={tmp_path / 'out'}"]
    done = finish(python("-c", code, *command(words)))
    assert done.code == 0, done.err
    assert int(done.out.split()[-1]) > 100_000


def test_logs_are_apart(data: Path, backbone: Path, tmp_path: Path) -> None:
    words = words_of(data, backbone, "optim.lr=0.01", "trainer.epochs=1", "seed=1,2")
    assert run([*words, f"out={tmp_path / 'out'}", *FUSED], tmp_path).code == 0
    for folder in runs(tmp_path / "out").values():
        text = (folder / "log.txt").read_text()
        assert text.count("epoch 1 ") == 1


@pytest.mark.parametrize("count", ["0", "x", "1.5", "true"])
def test_wrong_counts_are_refused(count: str, data: Path, tmp_path: Path) -> None:
    words = [*train_words(data, tmp_path / "out", "seed=1,2"), *FUSED, f"hydra.launcher.together={count}"]
    done = run(words, tmp_path)
    assert done.code == 2
    assert "hydra.launcher.together" in done.error
