"""The two files of an adapter of PEFT: `adapter_config.json` and `adapter_model.safetensors`; never a pickle.

Knows no model: what stands in the files, and which settings of a run mean the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints, ValidationError

from ptv2.errors import ModelError, NonFiniteError, first_line, shorten
from ptv2.files import write_json_whole
from ptv2.models.foreign import read_object, refuse_lfs_pointer
from ptv2.tensor_files import DamagedFileError, read_tensors, write_tensors

if TYPE_CHECKING:
    from torch import Tensor

CONFIG, WEIGHTS, PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
HEADER = "ptv2"  # key of our JSON object in the weights' metadata, which PEFT does not read
PREFIX, PROMPT, LORA = "PREFIX_TUNING", "PROMPT_TUNING", "LORA"
SEQUENCE, TOKENS, SPAN = "SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS"
EMBEDDINGS = "prompt_embeddings"


# A name or path that goes into a setting: read as it stands, so nothing that a configuration would replace.
Literally = Annotated[str, StringConstraints(strict=True, pattern=r"^[^$\x00-\x1f]*$", max_length=1000)]


class _Config(BaseModel):
    """What is used of adapter_config.json."""

    num_virtual_tokens: Annotated[int, Field(strict=True, gt=0, le=100_000)]
    base_model_name_or_path: Literally | None = None
    revision: Literally | None = None


class _Header(BaseModel):
    """What is used of our own JSON object."""

    task: Literally | None = None
    path: Literally | None = None
    labels: list[str] | None = None
    kind: Literal["classification", "choice", "tagging", "span"] | None = None
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
    settings = {
        "method": "p-tuning-v2" if adapter.deep else "prompt-tuning",
        "prompt.length": str(adapter.length),
        "prompt.init": "normal",
        "prompt.reparameterization": "none",
        "head.kind": "linear",
    }
    if adapter.deep:
        settings |= {"prompt.form": "key-value", "prompt.layers": "all"}
        settings["prompt.positions"] = adapter.header.get("positions") or "shifted"
    else:
        settings["prompt.embedding"] = "once"
    has_pooler = any(name.endswith("dense.weight") for name in adapter.tensors)
    pooler = "trained" if has_pooler else "published" if adapter.task_type == SEQUENCE else "none"
    return {**settings, "model.pooler": pooler}


def check_kind(adapter: Adapter, kind: str) -> None:
    """Raise `ModelError` unless the adapter's scores are those of a head of this kind."""
    known = {SEQUENCE: ("classification", "choice"), TOKENS: ("tagging",), SPAN: ("span",)}[adapter.task_type]
    kinds = (adapter.header["kind"],) if adapter.header.get("kind") else known
    if kind not in kinds:
        raise ModelError(f"the adapter ({adapter.task_type}) is for {' or '.join(kinds)}, the task needs {kind}")
    if not adapter.deep and adapter.task_type == SEQUENCE:
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
    for key, known in (("peft_type", (PREFIX, PROMPT)), ("task_type", (SEQUENCE, TOKENS, SPAN))):
        if config.get(key) not in known:
            value = shorten(str(config.get(key)))
            raise ModelError(f"{folder / CONFIG}: {key} is {value}, expected one of {', '.join(known)}")
    _check(folder / CONFIG, _Config, config)
    _check(folder / WEIGHTS, _Header, header)
    prompt, length = tensors.get(EMBEDDINGS), config["num_virtual_tokens"]
    if prompt is None or prompt.dim() != 2 or prompt.shape[0] != length:
        shape = "missing" if prompt is None else list(prompt.shape)
        raise ModelError(f"{folder / WEIGHTS}: {EMBEDDINGS} is {shape}, expected [{length}, N]")
    if damaged := [name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())]:
        raise NonFiniteError(f"{folder / WEIGHTS}: {shorten(damaged[0])} holds NaN or infinity")
    return Adapter(config, tensors, header)


def _check(path: Path, kind: type[BaseModel], value: Any) -> None:
    """Raise `ModelError`, naming the file and the key, unless `value` is what `kind` says."""
    if not isinstance(value, dict):
        raise ModelError(f"{path}: expected a JSON object, found {type(value).__name__}")
    try:
        kind.model_validate(value)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(step) for step in fault["loc"])
        raise ModelError(f"{path}: {key} is {shorten(repr(fault['input']))}, which ptv2 cannot use") from error
