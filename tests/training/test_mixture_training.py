"""One trainer trains on several tasks: a head that has no batch stays, and a training that dies ends like any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import tiny_model
from trainers import CLASSES, Steps, bytes_of, make_trainer, outcome, random_examples

from ptv2.data.mixture import Mixture, OfHead
from ptv2.data.tokens import Tokens
from ptv2.data.words import TaggedSet
from ptv2.models.build import HeadSpec, PromptedModel
from ptv2.training.device import make_accelerator
from ptv2.training.predict import predict
from ptv2.training.trainer import Trainer

TAGS = 4
SPECS = {"texts": HeadSpec("classification", CLASSES), "tags": HeadSpec("tagging", TAGS)}


def sentences(count: int, seed: int) -> TaggedSet:
    """Sentences of random tokens, each with a tag that follows from it."""
    texts = random_examples(count, seed).tokens
    words = np.arange(len(texts.ids), dtype=np.int32)
    tokens = Tokens(texts.ids, None, texts.starts, pad_id=0)
    return TaggedSet(tokens, words, texts.ids % TAGS, np.arange(count))


def trainer(folder: Path, steps: Steps | None = None, texts: int = 26, tags: int = 10, **settings: Any) -> Trainer:
    dropout = 0.1
    prompt = {"dropout": dropout}
    model = tiny_model(
        "bert", spec=HeadSpec.of_tasks(SPECS), prompt=prompt, hidden_dropout=dropout, attention_dropout=dropout
    )
    dev = OfHead(random_examples(9, seed=4), 0)

    def evaluate(model: PromptedModel, check: Callable[[], None]) -> dict[str, float]:
        scores = predict(model, dev, 5, make_accelerator(made.config), check)
        return {"accuracy": 100 * float((scores.argmax(axis=1) == dev.rows.labels).mean())}  # type: ignore[attr-defined]

    made = make_trainer(
        folder,
        model=model,
        train=Mixture([random_examples(texts, seed=2), sentences(tags, seed=3)], temperature=2.0),
        evaluate=evaluate,
        monitor=steps or Steps(),
        evaluate_every=4,
        **settings,
    )
    return made


def head(model: PromptedModel, number: int) -> bytes:
    return b"".join(bytes_of(parameter) for parameter in model.head.heads[number].parameters())  # type: ignore[union-attr,index]


def test_a_head_without_a_batch_stays(tmp_path: Path) -> None:
    """Also when it has trained before: momentum must not move it."""
    seen: list[tuple[int, bytes, bytes]] = []

    def look() -> None:
        number = made.at.step - 1
        order = made.train.epoch_batches(4, made.seed, number // made.steps_per_epoch)
        batch = made.train.batch(order[number % made.steps_per_epoch])
        seen.append((int(batch["head"]), head(made.model, 0), head(made.model, 1)))

    made = trainer(tmp_path, Steps(look))
    before = (head(made.model, 0), head(made.model, 1))
    made.fit()
    assert {number for number, *_ in seen} == {0, 1}
    assert len(seen) == made.total == 18
    for number, *now in seen:
        assert now[number] != before[number]
        assert now[1 - number] == before[1 - number]
        before = (now[0], now[1])


class Killed(BaseException):
    """The process dies here."""


@pytest.mark.parametrize("step", [1, 5, 9, 10, 17])
def test_a_training_that_dies_goes_on(step: int, tmp_path: Path) -> None:
    """A state after every step; nine steps are an epoch."""

    def die() -> None:
        if len(steps.losses) == step:
            raise Killed

    whole = trainer(tmp_path / "whole", checkpoint_minutes=0)
    expected = outcome(whole, whole.fit())
    steps = Steps(die)
    with pytest.raises(Killed):
        trainer(tmp_path / "part", steps, checkpoint_minutes=0).fit()
    second = trainer(tmp_path / "part", checkpoint_minutes=0)
    assert outcome(second, second.fit()) == expected
    assert second.at.resumed == (step > 1)  # the first state comes after the first step


def test_what_is_learned(tmp_path: Path) -> None:
    """Both tasks' losses fall; each batch has the loss of its own head."""
    steps = Steps()
    made = trainer(tmp_path, steps, texts=64, tags=40, epochs=12, optim={"lr": 0.05})
    made.fit()
    numbers = [
        int(made.train.batch(batch)["head"]) for epoch in range(12) for batch in made.train.epoch_batches(4, 7, epoch)
    ]
    losses = np.array(steps.losses)
    for number in range(2):
        mine = losses[np.array(numbers) == number]
        assert mine[-10:].mean() < mine[:10].mean() - 0.1
    assert torch.isfinite(torch.tensor(losses)).all()
