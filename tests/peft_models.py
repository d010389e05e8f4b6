"""Models far from nothing, exported for PEFT and scored there by the code on the card."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from tiny import run_config, tiny_batch
from torch import Tensor

from ptv2.interchange.card import code
from ptv2.interchange.peft_adapter import (
    Adapter,
    read_adapter,
    write_adapter,
)
from ptv2.interchange.peft_format import to_peft
from ptv2.models.build import HeadSpec, PromptedModel, build_model
from ptv2.models.families import FAMILIES

SPECS = {
    kind: HeadSpec(kind, number)  # type: ignore[arg-type]
    for kind, number in (("classification", 3), ("choice", 2), ("tagging", 4), ("span", 2))
}


LAYOUTS = {name: family.layout for name, family in FAMILIES.items() if family.layout is not None}


DEEP = sorted(name for name, layout in LAYOUTS.items() if layout.deep)


SHOWN_WHOLE = {"bert", "gpt2", "roberta"}  # one of each way to read a text; the others differ only in names


def kinds(family: str) -> list[str]:
    """The kinds of head that are compared for a model type."""
    return list(SPECS) if family in SHOWN_WHOLE else ["classification", "span"]


def build(
    base: Path | str,
    kind: str = "classification",
    method: str = "p-tuning-v2",
    pooler: str = "none",
    lora: dict[str, Any] | None = None,
    **prompt: Any,
) -> PromptedModel:
    """A model on the checkpoint `base` whose prompts, or LoRA, and head are far from nothing."""
    model = build_plain(base, kind, method, pooler, lora, **prompt)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad or name.startswith("pooler"):
                if name.startswith("pooler") and model.pooler_origin == "checkpoint" and not parameter.requires_grad:
                    continue  # it is the checkpoint's
                parameter.copy_(torch.empty_like(parameter).normal_(0.0, 0.5, generator=generator))
    return model


def build_plain(
    base: Path | str, kind: str, method: str, pooler: str, lora: dict[str, Any] | None, **prompt: Any
) -> PromptedModel:
    """A model on the checkpoint `base`, as a run begins with it."""
    off = {"hidden_dropout": None, "attention_dropout": None}
    config = run_config(None, method, prompt, path=str(base), lora={"rank": 4, "alpha": 1, **(lora or {})}, **off)
    config = config.model_copy(update={"model": config.model.model_copy(update={"config": {}, "pooler": pooler})})
    return build_model(config, SPECS[kind]).eval()


def batch_for(model: PromptedModel, types: bool = False) -> dict[str, Tensor]:
    batch = tiny_batch(pad=model.config.pad_token_id, choices=2 if model.spec.kind == "choice" else None)
    batch.pop("labels")
    if types and getattr(model.config, "type_vocab_size", 0) > 1:
        batch["token_type_ids"] = (batch["input_ids"] % 2) * batch["attention_mask"]
    return batch


def scores_in_peft(model: PromptedModel, adapter: Adapter, folder: Path, batch: dict[str, Tensor]) -> Tensor:
    """What the card's code gives, in the adapter's folder."""
    names: dict[str, Any] = {}
    here = Path.cwd()
    try:
        os.chdir(folder)
        exec(code(model, adapter), names)
    finally:
        os.chdir(here)
    return names["scores"](dict(batch))


def assert_same_scores(model: PromptedModel, base: Path | str, folder: Path, **options: Any) -> Adapter:
    """Export, load with PEFT, compare the scores of real tokens; returns what was written."""
    adapter = to_peft(model, str(base), **options)
    write_adapter(adapter, folder)
    if model.prompts is not None:
        adapter = read_adapter(folder)
    batch = batch_for(model, types=True)
    with torch.no_grad():
        ours = model(batch)["scores"]
    theirs = scores_in_peft(model, adapter, folder, batch)
    assert ours.shape == theirs.shape
    if not model.head.pooled:
        real = batch["attention_mask"].bool()
        ours, theirs = ours[real], theirs[real]
    assert ours.std() > 0.02
    torch.testing.assert_close(theirs, ours, atol=2e-5, rtol=1e-5)
    return adapter
