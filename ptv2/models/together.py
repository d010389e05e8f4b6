"""One pass through a frozen backbone for the rows of several models, each with prompts of its own.

Letters: K models, B rows of all of them, T tokens of the longest, P the longest prompt, H key/value heads, D head size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ptv2.models.attention import LayerPrompts
from ptv2.models.dropout import dropout
from ptv2.models.families import FAMILIES, Family


@dataclass(frozen=True)
class Rows:
    """What one model hands in: the backbone's inputs, each `[rows, tokens]`, and its prompts at layers if any."""

    inputs: Mapping[str, Tensor | None]
    prompts: LayerPrompts | None

    @property
    def size(self) -> tuple[int, int]:
        """Rows, and tokens of each; shallow prompts are among the tokens."""
        tokens = self.inputs.get("inputs_embeds", self.inputs.get("input_ids"))
        assert tokens is not None
        return tokens.shape[0], tokens.shape[1]


def why_alone(family: Family) -> str | None:
    """Why backbones of a family cannot serve several models at once; None: they can."""
    if family.model_type not in FAMILIES:
        return f"how {family.model_type} numbers positions was not compared"
    if family.adapter is not None or family.positions == "blocks":
        return f"{family.model_type} has attention or positions of its own"
    return None


@dataclass
class JointPrompts(LayerPrompts):
    """The prompts of several models: `layers` has `[2, K, H, P, D]`, or hidden vectors `[K, P, hidden]`.

    Each model has `rows` of the batch, prompts of `lengths` with masked columns behind them, and a rate of dropout.
    """

    rows: tuple[int, ...] = ()
    lengths: tuple[int, ...] = ()
    rates: tuple[float, ...] = ()
    _joint: Tensor | None = None
    _joint_of: Tensor | None = None

    @classmethod
    def of(cls, prompts: Sequence[LayerPrompts], rows: Sequence[int]) -> JointPrompts:
        """Put together the prompts of models that have them at the same layers in the same form."""
        first = prompts[0]
        lengths = tuple(next(iter(one.layers.values())).shape[-2] for one in prompts)

        def join(layer: int) -> Tensor:
            padded = [
                functional.pad(one.layers[layer], (0, 0, 0, max(lengths) - length))
                for one, length in zip(prompts, lengths, strict=True)
            ]
            return torch.stack(padded, dim=1 if first.form == "key-value" else 0)

        return cls(
            {layer: join(layer) for layer in first.layers},
            form=first.form,
            count_calls=first.count_calls,
            rows=tuple(rows),
            lengths=lengths,
            rates=tuple(one.dropout for one in prompts),
        )

    def extend_mask(self, mask: Tensor | None, query: Tensor, key_length: int, prompt_length: int) -> Tensor | None:
        """As in `LayerPrompts`, without the columns that a model's prompt does not have."""
        extended = super().extend_mask(mask, query, key_length, prompt_length)
        if len(set(self.lengths)) == 1:
            return extended
        width = prompt_length + key_length
        if self._joint is None or self._joint_of is not mask or self._joint.shape[-1] != width:
            columns = query.new_zeros(sum(self.rows), 1, 1, width)
            for rows, length in zip(columns.split(self.rows), self.lengths, strict=True):
                rows[..., length:prompt_length] = -torch.inf
            self._joint = columns if extended is None or self._mask is None else self._mask + columns
            self._joint_of = mask
        return self._joint.expand(-1, -1, query.shape[2], -1)

    def _per_row(self, prompt: Tensor, key: Tensor) -> Tensor:
        """`prompt` `[K, H, P, D]` as `[B, H, P, D]`, with the dropout of each model."""
        models = zip(prompt.to(key.dtype).unbind(0), self.rows, self.rates, strict=True)
        return torch.cat([dropout(one.expand(rows, -1, -1, -1), rate) for one, rows, rate in models])


class JointPass:
    """A pass that is done; `hidden` has the last states of each model's rows, leaves of its graph."""

    def __init__(self, backbone: nn.Module, handed: Sequence[Rows], pad_id: int) -> None:
        """Run the backbone once."""
        prompts = [rows.prompts for rows in handed if rows.prompts is not None]
        sizes = [rows.size for rows in handed]
        inputs = join_inputs(handed, pad_id) if len(handed) > 1 else handed[0].inputs
        options: dict[str, LayerPrompts] = {}
        if prompts:
            options["prompts"] = JointPrompts.of(prompts, [n for n, _ in sizes]) if len(prompts) > 1 else prompts[0]
        self._whole: Tensor = backbone(**inputs, **options).last_hidden_state
        whole, trains = self._whole.detach(), self._whole.requires_grad
        of_models = whole.split([rows for rows, _ in sizes])
        self.hidden = [
            states[:, :tokens].requires_grad_(trains) for states, (_, tokens) in zip(of_models, sizes, strict=True)
        ]

    def backward(self) -> None:
        """Pass the gradients of `hidden` on to every model's prompts; without one, as of a model that failed, none."""
        if not self._whole.requires_grad:
            return
        gradient = torch.zeros_like(self._whole)
        first = 0
        for states in self.hidden:
            rows, tokens = states.shape[:2]
            if states.grad is not None:
                gradient[first : first + rows, :tokens] = states.grad
            first += rows
        self._whole.backward(gradient)


def join_inputs(handed: Sequence[Rows], pad_id: int) -> dict[str, Any]:
    """The inputs of all rows, padded on the right; without any padding there is no mask if nobody gave one."""
    sizes = [rows.size for rows in handed]
    longest = max(tokens for _, tokens in sizes)
    padded = any(rows.inputs["attention_mask"] is not None or rows.size[1] < longest for rows in handed)

    def join(name: str) -> Tensor | None:
        if name == "attention_mask" and not padded:
            return None
        parts = []
        for rows, (count, tokens) in zip(handed, sizes, strict=True):
            values = rows.inputs[name]
            if values is None:
                values = torch.ones(count, tokens, dtype=torch.long, device=_device_of(rows))
            more = (0, 0) * (values.dim() - 2) + (0, longest - tokens)
            fill = pad_id if name == "input_ids" else 0
            parts.append(functional.pad(values.expand(count, *values.shape[1:]), more, value=fill))
        return torch.cat(parts)

    return {name: join(name) for name in handed[0].inputs}


def _device_of(rows: Rows) -> torch.device:
    return next(values.device for values in rows.inputs.values() if values is not None)
