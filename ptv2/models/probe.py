"""Look at how a backbone of a type without a row in `families` reads a text, by tiny forward passes.

Modules do not always say it: CLIP's text model is causal, and the convolutions of convbert and mobilebert read padding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ptv2.errors import ModelError, first_line
from ptv2.models.dropout import evaluating

LENGTH, PADDING = 12, 4  # tokens of the text; after it
# Of the largest state: less is rounding.
TOLERANCES = {torch.float32: 1e-3}
LEAST = 5e-2  # in half precision


def can_be_read(model: nn.Module) -> bool:
    """Whether `model` has weights; an outline of it has none."""
    return not any(parameter.is_meta for parameter in model.parameters())


def is_causal(model: Any) -> bool:
    """Whether no token's state depends on what is behind it, so that a text has to be read at its last token.

    Raises:
        ModelError: the model fails at a text.
    """
    ids = _text(model, LENGTH + 1)
    other = ids[:, :LENGTH].clone()
    other[:, -1] = ids[:, LENGTH]
    before, changed = (_states(model, text, text)[:, :-1] for text in (ids[:, :LENGTH], other))
    return torch.equal(before, changed)


def reads_padding(model: Any) -> bool:
    """Whether the states of a text depend on the padding after it, which the attention mask leaves out.

    Raises: as `is_causal`.
    """
    ids = _text(model, LENGTH)
    pad = model.config.pad_token_id or 0
    padded = nn.functional.pad(ids, (0, PADDING), value=pad if pad < _vocabulary(model) else 0)
    alone, beside = _states(model, ids, ids), _states(model, padded, ids)[:, :LENGTH]
    tolerance = TOLERANCES.get(alone.dtype, LEAST)
    return bool((alone - beside).abs().max() > tolerance * alone.abs().max())


def _text(model: Any, length: int) -> Tensor:
    """Different tokens `[1, length]`, none of which is padding."""
    numbers = [number for number in range(_vocabulary(model)) if number != model.config.pad_token_id]
    ids = [numbers[place % len(numbers)] for place in range(length)]
    return torch.tensor([ids], device=next(model.parameters()).device)


def _vocabulary(model: Any) -> int:
    """How many tokens a model knows; one of letters knows all of Unicode."""
    return getattr(model.config, "vocab_size", None) or 2 * LENGTH


def _states(model: Any, ids: Tensor, real: Tensor) -> Tensor:
    """The last hidden states of `ids` `[1, T]`, the first of which are no padding."""
    mask = torch.zeros_like(ids)
    mask[:, : real.shape[1]] = 1
    try:
        with evaluating(model), torch.no_grad(), torch.random.fork_rng(devices=[]):
            states: Tensor = model(input_ids=ids, attention_mask=mask).last_hidden_state
            return states
    except Exception as error:  # whatever a model that nobody tried meets
        raise cannot_read(model, error) from error


def cannot_read(model: Any, error: Exception, instead: str = "expected another backbone") -> ModelError:
    """The error for a model that raised `error` at a text."""
    kind = model.config.model_type
    return ModelError(
        f"a {kind} backbone cannot read a text here ({type(error).__name__}: {first_line(error)}); {instead}"
    )


def check_shallow(model: Any, read: Callable[[dict[str, Tensor]], Tensor]) -> None:
    """Try a prompt before the input, which not every model takes.

    Args:
        read: the states of `input_ids` and `attention_mask`, behind the prompt.

    Raises:
        ModelError: it fails.
    """
    ids = _text(model, LENGTH)
    try:
        with evaluating(model):  # and with gradients, as some fail only there
            read({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    except Exception as error:
        instead = "a prompt cannot stand before its input; expected method=fine-tuning, or another backbone"
        raise cannot_read(model, error, instead) from error
