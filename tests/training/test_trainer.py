"""The training loop by itself: batches, rates, evaluation, what is trained, and what goes wrong."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commandline import log_lines
from tiny import tiny_model
from torch import Tensor
from torch.nn import functional
from trainers import CLASSES, Steps, bytes_of, make_trainer, random_examples

from ptv2.config.schema import OptimConfig
from ptv2.data.batches import epoch_batches
from ptv2.errors import ConfigError, TrainingError
from ptv2.models.build import PromptedModel, trainable_parameters
from ptv2.training import state
from ptv2.training import trainer as trainer_module
from ptv2.training.optim import learning_rate_factor
from ptv2.training.trainer import Trainer


def losses(folder: Path, **settings: Any) -> list[float]:
    """The loss of every step."""
    make_trainer(folder, monitor=(steps := Steps()), **settings).fit()
    return steps.losses


@pytest.mark.parametrize(
    "method", ["p-tuning-v2", "prompt-tuning", "fine-tuning", "bitfit", "lora", "ia3", "head-only"]
)
def test_accumulation_changes_no_loss(method: str, tmp_path: Path) -> None:
    """22 examples in batches of 8: the last of an epoch has 6, which 4 parts share unevenly."""
    settings = {"method": method, "batch_size": 8, "optim": {"lr": 1e-3}}
    whole = losses(tmp_path / "1", **settings)
    assert len(whole) == 6
    for parts in (4, 8):  # 8 parts leave two of the last batch's empty
        found = losses(tmp_path / f"{parts}", accumulation=parts, **settings)
        assert found == pytest.approx(whole, abs=1e-6), parts


@pytest.mark.parametrize("accumulation", [1, 4])
def test_loss_and_gradient_are_means_over_the_effective_batch(accumulation: int, tmp_path: Path) -> None:
    """The first epoch's batches by hand, at a rate too small to move anything: 8, 8 and 6 examples."""
    examples = random_examples(22, seed=1)
    model = tiny_model("bert", prompt={"dropout": 0.0})
    for index, found in enumerate(
        losses(tmp_path, batch_size=8, epochs=1, accumulation=accumulation, optim={"lr": 1e-30})
    ):
        indices = epoch_batches(examples.lengths, 8, seed=7, epoch=0)[index]
        batch = examples.batch(indices)
        expected = functional.cross_entropy(model(batch)["scores"], batch["labels"])
        assert found == pytest.approx(expected.item(), abs=1e-6)
        expected.backward()
    trainer = make_trainer(tmp_path / "gradient", batch_size=8, epochs=1, accumulation=accumulation)
    gradients: list[Tensor] = []
    trainer._update = lambda _: gradients.append(trainer.model.prompts.prompt.grad.clone())  # type: ignore[method-assign]
    trainer.fit()
    together = torch.stack(gradients).sum(0)
    torch.testing.assert_close(together, model.prompts.prompt.grad, atol=1e-6, rtol=1e-4)


def test_each_group_has_its_rate_and_follows_the_schedule(tmp_path: Path) -> None:
    optim = {"lr": 1e-3, "prompt_lr": 4e-2, "head_lr": 5e-4, "warmup": 0.25}
    seen: list[dict[str, float]] = []

    def note() -> None:
        seen.append({group["name"]: group["lr"] for group in trainer.optimizer.param_groups})

    trainer = make_trainer(tmp_path, optim=optim, monitor=(steps := Steps(note)))
    trainer.fit()
    factors = [learning_rate_factor(OptimConfig(**optim), step, 12, 6) for step in range(12)]
    assert [rates["prompt"] for rates in seen] == pytest.approx([4e-2 * factor for factor in factors])
    assert [rates["head"] for rates in seen] == pytest.approx([5e-4 * factor for factor in factors])
    assert steps.rates == [rates["prompt"] for rates in seen]


def scripted(values: list[float]) -> Callable[..., dict[str, float]]:
    """A dev metric that goes as told."""
    rest = iter(values)
    return lambda model, check: {"accuracy": next(rest)}


def test_early_stopping_by_patience(tmp_path: Path) -> None:
    values = [50.0, 60.0, 59.0, 58.0, 61.0, 61.0, 60.0, 59.0, 99.0]  # an equal number is not a better one
    trainer = make_trainer(tmp_path, epochs=9, patience=3, evaluate=scripted(values))
    at = trainer.fit()
    assert (at.evaluations, at.step, trainer.total) == (8, 48, 54)
    assert (at.best_step, at.best, at.last) == (30, {"accuracy": 61.0}, {"accuracy": 59.0})
    assert at.step % 10, "between two lines of the log"
    assert [line["step"] for line in log_lines(tmp_path) if "loss" in line][-1] == at.step


def epochs_of(trainer: Trainer, epoch: int) -> list[list[int]]:
    return epoch_batches(trainer.train.lengths, trainer.config.batch_size, trainer.seed, epoch)


@pytest.mark.parametrize(
    ("settings", "evaluated", "steps"),
    [
        ({}, [6, 12], 12),
        ({"evaluate_every": 5}, [5, 10, 12], 12),
        ({"evaluate_every": 100}, [12], 12),
        ({"max_steps": 8}, [6, 8], 8),
        ({"max_steps": 3}, [3], 3),
        ({"max_steps": 100}, [6, 12], 12),
        ({"batch_size": 64, "epochs": 3}, [1, 2, 3], 3),
    ],
)
def test_when_it_evaluates_and_ends(settings: dict[str, Any], evaluated: list[int], steps: int, tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, **settings)
    at = trainer.fit()
    assert (at.step, trainer.total, at.evaluations) == (steps, steps, len(evaluated))
    assert [line["step"] for line in log_lines(tmp_path) if "dev" in line] == evaluated
    sizes = [len(batch) for epoch in range(3) for batch in epochs_of(trainer, epoch)]
    assert at.examples == sum(sizes[:steps])


def test_best_weights_end_in_the_model(tmp_path: Path) -> None:
    kept: list[dict[str, bytes]] = []

    def evaluate(model: PromptedModel, check: Callable[[], None]) -> dict[str, float]:
        kept.append({name: bytes_of(parameter) for name, parameter in model.named_parameters()})
        return {"accuracy": [10.0, 30.0, 20.0][len(kept) - 1]}

    trainer = make_trainer(tmp_path, epochs=3, evaluate=evaluate)
    at = trainer.fit()
    assert (at.best_step, at.best, at.last) == (12, {"accuracy": 30.0}, {"accuracy": 20.0})
    final = {name: bytes_of(parameter) for name, parameter in trainer.model.named_parameters()}
    assert final == kept[1] != kept[2]


@pytest.mark.parametrize("method", ["p-tuning-v2", "prompt-tuning"])
@pytest.mark.parametrize("gradient_checkpointing", [False, True])
def test_a_frozen_backbone_is_frozen(method: str, gradient_checkpointing: bool, tmp_path: Path) -> None:
    model = tiny_model("bert", method, gradient_checkpointing=gradient_checkpointing)
    before = {name: bytes_of(parameter) for name, parameter in model.named_parameters()}
    trainer = make_trainer(tmp_path, method, model=model, optim={"weight_decay": 0.1}, checkpoint_minutes=0)
    trainer.fit()
    trained = {name for group in trainable_parameters(model).values() for name in group}
    assert {name.split(".")[0] for name in trained} == {"prompts", "head"}
    for name, parameter in model.named_parameters():
        assert (bytes_of(parameter) != before[name]) == (name in trained), name
        assert (parameter.grad is not None) == (name in trained), name
    in_optimizer = [p for group in trainer.optimizer.param_groups for p in group["params"]]
    assert len(in_optimizer) == len(trained) == len(trainer.optimizer.state)
    # Nothing of the backbone is on disk: prompt and head, twice more in the optimizer, steps, random states.
    numbers = sum(parameter.numel() for parameter in in_optimizer)
    for path in tmp_path.glob("*.safetensors"):
        tensors, _ = state.load_tensors(path) or pytest.fail("torn")
        assert {name.removeprefix("model.") for name in tensors if name.startswith("model.")} == trained
        floats = sum(t.numel() for n, t in tensors.items() if not n.endswith(".step") and t.dtype == torch.float32)
        assert floats == numbers * (3 if path.name.startswith("state") else 1)


def test_precisions_of_a_cpu(tmp_path: Path) -> None:
    full = losses(tmp_path / "fp32")
    half = losses(tmp_path / "bf16", precision="bf16")
    assert half != full
    assert half == pytest.approx(full, rel=0.1)
    assert losses(tmp_path / "again") == full  # the precision of one run does not stay for the next
    with pytest.raises(ConfigError, match=r"trainer.precision=fp16 needs a GPU; expected fp32 or bf16 on a CPU"):
        losses(tmp_path / "fp16", precision="fp16")


def test_compiled_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through torch.compile with the backend that needs no compiler, which the losses do not show."""
    compiled = []

    def compile_eagerly(model: torch.nn.Module, **settings: Any) -> Any:
        compiled.append(settings)
        return original(model, backend="eager", **settings)

    original = torch.compile
    monkeypatch.setattr(torch, "compile", compile_eagerly)
    plain = losses(tmp_path / "plain", epochs=1)
    trainer = make_trainer(tmp_path / "compiled", epochs=1, compiled=True, monitor=(steps := Steps()))
    trainer.fit()
    assert compiled == [{"dynamic": True}]
    assert steps.losses == pytest.approx(plain, abs=1e-5)
    tensors, _ = state.latest_state(tmp_path / "compiled") or pytest.fail("no state")
    assert not any("_orig_mod" in name for name in tensors)


def test_random_numbers_are_the_seed_s(tmp_path: Path) -> None:
    """What ran before in this process, as in a sweep, does not matter."""
    alone = losses(tmp_path / "a", dropout=0.2)
    torch.rand(5)
    np.random.rand(5)
    assert losses(tmp_path / "b", dropout=0.2) == alone


@pytest.mark.parametrize(("epochs", "expected"), [(2, list(range(1, 13))), (4, [10, 20, 24])])
def test_losses_of_short_trainings_and_the_last_one_are_logged(
    epochs: int, expected: list[int], tmp_path: Path
) -> None:
    """Six steps an epoch: below 20 steps each has a line, from there on every tenth and the last."""
    found = losses(tmp_path, epochs=epochs)
    lines = [line for line in log_lines(tmp_path) if "loss" in line]
    assert [line["step"] for line in lines] == expected
    before = [0, *expected]
    means = [np.mean(found[start:end]) for start, end in zip(before, expected, strict=False)]
    assert [line["loss"] for line in lines] == pytest.approx(means)


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_non_finite_stops_with_the_step(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = PromptedModel.forward
    passes = 0

    def forward(model: PromptedModel, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        nonlocal passes
        found = original(model, batch)
        if "loss_sum" in found and model.training:
            passes += 1
            if passes == 5 and what == "loss":
                found["loss_sum"] = found["loss_sum"] * float("nan")
            elif passes == 5:
                found["loss_sum"].register_hook(lambda gradient: gradient * float("inf"))
        return found

    monkeypatch.setattr(PromptedModel, "forward", forward)
    trainer = make_trainer(tmp_path, checkpoint_minutes=0)
    with pytest.raises(TrainingError, match=r"step 5: the loss or its gradient is not finite .* the last good state"):
        trainer.fit()
    tensors, record = state.latest_state(tmp_path) or pytest.fail("no state")
    assert record["step"] == 4
    assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())
    for name, parameter in trainer.parameters.items():
        assert torch.equal(tensors[name], parameter), "the bad gradient was not applied"


class Memory:
    """Makes the model's passes run out of memory above a number of examples."""

    def __init__(self, examples: int, monkeypatch: pytest.MonkeyPatch) -> None:
        original = PromptedModel.forward

        def forward(model: PromptedModel, batch: dict[str, Tensor]) -> dict[str, Tensor]:
            found = original(model, batch)  # draws dropout, as a pass that fails late does
            if len(batch["input_ids"]) > examples:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return found

        monkeypatch.setattr(PromptedModel, "forward", forward)


def test_out_of_memory_names_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Memory(3, monkeypatch)
    with pytest.raises(TrainingError) as caught:
        make_trainer(tmp_path, batch_size=8, accumulation=2).fit()
    assert str(caught.value) == (
        "step 1: out of memory with 4 examples a pass (trainer.batch_size=8, trainer.accumulation=2, "
        "trainer.precision=fp32); to go on from here add trainer.halve_on_oom=true (same effective batch) or "
        "model.gradient_checkpointing=true; a smaller trainer.batch_size is another run"
    )


def test_halving_ends_like_accumulation_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"examples": 32, "batch_size": 16, "eval_batch_size": 2, "dropout": 0.1}
    by_hand = losses(tmp_path / "hand", accumulation=8, **settings)
    Memory(2, monkeypatch)
    trainer = make_trainer(tmp_path / "halved", halve_on_oom=True, monitor=(steps := Steps()), **settings)
    at = trainer.fit()
    assert at.accumulation == 8
    assert steps.losses == by_hand  # also the dropout of the passes that failed was taken back
    assert [text for text in steps.words if "out of memory" in text] == [
        f"step 1: out of memory with {size} examples a pass; accumulation is now {parts}"
        for size, parts in ((16, 2), (8, 4), (4, 8))
    ]
    Memory(0, monkeypatch)  # nothing is left to halve
    with pytest.raises(TrainingError, match="out of memory with 1 examples a pass"):
        make_trainer(tmp_path / "nothing", halve_on_oom=True, **settings).fit()


def test_a_failed_pass_is_gone_before_a_smaller_one_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also before the cache of a GPU is emptied, which frees nothing of what an error still holds."""
    original = PromptedModel.forward
    failed: list[weakref.ref[Tensor]] = []
    left: list[bool] = []

    def forward(model: PromptedModel, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        found = original(model, batch)
        if len(batch["input_ids"]) > 2:
            failed.append(weakref.ref(found["scores"]))
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return found

    monkeypatch.setattr(PromptedModel, "forward", forward)
    monkeypatch.setattr(trainer_module, "empty_cache", lambda: left.append(failed[-1]() is not None))
    make_trainer(tmp_path, batch_size=8, eval_batch_size=2, max_steps=1, halve_on_oom=True).fit()
    assert left == [False, False]


def test_there_is_something_to_learn(tmp_path: Path) -> None:
    """Against a loop that runs but does not train."""
    settings = {"epochs": 30, "batch_size": 8, "evaluate_every": 1000}
    found = losses(tmp_path / "all", method="fine-tuning", optim={"lr": 5e-3}, **settings)
    assert np.mean(found[-5:]) < 0.3 * np.log(CLASSES)
    found = losses(tmp_path / "prompt", optim={"lr": 5e-2}, **settings)
    assert np.mean(found[-5:]) < 0.9 * np.mean(found[:5])
