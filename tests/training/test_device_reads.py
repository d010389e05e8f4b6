"""A step never waits for the device: counted, since no GPU is needed to see what would be read."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commandline import log_lines
from device_reads import Reads
from tiny import FAMILY_CONFIGS, LAYERS, tiny_batch, tiny_model
from trainers import make_trainer, random_examples

from ptv2.config.schema import OptimConfig
from ptv2.data.encode import TextSet
from ptv2.data.mixture import HEAD
from ptv2.data.tokens import Tokens
from ptv2.errors import ModelError, TrainingError
from ptv2.models.build import HeadSpec, PromptedModel
from ptv2.training import trainer as trainer_module
from ptv2.training.optim import build_optimizer
from ptv2.training.transfer import send, widen

FAMILIES = sorted(FAMILY_CONFIGS)
METHODS = ["p-tuning-v2", "prompt-tuning", "fine-tuning", "lora", "bitfit", "head-only"]
WHOLE = {"bert", "mpnet", "deberta-v2", "gpt2", "glm-2021"}  # one of each way to attend: with all heads and methods
SPECS = [HeadSpec("classification", 3), HeadSpec("choice", 2), HeadSpec("tagging", 5), HeadSpec("span", 2)]


def batch_of(spec: HeadSpec, pad: int) -> dict[str, torch.Tensor]:
    batch = tiny_batch(pad=pad, choices=2 if spec.kind == "choice" else None)
    if spec.kind == "tagging":
        batch["labels"] = batch["input_ids"] % 5
    if spec.kind == "span":
        del batch["labels"]
        batch["start_positions"] = batch["end_positions"] = torch.zeros(len(batch["input_ids"]), dtype=torch.long)
    return batch


def reads_of_a_step(model: PromptedModel, batch: dict[str, torch.Tensor]) -> int:
    model.train()
    optimizer = build_optimizer(model, OptimConfig(lr=0.01))
    counted = Reads()
    for number in range(2):  # the first makes the optimizer's state
        optimizer.zero_grad()
        with counted if number else torch.enable_grad():
            (model(send(batch, torch.device("cpu")))["loss_sum"] / 3).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    return counted.count


@pytest.mark.parametrize(
    ("family", "padded"), [*((family, True) for family in FAMILIES), *((family, False) for family in sorted(WHOLE))]
)
def test_a_step_reads_nothing(family: str, padded: bool) -> None:
    heads = SPECS if family in WHOLE else SPECS[:1]
    methods = METHODS[1:] if family in WHOLE else ["prompt-tuning"]
    cases = [("p-tuning-v2", spec) for spec in heads] + [(method, SPECS[0]) for method in methods]
    for method, spec in cases:
        try:
            model = tiny_model(family, method, spec)
        except ModelError:
            if method != "bitfit":  # which is refused where there are no biases
                raise
            continue
        batch = batch_of(spec, model.config.pad_token_id)
        if not padded:
            batch["attention_mask"] = torch.ones_like(batch["attention_mask"])
            batch["input_ids"] = batch["input_ids"].clamp(min=5)
        reads = reads_of_a_step(model, batch)
        if family == "opt" and reads == LAYERS:  # transformers 5.20 draws there on the CPU whether to drop a layer
            continue
        assert reads == 0, (method, spec.kind)


@pytest.mark.parametrize("method", ["p-tuning-v2", "prompt-tuning"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_without_padding_scores_the_same_without_its_mask(family: str, method: str) -> None:
    model = tiny_model(family, method)
    batch = tiny_batch(pad=model.config.pad_token_id)
    whole = {**batch, "attention_mask": torch.ones_like(batch["attention_mask"])}
    whole["input_ids"] = batch["input_ids"].clamp(min=5)
    sent = send(whole, torch.device("cpu"))
    assert "attention_mask" not in sent
    assert "attention_mask" in send(batch, torch.device("cpu"))
    torch.testing.assert_close(model(sent)["scores"], model(whole)["scores"], atol=1e-6, rtol=1e-6)


def test_the_number_of_a_head_stays_where_it_is_read() -> None:
    """A step on several tasks asks for it; on the device it would wait."""
    batch = {**tiny_batch(), HEAD: torch.tensor(1)}
    sent = send(batch, torch.device("meta"))
    assert {name for name, tensor in sent.items() if tensor.device.type == "cpu"} == {HEAD}


@pytest.fixture
def lazily(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses stay on the device as they do on a GPU."""
    original = trainer_module.UnreadLosses.__init__

    def make(self: Any, accelerator: Any) -> None:
        original(self, accelerator)
        self.at_once = False

    monkeypatch.setattr(trainer_module.UnreadLosses, "__init__", make)


@pytest.mark.parametrize("adamw", ["torch", "transformers-4"])
@pytest.mark.usefixtures("lazily")
def test_a_training_reads_its_losses_every_tenth_step(
    adamw: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    monkeypatch.setattr(trainer_module.UnreadLosses, "read", counted_read(counts, trainer_module.UnreadLosses.read))
    trainer = make_trainer(tmp_path, epochs=5, evaluate_every=30, optim={"lr": 0.01, "adamw": adamw})
    original = trainer._train_step
    reads: list[int] = []

    def step() -> None:
        with Reads() as counted:
            original()
        reads.append(counted.count)

    trainer._train_step = step  # type: ignore[method-assign]
    trainer.fit()
    assert len(reads) == 30
    assert sum(count > 0 for count in reads[1:]) <= 3  # numpy reads at every tenth; the first makes the state
    assert [count for count in counts if count] == [10, 10, 10]


def counted_read(counts: list[int], read: Callable[[Any], list[Any]]) -> Callable[[Any], list[Any]]:
    def counting(self: Any) -> list[Any]:
        values = read(self)
        counts.append(len(values))
        return values

    return counting


def test_read_late_or_at_once_the_log_and_the_weights_are_the_same(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    def trained(name: str) -> tuple[list[Any], list[torch.Tensor]]:
        trainer = make_trainer(tmp_path / name, epochs=4, dropout=0.1)
        trainer.fit()
        lines = [{k: v for k, v in line.items() if k != "train_seconds"} for line in log_lines(tmp_path / name)]
        return lines, [parameter.detach().clone() for parameter in trainer.parameters.values()]

    at_once = trained("at once")
    request.getfixturevalue("lazily")
    late = trained("late")
    assert late[0] == at_once[0]
    assert all(map(torch.equal, late[1], at_once[1]))


@pytest.mark.usefixtures("lazily")
def test_a_loss_that_is_read_late_is_named_by_its_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = PromptedModel.forward
    passes = Counter[str]()

    def forward(model: PromptedModel, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        output = original(model, batch)
        passes["training"] += model.training
        if model.training and passes["training"] == 3:
            output["loss_sum"] = output["loss_sum"] * float("nan")
        return output

    monkeypatch.setattr(PromptedModel, "forward", forward)
    with pytest.raises(TrainingError, match=r"step 3: the loss or its gradient is not finite"):
        make_trainer(tmp_path, epochs=6).fit()
    assert not list(tmp_path.glob("state-*")), "nothing that is not finite is saved"


def test_batches_for_tensor_cores_score_the_same() -> None:
    for spec in SPECS:
        model = tiny_model("bert", spec=spec)
        batch = batch_of(spec, pad=0)
        length = batch["input_ids"].shape[-1]
        wide = widen(batch, prompt_length=4, pad_id=0, longest=None)
        if spec.kind == "span":
            assert wide is batch
            continue
        assert (4 + wide["input_ids"].shape[-1]) % 8 == 0
        assert wide["input_ids"].shape[-1] > length
        ours, theirs = model(wide), model(batch)
        torch.testing.assert_close(ours["loss_sum"], theirs["loss_sum"], atol=1e-5, rtol=1e-5)
        assert ours["count"] == theirs["count"]
        assert widen(wide, prompt_length=4, pad_id=0, longest=None) is wide
        assert widen(batch, prompt_length=4, pad_id=0, longest=length) is batch, "no longer than the positions"
        longest = wide["input_ids"].shape[-1]
        assert widen(batch, prompt_length=4, pad_id=0, longest=longest)["input_ids"].shape[-1] == longest


@pytest.mark.slow
def test_collating_a_batch_does_not_depend_on_the_number_of_examples() -> None:
    """32 rows of a thousand and of a million: the same time, but for noise."""
    seconds = []
    for rows in (1_000, 1_000_000):
        ids = np.random.default_rng(0).integers(5, 50, rows * 8).astype(np.int32)
        examples = TextSet(Tokens(ids, None, np.arange(rows + 1) * 8, pad_id=0), np.zeros(rows, np.int64), 1, 0)
        picks = np.random.default_rng(1).integers(0, rows, (200, 32)).tolist()
        times = []
        for pick in picks:
            started = time.perf_counter()
            examples.batch(pick)
            times.append(time.perf_counter() - started)
        seconds.append(statistics.median(times))
    assert seconds[1] < 3 * seconds[0]


def test_collating_looks_at_the_rows_of_the_batch_only(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = random_examples(50, seed=1)
    expected = examples.batch([3, 7, 20])

    def whole(_: Tokens) -> np.ndarray:
        raise AssertionError("the lengths of all sequences were asked for")

    monkeypatch.setattr(Tokens, "lengths", property(whole))
    for name, tensor in examples.batch([3, 7, 20]).items():
        assert torch.equal(tensor, expected[name])
