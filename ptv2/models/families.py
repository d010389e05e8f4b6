"""What differs between model types, as data: one row for each type. Imports no torch, for `ptv2 list`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ptv2.config.schema import Attention

BOTH: tuple[Attention, ...] = ("flash_attention_2", "flex_attention")


@dataclass(frozen=True)
class HeadLayout:
    """Where transformers' classes of one model type keep a head's parts.

    `pooler` and `pooled` are the pooler's map (its output through tanh, as ours) and the linear map behind it in the
    class for sequences; None: that class computes something else. `tokens` is the linear map of the class for tokens.
    `span`: whether there is a class for questions. `deep`: whether the model takes a cache, which is how PEFT hands
    prompts to the layers.
    """

    pooler: str | None = None
    pooled: str | None = None
    tokens: str | None = "classifier"
    span: bool = True
    deep: bool = True


ALBERT = HeadLayout("albert.pooler", "classifier", deep=False)
DEBERTA = HeadLayout("pooler.dense", "classifier", deep=False)
MPNET = HeadLayout("classifier.dense", "classifier.out_proj", deep=False)
ROBERTA = HeadLayout("classifier.dense", "classifier.out_proj")


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
    trained under every method. `checkpointing`: its gradients can be checkpointed. `kernels` of GPUs compute its
    attention; with `windows` a token sees only those near it, and flash_attention_2 then takes no prompts at layers.
    `layout`: where its classes keep heads, for adapters of PEFT; None: the type was not compared with PEFT.
    `global_attention`: a token sees only those near it, but for tokens that are marked in `global_attention_mask`.
    """

    model_type: str
    positions: Literal["arange", "real", "padding", "blocks", "own"] = "own"
    causal: bool = False
    shared_layers: bool = False
    fused: bool = False
    adapter: Literal["relative", "disentangled"] | None = None
    context_pooler: bool = False
    checkpointing: bool = True
    kernels: tuple[Attention, ...] = BOTH
    windows: bool = False
    layout: HeadLayout | None = None
    global_attention: bool = False


FAMILIES: dict[str, Family] = {
    row.model_type: row
    for row in (
        Family("albert", "arange", shared_layers=True, checkpointing=False, layout=ALBERT),
        Family("bert", "arange", layout=HeadLayout("bert.pooler.dense", "classifier")),
        Family("camembert", "padding", layout=ROBERTA),
        Family("data2vec-text", "padding", layout=ROBERTA),
        Family("deberta", "arange", adapter="disentangled", context_pooler=True, kernels=(), layout=DEBERTA),
        Family("deberta-v2", "arange", adapter="disentangled", context_pooler=True, kernels=(), layout=DEBERTA),
        Family("distilbert", "arange", layout=HeadLayout(deep=False)),  # its class for sequences has ReLU there
        Family("electra", "arange", layout=HeadLayout()),  # its class for sequences has GELU where our pooler has tanh
        Family("ernie", "arange", layout=HeadLayout("ernie.pooler.dense", "classifier")),
        Family("eurobert", "arange", layout=HeadLayout(span=False, deep=False)),
        Family("glm-2021", "blocks", kernels=()),
        Family("gpt2", "real", causal=True, fused=True, kernels=BOTH[:1], layout=HeadLayout()),
        Family("gpt_neox", "real", causal=True, fused=True, layout=HeadLayout()),
        Family("llama", "real", causal=True, layout=HeadLayout(tokens="score")),
        Family("modernbert", "arange", fused=True, windows=True),
        Family("mpnet", "padding", adapter="relative", checkpointing=False, kernels=(), layout=MPNET),
        Family("opt", "real", causal=True, layout=HeadLayout(tokens=None)),
        Family("qwen3", "real", causal=True, fused=True, layout=HeadLayout(tokens="score")),
        Family("roberta", "padding", layout=ROBERTA),
        Family("roberta-prelayernorm", "padding", layout=ROBERTA),
        Family("xlm-roberta", "padding", layout=ROBERTA),
        Family("xlm-roberta-xl", "padding", layout=ROBERTA),
    )
}

# What must be known of types without a row, which are tried before training as all others are.
_OTHERS = {"longformer": Family("longformer", global_attention=True)}

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
    """The row of `model_type`; for a type without a row one that claims little (`load_backbone` looks closer)."""
    return FAMILIES.get(model_type) or _OTHERS.get(model_type) or Family(model_type)


def facts(family: Family) -> dict[str, str]:
    """What a user may ask about a type, for `ptv2 list models --types` and docs/reference/model-types.md."""
    windows = " (no deep prompts)" if family.windows else ""
    short = {"flash_attention_2": f"flash{windows}", "flex_attention": "flex"}
    return {
        "model type": family.model_type,
        "a text is read at": "its last token" if family.causal else "its first token",
        "prompts at layers": "yes" if family.adapter is None else "yes, own adapter",
        "as hidden vectors": "no" if family.fused else "yes",
        "gradient checkpointing": "yes" if family.checkpointing else "no",
        "attention kernels": ", ".join(short[kernel] for kernel in family.kernels) or "no",
    }
