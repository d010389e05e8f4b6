"""A `Trainer` on a tiny random backbone and random tokens: a whole training in a tenth of a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from commandline import log_lines
from tiny import VOCABULARY, tiny_model

from ptv2.config.schema import OptimConfig, TrainerConfig
from ptv2.data.batches import TrainingSet
from ptv2.data.encode import TextSet
from ptv2.data.tokens import Tokens
from ptv2.models.build import PromptedModel
from ptv2.training.device import make_accelerator
from ptv2.training.monitor import Silent
from ptv2.training.predict import predict
from ptv2.training.trainer import Position, Trainer

CLASSES = 3
# What changes from one time to the next, or says only that a run was interrupted.
INCIDENTAL = ("train_seconds", "evaluate_seconds", "resumed")


def random_examples(count: int, seed: int) -> TextSet:
    """Texts of 4 to 9 random tokens; the class is a function of the first, so that there is something to learn."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(4, 10, count)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    ids = draw.integers(5, VOCABULARY, starts[-1]).astype(np.int32)
    labels = ids[starts[:-1]].astype(np.int64) % CLASSES
    return TextSet(Tokens(ids, None, starts, pad_id=0), labels, width=1, truncated=0)


def make_trainer(
    folder: Path,
    method: str = "p-tuning-v2",
    *,
    examples: int = 22,
    dropout: float = 0.0,
    optim: dict[str, Any] | None = None,
    monitor: Any = None,
    tick: Callable[[], None] = lambda: None,
    evaluate: Callable[[PromptedModel, Callable[[], None]], dict[str, float]] | None = None,
    model: PromptedModel | None = None,
    train: TrainingSet | None = None,
    compiled: bool = False,
    **config: Any,
) -> Trainer:
    """A trainer with a fresh model, always the same one.

    Args:
        tick: called between two batches of the evaluation.
        evaluate: scores the model, in the place of its accuracy on random dev examples.
        train: in the place of as many random `examples`.
        config: settings of `TrainerConfig`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if model is None:
        prompt = {"dropout": dropout}
        rates = {"hidden_dropout": dropout, "attention_dropout": dropout, "lora": {"dropout": dropout}}
        model = tiny_model("bert", method, prompt=prompt, **rates)
        model.head.dropout.p = dropout
    settings = TrainerConfig(**{"batch_size": 4, "epochs": 2, "eval_batch_size": 5, "device": "cpu", **config})
    accelerator = make_accelerator(settings)
    dev = random_examples(9, seed=2)
    trained = model

    def score(check: Callable[[], None]) -> dict[str, float]:
        def both() -> None:
            check()
            tick()

        if evaluate is not None:
            return evaluate(trained, both)
        classes = predict(trained, dev, settings.eval_batch_size, accelerator, both).argmax(axis=1)
        return {"accuracy": 100 * float((classes == dev.labels).mean())}

    return Trainer(
        model,
        train or random_examples(examples, seed=1),
        score,
        "accuracy",
        config=settings,
        optim=OptimConfig(**{"lr": 0.02, **(optim or {})}),
        seed=7,
        folder=folder,
        accelerator=accelerator,
        monitor=monitor or Silent(),
        compiled=compiled,
    )


class Steps(Silent):
    """A monitor that keeps the losses and largest learning rates of all steps, and what was said."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.losses: list[float] = []
        self.rates: list[float] = []
        self.words: list[str] = []
        self._then = then

    def stepped(self, step: int, loss: float, rate: float) -> None:
        self.losses.append(loss)
        self.rates.append(rate)
        self._then()

    def note(self, text: str) -> None:
        self.words.append(text)


def outcome(trainer: Trainer, at: Position) -> dict[str, Any]:
    """All that a training leaves behind, for comparison: position, weights bit for bit, log."""
    return {
        "position": {name: value for name, value in asdict(at).items() if name not in INCIDENTAL},
        "weights": {n: bytes_of(p) for n, p in trainer.model.named_parameters()},
        "log": log_lines(trainer.folder),
        "files": sorted(path.name for path in trainer.folder.iterdir()),
    }


def bytes_of(tensor: torch.Tensor) -> bytes:
    return tensor.detach().numpy().tobytes()
