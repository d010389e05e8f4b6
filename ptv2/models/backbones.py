"""Load a backbone: a transformer of transformers with its attention routed through `ptv2.models.attention`.

It comes from the embedded package, a random configuration, a local folder or the hub; always as safetensors, in float32
or `model.dtype`, without its pooler (pooling is done in `ptv2.models.build`).
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import MODEL_FOR_MASKED_LM_MAPPING, PreTrainedConfig

from ptv2.config.schema import ModelConfig
from ptv2.errors import ModelError, first_line, quote
from ptv2.models.attention import Form, LayerPrompts
from ptv2.models.checkpoints import file_of_weight, hash_weights, resolve
from ptv2.models.configs import (
    NO_BACKBONE,
    attention_name,
    is_causal_type,
    no_backbone,
    output_width,
    random_config,
    read_config,
)
from ptv2.models.disentangled import use_disentangled_attention
from ptv2.models.dropout import evaluating
from ptv2.models.families import FAMILIES, NO_DEEP_PROMPTS, Family, family_of
from ptv2.models.fingerprint import hash_config
from ptv2.models.foreign import naming_fault
from ptv2.models.heads import Pooler, init_linear
from ptv2.models.language_model import LanguageModelHead, auto_class, fit_head, take_apart
from ptv2.models.probe import can_be_read, is_causal, reads_padding
from ptv2.models.prompts import Shape
from ptv2.models.quantized import loading_options
from ptv2.models.relative import use_relative_attention
from ptv2.models.seeding import seeded


@dataclass(frozen=True)
class Identity:
    """Which backbone this is. `revision` is a commit of the hub, `sha256` is over the weights.

    `config_sha256` is over config.json and the tokenizer; None where a commit or `model.sha256` says which these are.
    """

    name: str
    revision: str | None
    sha256: str
    config_sha256: str | None = None


log = logging.getLogger(__name__)
# A weight of a numbered layer; of those that a checkpoint holds besides, buffers of older versions are none.
_OF_LAYER = re.compile(
    r"(?:^|\.)(?:layers?|h|blocks?)\.\d+\.(?!.*(?:inv_freq|masked_bias|attn\.bias|attention\.bias)$)"
)

# A model of transformers, whose weights it has, and whether these lack the pooler.
Loaded = tuple[Any, Identity, bool]


@dataclass
class Backbone:
    """A loaded transformer without pooler. `pooler_origin` says whether `pooler` is trained or freshly drawn.

    `language_model` is what makes words of its hidden states, where that was asked for.
    """

    model: nn.Module
    pooler: Pooler
    pooler_origin: Literal["checkpoint", "random"]
    config: PreTrainedConfig
    family: Family
    identity: Identity
    language_model: LanguageModelHead | None = None

    @property
    def shape(self) -> Shape:
        config = self.config
        heads = getattr(config, "num_attention_heads", 1)  # types without attention have none
        return Shape(
            layers=config.num_hidden_layers,
            hidden=config.hidden_size,
            kv_heads=getattr(config, "num_key_value_heads", None) or heads,
            head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
            embedding=self._word_embeddings().shape[1],
        )

    def _word_embeddings(self) -> Tensor:
        try:
            return self.model.get_input_embeddings().weight  # type: ignore[operator]
        except (AttributeError, NotImplementedError) as error:
            raise ModelError(
                f"a {self.family.model_type} backbone has no table of word embeddings beside which a prompt could "
                "stand; use method=fine-tuning, or another backbone"
            ) from error


def load_backbone(cfg: ModelConfig, seed: int, given: Loaded | None = None, language_model: bool = False) -> Backbone:
    """The backbone that `cfg` names; `seed` draws what no checkpoint gives. The global generator stays as it is.

    `given` is a model to make the backbone of, in the place of the one that `cfg` names; `language_model` asks for what
    makes words of its hidden states too.

    Raises `ModelError` when it cannot be found or read, has other weights than `cfg.sha256`, or lacks some of them.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        load = _random_model if cfg.path == "config:" else _pretrained_model
        model, identity, fresh_pooler = given or load(cfg, language_model)
        words = None
        if language_model:
            model, words = take_apart(model)
        pooler, from_checkpoint = _take_pooler(model)
    model.config.use_cache = False
    if getattr(model.config, "pad_token_id", None) is None:
        end = getattr(model.config, "eos_token_id", None)  # decoders pad with it; llama 3 has several
        model.config.pad_token_id = (end[0] if isinstance(end, list) else end) or 0
    family = _closer(family_of(model.config.model_type), model)
    if not family.shared_layers:
        _number_layers(model)
    if family.adapter == "relative":
        use_relative_attention(model, f"ptv2_{cfg.attention}")
    elif family.adapter == "disentangled":
        use_disentangled_attention(model, f"ptv2_{cfg.attention}")
    origin: Literal["checkpoint", "random"] = "checkpoint" if from_checkpoint and not fresh_pooler else "random"
    if origin == "random":
        init_linear(pooler.dense, seeded(seed, "pooler"))
    if cfg.gradient_checkpointing:
        _checkpoint_gradients(model, family)
    return Backbone(model, pooler, origin, model.config, family, identity, words)


def with_pooler_of(backbone: Backbone, seed: int) -> Backbone:
    """The same transformer with a pooler of its own, as `load_backbone` gives it with `seed`; for checkpoints only."""
    pooler = copy.deepcopy(backbone.pooler)
    if backbone.pooler_origin == "random":
        init_linear(pooler.dense, seeded(seed, "pooler"))
    return replace(backbone, pooler=pooler.requires_grad_())


def layers(model: nn.Module, count: int) -> list[nn.Module]:
    """The layers of a backbone: the longest list of modules in it; one that serves several times (albert) is one."""
    lists = [list(module) for module in model.modules() if isinstance(module, nn.ModuleList) and len(module) <= count]
    return max(lists, key=len, default=[])


def verify_prompts(backbone: Backbone, layers: Iterable[int] | None = None, form: Form = "key-value") -> None:
    """Make sure, by one tiny forward pass, that each of `layers` (None: all) consumes its prompt of this form.

    Raises `ModelError` for backbones that have no attention or whose attention ignores the keyword: training would go
    on without prompts.
    """
    family, shape = backbone.family, backbone.shape
    if (instead := NO_DEEP_PROMPTS.get(family.model_type)) is not None:
        raise ModelError(
            f"a {family.model_type} backbone has no keys and values for prompts: {instead}; "
            "use method=prompt-tuning or fine-tuning, or another backbone"
        )
    wanted = set(range(shape.layers) if layers is None else layers)
    weight = next(backbone.model.parameters())
    size = (2, shape.kv_heads, 1, shape.head_dim) if form == "key-value" else (1, shape.hidden)
    prompt = torch.zeros(size, device=weight.device)
    prompts = LayerPrompts(dict.fromkeys(wanted, prompt), form=form, count_calls=family.shared_layers)
    ids = torch.zeros(1, 2, dtype=torch.long, device=weight.device)
    try:
        with evaluating(backbone.model), torch.no_grad():
            backbone.model(input_ids=ids, attention_mask=torch.ones_like(ids), prompts=prompts)
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise ModelError(f"{family.model_type} as backbone does not take prompts: {first_line(error)}") from error
    if prompts.taken != wanted:
        instead = f"prompt.layers={sorted(prompts.taken)}, or " if prompts.taken else "another backbone, or "
        raise ModelError(
            f"{family.model_type} as backbone: {len(prompts.taken)} of {len(wanted)} layers took their prompts; the "
            f"attention of the others does not go through transformers' AttentionInterface; expected {instead}"
            "method=prompt-tuning, lora or fine-tuning"
        )


def _pretrained_model(cfg: ModelConfig, language_model: bool) -> Loaded:
    folder, revision = resolve(cfg)
    sha256 = hash_weights(folder, cfg.path)
    if cfg.sha256 is not None and sha256 != cfg.sha256:
        raise ModelError(f"{cfg.path}: the weights have SHA-256 {sha256}, expected {cfg.sha256} (model.sha256)")
    config = read_config(folder, cfg)
    quantized = loading_options(cfg)
    with naming_fault(f"{cfg.path}: cannot be loaded as a backbone"):
        if language_model:
            fit_head(config, folder)
        model, info = auto_class(config, language_model=language_model).from_pretrained(
            folder,
            config=config,
            dtype=getattr(torch, cfg.dtype),
            use_safetensors=True,
            trust_remote_code=cfg.trust_remote_code,
            attn_implementation=attention_name(config, cfg),
            output_loading_info=True,
            **quantized,
        )
    missing = {str(key) for key in info["missing_keys"]}
    pooler = {key for key in missing if key.startswith("pooler.")}
    if language_model and (lacking := {key for key in missing if not key.startswith(model.base_model_prefix)}):
        raise ModelError(
            f"{cfg.path}: the checkpoint lacks the language-model head that head.kind=verbalizer needs: "
            f"{', '.join(sorted(lacking)[:3])}; use head.kind=linear"
        )
    unread = {str(key) for key in info["unexpected_keys"]}
    if missing != pooler:
        raise ModelError(
            f"{cfg.path}: the checkpoint lacks weights of the backbone{_common_start(missing, unread)}: "
            f"{', '.join(sorted(missing)[:5])}"
        )
    if of_layers := sorted(filter(_OF_LAYER.search, unread)):
        log.warning(
            "%s: %d weights of layers are in the checkpoint that the backbone of its config.json has not, and are not "
            "read: %s, ...",
            cfg.path,
            len(of_layers),
            of_layers[0],
        )
    _check_finite(model, folder, cfg.path)
    name = cfg.path if revision or cfg.path.startswith("embedded:") else folder.resolve().name
    return model, Identity(name, revision, sha256, hash_config(cfg, folder)), bool(pooler)


def _common_start(missing: Iterable[str], there: Iterable[str]) -> str:
    """Say what stands before the names of the missing weights in the checkpoint, as `module.` of DDP; perhaps empty."""
    name = next(iter(sorted(missing)))
    start = next((key.removesuffix(name) for key in sorted(there) if key.endswith(f".{name}")), "")
    return f", or has them under names that begin with {quote(start)}" if start else ""


def _check_finite(model: Any, folder: Path, path: str) -> None:
    """Refuse weights that are NaN or infinite; takes a fifth of the time of their hash."""
    for name, weight in model.named_parameters():
        if weight.dtype not in (torch.float32, torch.bfloat16, torch.float16) or not weight.numel():
            continue
        if not torch.isfinite(torch.stack(torch.aminmax(weight.detach()))).all():
            file = file_of_weight(name, folder, path)
            raise ModelError(f"{file}: {name} has values that are NaN or infinite; expected finite weights")


def _random_model(cfg: ModelConfig, language_model: bool) -> Loaded:
    """A model of `cfg.config` with weights from the global generator, which the caller has seeded."""
    config = random_config(cfg)
    try:
        model = auto_class(config, language_model=language_model).from_config(
            config, attn_implementation=attention_name(config, cfg), dtype=torch.float32
        )
    except NO_BACKBONE as error:
        raise no_backbone(config.model_type, error) from error
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    model.to(getattr(torch, cfg.dtype))  # after the hash, which is of a checkpoint's own weights too
    return model, Identity(f"config:{config.model_type}", None, digest.hexdigest()), True


def _take_pooler(model: Any) -> tuple[Pooler, bool]:
    """Take the pooler out of `model`; a new one where it has none of the known form (dense, tanh)."""
    pooler = getattr(model, "pooler", None)
    dense = pooler if isinstance(pooler, nn.Linear) else getattr(pooler, "dense", None)
    if pooler is not None:
        model.pooler = None
    if family_of(model.config.model_type).context_pooler:
        return Pooler(model.config.hidden_size, model.config.pooler_hidden_act, model.config.pooler_dropout), False
    pooler = Pooler(output_width(model.config))
    if not isinstance(dense, nn.Linear) or dense.weight.shape != pooler.dense.weight.shape:
        return pooler, False
    pooler.dense.load_state_dict(dense.state_dict())  # in float32 like the head, as it may be trained with it
    return pooler, True


def _closer(family: Family, model: Any) -> Family:
    """`family`, or for a type without a row what its modules do: whether it is causal, and so takes positions."""
    if family.model_type in FAMILIES:
        return family
    causal = is_causal_type(model.config) or any(getattr(module, "is_causal", False) for module in model.modules())
    if can_be_read(model):
        causal = causal or (type(model.config) not in MODEL_FOR_MASKED_LM_MAPPING and is_causal(model))
        if reads_padding(model):
            log.warning(
                "%s as backbone: padding changes what it makes of a text, so a score depends on the other texts of its "
                "batch",
                family.model_type,
            )
    numbered = causal and "position_ids" in inspect.signature(model.forward).parameters
    return replace(family, causal=causal, positions="real" if numbered else "own")


def _number_layers(model: Any) -> None:
    """Give attention modules that do not know their layer's number that number."""
    for number, layer in enumerate(layers(model, model.config.num_hidden_layers)):
        for module in layer.modules():
            if "Attention" in type(module).__name__ and getattr(module, "layer_idx", None) is None:
                module.layer_idx = number  # type: ignore[assignment]


def _checkpoint_gradients(model: Any, family: Family) -> None:
    if not model.supports_gradient_checkpointing:
        raise ModelError(f"model.gradient_checkpointing: transformers has none for {family.model_type}; switch it off")
    settings = {"use_reentrant": False}
    if hasattr(model, "activation_checkpointing_enable"):  # its name from transformers 5.23 on
        model.activation_checkpointing_enable(activation_checkpointing_kwargs=settings)
    else:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=settings)
    # Both also make the embeddings' output require a gradient, which only reentrant checkpointing needs: it would send
    # the backward pass through the frozen layers below the first prompt.
    model.disable_input_require_grads()
