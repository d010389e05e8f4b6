"""What all analyses share: passes over encoded examples, and models with other prompts or none for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ptv2.data.batches import sorted_batches
from ptv2.data.tokens import EncodedSet
from ptv2.models.build import PromptedModel
from ptv2.models.dropout import evaluating
from ptv2.models.prompts import DeepPrompts, Prompts, ShallowPrompts

if TYPE_CHECKING:
    from accelerate import Accelerator

Batch = dict[str, Tensor]
Done = Callable[[int], None]  # called with the number of items done since the last call


def nothing(count: int) -> None:
    """Ignore progress."""


def passes(
    model: PromptedModel,
    data: EncodedSet,
    rows: Sequence[int] | np.ndarray,
    batch_size: int,
    accelerator: Accelerator,
    step: Callable[[list[int], Batch], None],
    done: Done = nothing,
) -> None:
    """Call `step` with the numbers and the batch of some rows after the other, without dropout and gradients.

    `step` runs the model; hooks take what is wanted from inside it (`attention.watching`, `probing.hidden_states`).
    """
    numbers = np.asarray(rows)
    with evaluating(model), torch.inference_mode(), accelerator.autocast():
        for order in sorted_batches(data.lengths[numbers], batch_size):
            chosen = numbers[order].tolist()
            step(chosen, {name: tensor.to(accelerator.device) for name, tensor in data.batch(chosen).items()})
            done(len(chosen))


@contextmanager
def replaced(owner: object, **attributes: object) -> Iterator[None]:
    """Give attributes of an object other values while the context is open."""
    before = {name: getattr(owner, name) for name in attributes}
    try:
        for name, value in attributes.items():
            setattr(owner, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)


@contextmanager
def hooked(backbone: nn.Module, before: Callable[..., Any], after: Callable[..., Any]) -> Iterator[None]:
    """Call `before` with the inputs of each pass of a backbone, and `after` with its output."""
    hooks = [backbone.register_forward_pre_hook(before, with_kwargs=True), backbone.register_forward_hook(after)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def other_prompt(
    model: PromptedModel, prompt: Tensor, layers: Sequence[int] | None = None
) -> AbstractContextManager[None]:
    """Use `prompt` in place of the model's own while the context is open.

    Args:
        prompt: of the shape of the model's own folded prompt; `[L', ...]` for deep prompts at other layers.
        layers: which layers these are; None: the same.
    """
    prompts = model.prompts
    assert prompts is not None
    trained = _folded(prompts)
    parameter = nn.Parameter(prompt.to(trained.device, trained.dtype), requires_grad=False)
    return replaced(prompts, prompt=parameter, **({} if layers is None else {"layers": tuple(layers)}))


def only_at(model: PromptedModel, layers: Sequence[int]) -> AbstractContextManager[None]:
    """Use the prompts of these layers only while the context is open, none without a layer; positions stay."""
    prompts = model.prompts
    if isinstance(prompts, DeepPrompts):
        return other_prompt(model, _folded(prompts)[[prompts.layers.index(layer) for layer in layers]], layers)
    if isinstance(prompts, ShallowPrompts) and model.embedding == "published":
        return other_prompt(model, _folded(prompts)[:0])  # the text still goes through the embeddings twice
    return replaced(model, prompts=None)


def bare(model: PromptedModel) -> AbstractContextManager[None]:
    """Use the backbone as it was before training while the context is open: no prompt, and text from position 0."""
    return replaced(model, prompts=None, prompt_length=0)


def _folded(prompts: Prompts) -> Tensor:
    assert prompts.prompt is not None, "a trained prompt is folded"
    return prompts.prompt.detach()
