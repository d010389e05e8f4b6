"""What all analyses share: passes over encoded examples, and a model with other prompts or none for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ptv2.data.batches import sorted_batches
from ptv2.data.tokens import EncodedSet
from ptv2.models.build import PromptedModel
from ptv2.models.prompts import DeepPrompts, ShallowPrompts

if TYPE_CHECKING:
    from accelerate import Accelerator

Batch = dict[str, Tensor]
Done = Callable[[int], None]  # called with the number of items that are done now


def nothing(count: int) -> None:
    """Progress that nobody watches."""


def passes(
    model: PromptedModel,
    data: EncodedSet,
    rows: Sequence[int] | np.ndarray,
    batch_size: int,
    accelerator: Accelerator,
    step: Callable[[list[int], Batch], None],
    done: Done = nothing,
) -> None:
    """Call `step` with each batch of these rows, and their numbers, without dropout and gradients.

    `step` runs the model. What is wanted of its inside is taken by hooks (`attention.watching`, `probing`).
    """
    numbers = np.asarray(rows)
    with evaluating(model), torch.inference_mode(), accelerator.autocast():
        for part in sorted_batches(data.lengths[numbers], batch_size):
            chosen = numbers[part].tolist()
            step(chosen, {name: tensor.to(accelerator.device) for name, tensor in data.batch(chosen).items()})
            done(len(chosen))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Without dropout."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


@contextmanager
def other_prompt(model: PromptedModel, prompt: Tensor, layers: Sequence[int] | None = None) -> Iterator[None]:
    """Use `prompt` in place of the model's own.

    Args:
        prompt: of the shape of the model's own folded prompt; for prompts at layers `[L', ...]` with other layers.
        layers: which layers these are; none: the same.
    """
    prompts = model.prompts
    assert prompts is not None
    assert prompts.prompt is not None, "a trained prompt is folded"
    own = prompts.prompt
    own_layers = prompts.layers if isinstance(prompts, DeepPrompts) else None
    prompts.prompt = nn.Parameter(prompt.to(own.device, own.dtype), requires_grad=False)
    if isinstance(prompts, DeepPrompts) and layers is not None:
        prompts.layers = tuple(layers)
    try:
        yield
    finally:
        prompts.prompt = own
        if isinstance(prompts, DeepPrompts) and own_layers is not None:
            prompts.layers = own_layers


@contextmanager
def only_at(model: PromptedModel, layers: Sequence[int]) -> Iterator[None]:
    """Keep the prompts of these layers only; the text stays at its positions. Without a layer there is no prompt."""
    prompts = model.prompts
    if isinstance(prompts, DeepPrompts):
        assert prompts.prompt is not None, "a trained prompt is folded"
        chosen = [prompts.layers.index(layer) for layer in layers]
        with other_prompt(model, prompts.prompt.detach()[chosen], layers):
            yield
    elif isinstance(prompts, ShallowPrompts) and model.embedding == "published":
        assert prompts.prompt is not None, "a trained prompt is folded"
        with other_prompt(model, prompts.prompt.detach()[:0]):  # the text still goes through the embeddings twice
            yield
    else:
        model.prompts = None
        try:
            yield
        finally:
            model.prompts = prompts


@contextmanager
def bare(model: PromptedModel) -> Iterator[None]:
    """The backbone as it was before: no prompt, and the text from position 0."""
    prompts, length = model.prompts, model.prompt_length
    model.prompts, model.prompt_length = None, 0
    try:
        yield
    finally:
        model.prompts, model.prompt_length = prompts, length
