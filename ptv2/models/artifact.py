"""The trained parts of a model in one file, and back onto the same backbone.

`artifact.safetensors` holds what was trained and no more: prompts (an MLP folded away) and head, or after fine-tuning
everything. A random pooler that stayed frozen is kept too, as scores are read through it. The file's header carries
one JSON object that says what it belongs to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ptv2.errors import ModelError, NonFiniteError
from ptv2.models.build import HeadSpec, PromptedModel, trained_by_name
from ptv2.models.prompts import DeepPrompts
from ptv2.run_folders.weights import FILE, HEADER, read_artifact
from ptv2.tensor_files import DamagedFileError, read_tensors, write_tensors

PROMPTS = "prompts."  # names of tensors


def save_artifact(model: PromptedModel, folder: str | Path, extra: dict[str, Any], *, to_go_on: bool = False) -> None:
    """Write what was trained into `folder`; `extra` (labels, task, ...) comes back from `read_artifact`.

    Args:
        to_go_on: keep an MLP beside the prompt that it computes, for `load_start`.
    """
    header = {**_belonging(model), "extra": extra}
    tensors = _tensors(model)
    if to_go_on and model.prompts is not None:
        tensors |= {f"{PROMPTS}{name}": parameter for name, parameter in model.prompts.named_parameters()}
    write_tensors(Path(folder) / FILE, tensors, HEADER, json.dumps(header, ensure_ascii=False))


def load_artifact(model: PromptedModel, folder: str | Path) -> dict[str, Any]:
    """Put the artifact of `folder` on `model`, folding the model's MLP away; returns its `extra`.

    Raises `ModelError` when it is missing or damaged, or belongs to another backbone, method, head or prompt.
    """
    header, tensors = _read(Path(folder))
    _check(header, _belonging(model), Path(folder))
    if model.prompts is not None:
        model.prompts.fold()
    _copy(tensors, _tensors(model), Path(folder))
    return header["extra"]


def load_start(model: PromptedModel, folder: str | Path, task: str) -> dict[str, Any]:
    """Begin the training of `model` where one of several tasks ended: with its prompts and with the head of `task`.

    Returns:
        The artifact's `extra`.

    Raises:
        ModelError: the artifact is missing or damaged, has no such head, or belongs to another backbone or prompt.
    """
    header, tensors = _read(Path(folder))
    heads = header["head"].get("several", {})
    expected = _belonging(model)
    expected.pop("pooler")  # one that only other tasks read through is no matter
    _check({**header, "head": heads.get(task)}, expected, Path(folder))
    head = f"head.heads.{list(heads).index(task)}."
    named = {re.sub(f"^{re.escape(head)}", "head.", name): tensor for name, tensor in tensors.items()}
    trained = trained_by_name(model)
    _copy({name: tensor for name, tensor in named.items() if name in trained}, trained, Path(folder))
    return header["extra"]


def _check(header: dict[str, Any], expected: dict[str, Any], folder: Path) -> None:
    """Raise `ModelError` unless the header says what is expected."""
    for key, have in expected.items():
        if key == "backbone" and have.get("sha256") == (header.get(key) or {}).get("sha256"):
            check_config(header, have, folder / FILE)
        elif header.get(key) != have:
            raise ModelError(f"{folder / FILE}: belongs to another {key}: {_differs(header.get(key), have)}")


def check_config(header: dict[str, Any], backbone: dict[str, Any], place: Path) -> None:
    """Raise `ModelError` if what `place` holds was trained with another config.json or tokenizer than `backbone` has.

    Of pinned backbones, and of runs that were made before these files counted, this is not known.
    """
    before, now = header["backbone"].get("config_sha256"), backbone.get("config_sha256")
    if before is not None and now is not None and before != now:
        raise ModelError(
            f"{place}: was trained with another config.json or tokenizer than {backbone['name']} has now; put those "
            "files back, or train again"
        )


def _copy(tensors: Mapping[str, Tensor], to: Mapping[str, Tensor], folder: Path) -> None:
    """Copy all tensors; raises `ModelError` unless exactly those are there."""
    if tensors.keys() != to.keys():
        odd = sorted(tensors.keys() ^ to.keys())
        raise ModelError(f"{folder / FILE}: does not have the tensors of this model: {', '.join(odd[:5])}")
    with torch.no_grad():
        for name, parameter in to.items():
            parameter.copy_(tensors[name])


def _tensors(model: PromptedModel) -> dict[str, Tensor]:
    """What the file holds, by name."""
    trained = trained_by_name(model).items()
    tensors: dict[str, Tensor] = {name: tensor for name, tensor in trained if not name.startswith(PROMPTS)}
    if model.prompts is not None:
        tensors[f"{PROMPTS}prompt"] = model.prompts.value()
    if model.pooler is not None and model.pooler_origin == "random":
        tensors |= {f"pooler.{name}": tensor for name, tensor in model.pooler.named_parameters()}
    return tensors


def _belonging(model: PromptedModel) -> dict[str, Any]:
    """What must be equal for an artifact to fit a model, as JSON gives it back."""
    prompt: dict[str, Any] | None = None
    if model.prompts is not None:
        prompt = {"shape": list(model.prompts.shape), "positions": model.positions}
        if isinstance(model.prompts, DeepPrompts):
            prompt |= {"form": model.prompts.form, "layers": list(model.prompts.layers)}
        else:
            prompt |= {"embedding": model.embedding}
    return {
        "backbone": model.identity_record(),
        "method": model.method.name,
        "head": _describe_head(model.spec),
        "pooler": model.pooler is not None,
        "prompt": prompt,
        "lora": model.lora,
    }


def _describe_head(spec: HeadSpec) -> dict[str, Any]:
    head: dict[str, Any] = {"kind": spec.kind, "num_labels": spec.num_labels}
    if (words := spec.words) is not None:
        head |= {"words": [list(tokens) for tokens in words.tokens], "labels": list(words.labels)}
    if spec.several:
        head |= {"several": {name: _describe_head(one) for name, one in spec.several.items()}}
    return head


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    path = folder / FILE
    header = read_artifact(folder)
    try:
        _, tensors = read_tensors(path, HEADER, required=False)
    except DamagedFileError as error:
        raise ModelError(f"{path}: not an artifact of ptv2, or damaged") from error
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise NonFiniteError(f"{path}: {name} holds NaN or infinity; nothing can be predicted with it")
    return header, tensors


def _differs(saved: Any, have: Any) -> str:
    if isinstance(saved, dict) and isinstance(have, dict):
        odd = [key for key in have if saved.get(key) != have[key]]
        return ", ".join(f"{key} is {saved.get(key)} in the artifact and {have[key]} here" for key in odd)
    return f"{saved} in the artifact and {have} here"
