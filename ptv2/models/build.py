"""Backbone + prompts + head as one module: `forward(batch)` gives scores, and the loss when there are labels.

The method decides what is trained and how prompts enter; it never chooses head, pooling or loss.
Letters: B rows, C choices, T text tokens, P prompt length.
"""

from __future__ import annotations

from dataclasses import asdict
from importlib import import_module
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from ptv2.config.methods import Method
from ptv2.config.schema import ModelConfig, PromptConfig, RunConfig
from ptv2.errors import ConfigError, ModelError
from ptv2.models.attention import LayerPrompts
from ptv2.models.backbones import Backbone, Identity, load_backbone, verify_prompts
from ptv2.models.configs import output_width
from ptv2.models.dropout import use_compact_dropout
from ptv2.models.families import FAMILIES, Family
from ptv2.models.heads import AnyHead, HeadSpec, SeveralHeads, VerbalizerHead, build_head, last_places
from ptv2.models.linear import use_frozen_linear
from ptv2.models.positions import Positions, max_text_length, position_ids
from ptv2.models.probe import can_be_read, check_shallow
from ptv2.models.prompts import DeepPrompts, Prompts, ShallowPrompts, choose_layers, vocabulary_prompts
from ptv2.models.seeding import seeded

__all__ = ["HeadSpec", "PromptedModel", "build_model", "describe", "trainable_parameters", "trained_by_name"]

Groups = dict[str, dict[str, nn.Parameter]]


class SharedBackbone(Protocol):
    """A backbone that several models use in one pass; see `ptv2.training.together`."""

    def forward(self, inputs: dict[str, Any], prompts: LayerPrompts | None) -> Tensor:
        """The last states of these rows, a leaf of the graph."""

    def backward(self) -> None:
        """Pass its gradient on to the prompts."""


class PromptedModel(nn.Module):
    """A backbone with a head, and with the prompts of its method. Make it with `build_model`."""

    def __init__(
        self, backbone: Backbone, head: AnyHead, spec: HeadSpec, cfg: RunConfig, prompts: Prompts | None
    ) -> None:
        super().__init__()
        self.backbone = backbone.model
        # Published classifiers of decoders have no pooler: one linear map reads the last token.
        pools = cfg.model.pooler == "trained" or (cfg.model.pooler == "published" and not backbone.family.causal)
        self.pooler = backbone.pooler if head.pooled and pools else None
        self.head = head
        self.prompts = prompts
        self.spec = spec
        self.method: Method = cfg.tuning
        self.embedding = cfg.prompt.embedding
        self.lora = cfg.lora.model_dump(mode="json") if self.method.backbone == "lora" else None
        self.family: Family = backbone.family
        self.config = backbone.config
        self.identity: Identity = backbone.identity
        self.pooler_origin = backbone.pooler_origin
        self.prompt_length = 0 if prompts is None else cfg.prompt.length
        # Shallow prompts are part of the sequence, so the text is always behind them.
        self.positions: Positions = cfg.prompt.positions if self.method.prompts == "deep" else "shifted"
        self._token_types = getattr(backbone.config, "type_vocab_size", 0) > 1
        self.together: SharedBackbone | None = None  # in training, beside other models
        if self.method.backbone != "all":
            self._freeze(cfg)
        use_compact_dropout(self)

    def _freeze(self, cfg: RunConfig) -> None:
        """Freeze the backbone, but for what the method trains of it; a language model's head counts as backbone."""
        language_model = [self.head] if isinstance(self.head, VerbalizerHead) else []
        keeps_pooler = self.pooler is not None and cfg.model.pooler == "published" and not self.family.context_pooler
        pooler = [self.pooler] if self.pooler is not None and keeps_pooler else []
        for module in (self.backbone, *language_model, *pooler):
            module.requires_grad_(False)
        if self.method.backbone not in (None, "all"):
            method = import_module(f"ptv2.models.{self.method.backbone}")
            method.train(self.backbone, cfg, self.family.model_type, *language_model, *pooler)
        for module in (self.backbone, *language_model):
            use_frozen_linear(module)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Scores of a batch, and its loss.

        Args:
            batch: `input_ids` and optionally `attention_mask` (none: no padding), `token_type_ids`, each `[B, T]`
                (multiple choice `[B, C, T]`, a verbalizer's words behind the text `[B, W, T]`), and the labels that the
                head knows; with several heads the number `head` of one.

        Returns:
            `scores` in float32 (`[B, N]`, `[B, C]`, `[B, T, N]` or `[B, T, 2]` by kind of head); with labels also
            `loss_sum` and `count`, whose quotient over all processes and accumulation steps is the mean loss.
        """
        choices = batch["input_ids"].shape[:-1]  # [B] or [B, C]
        inputs: dict[str, Tensor] = {
            name: batch[name].flatten(0, -2)
            for name in ("input_ids", "attention_mask", "token_type_ids")
            if name in batch
        }
        padded = "attention_mask" in inputs
        inputs.setdefault("attention_mask", torch.ones_like(inputs["input_ids"]))
        if not self._token_types:
            inputs.pop("token_type_ids", None)
        hidden = self._hidden_states(inputs, padded=padded)  # [B * C, (P +) T, hidden]
        first = hidden.shape[1] - inputs["input_ids"].shape[1]
        head = self.head.of(batch) if isinstance(self.head, SeveralHeads) else self.head
        if isinstance(head, VerbalizerHead):
            scores = head(hidden[:, first:], inputs["input_ids"], inputs["attention_mask"])
        elif head.pooled:
            pooled = self._read_text(hidden, inputs["attention_mask"], first)
            if self.pooler is not None:
                pooled = self.pooler(pooled)
            scores = head(pooled.unflatten(0, choices))
        else:
            scores = head(hidden[:, first:])
        loss = head.loss(scores, batch)
        if loss is None:
            return {"scores": scores}
        return {"scores": scores, "loss_sum": loss[0], "count": loss[1]}

    @property
    def max_text_length(self) -> int | None:
        """The longest text, in tokens, that fits beside the prompt; None: no limit."""
        return self._max_text_length(self.prompt_length)

    def _max_text_length(self, prompt_length: int) -> int | None:
        shallow = isinstance(self.prompts, ShallowPrompts)
        return max_text_length(self.config, self.family, prompt_length, self.positions, shallow=shallow)

    @property
    def has_random_frozen_pooler(self) -> bool:
        """Whether scores are read through a random projection that stays as it is (the published roberta)."""
        return self.pooler is not None and self.pooler_origin == "random" and not self.pooler.dense.weight.requires_grad

    def check_length(self, text_length: int) -> None:
        """Raise `ModelError`, with the largest length that fits, when prompt and text are longer than the positions."""
        longest = self.max_text_length
        if longest is None or text_length <= longest:
            return
        fits = "no text fits beside this prompt"
        if longest > 0:
            fits = f"the longest text that fits is {longest} tokens (task.max_length)"
        room = self._max_text_length(0) or 0
        if longest < text_length < room:  # without a prompt the text would fit
            fits += f"; the longest prompt beside this text is {room - text_length} tokens (prompt.length)"
        raise ModelError(
            f"prompt of {self.prompt_length} and text of {text_length} tokens are over the positions of this "
            f"{self.family.model_type} backbone; {fits}"
        )

    def check_ids(self, highest: int) -> None:
        """Raise `ModelError` when the backbone has no embedding for the token number `highest`."""
        _check_ids(self.backbone, highest)

    def identity_record(self) -> dict[str, str | None]:
        """Name, revision and hashes of the backbone, for records and artifacts."""
        return {key: value for key, value in asdict(self.identity).items() if key != "config_sha256" or value}

    def trainable_parameters(self) -> Groups:
        """See the function of this name."""
        return trainable_parameters(self)

    def read(self, inputs: dict[str, Tensor]) -> Tensor:
        """The last hidden states of texts, behind a prompt that stands before them."""
        return self._hidden_states(dict(inputs))

    def _hidden_states(self, inputs: dict[str, Any], *, padded: bool = True) -> Tensor:
        """The last hidden state `[B, T, hidden]`; with shallow prompts `[B, P + T, hidden]`.

        Where a token sees only those near it, shallow prompts and the token that stands for the text see all and are
        seen by all, as that token is in transformers' LongformerForSequenceClassification. Without padding an encoder
        gets no mask. Decoders keep it: without one transformers would read the positions.
        """
        if isinstance(self.prompts, ShallowPrompts):
            prompt = self.prompts().expand(inputs["input_ids"].shape[0], -1, -1)
            inputs = self._put_before_input(inputs, prompt)
        else:
            shift = self.prompt_length if self.positions == "shifted" else 0
            positions = position_ids(self.family, self.config, inputs["attention_mask"], shift, inputs["input_ids"])
            if positions is not None:
                inputs["position_ids"] = positions
        if not padded and not self.family.causal and self.family.positions != "blocks":
            inputs = {**inputs, "attention_mask": None}
        if self.family.global_attention:
            before = self.prompt_length if isinstance(self.prompts, ShallowPrompts) else 0
            inputs["global_attention_mask"] = self._global(inputs, before + 1)
        deep = isinstance(self.prompts, DeepPrompts)
        prompts = self.prompts(count_calls=self.family.shared_layers) if deep else None  # type: ignore[misc]
        if self.together is not None and self.training:
            return self.together.forward(inputs, prompts)
        options = {} if prompts is None else {"prompts": prompts}
        return self.backbone(**inputs, **options).last_hidden_state

    def _global(self, inputs: dict[str, Any], count: int) -> Tensor:
        """A mask `[B, T]` of int64 with ones for the first `count` tokens."""
        texts = inputs["inputs_embeds"] if "inputs_embeds" in inputs else inputs["input_ids"]
        places = torch.arange(texts.shape[1], device=texts.device)
        return (places < count).long().expand(texts.shape[0], -1)

    def _put_before_input(self, inputs: dict[str, Tensor], prompt: Tensor) -> dict[str, Tensor]:
        """Inputs of one pass over prompt `[B, P, embedding]` and text.

        `published` sends the text through the whole embedding module first and leaves position and type of this second
        pass to the model (FINDINGS: `BertPromptForSequenceClassification.forward`), so the text is embedded twice.
        """
        ids, text_mask = inputs["input_ids"], inputs["attention_mask"]
        mask = torch.cat((text_mask.new_ones(prompt.shape[:2]), text_mask), dim=1)
        if self.embedding == "published":
            known = {name: inputs[name] for name in ("token_type_ids",) if name in inputs}
            text = self.backbone.embeddings(input_ids=ids, **known)  # type: ignore[operator]
            return {"inputs_embeds": torch.cat((prompt.to(text.dtype), text), dim=1), "attention_mask": mask}
        text = self.backbone.get_input_embeddings()(ids)  # type: ignore[operator]
        prompted = {"inputs_embeds": torch.cat((prompt.to(text.dtype), text), dim=1), "attention_mask": mask}
        all_ids = functional.pad(ids, (prompt.shape[1], 0), value=-1)  # -1: no token of the vocabulary
        positions = position_ids(self.family, self.config, mask, 0, all_ids)
        if positions is not None:
            prompted["position_ids"] = positions
        if "token_type_ids" in inputs:
            types = inputs["token_type_ids"]
            prompted["token_type_ids"] = torch.cat((types.new_zeros(prompt.shape[:2]), types), dim=1)
        return prompted

    def _read_text(self, hidden: Tensor, text_mask: Tensor, first: int) -> Tensor:
        """The hidden state that stands for each text, `[B * C, hidden]`; the text begins at `first`.

        The first token's, or in a causal model the last's that is no padding. The published shallow multiple choice
        reads the first prompt instead.
        """
        if self.family.causal:
            return hidden[torch.arange(hidden.shape[0], device=hidden.device), first + last_places(text_mask)]
        published = self.embedding == "published" and self.spec.kind == "choice"
        return hidden[:, 0 if published and isinstance(self.prompts, ShallowPrompts) else first]


def build_model(
    cfg: RunConfig, head: HeadSpec, init_token_ids: Tensor | None = None, backbone: Backbone | None = None
) -> PromptedModel:
    """Load the backbone and put the method's prompts and a new head on it.

    Args:
        init_token_ids: `[P]`, the tokens that `prompt.init=vocabulary` starts from; None: drawn from the vocabulary.
        backbone: one that is loaded already.

    Raises:
        ConfigError: settings of the prompt that do not go together or do not fit the backbone.
        ModelError: the backbone cannot be loaded, or does not take prompts.
    """
    if cfg.tuning.prompts is not None and cfg.prompt.init == "vocabulary":
        if cfg.prompt.reparameterization != "none":
            raise ConfigError(
                "prompt.init=vocabulary gives the prompt itself, which an MLP or LSTM cannot be set to compute; "
                "choose prompt.init=normal or prompt.reparameterization=none"
            )
        if cfg.tuning.prompts == "deep" and cfg.prompt.form == "memory":
            raise ConfigError("prompt.init=vocabulary gives what follows the norm; choose prompt.form=hidden with it")
    changed = _what_changes_the_backbone(cfg)
    if changed is not None and cfg.model.dtype != "float32":
        raise ConfigError(
            f"model.dtype={cfg.model.dtype}: {changed} would lose small updates in it; expected float32, with "
            "trainer.precision=bf16 for its speed"
        )
    if changed is not None and cfg.model.quantization != "none":
        raise ConfigError(f"model.quantization={cfg.model.quantization}: {changed} cannot train it; expected none")
    verbalizer = head.kind == "verbalizer"
    if verbalizer and cfg.model.quantization != "none":
        raise ConfigError(
            f"model.quantization={cfg.model.quantization}: the language-model head of head.kind=verbalizer cannot be "
            "quantized; expected none, or head.kind=linear"
        )
    backbone = backbone or load_backbone(cfg.model, cfg.seed, language_model=verbalizer)
    width, generator = output_width(backbone.config), seeded(cfg.seed, "head")
    new_head = build_head(head, width, cfg.head, generator, backbone.language_model)
    model = PromptedModel(backbone, new_head, head, cfg, _build_prompts(cfg, backbone, init_token_ids))
    unknown = backbone.family.model_type not in FAMILIES
    if unknown and isinstance(model.prompts, ShallowPrompts) and can_be_read(backbone.model):
        check_shallow(backbone.model, model.read)
    return model


def _what_changes_the_backbone(cfg: RunConfig) -> str | None:
    """What trains the backbone's own weights, in the user's words; None: nothing, or only what stands beside them."""
    if cfg.tuning.package == "peft":
        return f"lora.bias={cfg.lora.bias}" if cfg.method == "lora" and cfg.lora.bias != "none" else None
    return None if cfg.tuning.backbone is None else cfg.method


def trainable_parameters(model: nn.Module) -> Groups:
    """What is trained, as `prompt`, `head` and `backbone`, each by its name in `model`; empty groups are left out.

    The one answer to that question: optimizer, counts, checkpoints and artifact all ask here. A pooler that is trained
    belongs to the backbone where all of that is trained, and to the head otherwise; a verbalizer's language model to
    the backbone.
    """
    owner = {"prompts": "prompt", "head": "head", "backbone": "backbone"}
    method: Method = model.method  # type: ignore[assignment]
    owner["pooler"] = "backbone" if method.backbone == "all" else "head"
    if isinstance(model.head, VerbalizerHead):
        owner["head"] = "backbone"
    groups: Groups = {"prompt": {}, "head": {}, "backbone": {}}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[owner[name.split(".", 1)[0]]][name] = parameter
    return {name: group for name, group in groups.items() if group}


def trained_by_name(model: nn.Module) -> dict[str, nn.Parameter]:
    """All that is trained, by its name in `model`."""
    return {name: parameter for group in trainable_parameters(model).values() for name, parameter in group.items()}


def describe(model: PromptedModel) -> dict[str, Any]:
    """Counts for the record: parameters `trained` (by group too), `total`, `percent`; prompted layers; pooler."""
    groups = {name: sum(p.numel() for p in group.values()) for name, group in trainable_parameters(model).items()}
    total = sum(p.numel() for p in model.parameters())
    trained = sum(groups.values())
    return {
        "trained": trained,
        "total": total,
        "percent": round(100 * trained / total, 4),
        "groups": groups,
        "layers": list(model.prompts.layers) if isinstance(model.prompts, DeepPrompts) else [],
        "pooler": None if model.pooler is None else model.pooler_origin,
    }


def _build_prompts(cfg: RunConfig, backbone: Backbone, token_ids: Tensor | None) -> Prompts | None:
    if cfg.tuning.prompts is None:
        return None
    layers: tuple[int, ...] = ()
    prompts: Prompts
    if cfg.tuning.prompts == "shallow":
        if cfg.prompt.embedding == "published" and not hasattr(backbone.model, "embeddings"):
            raise ConfigError(
                "prompt.embedding=published sends the text through the embedding module twice, and a "
                f"{backbone.family.model_type} backbone has none; use prompt.embedding=once"
            )
        prompts = ShallowPrompts(cfg.prompt, backbone.shape)
    else:
        layers = choose_layers(cfg.prompt.layers, backbone.shape.layers)
        verify_prompts(backbone, layers, cfg.prompt.form)
        prompts = DeepPrompts(cfg.prompt, backbone.shape, layers)
    if cfg.prompt.init == "normal":
        prompts.init_normal(cfg.prompt.init_std, seeded(cfg.seed, "prompt"))
    else:
        tokens = _initial_tokens(cfg.prompt, cfg.model, backbone, cfg.seed) if token_ids is None else token_ids
        _check_ids(backbone.model, int(tokens.max()))
        longest = max_text_length(backbone.config, backbone.family, 0, "unshifted")
        if longest is not None and len(tokens) > longest:
            raise ModelError(
                f"prompt.length={len(tokens)}: prompt.init=vocabulary reads the prompt as a text, and this "
                f"{backbone.family.model_type} backbone takes at most {longest} tokens"
            )
        prompts.init_values(_vocabulary_values(backbone, tokens, layers, cfg.prompt.form))
    return prompts


def _check_ids(backbone: nn.Module, highest: int) -> None:
    try:
        rows = backbone.get_input_embeddings().weight.shape[0]  # type: ignore[operator]
    except (AttributeError, NotImplementedError):  # no table of words: another kind of input
        return
    if highest >= rows:
        raise ModelError(
            f"the tokenizer gives token number {highest}, the backbone has embeddings for 0 to {rows - 1}: tokens were "
            "added to only one of them; expected a tokenizer and weights that belong together"
        )


def _initial_tokens(prompt: PromptConfig, model: ModelConfig, backbone: Backbone, seed: int) -> Tensor:
    """Any tokens of the vocabulary but padding; who has the tokenizer passes better ones (`vocabulary_tokens`)."""
    size = backbone.config.vocab_size
    if prompt.length >= size:
        raise ConfigError(
            f"prompt.length={prompt.length}: {model.name} has a vocabulary of {size} tokens to start from"
        )
    order = torch.randperm(size, generator=seeded(seed, "vocabulary"))
    return order[order != backbone.config.pad_token_id][: prompt.length]


def _vocabulary_values(backbone: Backbone, token_ids: Tensor, layers: tuple[int, ...], form: str) -> Tensor:
    embeddings = backbone.model.get_input_embeddings()  # type: ignore[operator]
    token_ids = token_ids.to(embeddings.weight.device)  # where a quantized backbone is already
    if layers:
        return vocabulary_prompts(backbone.model, backbone.shape, token_ids, layers, form)
    return embeddings(token_ids).detach()
