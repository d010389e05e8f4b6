"""The two files of an adapter of PEFT: `adapter_config.json` and `adapter_model.safetensors`; never a pickle.

Knows no model: what stands in the files, and which settings of a run mean the same.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints, ValidationError

from ptv2.config.multitask import in_override
from ptv2.errors import ModelError, NonFiniteError, first_line, kind_of, quote, shorten
from ptv2.files import write_json_whole
from ptv2.models.foreign import read_object, refuse_lfs_pointer
from ptv2.tensor_files import DamagedFileError, read_tensors, write_tensors

if TYPE_CHECKING:
    from torch import Tensor

CONFIG, WEIGHTS, PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
HEADER = "ptv2"  # key of our JSON object in the weights' metadata, which PEFT does not read
PREFIX, PROMPT, LORA, IA3 = "PREFIX_TUNING", "PROMPT_TUNING", "LORA", "IA3"
SEQUENCE, TOKENS, SPAN = "SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS"
EMBEDDINGS = "prompt_embeddings"
POOLER_LORA = ".pooler.dense.lora_A.weight"  # beside a checkpoint's pooler, which is no part of our backbones


# A name or path that goes into a setting: read as it stands, so nothing that a configuration would replace.
Literally = Annotated[str, StringConstraints(strict=True, pattern=r"^[^$\x00-\x1f]*$", max_length=1000)]


class _Config(BaseModel):
    """What is used of adapter_config.json."""

    base_model_name_or_path: Literally | None = None
    revision: Literally | None = None


class _PromptConfig(_Config):
    num_virtual_tokens: Annotated[int, Field(strict=True, gt=0, le=100_000)]


class _LoraConfig(_Config):
    r: Annotated[int, Field(strict=True, gt=0)]
    lora_alpha: Annotated[float, Field(strict=True, gt=0)]
    lora_dropout: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.0
    bias: Literal["none", "all", "lora_only"] = "none"
    use_rslora: Annotated[bool, Field(strict=True)] = False  # alpha counts by the root of the rank
    # Others change the backbone's weights too.
    init_lora_weights: bool | Literal["gaussian", "orthogonal", "eva"] | None = True


# What an adapter of layers may say: nothing else that changes what they compute, or which there are.
_KNOWN_OF_LAYERS = {
    *_LoraConfig.model_fields,
    *("peft_type", "task_type", "peft_version", "auto_mapping", "inference_mode", "fan_in_fan_out", "eva_config"),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "modules_to_save"),
    *("megatron_core", "qalora_group_size", "feedforward_modules", "init_ia3_weights"),
}
_MARKS = {LORA: "lora_A", IA3: "ia3_l"}  # of tensors of layers, by type of adapter


class _Header(BaseModel):
    """What is used of our own JSON object."""

    task: Literally | None = None
    path: Literally | None = None
    labels: list[str] | None = None
    kind: Literal["classification", "choice", "tagging", "span"] | None = None
    targets: list[Literally] | Literal["query-value", "all-linear"] | None = None
    positions: Literal["shifted", "unshifted"] | None = None
    backbone: dict[str, Literally | None] | None = None


@dataclass(frozen=True)
class Adapter:
    """The two files. `header` is what ptv2 adds about task and head; empty in adapters of PEFT's own."""

    config: dict[str, Any]
    tensors: dict[str, Tensor]
    header: dict[str, Any] = field(default_factory=dict)

    @property
    def task_type(self) -> str:
        """`SEQ_CLS`, `TOKEN_CLS` or `QUESTION_ANS`: which class of transformers it belongs on."""
        return str(self.config["task_type"])

    @property
    def deep(self) -> bool:
        return bool(self.config["peft_type"] == PREFIX)

    @property
    def length(self) -> int:
        """Prompt tokens; LoRA has none."""
        return int(self.config.get("num_virtual_tokens", 0))


def settings_of(adapter: Adapter) -> dict[str, str]:
    """The settings of a run that computes what PEFT computes with this adapter, as `key: value`."""
    has_pooler = any(name.endswith(("dense.weight", POOLER_LORA)) for name in adapter.tensors)
    pooler = "trained" if has_pooler else "published" if adapter.task_type == SEQUENCE else "none"
    return {
        **(_settings_of_layers(adapter) if adapter.config["peft_type"] in _MARKS else _settings_of_prompts(adapter)),
        "head.kind": "linear",
        "model.pooler": pooler,
    }


def _settings_of_layers(adapter: Adapter) -> dict[str, str]:
    config = adapter.config
    if config["peft_type"] == IA3:
        return {"method": "ia3"}
    alpha = config["lora_alpha"] * (config["r"] ** 0.5 if config.get("use_rslora") else 1)
    return {
        "method": "lora",
        "lora.rank": str(config["r"]),
        "lora.alpha": repr(float(alpha)),
        "lora.dropout": repr(float(config.get("lora_dropout", 0))),
        "lora.targets": in_override(adapter.header.get("targets") or _targets(adapter)),
        "lora.bias": config.get("bias", "none"),
    }


def _targets(adapter: Adapter) -> list[str]:
    """The maps beside which LoRA stands: by the names in the configuration if these mean all of them, else in full."""
    config, marked = adapter.config, ".lora_A."
    # base_model.model.PREFIX.NAME.lora_A.weight
    beside = [name for name in adapter.tensors if marked in name and not name.endswith(POOLER_LORA)]
    modules = [name.split(marked)[0].split(".", 3)[-1] for name in beside]
    listed = config.get("target_modules")
    if isinstance(listed, list) and not any(config.get(key) for key in ("exclude_modules", "layers_to_transform")):
        meant = [name for name in map(str, listed) if any(f".{module}".endswith(f".{name}") for module in modules)]
        if all(any(f".{module}".endswith(f".{name}") for name in meant) for module in modules):
            return sorted(meant)
    return modules


def _settings_of_prompts(adapter: Adapter) -> dict[str, str]:
    settings = {
        "method": "p-tuning-v2" if adapter.deep else "prompt-tuning",
        "prompt.length": str(adapter.length),
        "prompt.init": "normal",
        "prompt.reparameterization": "none",
    }
    if adapter.deep:
        settings |= {"prompt.form": "key-value", "prompt.layers": "all"}
        settings["prompt.positions"] = adapter.header.get("positions") or "shifted"
    else:
        settings["prompt.embedding"] = "once"
    return settings


def check_kind(adapter: Adapter, kind: str) -> None:
    """Raise `ModelError` unless the adapter's scores are those of a head of this kind."""
    known = {SEQUENCE: ("classification", "choice"), TOKENS: ("tagging",), SPAN: ("span",)}[adapter.task_type]
    kinds = (adapter.header["kind"],) if adapter.header.get("kind") else known
    if kind not in kinds:
        raise ModelError(f"the adapter ({adapter.task_type}) is for {' or '.join(kinds)}, the task needs {kind}")
    if adapter.config["peft_type"] == PROMPT and adapter.task_type == SEQUENCE:
        raise ModelError("PEFT reads a text behind shallow prompts at the first prompt, ptv2 at the text's own token")


def write_adapter(adapter: Adapter, folder: str | Path) -> None:
    """Write both files into `folder`, the weights first."""
    header = json.dumps(adapter.header, ensure_ascii=False)
    write_tensors(Path(folder) / WEIGHTS, adapter.tensors, HEADER, header, format="pt")
    write_json_whole(Path(folder) / CONFIG, adapter.config)


def read_adapter(folder: str | Path) -> Adapter:
    """The adapter in `folder`.

    Raises:
        ModelError: there is none, it is a pickle, it is damaged, or it is of a kind that ptv2 has no method for.
    """
    folder = Path(folder)
    if not (folder / CONFIG).is_file():
        raise ModelError(f"{folder}: no adapter of PEFT (it has no {CONFIG})")
    if not (folder / WEIGHTS).is_file():
        what = f"its weights are a pickle ({PICKLE})" if (folder / PICKLE).is_file() else f"it has no {WEIGHTS}"
        raise ModelError(f"{folder}: {what}; load it with PEFT and save it again with save_pretrained")
    config = read_object(folder / CONFIG)
    refuse_lfs_pointer(folder / WEIGHTS)
    try:
        text, tensors = read_tensors(folder / WEIGHTS, HEADER, required=False, default="{}")
        header = json.loads(text)
    except (DamagedFileError, ValueError, RecursionError) as error:
        raise ModelError(f"{folder / WEIGHTS}: not an adapter, or damaged ({first_line(error)})") from error
    for key, known in (("peft_type", (PREFIX, PROMPT, LORA, IA3)), ("task_type", (SEQUENCE, TOKENS, SPAN))):
        if config.get(key) not in known:
            value = shorten(str(config.get(key)))
            raise ModelError(f"{folder / CONFIG}: {key} is {value}, expected one of {', '.join(known)}")
    kinds: dict[str, type[_Config]] = {LORA: _LoraConfig, IA3: _Config}
    _check(folder / CONFIG, kinds.get(config["peft_type"], _PromptConfig), config)
    _check(folder / WEIGHTS, _Header, header)
    if config["peft_type"] in _MARKS:
        _check_layers(folder, config, tensors)
    else:
        prompt, length = tensors.get(EMBEDDINGS), config["num_virtual_tokens"]
        if prompt is None or prompt.dim() != 2 or prompt.shape[0] != length:
            shape = "missing" if prompt is None else list(prompt.shape)
            raise ModelError(f"{folder / WEIGHTS}: {EMBEDDINGS} is {shape}, expected [{length}, N]")
    if damaged := [name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())]:
        raise NonFiniteError(f"{folder / WEIGHTS}: {shorten(damaged[0])} holds NaN or infinity")
    return Adapter(config, tensors, header)


def _check_layers(folder: Path, config: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Raise `ModelError` for kinds of LoRA or (IA)3 that ptv2 has not, such as DoRA or ranks that differ."""
    for key in sorted(config.keys() - _KNOWN_OF_LAYERS):
        if config[key]:
            raise ModelError(f"{folder / CONFIG}: {key} is {shorten(repr(config[key]))}, which ptv2 cannot use")
    if odd := [name for name in tensors if not re.fullmatch(r"[\w.]+", name)]:  # names become settings
        raise ModelError(f"{folder / WEIGHTS}: {quote(odd[0])} is no name of a module's weight")
    mark = _MARKS[config["peft_type"]]
    if not any(f".{mark}" in name for name in tensors):
        raise ModelError(f"{folder / WEIGHTS}: has no tensor of {config['peft_type']} ({mark})")


def _check(path: Path, kind: type[BaseModel], value: Any) -> None:
    """Raise `ModelError`, naming the file and the key, unless `value` is what `kind` says."""
    if not isinstance(value, dict):
        raise ModelError(f"{path}: expected a JSON object, found {kind_of(value)}")
    try:
        kind.model_validate(value)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(part) for part in fault["loc"])
        value = "missing" if fault["type"] == "missing" else f"{shorten(repr(fault['input']))}, which ptv2 cannot use"
        raise ModelError(f"{path}: {key} is {value}") from error
