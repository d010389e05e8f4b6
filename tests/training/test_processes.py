"""Two processes give the numbers of one at the same effective batch, and stop and go on together."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commandline import (
    ended,
    finish,
    log_lines,
    numbers,
    only_run,
    python,
    result_of,
    run,
    start_two,
    train_words,
    wait_until,
)
from sequences import SIZES, predictions, write_entities, write_questions
from sequences import train_words as sequence_words

from ptv2.run_folders.directory import state_of
from ptv2.run_folders.metrics_log import read_lines

# 70 examples in batches of 23: the last batch of an epoch has one example for two processes. 40 dev examples in batches
# of 16: one process has a batch more than the other.
SETTINGS = (
    "+model.config.initializer_range=0.3",
    "trainer.batch_size=23",
    "trainer.eval_batch_size=16",
    "trainer.epochs=5",
)
# A state every 60 ms by clocks that differ: both must agree on when to save.
OFTEN_SAVED = (*SETTINGS, "trainer.epochs=12", "trainer.checkpoint_minutes=0.001")
NO_DROPOUT = ("model.hidden_dropout=0", "model.attention_dropout=0", "prompt.dropout=0", "head.dropout=0")


def probabilities(folder: Path, split: str) -> list[float]:
    lines = (folder / f"predictions-{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [number for line in lines for number in json.loads(line)["probabilities"].values()]


@pytest.mark.parametrize(("method", "by_torchrun"), [("p-tuning-v2", True), ("fine-tuning", False)])
def test_two_processes_are_one(method: str, by_torchrun: bool, data: Path, tmp_path: Path) -> None:
    rate = {"p-tuning-v2": "optim.lr=0.03", "fine-tuning": "optim.lr=0.002"}[method]
    settings = (f"method={method}", rate, *SETTINGS, *NO_DROPOUT)
    words = train_words(data, tmp_path / "two", *settings)
    if by_torchrun:
        together = [
            finish(python("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "ptv2", *words))
        ]
    else:
        together = ended(start_two(words, tmp_path))
    alone = run(train_words(data, tmp_path / "one", *settings), tmp_path)
    assert {done.code for done in (alone, *together)} == {0}, [done.err for done in (alone, *together)]
    one, two = only_run(tmp_path / "one"), only_run(tmp_path / "two")
    assert one.name == two.name
    first, second = result_of(one), result_of(two)
    assert (first["runtime"]["processes"], second["runtime"]["processes"]) == (1, 2)
    for key in ("dev", "dev_last", "test", "best_step", "steps", "evaluations", "parameters"):
        assert first[key] == second[key], key
    for split in ("dev", "test"):
        assert probabilities(two, split) == pytest.approx(probabilities(one, split), abs=1e-5)
    assert losses(two) == pytest.approx(losses(one), abs=1e-5)
    assert len(losses(one)) == 2
    # What a person sees is said once.
    assert len(re.findall(r"^run\b", "".join(done.out for done in together), re.MULTILINE)) == 1
    assert "".join(done.err for done in together).count(" dev accuracy ") == 5


def test_two_processes_tag_as_one(tmp_path: Path) -> None:
    """The scores of tokens, and of windows of one sentence, come together from both."""
    data = write_entities(tmp_path / "data")
    settings = ("method=fine-tuning", "optim.lr=0.005", "+model.config.initializer_range=0.1", *NO_DROPOUT)
    settings += ("trainer.batch_size=7", "trainer.eval_batch_size=5", "trainer.epochs=2", "trainer.max_steps=null")
    settings += ("task.max_length=9", "task.tagging.stride=4")  # two windows for most sentences
    alone = run(sequence_words("ner", data, tmp_path / "one", *settings), tmp_path)
    together = ended(start_two(sequence_words("ner", data, tmp_path / "two", *settings), tmp_path))
    assert [done.code for done in (alone, *together)] == [0, 0, 0], together[0].err
    one, two = only_run(tmp_path / "one"), only_run(tmp_path / "two")
    assert one.name == two.name
    first, second = result_of(one), result_of(two)
    for key in ("dev", "test", "parts", "best_step", "steps", "data"):
        assert first[key] == second[key], key
    assert first["steps"] > 2 * SIZES["train"] / 7 + 1  # a step takes seven windows, not seven sentences
    assert losses(two) == pytest.approx(losses(one), abs=1e-4)
    for split in ("dev", "test"):
        assert predictions(one, split) == predictions(two, split)


def test_two_processes_answer_as_one(tmp_path: Path) -> None:
    """Each pads its own rows, and no loss is of padding."""
    data = write_questions(tmp_path / "data")
    settings = ("method=fine-tuning", "optim.lr=0.005", "+model.config.initializer_range=0.1", *NO_DROPOUT)
    settings += ("trainer.batch_size=7", "trainer.eval_batch_size=5", "trainer.epochs=2", "trainer.max_steps=null")
    alone = run(sequence_words("squad", data, tmp_path / "one", *settings), tmp_path)
    together = ended(start_two(sequence_words("squad", data, tmp_path / "two", *settings), tmp_path))
    assert [done.code for done in (alone, *together)] == [0, 0, 0], together[0].err
    one, two = only_run(tmp_path / "one"), only_run(tmp_path / "two")
    assert losses(two) == pytest.approx(losses(one), abs=1e-4)
    for split in ("dev", "test"):
        texts = [[row["prediction_text"] for row in predictions(folder, split)] for folder in (one, two)]
        assert texts[0] == texts[1]
        assert result_of(one)[split] == result_of(two)[split]


collectives: list[str] = []
of_turns: list[int] = []


def count_collectives() -> None:
    """Note every collective that Python begins (DDP's gradients are reduced below it) in each turn of the loop."""
    import torch.distributed as processes

    from ptv2.training.trainer import Trainer

    def counted(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **options: Any) -> Any:
            collectives.append(name)
            return original(*words, **options)

        return call

    for name in ("all_reduce", "all_gather", "all_gather_into_tensor", "broadcast", "barrier", "reduce", "gather"):
        setattr(processes, name, counted(name, getattr(processes, name)))
    between, step = Trainer._between_steps, Trainer._train_step

    def watched_between(trainer: Trainer) -> None:
        collectives.clear()
        between(trainer)
        of_turns.append(len(collectives))

    def watched_step(trainer: Trainer) -> None:
        collectives.clear()  # an evaluation comes before, and asks as often as it needs
        step(trainer)
        of_turns[-1] += len(collectives)

    Trainer._between_steps, Trainer._train_step = watched_between, watched_step  # type: ignore[method-assign]


def tell_collectives() -> None:
    print("collectives", *of_turns)


def test_two_processes_ask_each_other_once_a_step_at_most(data: Path, tmp_path: Path) -> None:
    """Besides the gradients: every tenth step sums the losses, and the next one begins with the question to stop."""
    words = train_words(data, tmp_path / "out", *SETTINGS, "trainer.max_steps=25", "trainer.batch_size=8")
    done = ended(start_two(words, tmp_path, before=count_collectives, after=tell_collectives))
    assert [each.code for each in done] == [0, 0], done[0].err
    for each in done:
        (line,) = [line for line in each.out.splitlines() if line.startswith("collectives")]
        counts = [int(word) for word in line.split()[1:]]
        assert len(counts) == 26  # and the end
        assert max(counts) == 1
        assert 4 <= sum(counts) <= 6


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in log_lines(folder) if "loss" in line]


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of two processes that no signal reached."""
    out = tmp_path_factory.mktemp("undisturbed")
    done = ended(start_two(train_words(data, out, *OFTEN_SAVED), out.parent))
    assert [each.code for each in done] == [0, 0], done[0].err
    return only_run(out)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_stops_both(rank: int, data: Path, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = train_words(data, out, *OFTEN_SAVED)

    def evaluated() -> bool:
        return any("dev" in line for path in out.glob("*/metrics.jsonl") for line in read_lines(path))

    commands = start_two(words, tmp_path)
    assert wait_until(evaluated, lambda: commands[0].running)
    commands[rank].signal(signal.SIGTERM)
    stopped = ended(commands)
    assert [done.code for done in stopped] == [143, 143], stopped[0].err
    assert state_of(only_run(out)) == "interrupted"
    alone = run(words, tmp_path)
    assert alone.code == 2
    assert "was interrupted with 2 processes and can only go on with as many, not 1" in alone.error
    done = ended(start_two(words, tmp_path))
    assert [each.code for each in done] == [0, 0], done[0].err
    assert numbers(only_run(out)) == numbers(undisturbed)
