"""What the table of model types claims, on a tiny random model of each; other claims are tested where they belong.

That prompts equal an explicit computation: test_attention, test_disentangled, test_glm. That a step moves exactly
what is trained, for each method and head: test_build.
"""

from __future__ import annotations

import re
from functools import cache
from types import ModuleType

import pytest
import torch
from peft_versions import skip_where_peft_refuses
from script_files import ROOT, load_script
from tiny import FAMILY_CONFIGS, tiny_batch, tiny_model
from torch import Tensor, nn

from ptv2.errors import ModelError
from ptv2.models.build import HeadSpec, PromptedModel
from ptv2.models.configs import output_width
from ptv2.models.families import FAMILIES, facts
from ptv2.models.heads import Head

METHODS = ["p-tuning-v2", "prompt-tuning", "fine-tuning"]
SPECS = [HeadSpec("classification", 3), HeadSpec("choice", 2), HeadSpec("tagging", 5), HeadSpec("span", 2)]
ASKED = (
    "bert roberta xlm-roberta camembert electra albert distilbert mpnet modernbert eurobert deberta deberta-v2 gpt2 "
    "gpt_neox opt llama qwen3 glm-2021"
)
FAMILY_NAMES = sorted(FAMILY_CONFIGS)
DECODERS = [name for name in FAMILY_NAMES if FAMILIES[name].causal]


def with_head(model: PromptedModel, spec: HeadSpec) -> PromptedModel:
    """`model` with a head of `spec` in place of its own, which is much faster than a new model."""
    model.head, model.spec = head_of(spec), spec
    torch.manual_seed(0)
    model.head.linear = nn.Linear(output_width(model.config), model.head.linear.out_features)
    return model


@cache
def head_of(spec: HeadSpec) -> Head:
    """Any head of `spec`."""
    return tiny_model("bert", "fine-tuning", spec).head


def scores_of_rows(model: PromptedModel, batch: dict[str, Tensor]) -> list[Tensor]:
    """The scores of each row, without those of padding."""
    scores = model({name: batch[name] for name in ("input_ids", "attention_mask")})["scores"]
    if model.head.pooled:
        return list(scores)
    return [row[mask == 1] for row, mask in zip(scores, batch["attention_mask"], strict=True)]


def padded_in_front(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same texts with their padding in front."""
    order = batch["attention_mask"].argsort(dim=-1, stable=True)
    return {name: batch[name].gather(-1, order) for name in ("input_ids", "attention_mask")}


def test_every_type_has_a_row_and_a_tiny_model() -> None:
    assert set(ASKED.split()) <= FAMILIES.keys()
    assert sorted(FAMILIES) == FAMILY_NAMES
    assert len(DECODERS) >= 5


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_padding_changes_no_score_of_any_head(family: str, method: str) -> None:
    """A text alone, padded behind, padded in front (decoders), and with other tokens in the padding's place."""
    model = tiny_model(family, method)
    pad = model.config.pad_token_id
    for spec in SPECS:
        with_head(model, spec)
        batch = tiny_batch(pad=pad, choices=2 if spec.kind == "choice" else None)
        together = scores_of_rows(model, batch)
        noise = {**batch, "input_ids": torch.where(batch["attention_mask"] == 1, batch["input_ids"], 7)}
        others = [scores_of_rows(model, noise)]
        if FAMILIES[family].causal:
            others.append(scores_of_rows(model, padded_in_front(batch)))
        lengths = batch["attention_mask"].sum(-1).flatten()[:: 2 if spec.kind == "choice" else 1].tolist()
        alone = [
            {n: batch[n][i : i + 1, ..., :length] for n in batch if n != "labels"} for i, length in enumerate(lengths)
        ]
        others.append([scores_of_rows(model, one)[0] for one in alone])
        for other in others:
            for row, expected in zip(other, together, strict=True):
                torch.testing.assert_close(row, expected, atol=1e-5, rtol=1e-5, msg=f"{family} {method} {spec.kind}")


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_a_prompt_changes_the_scores_and_so_does_a_prompt_of_zeros(family: str) -> None:
    """Zeros are no empty prompt: they take their share of the softmax."""
    model = tiny_model(family)
    batch = tiny_batch(pad=model.config.pad_token_id)
    prompted = model(batch)["scores"]
    assert model.prompts is not None
    torch.nn.init.zeros_(model.prompts.prompt)
    zeros = model(batch)["scores"]
    model.prompts, model.prompt_length = None, 4  # the same positions without a prompt
    plain = model(batch)["scores"]
    for one, other in ((prompted, zeros), (prompted, plain), (zeros, plain)):
        assert (one - other).abs().max() > 1e-3


@pytest.mark.parametrize("family", DECODERS)
def test_a_decoder_reads_a_text_at_its_last_token(family: str) -> None:
    """Not at the first, nor at padding: another last token is another score, another padding is not."""
    model = tiny_model(family)
    assert model.pooler is None, "its published classifiers have none"
    assert tiny_model(family, pooler="trained").pooler is not None
    batch = tiny_batch(pad=model.config.pad_token_id)
    hidden: list[Tensor] = []
    model.backbone.register_forward_hook(lambda _, __, output: hidden.append(output.last_hidden_state))
    scores = model(batch)["scores"]
    last = batch["attention_mask"].sum(-1) - 1
    torch.testing.assert_close(scores, model.head(hidden[0][torch.arange(3), last]))


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_the_hidden_form_works_where_the_table_says(family: str) -> None:
    if FAMILIES[family].fused:
        with pytest.raises(ModelError, match=r"prompt\.form=hidden needs separate key and value projections"):
            tiny_model(family, prompt={"form": "hidden"})
    else:
        assert tiny_model(family, prompt={"form": "hidden"}).prompts is not None


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_gradient_checkpointing_is_there_where_the_table_says(family: str) -> None:
    if FAMILIES[family].checkpointing:
        tiny_model(family, gradient_checkpointing=True)
    else:
        with pytest.raises(ModelError, match=rf"gradient_checkpointing.*{family}"):
            tiny_model(family, gradient_checkpointing=True)


# The table


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("scripts/coverage_table.py")


def test_the_table_in_the_documentation_is_this_one(script: ModuleType) -> None:
    page = (ROOT / "docs" / "reference" / "model-types.md").read_text(encoding="utf-8")
    heading, _, table = page.split(script.BEGIN)[1].split(script.END)[0].strip().partition("\n\n")
    assert re.sub(r" \d[^ ,:]*", "", heading) == re.sub(r" \d[^ ,:]*", "", script.heading())  # but for the versions
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    ours = len(facts(FAMILIES["bert"]))
    assert [row[:ours] for row in rows[2:]] == [list(facts(family).values()) for family in FAMILIES.values()]
    of_peft = {row[0]: dict(zip(script.PEFT_TRIES, row[ours:], strict=True)) for row in rows[2:]}
    assert script.render(of_peft) == table


@pytest.mark.parametrize(
    ("family", "column", "found"),
    [
        ("bert", "texts", "yes"),
        ("llama", "checkpointing", None),
        ("bert", "choices", None),
        ("glm-2021", "texts", None),
    ],
)
def test_what_peft_does_is_tried(script: ModuleType, family: str, column: str, found: str | None) -> None:
    pytest.importorskip("peft")
    if found:
        skip_where_peft_refuses()
    cell = script.peft_cell(family, *script.PEFT_TRIES[column])
    assert cell == found if found else cell != "yes"
