"""The two files of an adapter of PEFT: `adapter_config.json` and `adapter_model.safetensors`; never a pickle.

Knows no model: what stands in the files, and which settings of a run mean the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ptv2.errors import ModelError, first_line
from ptv2.files import write_bytes_whole, write_json_whole

CONFIG, WEIGHTS, PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
HEADER = "ptv2"  # key of our JSON object in the weights' metadata, which PEFT does not read
PREFIX, PROMPT = "PREFIX_TUNING", "PROMPT_TUNING"
SEQUENCE, TOKENS, SPAN = "SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS"
EMBEDDINGS = "prompt_embeddings"


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
        return int(self.config["num_virtual_tokens"])


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
        settings["prompt.positions"] = str(adapter.header.get("positions", "shifted"))
    else:
        settings["prompt.embedding"] = "once"
    has_pooler = any(name.endswith("dense.weight") for name in adapter.tensors)
    pooler = "trained" if has_pooler else "published" if adapter.task_type == SEQUENCE else "none"
    return {**settings, "model.pooler": pooler}


def check_kind(adapter: Adapter, kind: str) -> None:
    """Raise `ModelError` unless the adapter's scores are those of a head of this kind."""
    known = {SEQUENCE: ("classification", "choice"), TOKENS: ("tagging",), SPAN: ("span",)}[adapter.task_type]
    kinds = (str(adapter.header["kind"]),) if "kind" in adapter.header else known
    if kind not in kinds:
        raise ModelError(f"the adapter ({adapter.task_type}) is for {' or '.join(kinds)}, the task needs {kind}")
    if not adapter.deep and adapter.task_type == SEQUENCE:
        raise ModelError("PEFT reads a text behind shallow prompts at the first prompt, ptv2 at the text's own token")


def write_adapter(adapter: Adapter, folder: str | Path) -> None:
    """Write both files into `folder`, the weights first."""
    metadata = {"format": "pt", HEADER: json.dumps(adapter.header, ensure_ascii=False)}
    write_bytes_whole(Path(folder) / WEIGHTS, save(adapter.tensors, metadata=metadata))
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
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(HEADER, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, ValueError) as error:
        raise ModelError(f"{folder}: not an adapter, or torn ({first_line(error)})") from error
    for key, known in (("peft_type", (PREFIX, PROMPT)), ("task_type", (SEQUENCE, TOKENS, SPAN))):
        if config.get(key) not in known:
            raise ModelError(f"{folder / CONFIG}: {key} is {config.get(key)}, expected one of {', '.join(known)}")
    prompt, length = tensors.get(EMBEDDINGS), config.get("num_virtual_tokens")
    if prompt is None or prompt.dim() != 2 or prompt.shape[0] != length:
        found = "missing" if prompt is None else list(prompt.shape)
        raise ModelError(f"{folder / WEIGHTS}: {EMBEDDINGS} is {found}, expected [{length}, N]")
    return Adapter(config, tensors, header)
