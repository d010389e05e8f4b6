"""What turns hidden states into scores and a loss: one head for each kind of task, whatever backbone and method.

Letters: B rows, C choices, T text tokens, N labels. A loss comes as a sum over targets and the number of targets, so
that processes and accumulation steps can be put together exactly: the mean is `loss_sum / count` over all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import ACT2FN

from ptv2.config.schema import HeadConfig
from ptv2.data.words import IGNORED

INIT_STD = 0.02  # of head and pooler: initializer_range of every backbone that the paper uses

HeadKind = Literal["classification", "choice", "tagging", "span"]
Loss = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class HeadSpec:
    """What a task asks of a head. `num_labels`: classes or tags; 1 in classification is regression."""

    kind: HeadKind
    num_labels: int


class Pooler(nn.Module):
    """`activation(dense(dropout(x)))` on one hidden state `[B, hidden]`; only DeBERTa's has another than tanh."""

    def __init__(self, hidden: int, activation: str = "tanh", dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(hidden, hidden)
        self.activation = ACT2FN[activation]

    def forward(self, hidden: Tensor) -> Tensor:
        return self.activation(self.dense(self.dropout(hidden).to(self.dense.weight.dtype)))


class Head(nn.Module):
    """Base: dropout, then one linear map. `pooled` heads read one vector a text, the others every token."""

    pooled = False

    def __init__(self, hidden: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden, outputs)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.linear(self.dropout(hidden).to(self.linear.weight.dtype)).float()

    def loss(self, scores: Tensor, batch: Mapping[str, Tensor]) -> Loss | None:
        """Sum of losses and number of targets; none when the batch has no labels."""
        raise NotImplementedError


class ClassificationHead(Head):
    """Scores `[B, N]` of a pooled text; cross entropy, or squared error when there is one label."""

    pooled = True

    def __init__(self, hidden: int, num_labels: int, dropout: float) -> None:
        super().__init__(hidden, num_labels, dropout)

    def loss(self, scores: Tensor, batch: Mapping[str, Tensor]) -> Loss | None:
        if "labels" not in batch:
            return None
        labels = batch["labels"]
        if scores.shape[-1] == 1:
            total = functional.mse_loss(scores.squeeze(-1), labels.to(scores.dtype), reduction="sum")
        else:
            total = functional.cross_entropy(scores, labels, reduction="sum")
        return total, total.new_tensor(float(labels.shape[0]))


class ChoiceHead(Head):
    """One score for each choice: pooled texts `[B, C, hidden]` to scores `[B, C]`; cross entropy over the choices."""

    pooled = True

    def __init__(self, hidden: int, dropout: float) -> None:
        super().__init__(hidden, 1, dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        return super().forward(hidden).squeeze(-1)

    def loss(self, scores: Tensor, batch: Mapping[str, Tensor]) -> Loss | None:
        if "labels" not in batch:
            return None
        labels = batch["labels"]
        return functional.cross_entropy(scores, labels, reduction="sum"), scores.new_tensor(float(labels.shape[0]))


class TaggingHead(Head):
    """Scores `[B, T, N]`; cross entropy over tokens whose mask is 1 and whose label is not -100."""

    def __init__(self, hidden: int, num_labels: int, dropout: float) -> None:
        super().__init__(hidden, num_labels, dropout)

    def loss(self, scores: Tensor, batch: Mapping[str, Tensor]) -> Loss | None:
        if "labels" not in batch:
            return None
        labels = batch["labels"]
        if "attention_mask" in batch:
            labels = labels.masked_fill(batch["attention_mask"] == 0, IGNORED)
        total = functional.cross_entropy(scores.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum")
        return total, (labels != IGNORED).sum().to(total.dtype)


class SpanHead(Head):
    """Start and end scores `[B, T, 2]`, without dropout; mean of the two cross entropies over T.

    Positions are clamped to `[0, T]`, and T (an answer outside of the window) is ignored. Padding is no candidate,
    so a row's loss is its own; `counts_padding` has it in the softmax, as in the published code.
    """

    def __init__(self, hidden: int, counts_padding: bool = False) -> None:
        super().__init__(hidden, 2, dropout=0.0)
        self.counts_padding = counts_padding

    def loss(self, scores: Tensor, batch: Mapping[str, Tensor]) -> Loss | None:
        if "start_positions" not in batch:
            return None
        length = scores.shape[1]
        if "attention_mask" in batch and not self.counts_padding:
            scores = scores.masked_fill(batch["attention_mask"][..., None] == 0, -torch.inf)
        ends = torch.cat((batch["start_positions"], batch["end_positions"])).clamp(0, length)  # [2 B]
        both = scores.movedim(-1, 0).flatten(0, 1)  # [2 B, T]
        total = functional.cross_entropy(both, ends, ignore_index=length, reduction="sum") / 2
        return total, (ends != length).sum().to(total.dtype) / 2


def build_head(spec: HeadSpec, hidden: int, cfg: HeadConfig, generator: torch.Generator) -> Head:
    """The head of `spec`, weights N(0, 0.02), biases 0."""
    head: Head
    if spec.kind == "classification":
        head = ClassificationHead(hidden, spec.num_labels, cfg.dropout)
    elif spec.kind == "choice":
        head = ChoiceHead(hidden, cfg.dropout)
    elif spec.kind == "tagging":
        head = TaggingHead(hidden, spec.num_labels, cfg.dropout)
    else:
        head = SpanHead(hidden, counts_padding=cfg.span_padding == "published")
    init_linear(head.linear, generator)
    return head


@torch.no_grad()
def init_linear(linear: nn.Linear, generator: torch.Generator) -> None:
    """Weights N(0, 0.02) and bias 0: what `from_pretrained` gives modules that a checkpoint lacks."""
    linear.weight.normal_(0.0, INIT_STD, generator=generator)
    linear.bias.zero_()
