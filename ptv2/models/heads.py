"""What turns hidden states into scores and a loss: one head for each kind of task, whatever backbone and method.

Letters: B rows, C choices, T text tokens, N labels. A loss comes as a sum over targets and the number of targets, so
that processes and accumulation steps can be put together exactly: the mean is `loss_sum / count` over all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import ACT2FN

from ptv2.config.schema import HeadConfig
from ptv2.data.cloze import LabelWords
from ptv2.data.mixture import HEAD
from ptv2.data.words import IGNORED
from ptv2.errors import ConfigError
from ptv2.models.language_model import LanguageModelHead

INIT_STD = 0.02  # of head and pooler: initializer_range of every backbone that the paper uses

HeadKind = Literal["classification", "choice", "tagging", "span", "verbalizer", "several"]
Loss = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class HeadSpec:
    """What a task asks of a head. `num_labels`: classes or tags.

    `words`: those of a verbalizer. `several`: kind `several` has one linear head for each task, by its name.
    """

    kind: HeadKind
    num_labels: int
    words: LabelWords | None = None
    several: Mapping[str, HeadSpec] = field(default_factory=dict, hash=False)

    @classmethod
    def of_tasks(cls, specs: Mapping[str, HeadSpec]) -> HeadSpec:
        """One head for each task."""
        return cls("several", sum(spec.num_labels for spec in specs.values()), several=specs)


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
    """Base: dropout, then one linear map. `pooled` heads read one vector of a text, the others every token."""

    pooled = False

    def __init__(self, hidden: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden, outputs)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.linear(self.dropout(hidden).to(self.linear.weight.dtype)).float()

    def loss(self, scores: Tensor, batch: Mapping[str, Tensor]) -> Loss | None:
        """Sum of losses and number of targets, by default `class_loss`; None when the batch has no labels."""
        return class_loss(scores, batch)


def class_loss(scores: Tensor, batch: Mapping[str, Tensor]) -> Loss | None:
    """Cross entropy of scores `[B, N]` and `labels` `[B]`; None when the batch has no labels."""
    if "labels" not in batch:
        return None
    labels = batch["labels"]
    return functional.cross_entropy(scores, labels, reduction="sum"), scores.new_tensor(float(labels.shape[0]))


class ClassificationHead(Head):
    """Scores `[B, N]` of a pooled text; cross entropy."""

    pooled = True


class ChoiceHead(Head):
    """One score for each choice: pooled texts `[B, C, hidden]` to scores `[B, C]`; cross entropy over the choices."""

    pooled = True

    def __init__(self, hidden: int, dropout: float) -> None:
        super().__init__(hidden, 1, dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        return super().forward(hidden).squeeze(-1)


class TaggingHead(Head):
    """Scores `[B, T, N]`; cross entropy over tokens whose mask is 1 and whose label is not -100."""

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


class VerbalizerHead(nn.Module):
    """Scores `[B, N]` from a language model's head: how likely the words of each label are in the blank.

    A word's score is the sum of the log probabilities of its tokens; a label's is the mean over its words (as in PET).
    Where all words have one token, cross entropy is that of their logits alone. No dropout.
    """

    pooled = False
    targets: Tensor
    real: Tensor
    average: Tensor

    def __init__(self, language_model: LanguageModelHead, words: LabelWords, num_labels: int) -> None:
        super().__init__()
        self.language_model = language_model
        self.words = words
        count, longest = len(words.tokens), words.longest
        targets = torch.tensor([[*tokens, *[0] * (longest - len(tokens))] for tokens in words.tokens])  # [W, K]
        real = torch.tensor([[i < len(tokens) for i in range(longest)] for tokens in words.tokens])
        average = functional.one_hot(torch.tensor(words.labels), num_labels).float()  # [W, N]
        for name, values in (("targets", targets), ("real", real), ("average", average / average.sum(0))):
            self.register_buffer(name, values, persistent=False)
        self._rows = count if words.sequences > 1 else 1

    def forward(self, hidden: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Scores of a batch.

        Args:
            hidden: `[rows, T, hidden]`, the states of the tokens `input_ids` `[rows, T]`. A row is an example, or where
                words stand behind the text one for each word of each example.
        """
        places = self._places(input_ids, attention_mask)  # [rows, K]
        states = hidden.gather(1, places[..., None].expand(-1, -1, hidden.shape[-1]))
        chances = self.language_model(states).float().log_softmax(-1)  # [rows, K, V]
        if self._rows > 1:
            by_word = chances.unflatten(0, (-1, self._rows))  # [B, W, K, V]
            chosen = by_word.gather(-1, self.targets.expand(*by_word.shape[:3])[..., None]).squeeze(-1)
        else:
            chosen = chances[:, torch.arange(self.targets.shape[1], device=places.device), self.targets]
        return (chosen * self.real).sum(-1) @ self.average  # chosen: [B, W, K]

    def loss(self, scores: Tensor, batch: Mapping[str, Tensor]) -> Loss | None:
        """Sum of losses and number of targets; None when the batch has no labels."""
        return class_loss(scores, batch)

    def _places(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Where each token of a word is read `[rows, K]`: at its mask, or at the token before its own place."""
        count = self.targets.shape[1]
        if self.words.reading == "mask":
            masks = (input_ids == self.words.mask_id).to(torch.uint8)
            return masks.sort(dim=1, descending=True, stable=True).indices[:, :count]
        lengths = self.real.sum(1).repeat(len(input_ids) // self._rows) if self._rows > 1 else 1
        last = last_places(attention_mask)
        steps = torch.arange(count, device=last.device)
        return torch.minimum((last - lengths + 1)[:, None] + steps, last[:, None])


class SeveralHeads(nn.Module):
    """One head per task on one backbone; a batch says with the number `head` which of them it is for."""

    def __init__(self, heads: Sequence[Head]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)
        self.pooled = any(head.pooled for head in heads)

    def of(self, batch: Mapping[str, Tensor]) -> Head:
        """The head that scores this batch."""
        number = batch[HEAD]
        plain = type(number) is Tensor and number.device.type == "cpu"  # read without waiting for a device
        head = self.heads[int(number.numpy() if plain else number)]
        assert isinstance(head, Head)
        return head


def last_places(attention_mask: Tensor) -> Tensor:
    """The place of the last token that is no padding `[B]`, of a mask `[B, T]`."""
    return attention_mask.shape[1] - 1 - attention_mask.flip(1).argmax(1)


AnyHead = Head | VerbalizerHead | SeveralHeads


def build_head(
    spec: HeadSpec,
    hidden: int,
    cfg: HeadConfig,
    generator: torch.Generator,
    language_model: LanguageModelHead | None = None,
) -> AnyHead:
    """The head of `spec`: new, weights N(0, 0.02) and biases 0, or a verbalizer on the backbone's language model.

    Raises:
        ConfigError: a verbalizer without words or without a language model.
    """
    if spec.kind == "verbalizer":
        if spec.words is None or language_model is None:
            raise ConfigError("head.kind=verbalizer needs label words and a language model; use head.kind=linear here")
        return VerbalizerHead(language_model, spec.words, spec.num_labels)
    if spec.kind == "several":
        return SeveralHeads([_linear_head(one, hidden, cfg, generator) for one in spec.several.values()])
    return _linear_head(spec, hidden, cfg, generator)


def _linear_head(spec: HeadSpec, hidden: int, cfg: HeadConfig, generator: torch.Generator) -> Head:
    head: Head
    if spec.kind == "classification":
        head = ClassificationHead(hidden, spec.num_labels, cfg.dropout)
    elif spec.kind == "choice":
        head = ChoiceHead(hidden, cfg.dropout)
    elif spec.kind == "tagging":
        head = TaggingHead(hidden, spec.num_labels, cfg.dropout)
    elif spec.kind == "span":
        head = SpanHead(hidden, counts_padding=cfg.span_padding == "published")
    else:
        raise ConfigError(f"head {spec.kind}: expected one that is a linear map")
    init_linear(head.linear, generator)
    return head


@torch.no_grad()
def init_linear(linear: nn.Linear, generator: torch.Generator) -> None:
    """Weights N(0, 0.02) and bias 0: what `from_pretrained` gives modules that a checkpoint lacks."""
    linear.weight.normal_(0.0, INIT_STD, generator=generator)
    linear.bias.zero_()
