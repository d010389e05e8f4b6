"""Exported adapters give the same scores in PEFT itself, come back as they were, and what PEFT cannot do is refused.

What PEFT computes is what the code on the adapter's card computes: the tests execute it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft_models import DEEP, LAYOUTS, SPECS, assert_same_scores, batch_for, build, kinds
from tiny import FAMILY_CONFIGS, mean_loss, run_config, tiny_batch
from transformers import AutoModelForSequenceClassification

from ptv2.config.schema import OptimConfig
from ptv2.errors import ModelError
from ptv2.interchange.card import TRIED
from ptv2.interchange.peft_adapter import (
    write_adapter,
)
from ptv2.interchange.peft_format import to_peft
from ptv2.models.build import build_model
from ptv2.training.optim import build_optimizer


@pytest.mark.parametrize(("family", "kind"), [(f, k) for f in DEEP for k in kinds(f)])
def test_deep_prompts_give_the_same_scores(family: str, kind: str, bases: dict[str, Path], tmp_path: Path) -> None:
    model = build(bases[family], kind)
    if family == "opt" and kind != "span":
        with pytest.raises(ModelError, match="no class for tokens of opt"):
            to_peft(model, "b")
        return
    assert_same_scores(model, bases[family], tmp_path)


def test_the_card_finds_the_embedded_backbone(tmp_path: Path) -> None:
    assert_same_scores(build("embedded:minilm"), "embedded:minilm", tmp_path)


@pytest.mark.parametrize("pooler", ["published", "trained"])
@pytest.mark.parametrize("family", [name for name in DEEP if LAYOUTS[name].pooler])
def test_poolers_give_the_same_scores(family: str, pooler: str, bases: dict[str, Path], tmp_path: Path) -> None:
    """The checkpoint's pooler stays in the checkpoint; a trained one, or one that PEFT would draw anew, comes along."""
    kind = "choice" if pooler == "trained" else "classification"
    adapter = assert_same_scores(build(bases[family], kind, pooler=pooler), bases[family], tmp_path)
    assert adapter.task_type == "SEQ_CLS"
    inside = LAYOUTS[family].pooler != "classifier.dense"
    assert any("pooler" in name for name in adapter.tensors) == (inside and pooler == "trained")


@pytest.mark.parametrize(("family", "kind"), [(f, k) for f in sorted(LAYOUTS) for k in kinds(f)])
def test_shallow_prompts_give_the_same_scores(family: str, kind: str, bases: dict[str, Path], tmp_path: Path) -> None:
    if family == "opt" and kind != "span":
        pytest.skip("transformers has no class for its tokens")
    assert_same_scores(build(bases[family], kind, "prompt-tuning"), bases[family], tmp_path)


@pytest.mark.parametrize(("family", "kind"), [(f, k) for f in sorted(LAYOUTS) for k in kinds(f)])
def test_lora_gives_the_same_scores(family: str, kind: str, bases: dict[str, Path], tmp_path: Path) -> None:
    if family == "opt" and kind != "span":
        pytest.skip("transformers has no class for its tokens")
    adapter = assert_same_scores(build(bases[family], kind, "lora", positions="unshifted"), bases[family], tmp_path)
    assert len(adapter.config["target_modules"]) in (1, 2)


@pytest.mark.parametrize("family", sorted(LAYOUTS))
def test_ia3_gives_the_same_scores(family: str, bases: dict[str, Path], tmp_path: Path) -> None:
    kind = "span" if family == "opt" else "classification"
    assert_same_scores(build(bases[family], kind, "ia3"), bases[family], tmp_path)


@pytest.mark.parametrize(
    ("family", "lora"),
    [
        ("roberta", {"targets": "all-linear"}),  # whose head has maps of the same names
        ("gpt2", {"targets": "all-linear"}),
        ("albert", {"targets": "all-linear", "bias": "all"}),
        ("bert", {"targets": ["key", "output.dense"], "bias": "lora_only"}),
        ("bert", {"bias": "all"}),
        ("deberta", {"bias": "all"}),
    ],
    ids=str,
)
def test_all_of_lora_comes_along(family: str, lora: dict[str, Any], bases: dict[str, Path], tmp_path: Path) -> None:
    pooler = "published" if LAYOUTS[family].pooler else "none"
    assert_same_scores(build(bases[family], "classification", "lora", pooler, lora), bases[family], tmp_path)


def test_lora_learns_what_it_learns_in_peft(bases: dict[str, Path], tmp_path: Path) -> None:
    """Eight steps of AdamW, here and in PEFT alone, from the same matrices and head."""
    from peft import PeftModel

    ours = build(bases["bert"], "classification", "lora", "published")
    write_adapter(to_peft(ours, str(bases["bert"])), tmp_path)
    base = AutoModelForSequenceClassification.from_pretrained(bases["bert"], num_labels=3)
    theirs = PeftModel.from_pretrained(base, str(tmp_path), is_trainable=True).eval()
    batch = tiny_batch()
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    begun = ours(batch)["scores"].detach()
    settings = OptimConfig(lr=0.01)
    trained = [parameter for parameter in theirs.parameters() if parameter.requires_grad]
    assert sum(p.numel() for p in trained) == sum(p.numel() for p in ours.parameters() if p.requires_grad)
    optimizers = build_optimizer(ours, settings), torch.optim.AdamW(trained, lr=0.01, weight_decay=0.0)
    for _ in range(8):
        for optimizer, loss in zip(
            optimizers, (mean_loss(ours, batch), theirs(**inputs, labels=batch["labels"]).loss), strict=True
        ):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    ended = ours(batch)["scores"]
    assert (ended - begun).abs().max() > 0.1
    torch.testing.assert_close(theirs(**inputs).logits, ended, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("pooler", ["published", "trained"])
@pytest.mark.parametrize("family", [name for name in sorted(LAYOUTS) if LAYOUTS[name].pooler])
def test_poolers_come_along_with_lora(family: str, pooler: str, bases: dict[str, Path], tmp_path: Path) -> None:
    """Also those that PEFT reads at another place behind shallow prompts."""
    adapter = assert_same_scores(build(bases[family], "classification", "lora", pooler), bases[family], tmp_path)
    assert adapter.task_type == "SEQ_CLS"


@pytest.mark.parametrize(
    "prompt",
    [
        {"form": "hidden"},
        {"reparameterization": "mlp", "mlp_hidden": 6},
        {"form": "hidden", "reparameterization": "mlp", "mlp_hidden": 6},
    ],
)
def test_what_computes_a_prompt_is_folded_away(prompt: dict[str, Any], bases: dict[str, Path], tmp_path: Path) -> None:
    assert_same_scores(build(bases["bert"], **prompt), bases["bert"], tmp_path)


@pytest.mark.parametrize(
    ("family", "kind"), [("bert", "classification"), ("roberta", "span"), ("llama", "classification")]
)
def test_unshifted_positions_need_a_word_at_every_call(
    family: str, kind: str, bases: dict[str, Path], tmp_path: Path
) -> None:
    model = build(bases[family], kind, positions="unshifted")
    with pytest.raises(ModelError, match=r"texts at position P, this model at 0 .*--position-ids-at-call"):
        to_peft(model, "b")
    assert_same_scores(model, bases[family], tmp_path, positions_at_call=True)
    shifted = build(bases[family], kind)
    batch = batch_for(model)
    assert (shifted(batch)["scores"] - model(batch)["scores"]).abs().max() > 1e-3, "positions matter here"


@pytest.mark.parametrize(
    ("family", "settings", "message"),
    [
        ("bert", {"method": "fine-tuning"}, "method fine-tuning has neither prompts nor layers of PEFT"),
        ("bert", {"layers": "last-2"}, "all 3 layers, this model has them in 2"),
        ("bert", {"method": "prompt-tuning", "pooler": "published"}, r"at the first prompt.*model\.pooler=none"),
        ("bert", {"method": "prompt-tuning", "embedding": "published"}, "embeds a text once, this model twice"),
        ("albert", {}, "in a cache, which transformers' albert does not take"),
        ("electra", {"pooler": "trained"}, r"another pooler than this model.*model\.pooler=none"),
    ],
)
def test_what_peft_cannot_express_is_refused(
    family: str, settings: dict[str, Any], message: str, bases: dict[str, Path]
) -> None:
    model = build(bases[family], **settings)
    with pytest.raises(ModelError, match=message) as caught:
        to_peft(model, "b")
    assert "\n" not in str(caught.value)


def test_an_unknown_model_type_is_refused_with_the_known() -> None:
    config = {"model_type": "megatron-bert", **FAMILY_CONFIGS["bert"]}
    model = build_model(run_config(config, "prompt-tuning"), SPECS["tagging"])
    with pytest.raises(ModelError, match=r"megatron-bert was not compared with it; known: albert, bert"):
        to_peft(model, "b")


def test_the_table_is_sorted_and_leaves_out_what_was_seen_to_differ() -> None:
    assert list(LAYOUTS) == sorted(LAYOUTS)
    assert "modernbert" not in LAYOUTS  # its class for tokens has one more layer than our head


def test_the_card_names_the_locked_versions() -> None:
    lines = (Path(__file__).parents[2] / "constraints.txt").read_text(encoding="utf-8").splitlines()
    locked = dict(line.split("==") for line in lines if line.startswith(("transformers==", "peft==")))
    assert (locked["transformers"], locked["peft"]) in TRIED
