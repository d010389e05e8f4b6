"""Trained prompts: which layers have one, how it is parameterised and initialised.

Letters: L prompted layers, P prompt length, H key/value heads, D head size.
Source of the layout and of the MLP: `PrefixEncoder` of the published P-Tuning v2 code.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ptv2.config.schema import PromptConfig
from ptv2.errors import ConfigError, ModelError
from ptv2.models.attention import LayerPrompts, projections
from ptv2.models.dropout import evaluating


@dataclass(frozen=True)
class Shape:
    """The sizes of a backbone that prompts depend on. `embedding` is the width of its word embeddings."""

    layers: int
    hidden: int
    kv_heads: int
    head_dim: int
    embedding: int


def choose_layers(spec: str | Sequence[int], num_layers: int) -> tuple[int, ...]:
    """Layer numbers, ascending, for `all`, `first-k`, `last-k` or a list of numbers from 0.

    Raises `ConfigError` for anything else, and for layers that a backbone of `num_layers` has not.
    """
    valid = f"all, first-k, last-k (k from 1 to {num_layers}) or a list of layers from 0 to {num_layers - 1}"
    if not isinstance(spec, str):
        layers = tuple(sorted(spec))
        if not layers or len(set(layers)) != len(layers) or layers[0] < 0 or layers[-1] >= num_layers:
            raise ConfigError(f"prompt.layers={list(spec)}: choose {valid}, each once")
        return layers
    if spec == "all":
        return tuple(range(num_layers))
    match = re.fullmatch(r"(first|last)-(\d+)", spec)
    if match is None or not 1 <= int(match[2]) <= num_layers:
        raise ConfigError(f"prompt.layers={spec}: choose {valid}")
    count = int(match[2])
    return tuple(range(count)) if match[1] == "first" else tuple(range(num_layers - count, num_layers))


class PromptMLP(nn.Module):
    """Two-layer reparameterisation: embedding `[P, hidden]` -> linear -> tanh -> linear -> `[P, out]`."""

    def __init__(self, length: int, hidden: int, mlp_hidden: int, out: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(length, hidden))
        self.mlp = nn.Sequential(nn.Linear(hidden, mlp_hidden), nn.Tanh(), nn.Linear(mlp_hidden, out))

    def forward(self) -> Tensor:
        return self.mlp(self.embedding)


class LayerwiseEncoder(nn.Module):
    """GLM's reparameterisation: one head for all layers over the prompts of each, `[P, layers * hidden]` to the same.

    `glm-mlp` is linear, relu, linear of width `hidden`; `glm-lstm` a bidirectional LSTM of two layers along the prompts
    before it. Source: `PrefixEncoder` and `PromptSpell` of the published GLM code.
    """

    def __init__(self, kind: str, layers: int, length: int, hidden: int) -> None:
        super().__init__()
        self.layers = layers
        self.embedding = nn.Parameter(torch.empty(length, layers * hidden))
        lstm = kind == "glm-lstm"
        self.lstm = nn.LSTM(hidden, hidden, num_layers=2, bidirectional=True, batch_first=True) if lstm else None
        self.mlp = nn.Sequential(nn.Linear(hidden * (1 + lstm), hidden), nn.ReLU(), nn.Linear(hidden, hidden))

    def forward(self) -> Tensor:
        rows = self.embedding.unflatten(-1, (self.layers, -1)).transpose(0, 1)  # [layers, P, hidden]
        if self.lstm is not None:
            rows, _ = self.lstm(rows)  # [layers, P, 2 * hidden]
        return self.mlp(rows).transpose(0, 1).flatten(1)

    @torch.no_grad()
    def init_normal(self, std: float, generator: torch.Generator) -> None:
        """N(0, std) for the embedding alone; the head gets what torch gives new modules, as published."""
        self.embedding.copy_(torch.empty_like(self.embedding, device="cpu").normal_(0.0, std, generator=generator))
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.LSTM)):
                width = module.in_features if isinstance(module, nn.Linear) else module.hidden_size
                for parameter in module.parameters():
                    drawn = torch.empty_like(parameter, device="cpu")
                    parameter.copy_(drawn.uniform_(-(width**-0.5), width**-0.5, generator=generator))


class Prompts(nn.Module):
    """What `method` trains besides the head: either the prompt itself, or the encoder that computes it.

    `value()` is the prompt in its final shape, `fold` drops the encoder and keeps what it computed.
    """

    def __init__(self, shape: tuple[int, ...], encoder: PromptMLP | LayerwiseEncoder | None) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = encoder
        self.prompt = nn.Parameter(torch.empty(shape)) if encoder is None else None

    def value(self) -> Tensor:
        if self.prompt is not None:
            return self.prompt
        assert self.encoder is not None
        return self._arrange(self.encoder())

    def fold(self) -> None:
        """Replace the encoder by the prompt that it computes: equal outputs, fewer parameters."""
        if self.encoder is not None:
            with torch.no_grad():
                folded = self.value().detach().clone(memory_format=torch.contiguous_format)
            self.encoder, self.prompt = None, nn.Parameter(folded)

    @torch.no_grad()
    def init_normal(self, std: float, generator: torch.Generator) -> None:
        """N(0, std) for prompts, embedding and weights of the MLP, 0 for its biases, as published."""
        if isinstance(self.encoder, LayerwiseEncoder):
            self.encoder.init_normal(std, generator)
            return
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            else:
                parameter.copy_(torch.empty_like(parameter, device="cpu").normal_(0.0, std, generator=generator))

    @torch.no_grad()
    def init_values(self, values: Tensor) -> None:
        """Start from `values`, of exactly the prompt's shape."""
        assert self.prompt is not None  # `build_model` refuses an encoder with prompt.init=vocabulary
        if values.shape != self.prompt.shape:
            raise ModelError(f"initial prompt has shape {tuple(values.shape)}, expected {tuple(self.prompt.shape)}")
        self.prompt.copy_(values)

    def _arrange(self, rows: Tensor) -> Tensor:
        """Rows `[P, out]` of the encoder in the prompt's shape."""
        return rows


def _encoder(cfg: PromptConfig, width: int, layers: int, out: int) -> PromptMLP | LayerwiseEncoder | None:
    """What computes rows `[P, out]` from vectors of `width`; None: the prompt itself is trained."""
    if cfg.reparameterization == "none":
        return None
    if cfg.reparameterization == "mlp":
        return PromptMLP(cfg.length, width, cfg.mlp_hidden, out)
    return LayerwiseEncoder(cfg.reparameterization, layers, cfg.length, width)


class DeepPrompts(Prompts):
    """Prompts for the chosen layers: keys and values `[L, 2, H, P, D]`, or hidden vectors `[L, P, hidden]`."""

    def __init__(self, cfg: PromptConfig, backbone: Shape, layers: tuple[int, ...]) -> None:
        shape: tuple[int, ...] = (len(layers), cfg.length, backbone.hidden)
        if cfg.form == "key-value":
            shape = (len(layers), 2, backbone.kv_heads, cfg.length, backbone.head_dim)
        super().__init__(shape, _encoder(cfg, backbone.hidden, len(layers), math.prod(shape) // cfg.length))
        self.layers = layers
        self.form = cfg.form
        self.dropout = cfg.dropout

    def forward(self, count_calls: bool = False) -> LayerPrompts:
        """The prompts of one forward pass; in training with their dropout."""
        layers = dict(zip(self.layers, self.value().unbind(0), strict=True))
        dropout = self.dropout if self.training else 0.0
        return LayerPrompts(layers, form=self.form, dropout=dropout, count_calls=count_calls)

    def _arrange(self, rows: Tensor) -> Tensor:
        if self.form != "key-value":
            return rows.unflatten(-1, (self.shape[0], self.shape[2])).transpose(0, 1)  # [L, P, hidden]
        count, two, heads, _, head_dim = self.shape
        return rows.unflatten(-1, (count, two, heads, head_dim)).permute(1, 2, 3, 0, 4)  # [L, 2, H, P, D]


class ShallowPrompts(Prompts):
    """Vectors `[P, embedding]` that go before the input embeddings."""

    def __init__(self, cfg: PromptConfig, backbone: Shape) -> None:
        encoder = _encoder(cfg, backbone.embedding, 1, backbone.embedding)
        super().__init__((cfg.length, backbone.embedding), encoder)

    def forward(self) -> Tensor:
        return self.value()


@torch.no_grad()
def vocabulary_prompts(model: nn.Module, shape: Shape, token_ids: Tensor, layers: tuple[int, ...], form: str) -> Tensor:
    """Prompts from real tokens: what each layer's key and value maps get and make of the text `token_ids` `[P]`.

    Returns `[L, 2, H, P, D]`, or with form `hidden` the inputs of these maps, `[L, P, hidden]`. Hooks see each call in
    order, so a module that serves several layers (albert) is no special case.
    """
    calls: list[tuple[Tensor, Tensor, Tensor]] = []
    pending: dict[nn.Module, tuple[Tensor, Tensor]] = {}
    hooks = []
    for module in model.modules():
        if hasattr(module, "key_and_value"):

            def keep_both(attention: nn.Module, inputs: tuple[Tensor, ...]) -> None:
                calls.append((inputs[0][0], *attention.key_and_value(inputs[0][0])))  # type: ignore[operator]

            hooks.append(module.register_forward_pre_hook(keep_both))
            continue
        pair = projections(module)
        if pair is None:
            continue
        key, value = pair

        def keep_key(linear: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            pending[linear] = (inputs[0][0], output[0])

        def keep_value(_: nn.Module, __: tuple[Tensor], output: Tensor, key: nn.Module = key) -> None:
            calls.append((*pending.pop(key), output[0]))

        hooks += [key.register_forward_hook(keep_key), value.register_forward_hook(keep_value)]
    try:
        with evaluating(model):
            model(input_ids=token_ids[None], attention_mask=torch.ones_like(token_ids[None]))
    finally:
        for hook in hooks:
            hook.remove()
    if len(calls) != shape.layers:
        raise ModelError(
            f"prompt.init=vocabulary needs separate key and value maps in all {shape.layers} layers, "
            f"{type(model).__name__} has them in {len(calls)}; use prompt.init=normal"
        )
    chosen = [calls[layer] for layer in layers]
    if form == "hidden":
        return torch.stack([hidden for hidden, _, _ in chosen])
    split = (shape.kv_heads, shape.head_dim)
    return torch.stack(
        [torch.stack([states.unflatten(-1, split).transpose(0, 1) for states in pair]) for _, *pair in chosen]
    )
