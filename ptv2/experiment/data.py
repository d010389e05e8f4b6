"""A task's examples to encoded sets, and back from scores to predictions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from ptv2.console.output import working
from ptv2.data.mixture import OfHead
from ptv2.data.tokens import EncodedSet
from ptv2.experiment.heads import head_spec
from ptv2.experiment.read import TRAIN, Read
from ptv2.models.build import HeadSpec, PromptedModel
from ptv2.models.tokenizers import load_tokenizer
from ptv2.training.predict import predict

if TYPE_CHECKING:
    from accelerate import Accelerator

Predictions = list[dict[str, Any]]


@dataclass(frozen=True)
class EncodedData(Read):
    """A task with the examples of its splits, as they were read and encoded."""

    encoded: dict[str, EncodedSet]

    @property
    def head(self) -> HeadSpec:
        """The head that the task needs."""
        return head_spec(self.task, self.config)

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return max(rows.tokens.longest for rows in self.encoded.values())

    @property
    def highest(self) -> int:
        """The highest token id."""
        return max(rows.tokens.highest for rows in self.encoded.values())

    def predictions(
        self,
        split: str,
        model: PromptedModel,
        accelerator: Accelerator,
        check: Callable[[], None] = lambda: None,
        head: int | None = None,
    ) -> Predictions:
        """What `model` says of a split; on dev it chooses what decoding may choose.

        Args:
            check: see `predict`.
            head: number of the task's head, where the model has several.
        """
        rows = self.encoded[split] if head is None else OfHead(self.encoded[split], head)
        size = self.config.trainer.eval_batch_size
        scores = predict(model, rows, size, accelerator, check, f"the {split} examples")
        if split == "dev":
            self.task.calibrate(scores, self.examples[split], self.encoded[split])
        return self.task.decode(scores, self.examples[split], self.encoded[split])

    def score(self, split: str, predictions: Predictions) -> dict[str, float]:
        """The task's metrics, in percent."""
        return self.task.score(predictions, self.examples[split])


def encode_data(read: Read, *, shown: bool) -> EncodedData:
    """Encode the task's data.

    Args:
        shown: whether to show a bar if that is long work.

    Raises:
        DataError: an example that cannot be cut to its length.
    """
    task, workers = read.task, read.config.data.workers
    tokenizer = load_tokenizer(read.config.model, task.words)
    encoded: dict[str, EncodedSet] = {}
    with working("encoding", sum(read.facts.examples.values())) if shown else nullcontext(lambda count: None) as done:
        for split in read.facts.examples:
            if split == TRAIN:
                encoded[split] = task.encode_items(read.parts, read.content, tokenizer, workers, done, f"{split} split")
            else:
                encoded[split] = task.encode(read.examples[split], tokenizer, workers, done, f"{split} split")
    return EncodedData(**{field.name: getattr(read, field.name) for field in fields(Read)}, encoded=encoded)
