"""What differs between model types, as data: one row a type. Imports no torch, so that `ptv2 list` can print it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Family:
    """Facts about one `model_type` of transformers.

    `positions` says how absolute positions are numbered: `arange` counts from 0, `padding` counts real tokens from
    `pad_id + 1` and leaves padding at `pad_id`, `own` leaves the numbering to the model (no absolute positions, or a
    type without a row). `attention_class` names attention modules that carry no `layer_idx` and are numbered when
    loaded. `shared_layers`: one module serves several layers, so calls are counted. `refused` says why prompts at the
    layers are impossible; none: possible, which `verify_prompts` checks before training.
    """

    model_type: str
    positions: Literal["arange", "padding", "own"] = "own"
    attention_class: str | None = None
    shared_layers: bool = False
    refused: str | None = None


_NO_KEYWORD = "its attention does not go through transformers' AttentionInterface and ignores prompts without a word"

FAMILIES: dict[str, Family] = {
    row.model_type: row
    for row in (
        Family("albert", "arange", shared_layers=True),
        Family("bert", "arange"),
        Family("camembert", "padding"),
        Family("data2vec-text", "padding"),
        Family("deberta", refused=_NO_KEYWORD),
        Family("deberta-v2", refused=_NO_KEYWORD),
        Family("distilbert", "arange", attention_class="DistilBertSelfAttention"),
        Family("electra", "arange"),
        Family("ernie", "arange"),
        Family("mpnet", "padding", refused=_NO_KEYWORD),
        Family("roberta", "padding"),
        Family("roberta-prelayernorm", "padding"),
        Family("xlm-roberta", "padding"),
        Family("xlm-roberta-xl", "padding"),
    )
}


def family_of(model_type: str) -> Family:
    """The row of `model_type`; for a type without a row one that claims nothing."""
    return FAMILIES.get(model_type, Family(model_type))
