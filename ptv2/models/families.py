"""What differs between model types, as data: one row a type. Imports no torch, so that `ptv2 list` can print it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Family:
    """Facts about one `model_type` of transformers.

    `positions` says how positions, absolute or rotary, are numbered: `arange` counts from 0, `real` counts real tokens
    from 0 wherever the padding stands, `padding` counts real tokens from `pad_id + 1` and leaves padding at `pad_id`,
    `blocks` has position and block position (glm-2021), `own` leaves the numbering to the model. `causal`: a token sees
    only what is before it, so a text is read at its last token. `shared_layers`: one module serves several layers, so
    calls are counted.
    `fused`: keys and values do not come from two plain linear maps, so `prompt.form=hidden` and
    `prompt.init=vocabulary` at the layers are impossible. `adapter` names our module that takes prompts where attention
    does not go through AttentionInterface. `context_pooler`: its classifiers have a pooler of their own, new and
    trained under every method. `checkpointing`: its gradients can be checkpointed.
    """

    model_type: str
    positions: Literal["arange", "real", "padding", "blocks", "own"] = "own"
    causal: bool = False
    shared_layers: bool = False
    fused: bool = False
    adapter: Literal["relative", "disentangled"] | None = None
    context_pooler: bool = False
    checkpointing: bool = True


FAMILIES: dict[str, Family] = {
    row.model_type: row
    for row in (
        Family("albert", "arange", shared_layers=True, checkpointing=False),
        Family("bert", "arange"),
        Family("camembert", "padding"),
        Family("data2vec-text", "padding"),
        Family("deberta", "arange", adapter="disentangled", context_pooler=True),
        Family("deberta-v2", "arange", adapter="disentangled", context_pooler=True),
        Family("distilbert", "arange"),
        Family("electra", "arange"),
        Family("ernie", "arange"),
        Family("eurobert", "arange"),
        Family("glm-2021", "blocks"),
        Family("gpt2", "real", causal=True, fused=True),
        Family("gpt_neox", "real", causal=True, fused=True),
        Family("llama", "real", causal=True),
        Family("modernbert", "arange", fused=True),
        Family("mpnet", "padding", adapter="relative", checkpointing=False),
        Family("opt", "real", causal=True),
        Family("qwen3", "real", causal=True, fused=True),
        Family("roberta", "padding"),
        Family("roberta-prelayernorm", "padding"),
        Family("xlm-roberta", "padding"),
        Family("xlm-roberta-xl", "padding"),
    )
}

# Types of transformers whose layers have no keys and values before which a prompt could stand, and what they have.
NO_DEEP_PROMPTS = {
    "falcon_mamba": "a state goes from token to token",
    "fnet": "Fourier transforms mix the tokens",
    "mamba": "a state goes from token to token",
    "mamba2": "a state goes from token to token",
    "mra": "attention is approximated in blocks of the text",
    "nystromformer": "attention is approximated by means over stretches of the text",
    "reformer": "queries are their own keys, and look only at those of the same hash",
    "rwkv": "a state goes from token to token",
    "xlstm": "a state goes from token to token",
    "yoso": "attention is a count of equal hashes",
}


def family_of(model_type: str) -> Family:
    """The row of `model_type`; for a type without a row one that claims nothing (`load_backbone` looks closer)."""
    return FAMILIES.get(model_type, Family(model_type))


def facts(family: Family) -> dict[str, str]:
    """What a user may ask about a type, for `ptv2 list models --types` and docs/reference/model-types.md."""
    return {
        "model type": family.model_type,
        "a text is read at": "its last token" if family.causal else "its first token",
        "prompts at layers": "yes" if family.adapter is None else "yes, own adapter",
        "as hidden vectors": "no" if family.fused else "yes",
        "gradient checkpointing": "yes" if family.checkpointing else "no",
    }
