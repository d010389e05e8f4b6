"""A task's examples to encoded sets, and back from scores to predictions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ptv2.config.schema import RunConfig
from ptv2.console.output import working
from ptv2.data.mixture import OfHead
from ptv2.data.tokens import EncodedSet
from ptv2.experiment.heads import head_spec
from ptv2.experiment.open import Read
from ptv2.models.build import HeadSpec, PromptedModel
from ptv2.models.tokenizers import load_tokenizer
from ptv2.tasks.load import AnyTask
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
    encoded = _encode(read.task, read.examples, read.config, shown)
    return EncodedData(read.config, read.source, read.task, read.examples, encoded)


def _encode(task: AnyTask, examples: dict[str, list[Any]], config: RunConfig, shown: bool) -> dict[str, EncodedSet]:
    tokenizer = load_tokenizer(config.model, task.words)
    total = sum(map(len, examples.values()))
    with working("encoding", total) if shown else nullcontext(lambda count: None) as done:
        workers = config.data.workers
        return {s: task.encode(rows, tokenizer, workers, done, f"{s} split") for s, rows in examples.items()}
