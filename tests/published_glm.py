"""Cases of the published GLM code (tests/reference/glm/README.md) put onto our model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tiny import run_config
from torch import Tensor, nn
from torch.nn import functional

from ptv2.models.attention import LayerPrompts
from ptv2.models.build import HeadSpec, PromptedModel, build_model
from ptv2.models.prompts import DeepPrompts

FOLDER = Path(__file__).parent / "reference" / "glm"
CASES = sorted(path.stem for path in FOLDER.glob("*.safetensors"))
TOKENS = {"pad_token_id": 110, "eos_token_id": 110, "cls_token_id": 113, "sop_token_id": 111, "eop_token_id": 112}
# Ours: theirs; the longer beginnings first.
NAMES = {
    "backbone.position_table": "transformer.position_embeddings",
    "backbone.block_table": "transformer.block_position_embeddings",
    "backbone.layers": "transformer.layers",
    "backbone.final_layernorm": "transformer.final_layernorm",
    "backbone.": "",
    "pooler.dense": "pool_layer",
    "head.linear": "multichoice_head",
}
INSIDE = {
    "attention.norm": "input_layernorm",
    "mlp.norm": "post_attention_layernorm",
    "attention.query": "attention.query_key_value",
    "attention.key": "attention.query_key_value",
    "attention.value": "attention.query_key_value",
}
ENCODER = {
    "prompts.prompt": "embedding.weight",
    "prompts.encoder.embedding": "embedding.weight",
    "prompts.encoder.lstm": "lstm_head",
    "prompts.encoder.mlp": "mlp_head",
}


class Case:
    """One reference case: its numbers, and our model with its weights."""

    def __init__(self, name: str, attention: str = "sdpa", spec: HeadSpec | None = None) -> None:
        self.about: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
        self.tensors = {
            key: tensor.float() if tensor.is_floating_point() else tensor
            for key, tensor in load_file(FOLDER / f"{name}.safetensors").items()
        }
        self.input = self.of("input.")
        self.expected = self.of("output.")
        self.task: str = self.about["task"]
        self.model = self._build(attention, spec)
        self.load(self.of("state."))

    def of(self, prefix: str) -> dict[str, Tensor]:
        return {key.removeprefix(prefix): t for key, t in self.tensors.items() if key.startswith(prefix)}

    def published(self) -> dict[str, list[nn.Parameter]]:
        """Our parameters under their published names; query, key and value share one."""
        named: dict[str, list[nn.Parameter]] = {}
        for name, parameter in self.model.named_parameters():
            if self.task in ("classification", "multiple-choice") or not name.startswith(("pooler.", "head.")):
                named.setdefault(self._rename(name), []).append(parameter)
        return named

    def load(self, state: dict[str, Tensor]) -> None:
        assert set(state) == set(self.published())
        with torch.no_grad():
            for name, parameters in self.published().items():
                for part, parameter in zip(state[name].chunk(len(parameters)), parameters, strict=True):
                    parameter.copy_(self.arranged(name, part))

    def arranged(self, name: str, tensor: Tensor) -> Tensor:
        """A published tensor in the shape of ours: deep prompts are `[P, layers * hidden]` there."""
        prompts = self.model.prompts
        flat = (
            name == "prefix_encoder.embedding.weight" and isinstance(prompts, DeepPrompts) and prompts.encoder is None
        )
        return prompts._arrange(tensor) if flat else tensor

    def real(self) -> Tensor:
        """1 at tokens, 0 at padding, in the shape of the token ids."""
        places = torch.arange(self.input["input_ids"].shape[-1])
        context = places < self.input["attention_mask"][..., None]
        piece = self.input.get("logit_mask", self.input.get("loss_mask", torch.zeros(()))) != 0
        return (context | piece).long()

    def hidden(self) -> Tensor:
        """Last hidden states `[..., T, hidden]` of the cloze and classification cases, as our model lays texts out."""
        ids, real = self.input["input_ids"], self.real()
        if self.about["method"] == "prompt":  # replaced in place, whereas our shallow prompts go in front
            words = self.model.backbone.word_embeddings(ids)
            places = self.input["prompt_pos"][..., None].expand(*ids.shape[:-1], -1, words.shape[-1])
            words = words.scatter(-2, places, self.model.prompts().expand_as(places))
            positions = self.input["position_ids"].flatten(0, -3)
            flat = self.model.backbone(
                inputs_embeds=words.flatten(0, -3), attention_mask=real.flatten(0, -2), position_ids=positions
            ).last_hidden_state
        else:
            inputs = {"input_ids": ids.flatten(0, -2), "attention_mask": real.flatten(0, -2)}
            flat = self.model._hidden_states(inputs)
        return flat.unflatten(0, ids.shape[:-1])

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden @ self.model.backbone.word_embeddings.weight.T

    def scores_and_loss(self) -> tuple[Tensor, Tensor]:
        """Scores of labels or choices `[B, N]`, and the case's loss."""
        labels = self.input["labels"]
        if self.task == "cloze-single":
            at_piece = self.hidden()[torch.arange(len(labels)), self.input["attention_mask"]]
            scores = self.logits(at_piece).gather(-1, self.input["target_ids"])
        elif self.task == "cloze-multi":
            scores = self._choice_scores()
        elif self.task == "multiple-choice":  # reads the last token of the context
            last = (self.input["attention_mask"] - 1)[..., None, None]
            hidden = self.hidden()
            pooled = hidden.gather(-2, last.expand(*last.shape[:-1], hidden.shape[-1])).squeeze(-2)
            scores = self.model.head(self.model.pooler(pooled))
        else:
            output = self.model({"input_ids": self.input["input_ids"], "attention_mask": self.real(), "labels": labels})
            return output["scores"], output["loss_sum"] / output["count"]
        there = self.input.get("loss_mask", torch.ones(scores.shape))  # 0: a choice that only fills the row up
        loss = functional.cross_entropy(scores.masked_fill(there == 0, float("-inf")), labels)
        if self.about.get("loss_function") == "mix":
            loss = loss - scores.gather(-1, labels[:, None]).mean()
        return scores, loss

    def _choice_scores(self) -> Tensor:
        """Log probabilities of whole answers, `[B, choices]`."""
        given = self.input["logit_mask"]
        chances = self.logits(self.hidden()).log_softmax(-1)
        scores = (chances.gather(-1, self.input["target_ids"][..., None]).squeeze(-1) * given).sum(-1)
        return scores / given.sum(-1) ** self.about["length_penalty"]

    def language_model(self, prompts: LayerPrompts | None = None, prefix: str = "", row: int | None = None) -> Tensor:
        """Last hidden states of the plain cases (of one `row`), positions and mask as given."""
        rows = slice(None) if row is None else slice(row, row + 1)
        ids, mask = self.input[f"{prefix}input_ids"][rows], self.input[f"{prefix}attention_mask"]
        if mask.dim() < 2:
            length = ids.shape[-1]
            context = torch.arange(length) < mask.expand(ids.shape[0])[:, None]
            mask = (context[:, None] | torch.ones(length, length).tril().bool())[:, None]
        mask = mask[rows, ..., -ids.shape[-1] :]  # columns of prompts, always seen, are not ours to give
        positions = self.input[f"{prefix}position_ids"][rows]
        backbone = self.model.backbone
        return backbone(ids, attention_mask=mask, position_ids=positions, prompts=prompts).last_hidden_state

    def _build(self, attention: str, spec: HeadSpec | None) -> PromptedModel:
        about, config = self.about, self.about["config"]
        sizes = {
            "vocab_size": config["vocab_size"],
            "hidden_size": config["hidden_size"],
            "num_hidden_layers": config["num_layers"],
            "num_attention_heads": config["num_attention_heads"],
            "max_position_embeddings": 65,
        }
        prompt: dict[str, Any] = {"positions": "unshifted", "length": about.get(f"{about['method']}_length", 1)}
        if (function := about.get("prompt_function") or "none") != "none":
            prompt["reparameterization"] = f"glm-{function}"
        if about["method"] == "prefix":
            prompt["form"] = "memory" if about["backbone"] == "glm-memory" else "hidden"
        method = {"prefix": "p-tuning-v2", "prompt": "prompt-tuning", "none": "fine-tuning"}[about["method"]]
        spec = spec or (HeadSpec("choice", 2) if self.task == "multiple-choice" else HeadSpec("classification", 3))
        model = {"model_type": "glm-2021", "mask_token_ids": [114], **sizes, **TOKENS}
        return build_model(run_config(model, method, prompt, attention=attention), spec).eval()

    def _rename(self, name: str) -> str:
        if name.startswith("prompts."):
            ours = next(ours for ours in ENCODER if name.startswith(ours))
            theirs = "prefix_encoder." if self.about["method"] == "prefix" else "prompt_spell."
            renamed = theirs + ENCODER[ours] + name.removeprefix(ours)
            return renamed.replace("prompt_spell.embedding", "prompt_spell.spell_embeddings")
        ours = next(ours for ours in NAMES if name.startswith(ours))
        renamed = NAMES[ours] + name.removeprefix(ours)
        for part, theirs in INSIDE.items():
            renamed = renamed.replace(f"{part}.", f"{theirs}.")
        if self.about["backbone"] == "glm-swiss":
            renamed = renamed.replace("transformer.block_position", "mixins.block_position_embedding.block_position")
            return renamed.replace("word_embeddings", "transformer.word_embeddings")
        below = self.task in ("classification", "multiple-choice") and name.startswith("backbone.")
        return f"model.{renamed}" if below else renamed
