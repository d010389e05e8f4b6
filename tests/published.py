"""Cases of the published code (tests/reference/README.md) put onto our model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tiny import run_config
from torch import Tensor, nn

from ptv2.models.build import HeadSpec, PromptedModel, build_model
from ptv2.models.prompts import DeepPrompts

FOLDER = Path(__file__).parent / "reference"
SPECS = {
    "seqcls": HeadSpec("classification", 3),
    "tokcls": HeadSpec("tagging", 5),
    "qa": HeadSpec("span", 2),
    "mc": HeadSpec("choice", 2),
}
CONFIG_KEYS = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "hidden_act", "intermediate_size"),
    *("max_position_embeddings", "type_vocab_size", "layer_norm_eps", "pad_token_id"),
    # deberta
    *("relative_attention", "max_relative_positions", "position_biased_input", "pos_att_type"),
    *("pooler_hidden_act", "pooler_dropout"),
)


class Case:
    """One reference case: its numbers, and our model with its weights."""

    def __init__(self, name: str, attention: str = "sdpa") -> None:
        self.about: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
        self.tensors = {
            key: tensor.float() if tensor.is_floating_point() else tensor
            for key, tensor in load_file(FOLDER / f"{name}.safetensors").items()
        }
        self.model = self._build(attention)
        self.load(self.of("state."))

    def of(self, prefix: str) -> dict[str, Tensor]:
        return {key.removeprefix(prefix): t for key, t in self.tensors.items() if key.startswith(prefix)}

    def load(self, state: dict[str, Tensor]) -> None:
        """Fill our model from published names; those that `state` lacks stay."""
        with torch.no_grad():
            for name, parameter in self.published().items():
                if name in state:
                    parameter.copy_(self.arranged(name, state[name]))

    def arranged(self, name: str, tensor: Tensor) -> Tensor:
        """A published tensor in the shape of ours: flat prompts are `[P, layers * 2 * hidden]` there."""
        prompts = self.model.prompts
        if name == "prefix_encoder.embedding.weight" and isinstance(prompts, DeepPrompts) and prompts.encoder is None:
            return prompts._arrange(tensor)
        return tensor

    def published(self) -> dict[str, nn.Parameter]:
        """All of our parameters under their published names."""
        backbone = self.about["backbone"]
        return {self._rename(name, backbone): p for name, p in self.model.named_parameters()}

    def _build(self, attention: str) -> PromptedModel:
        about, config = self.about, self.about["config"]
        method = about.get("method", "prefix")
        prompt: dict[str, Any] = {"length": about["config"]["pre_seq_len"], "embedding": "published"}
        if config.get("prefix_projection"):
            prompt |= {"reparameterization": "mlp", "mlp_hidden": config["prefix_hidden_size"]}
        known = {key: config[key] for key in CONFIG_KEYS if key in config}
        if isinstance(known.get("pos_att_type"), list):
            known["pos_att_type"] = "|".join(known["pos_att_type"])
        cfg = run_config(
            {"model_type": about["backbone"], **known},
            "p-tuning-v2" if method == "prefix" else "prompt-tuning",
            prompt,
            head={"span_padding": "published"},
            attention=attention,
        )
        return build_model(cfg, SPECS[about["task"]]).eval()

    def _rename(self, name: str, backbone: str) -> str:
        shallow = "prefix_encoder.weight" if self.about.get("method") == "prompt" else "prefix_encoder.embedding.weight"
        for ours, theirs in (
            ("backbone.", f"{backbone}."),
            ("pooler.", "pooler." if backbone == "deberta" else f"{backbone}.pooler."),
            ("head.linear.", "qa_outputs." if self.about["task"] == "qa" else "classifier."),
            ("prompts.prompt", shallow),
            ("prompts.encoder.embedding", "prefix_encoder.embedding.weight"),
            ("prompts.encoder.mlp.", "prefix_encoder.trans."),
        ):
            if name.startswith(ours):
                return theirs + name.removeprefix(ours)
        raise AssertionError(name)
