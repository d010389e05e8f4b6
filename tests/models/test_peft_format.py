"""Exported adapters give the same scores in PEFT itself, come back as they were, and what PEFT cannot do is refused.

What PEFT computes is what the code on the adapter's card computes: the tests execute it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from peft_versions import skip_where_peft_refuses
from safetensors.torch import load_file, save_file
from tiny import FAMILY_CONFIGS, enlarge, mean_loss, run_config, tiny_batch
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from ptv2.config.schema import OptimConfig
from ptv2.errors import ModelError
from ptv2.interchange.card import TRIED, code
from ptv2.interchange.peft_adapter import (
    CONFIG,
    PICKLE,
    WEIGHTS,
    Adapter,
    check_kind,
    read_adapter,
    settings_of,
    write_adapter,
)
from ptv2.interchange.peft_format import load_adapter, to_peft
from ptv2.models.build import HeadSpec, PromptedModel, build_model
from ptv2.models.families import FAMILIES
from ptv2.training.optim import build_optimizer

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


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint of each model type, with weights large enough that all of them matter."""
    root = tmp_path_factory.mktemp("bases")
    for family in LAYOUTS:
        torch.manual_seed(1)
        model = AutoModel.from_config(AutoConfig.for_model(family, **FAMILY_CONFIGS[family]))
        enlarge(model)
        model.save_pretrained(root / family)
    return {family: root / family for family in LAYOUTS}


def build(
    base: Path | str,
    kind: str = "classification",
    method: str = "p-tuning-v2",
    pooler: str = "none",
    lora: dict[str, Any] | None = None,
    **prompt: Any,
) -> PromptedModel:
    """A model on the checkpoint `base` whose prompts, or LoRA, and head are far from nothing."""
    off = {"hidden_dropout": None, "attention_dropout": None}
    config = run_config(None, method, prompt, path=str(base), lora={"rank": 4, "alpha": 1, **(lora or {})}, **off)
    config = config.model_copy(update={"model": config.model.model_copy(update={"config": {}, "pooler": pooler})})
    model = build_model(config, SPECS[kind]).eval()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad or name.startswith("pooler"):
                if name.startswith("pooler") and model.pooler_origin == "checkpoint" and not parameter.requires_grad:
                    continue  # it is the checkpoint's
                parameter.copy_(torch.empty_like(parameter).normal_(0.0, 0.5, generator=generator))
    return model


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
        ("bert", {"method": "fine-tuning"}, "method fine-tuning has neither prompts nor LoRA"),
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


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("bert", {"pooler": "published"}),
        ("bert", {"pooler": "trained"}),
        ("bert", {"kind": "tagging", "method": "prompt-tuning"}),
        ("roberta", {"pooler": "published", "kind": "choice"}),
        ("roberta", {"kind": "span", "form": "hidden"}),
        ("llama", {"kind": "classification"}),
    ],
)
def test_round_trip(family: str, settings: dict[str, Any], bases: dict[str, Path], tmp_path: Path) -> None:
    model = build(bases[family], **settings)
    write_adapter(to_peft(model, "b", "main", {"labels": ["a", "b", "c"]}), tmp_path)
    adapter = read_adapter(tmp_path)
    assert adapter.header["labels"] == ["a", "b", "c"]
    check_kind(adapter, model.spec.kind)
    again = imported(adapter, bases[family], model.spec.kind)
    batch = batch_for(model)
    torch.testing.assert_close(again(batch)["scores"], model(batch)["scores"], atol=1e-6, rtol=0)


def imported(adapter: Adapter, base: Path, kind: str) -> PromptedModel:
    """A model as `settings_of` describes it, with the adapter on it."""
    settings = settings_of(adapter)
    prompt = {k.removeprefix("prompt."): v for k, v in settings.items() if k.startswith("prompt.")}
    prompt["length"] = int(prompt["length"])  # type: ignore[assignment]
    model = build(base, kind, settings["method"], settings["model.pooler"], **prompt)
    load_adapter(model, adapter)
    return model


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2"])
def test_an_adapter_of_pefts_own(family: str, bases: dict[str, Path], tmp_path: Path) -> None:
    """Made and saved by PEFT, with its MLP and its names, without anything that ptv2 writes."""
    from peft import PrefixTuningConfig, get_peft_model

    skip_where_peft_refuses()
    torch.manual_seed(3)
    base = AutoModelForSequenceClassification.from_pretrained(bases[family], num_labels=3)
    pad = FAMILY_CONFIGS[family].get("pad_token_id", 0)
    base.config.pad_token_id = pad
    config = PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=5, prefix_projection=True)
    theirs = get_peft_model(base, config).eval()
    theirs.save_pretrained(tmp_path)
    adapter = read_adapter(tmp_path)
    check_kind(adapter, "classification")
    ours = imported(adapter, bases[family], "classification")
    ours.config.pad_token_id = pad
    batch = batch_for(ours, types=True)
    torch.testing.assert_close(ours(batch)["scores"], theirs(**batch).logits, atol=2e-5, rtol=1e-5)


def test_it_must_fit_backbone_and_task(bases: dict[str, Path]) -> None:
    adapter = to_peft(build(bases["bert"], pooler="trained"), "b")
    with pytest.raises(ModelError, match=r"lacks classifier\.dense\.\w+.*has bert\.pooler\.dense"):
        imported(adapter, bases["roberta"], "classification")
    adapter.tensors["prompt_embeddings"] = torch.zeros(4, 48)
    with pytest.raises(ModelError, match=r"prompt is \(4, 48\), this backbone takes \(4, 96\)"):
        imported(adapter, bases["bert"], "classification")
    with pytest.raises(ModelError, match="is for classification, the task needs tagging"):
        check_kind(adapter, "tagging")
    two = to_peft(build(bases["bert"], "tagging"), "b")
    two.tensors["base_model.classifier.weight"] = torch.zeros(2, 16)
    with pytest.raises(ModelError, match=r"classifier\.weight is \(2, 16\), this task and backbone have \(4, 16\)"):
        imported(two, bases["bert"], "tagging")


def test_question_adapters_that_never_saw_token_types_are_refused(bases: dict[str, Path]) -> None:
    made = to_peft(build(bases["bert"], "span"), "b")
    assert made.task_type == "TOKEN_CLS"
    foreign = Adapter({**made.config, "task_type": "QUESTION_ANS"}, made.tensors)
    with pytest.raises(ModelError, match="PEFT drops token_type_ids and position_ids for QUESTION_ANS"):
        imported(foreign, bases["bert"], "span")


def test_shallow_adapters_that_pool_a_prompt_are_refused(bases: dict[str, Path]) -> None:
    made = to_peft(build(bases["bert"], "tagging", "prompt-tuning"), "b")
    foreign = Adapter({**made.config, "task_type": "SEQ_CLS"}, made.tensors)
    with pytest.raises(ModelError, match="PEFT reads a text behind shallow prompts at the first prompt"):
        check_kind(foreign, "classification")


def test_the_table_is_sorted_and_leaves_out_what_was_seen_to_differ() -> None:
    assert list(LAYOUTS) == sorted(LAYOUTS)
    assert "modernbert" not in LAYOUTS  # its class for tokens has one more layer than our head


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("empty", "no adapter of PEFT"),
        ("pickle", r"weights are a pickle .* save_pretrained"),
        ("torn", "damaged"),
        ("json", "expected a JSON object"),
        ("lora", r"peft_type is LORA, expected one of PREFIX_TUNING, PROMPT_TUNING"),
        ("task", r"task_type is SEQ_2_SEQ_LM, expected one of SEQ_CLS"),
        ("length", r"prompt_embeddings is \[4, 96\], expected \[9, N\]"),
        ("prompt", r"prompt_embeddings is missing"),
    ],
)
def test_folders_that_hold_no_adapter(damage: str, message: str, bases: dict[str, Path], tmp_path: Path) -> None:
    write_adapter(to_peft(build(bases["bert"]), "b"), tmp_path)
    config = json.loads((tmp_path / CONFIG).read_text(encoding="utf-8"))
    changes = {
        "lora": ("peft_type", "LORA"),
        "task": ("task_type", "SEQ_2_SEQ_LM"),
        "length": ("num_virtual_tokens", 9),
    }
    if damage == "empty":
        (tmp_path / CONFIG).unlink()
    elif damage == "pickle":
        (tmp_path / WEIGHTS).rename(tmp_path / PICKLE)
    elif damage == "torn":
        (tmp_path / WEIGHTS).write_bytes((tmp_path / WEIGHTS).read_bytes()[:-9])
    elif damage == "json":
        (tmp_path / CONFIG).write_text("{", encoding="utf-8")
    elif damage == "prompt":
        save_file({k: v for k, v in load_file(tmp_path / WEIGHTS).items() if "prompt" not in k}, tmp_path / WEIGHTS)
    else:
        key, value = changes[damage]
        (tmp_path / CONFIG).write_text(json.dumps({**config, key: value}), encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        read_adapter(tmp_path)


def test_the_card_names_the_locked_versions() -> None:
    lines = (Path(__file__).parents[2] / "constraints.txt").read_text(encoding="utf-8").splitlines()
    locked = dict(line.split("==") for line in lines if line.startswith(("transformers==", "peft==")))
    assert (locked["transformers"], locked["peft"]) in TRIED
