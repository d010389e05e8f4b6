"""Weights and scores that are NaN or infinite end in a message, never in a number."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
import torch
from commandline import only_run, result_of, run, train_words
from safetensors.torch import load_file
from torch import Tensor

from ptv2.errors import TrainingError
from ptv2.models.build import PromptedModel
from ptv2.run_folders.record import read_status
from ptv2.run_folders.weights import FILE, HEADER
from ptv2.tensor_files import read_tensors, write_tensors
from ptv2.training.finite import FiniteCheck
from ptv2.training.trainer import Trainer


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    done = run(train_words(data, folder / "out", "trainer.max_steps=2", "trainer.eval_batch_size=16"), folder)
    assert done.code == 0, done.err
    return only_run(folder / "out")


def spoil_last_update() -> None:
    """The third optimizer step ends with a weight that is no number."""
    original = Trainer._update

    def update(trainer: Trainer, loss: float) -> None:
        original(trainer, loss)
        if trainer.at.step == 2:
            with torch.no_grad():
                next(iter(trainer.parameters.values())).view(-1)[0] = float("nan")

    Trainer._update = update  # type: ignore[method-assign]


def let_scores_overflow() -> None:
    """One score of the second batch is infinite though all weights are numbers."""
    original = PromptedModel.forward
    batches = 0

    def forward(model: PromptedModel, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        nonlocal batches
        found = original(model, batch)
        if not model.training:
            batches += 1
            if batches == 2:
                found["scores"][1, 0] = float("inf")
        return found

    PromptedModel.forward = forward  # type: ignore[method-assign]


INF, NAN = math.inf, math.nan


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_losses_and_scores_are_refused_one_by_one(precision: str, tmp_path: Path) -> None:
    """But a gradient that is infinite in fp16, whose scaler skips the step."""
    check = FiniteCheck(tmp_path, {}, precision)
    check.loss(1, 0.5, 2.0)
    for loss, norm in ((NAN, 1.0), (INF, 1.0), (-INF, 1.0), *([(1.0, INF), (1.0, NAN)] if precision != "fp16" else [])):
        with pytest.raises(TrainingError, match=r"step 7: the loss or its gradient .* no state had been saved before"):
            check.loss(7, loss, norm)
    if precision == "fp16":
        check.loss(1, 0.5, INF)
    check.metrics(1, {"f1": 50.0})
    for value in (NAN, INF, -INF):
        with pytest.raises(TrainingError, match=f"step 7: dev f1 is {value}, not a score"):
            check.metrics(7, {"accuracy": 1.0, "f1": value})


@pytest.mark.parametrize("minutes", ["60", "0"], ids=["evaluated next", "saved next"])
def test_weights_that_the_last_step_spoils_are_neither_scored_nor_saved(
    minutes: str, data: Path, tmp_path: Path
) -> None:
    words = train_words(data, tmp_path / "out", "trainer.max_steps=3", f"trainer.checkpoint_minutes={minutes}")
    done = run(words, tmp_path, before=spoil_last_update)
    assert done.code == 1
    assert done.error.startswith("step 3: the weights are not finite after this step; try a lower optim.lr")
    folder = only_run(tmp_path / "out")
    assert read_status(folder)["state"] == "failed"
    assert not (folder / "result.json").exists()
    for file in folder.glob("*.safetensors"):
        assert all(bool(tensor.isfinite().all()) for tensor in load_file(file).values())
    if minutes == "0":  # the same command, on a machine without the fault, goes on from the last good state
        done = run(words, tmp_path)
        assert done.code == 0, done.err
        assert result_of(folder)["steps"] == 3
        assert result_of(folder)["runtime"]["resumed"] == 1


def test_scores_that_overflow_end_the_run(data: Path, tmp_path: Path) -> None:
    words = train_words(data, tmp_path / "out", "trainer.max_steps=3", "trainer.eval_batch_size=16")
    done = run(words, tmp_path, before=let_scores_overflow)
    assert done.code == 1
    assert done.error.startswith(
        "step 3: the scores of the dev examples are not finite (NaN or infinity, in 1 of 3 batches)"
    )
    assert read_status(only_run(tmp_path / "out"))["state"] == "failed"


def change(file: Path, value: float) -> None:
    """Set one number and write the file with its checksum, as a program with a fault would."""
    text, tensors = read_tensors(file, HEADER)
    tensors[sorted(tensors)[-1]].view(-1)[0] = value
    write_tensors(file, tensors, HEADER, text)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_artifact_that_holds_no_number_is_refused(value: float, trained: Path, data: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(trained, tmp_path / "run")
    change(folder / "artifact" / FILE, value)
    for words in (["evaluate", str(folder)], ["predict", str(folder), "--input", str(data / "test.jsonl")]):
        done = run(words, tmp_path)
        assert (done.code, done.out) == (2, "")
        assert done.error.startswith(f"{folder}/artifact/{FILE}: ")
        assert "holds NaN or infinity" in done.error


def test_scores_that_overflow_are_not_written(trained: Path, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "rows.jsonl"
    lines = (data / "train.jsonl").read_text(encoding="utf-8")
    (tmp_path / "new.jsonl").write_text(lines, encoding="utf-8")
    words = ["predict", str(trained), "--input", str(tmp_path / "new.jsonl"), "--output", str(output)]
    done = run(words, tmp_path, before=let_scores_overflow)
    assert (done.code, done.out) == (2, "")
    assert done.error.startswith("the scores of examples are not finite (NaN or infinity, in 1 of")
    assert not output.exists()
