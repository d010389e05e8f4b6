"""How well a linear classifier reads the answer from the hidden states of each layer.

Which states it reads, by kind of head:

| head           | a state                                                | its class |
|----------------|--------------------------------------------------------|-----------|
| classification | the token that the text is read at (first, or last)    | its label |
| verbalizer     | the blank                                              | its label |
| choice         | the token that each choice's text is read at           | right or not; the likeliest is the answer |
| tagging        | each word's first token                                | its tag |
| span           | the answer's tokens, and as many others of the context | in the answer or not |

Letters: N states, W width of a state, C choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ptv2.analysis.passes import Batch, Done, hooked, nothing, passes
from ptv2.data.arrays import ranges
from ptv2.data.encode import TextSet
from ptv2.data.tokens import EncodedSet
from ptv2.data.windows import SpanSet
from ptv2.data.words import IGNORED, TaggedSet
from ptv2.errors import DataError, ModelError
from ptv2.models.build import PromptedModel
from ptv2.models.heads import HeadSpec

if TYPE_CHECKING:
    from accelerate import Accelerator

MOST = 5000  # states that a classifier learns from, and that it is scored on, each
# Inverse strength of the L2 penalty on standardized states, which are often fewer than they are wide.
STRENGTH = 0.01


@dataclass(frozen=True)
class Targets:
    """The states to probe: tokens by their index in the flat arrays of a set, and their classes."""

    tokens: np.ndarray  # [N] int64
    classes: np.ndarray  # [N] int64
    group: int = 1  # states per answer: choices, of which one has class 1


@dataclass(frozen=True)
class Probe:
    """Scores of one classifier, in percent."""

    accuracy: float
    macro_f1: float  # unweighted mean over classes


@dataclass(frozen=True)
class Probed:
    """Scores of the classifiers at each depth; the first reads the embeddings, before any layer."""

    layers: list[Probe]
    majority: Probe  # of always giving the training states' most frequent answer
    train: int
    dev: int


def targets(data: EncodedSet, spec: HeadSpec, causal: bool) -> Targets:
    """Choose the states to probe in a labelled set: at most `MOST`, drawn at random.

    Args:
        causal: whether a text is read at its last token.

    Raises:
        DataError: nothing to probe.
    """
    every = _all_targets(data, spec, causal)
    groups = len(every.tokens) // every.group
    if not groups:
        raise DataError("probing found no answer in the examples")
    chosen = (drawn(groups, MOST // every.group)[:, None] * every.group + np.arange(every.group)).ravel()
    return Targets(every.tokens[chosen], every.classes[chosen], every.group)


def drawn(count: int, most: int) -> np.ndarray:
    """At most `most` of the numbers below `count`, ascending, the same for every run.

    Drawn, not evenly spaced, since the answers of some data sets repeat in a cycle.
    """
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, most, replace=False))


def hidden_states(
    model: PromptedModel,
    data: EncodedSet,
    tokens: np.ndarray,
    batch_size: int,
    accelerator: Accelerator,
    done: Done = nothing,
) -> list[np.ndarray]:
    """The hidden states of `tokens` `[N]` (indices into the flat arrays of `data`), `[N, W]` at each depth.

    Returns:
        The embeddings, then each layer's output; the last one as the head gets it.

    Raises:
        ModelError: a backbone that does not give its hidden states.
    """
    starts, width = data.tokens.starts, len(data.tokens) // len(data)
    sequence = np.searchsorted(starts, tokens, side="right") - 1
    offset = tokens - starts[sequence]
    states: list[np.ndarray] = []
    at = np.zeros(0, dtype=np.int64)  # which of `tokens` are in the batch; of each the row, and the position there
    row = position = torch.zeros(0, dtype=torch.long)
    length = 0  # of the batch's texts

    def before(_: nn.Module, args: tuple[Any, ...], inputs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return args, {**inputs, "output_hidden_states": True}

    def after(_: nn.Module, __: tuple[Any, ...], output: Any) -> None:
        layers: Sequence[Tensor] | None = getattr(output, "hidden_states", None)
        if layers is None or len(layers) != model.config.num_hidden_layers + 1:
            raise ModelError(
                f"a {model.family.model_type} backbone does not give its hidden states, which probing reads"
            )
        if not states:
            states.extend(np.empty((len(tokens), layer.shape[-1]), dtype=np.float32) for layer in layers)
        first = layers[-1].shape[1] - length  # shallow prompts
        for array, layer in zip(states, layers, strict=True):
            array[at] = layer[row, first + position].float().cpu().numpy()

    def step(rows: list[int], batch: Batch) -> None:
        nonlocal at, row, position, length
        length = batch["input_ids"].shape[-1]
        numbers = (np.asarray(rows)[:, None] * width + np.arange(width)).ravel()  # of the batch's sequences
        order = np.argsort(numbers)
        where = np.searchsorted(numbers[order], sequence).clip(max=len(numbers) - 1)
        at = np.flatnonzero(numbers[order][where] == sequence)
        row, position = torch.from_numpy(order[where[at]]), torch.from_numpy(offset[at])
        model(batch)

    with hooked(model.backbone, before, after):
        passes(model, data, np.unique(sequence // width), batch_size, accelerator, step, done)
    return states


def fit_probe(train: np.ndarray, train_targets: Targets, dev: np.ndarray, dev_targets: Targets) -> Probe:
    """Fit a logistic regression to standardized states `[N, W]`, and score it on others."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(train_targets.classes)) == 1:  # nothing to learn
        return majority(train_targets, dev_targets)
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=1000))
    probe.fit(train, train_targets.classes)
    if dev_targets.group > 1:
        return _score_choices(probe.decision_function(dev), dev_targets)
    return _score(probe.predict(dev), dev_targets.classes)


def majority(train: Targets, dev: Targets) -> Probe:
    """The score on `dev` of always giving the most frequent answer of `train`."""
    if train.group > 1:
        answers = train.classes.reshape(-1, train.group).argmax(1)
        best = np.bincount(answers, minlength=train.group).argmax()
        return _score_choices(np.tile(np.arange(train.group) == best, len(dev.classes) // dev.group), dev)
    return _score(np.full_like(dev.classes, np.bincount(train.classes).argmax()), dev.classes)


def _score_choices(scores: np.ndarray, dev: Targets) -> Probe:
    return _score(scores.reshape(-1, dev.group).argmax(1), dev.classes.reshape(-1, dev.group).argmax(1))


def _score(predicted: np.ndarray, gold: np.ndarray) -> Probe:
    from sklearn.metrics import f1_score

    macro = f1_score(gold, predicted, average="macro", zero_division=0.0)
    return Probe(100 * float((predicted == gold).mean()), 100 * float(macro))


def _all_targets(data: EncodedSet, spec: HeadSpec, causal: bool) -> Targets:
    if isinstance(data, TaggedSet):
        assert data.labels is not None
        words = np.flatnonzero(data.labels != IGNORED)
        return Targets(words, data.labels[words].astype(np.int64))
    if isinstance(data, SpanSet):
        return _answers(data)
    assert isinstance(data, TextSet)
    assert data.labels is not None
    starts, labels = data.tokens.starts, data.labels
    tokens = starts[1:] - 1 if causal else starts[:-1]
    if spec.kind == "choice":
        right = np.arange(data.width) == labels[:, None]
        return Targets(tokens, right.astype(np.int64).ravel(), data.width)
    return Targets(tokens if spec.words is None else _blanks(data, spec), labels)


def _blanks(data: EncodedSet, spec: HeadSpec) -> np.ndarray:
    """The token at which each example's first label word is read: its mask, or the token before it."""
    words, tokens = spec.words, data.tokens
    assert words is not None
    if words.reading == "mask":
        masks = np.flatnonzero(tokens.ids == words.mask_id)
        return masks[np.searchsorted(masks, tokens.starts[:-1])]
    length = len(words.tokens[0]) if words.sequences > 1 else 1
    return tokens.starts[1:][:: words.sequences] - length


def _answers(data: SpanSet) -> Targets:
    """The tokens of the answers, and as many others from the contexts of the same windows."""
    assert data.start_positions is not None
    assert data.end_positions is not None
    starts = data.tokens.starts
    answered = np.flatnonzero(data.start_positions != data.null_positions)
    first = starts[answered] + data.start_positions[answered]
    inside = ranges(first, starts[answered] + data.end_positions[answered] + 1)
    window = np.repeat(np.arange(len(data)), data.lengths)  # [tokens]
    others = (data.offsets[:, 0] >= 0) & np.isin(window, answered)
    others[inside] = False
    outside = np.flatnonzero(others)
    outside = outside[drawn(len(outside), len(inside))]
    tokens = np.concatenate((inside, outside))
    order = np.argsort(tokens)
    return Targets(tokens[order], (order < len(inside)).astype(np.int64))
