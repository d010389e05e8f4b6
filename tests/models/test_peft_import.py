"""Adapters come back as models that score as they did; what is no adapter, or does not fit, is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from peft_models import batch_for, build, build_plain
from peft_versions import skip_where_peft_refuses
from safetensors.torch import load_file, save_file
from tiny import FAMILY_CONFIGS
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from ptv2.errors import ModelError
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
from ptv2.models.build import PromptedModel


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
    if prompt:
        prompt["length"] = int(prompt["length"])  # type: ignore[assignment]
    lora = {k.removeprefix("lora."): yaml.safe_load(v) for k, v in settings.items() if k.startswith("lora.")}
    model = build_plain(base, kind, settings["method"], settings["model.pooler"], lora, **prompt)
    load_adapter(model, adapter)
    return model


LORA: list[tuple[str, str, dict[str, Any]]] = [
    ("bert", "classification", {"pooler": "published"}),
    ("bert", "classification", {"pooler": "trained", "lora": {"targets": "all-linear", "rank": 2, "alpha": 3}}),
    ("bert", "tagging", {"lora": {"targets": ["key", "output.dense"], "bias": "lora_only"}}),
    ("roberta", "choice", {"pooler": "published", "lora": {"bias": "all", "dropout": 0.5}}),
    ("roberta", "span", {}),
    ("albert", "classification", {"pooler": "published"}),
    ("deberta", "tagging", {"lora": {"targets": "all-linear"}}),
    ("gpt2", "classification", {"lora": {"targets": "all-linear"}}),
    ("llama", "tagging", {}),
]


@pytest.mark.parametrize(("family", "kind", "settings"), LORA, ids=str)
def test_lora_comes_back(
    family: str, kind: str, settings: dict[str, Any], bases: dict[str, Path], tmp_path: Path
) -> None:
    model = build(bases[family], kind, "lora", **settings)
    write_adapter(to_peft(model, "b"), tmp_path)
    adapter = read_adapter(tmp_path)
    check_kind(adapter, kind)
    again = imported(adapter, bases[family], kind)
    assert again.lora == model.lora
    batch = batch_for(model)
    torch.testing.assert_close(again(batch)["scores"], model(batch)["scores"], atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("family", "kind", "pooler"),
    [
        ("bert", "classification", "published"),
        ("roberta", "choice", "trained"),
        ("distilbert", "tagging", "none"),
        ("gpt2", "classification", "none"),
        ("llama", "tagging", "none"),
    ],
)
def test_ia3_comes_back(family: str, kind: str, pooler: str, bases: dict[str, Path], tmp_path: Path) -> None:
    model = build(bases[family], kind, "ia3", pooler)
    write_adapter(to_peft(model, "b"), tmp_path)
    again = imported(read_adapter(tmp_path), bases[family], kind)
    batch = batch_for(model)
    torch.testing.assert_close(again(batch)["scores"], model(batch)["scores"], atol=1e-6, rtol=0)


def test_ia3_of_pefts_own(bases: dict[str, Path], tmp_path: Path) -> None:
    """With the paper's places; PEFT's own for BERT, which has factors on the attention's output too, are refused."""
    from peft import IA3Config, get_peft_model

    inner = r".*\.\d+\.output\.dense"
    for settings in ({"target_modules": rf"(.*\.(key|value)|{inner})", "feedforward_modules": inner}, {}):
        torch.manual_seed(3)
        base = AutoModelForSequenceClassification.from_pretrained(bases["bert"], num_labels=3)
        theirs = get_peft_model(base, IA3Config(task_type="SEQ_CLS", **settings)).eval()
        with torch.no_grad():
            for parameter in theirs.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter), alpha=0.3)
        theirs.save_pretrained(tmp_path)
        adapter = read_adapter(tmp_path)
        if settings:
            ours = imported(adapter, bases["bert"], "classification")
            batch = batch_for(ours)
            torch.testing.assert_close(ours(batch)["scores"], theirs(**batch).logits, atol=2e-5, rtol=1e-5)
        else:
            with pytest.raises(
                ModelError, match=r"has bert\.encoder\.layer\.0\.attention\.output\.dense\.ia3_l, .* no place"
            ):
                imported(adapter, bases["bert"], "classification")


OF_PEFT: list[tuple[str, str, dict[str, Any]]] = [
    ("bert", "SEQ_CLS", {"target_modules": ["query", "value", "unheard_of"]}),
    ("bert", "SEQ_CLS", {"target_modules": "all-linear"}),  # also beside the pooler
    ("bert", "SEQ_CLS", {"target_modules": ["dense"], "use_rslora": True, "modules_to_save": ["classifier"]}),
    ("bert", "TOKEN_CLS", {"target_modules": r".*\.0\..*\.key"}),
    ("bert", "TOKEN_CLS", {"target_modules": ["key"], "layers_to_transform": [1], "lora_dropout": 0.1}),
    ("bert", "SEQ_CLS", {"target_modules": ["query"], "bias": "all"}),
    ("bert", "SEQ_CLS", {"target_modules": ["query"], "bias": "lora_only"}),
    ("bert", "SEQ_CLS", {"target_modules": ["query"], "modules_to_save": ["pooler", "classifier"]}),
    ("roberta", "SEQ_CLS", {"target_modules": ["query", "value"], "init_lora_weights": "gaussian"}),
    ("roberta", "QUESTION_ANS", {"target_modules": ["query", "value"]}),
    ("distilbert", "TOKEN_CLS", {"target_modules": ["q_lin", "v_lin"]}),
    ("deberta-v2", "SEQ_CLS", {"target_modules": ["query_proj"], "modules_to_save": ["pooler", "classifier"]}),
    ("gpt2", "SEQ_CLS", {"target_modules": ["c_attn"], "fan_in_fan_out": True}),
    ("llama", "SEQ_CLS", {"target_modules": ["q_proj", "v_proj"]}),
]
CLASSES = {
    "SEQ_CLS": (AutoModelForSequenceClassification, "classification", 3),
    "TOKEN_CLS": (AutoModelForTokenClassification, "tagging", 4),
    "QUESTION_ANS": (AutoModelForQuestionAnswering, "span", 2),
}


@pytest.mark.parametrize(("family", "task_type", "settings"), OF_PEFT, ids=str)
def test_lora_of_pefts_own(
    family: str, task_type: str, settings: dict[str, Any], bases: dict[str, Path], tmp_path: Path
) -> None:
    """Made and saved by PEFT, its matrices as large as after a training, and loaded again by PEFT."""
    from peft import LoraConfig, PeftModel, get_peft_model

    model_class, kind, labels = CLASSES[task_type]
    pad = FAMILY_CONFIGS[family].get("pad_token_id", 0)

    def base() -> Any:
        torch.manual_seed(3)
        model = model_class.from_pretrained(bases[family], num_labels=labels)
        model.config.pad_token_id = pad
        return model

    made = get_peft_model(base(), LoraConfig(task_type=task_type, r=2, **settings))
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.3 if "lora_" in name else 0.1)
    made.save_pretrained(tmp_path)
    theirs = PeftModel.from_pretrained(base(), str(tmp_path)).eval()
    adapter = read_adapter(tmp_path)
    check_kind(adapter, kind)
    ours = imported(adapter, bases[family], kind)
    ours.config.pad_token_id = pad
    batch = batch_for(ours)
    answer = theirs(**batch)
    scores = torch.stack((answer.start_logits, answer.end_logits), -1) if kind == "span" else answer.logits
    real = batch["attention_mask"].bool() if kind in ("span", "tagging") else slice(None)
    torch.testing.assert_close(ours(batch)["scores"][real], scores[real], atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_dora": True}, "use_dora is True, which ptv2 cannot use"),
        ({"rank_pattern": {"query": 2}}, r"rank_pattern is \{'query': 2\}, which"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights.* is 'pissa', which ptv2 cannot use"),
        ({"something_new": [1]}, r"something_new is \[1\], which"),
        ({"r": 0}, "r is 0, which ptv2 cannot use"),
        ({"lora_alpha": "16"}, "lora_alpha is '16', which"),
        ({"bias": "some"}, "bias is 'some', which"),
        ({"peft_type": "LOHA"}, "peft_type is LOHA, expected one of PREFIX_TUNING, PROMPT_TUNING, LORA"),
    ],
    ids=str,
)
def test_lora_of_other_kinds_is_refused(
    change: dict[str, Any], message: str, bases: dict[str, Path], tmp_path: Path
) -> None:
    write_adapter(to_peft(build(bases["bert"], "tagging", "lora"), "b"), tmp_path)
    config = json.loads((tmp_path / CONFIG).read_text(encoding="utf-8"))
    (tmp_path / CONFIG).write_text(json.dumps({**config, **change}), encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        read_adapter(tmp_path)


def test_lora_that_does_not_fit_is_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    write_adapter(to_peft(build(bases["bert"], "tagging", "lora"), "b"), tmp_path)
    tensors = load_file(tmp_path / WEIGHTS)
    query = "base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight"
    for wrong, message in (
        ({k: v for k, v in tensors.items() if k != query}, f"lacks {query.removeprefix('base_model.model.')}"),
        ({**tensors, query: torch.zeros(3, 16)}, r"query\.lora_A\.weight is \(3, 16\), this task and backbone have"),
        (
            {**tensors, "base_model.model.bert.embeddings.x": torch.zeros(1)},
            r"has bert\.embeddings\.x, for which a bert",
        ),
    ):
        save_file(wrong, tmp_path / WEIGHTS)
        with pytest.raises(ModelError, match=message):
            imported(read_adapter(tmp_path), bases["bert"], "tagging")
    save_file({k: v for k, v in tensors.items() if "lora" not in k}, tmp_path / WEIGHTS)
    with pytest.raises(ModelError, match=r"has no tensor of LORA \(lora_A\)"):
        read_adapter(tmp_path)
    save_file({**tensors, "base_model.model.bert.${oc.env:HOME}.lora_A.weight": torch.zeros(1)}, tmp_path / WEIGHTS)
    with pytest.raises(
        ModelError, match=r"'base_model\.model\.bert\.\$\{oc\.env:HOME\}\..* is no name of a module's weight"
    ):
        read_adapter(tmp_path)


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


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("empty", "no adapter of PEFT"),
        ("pickle", r"weights are a pickle .* save_pretrained"),
        ("torn", "damaged"),
        ("json", "expected a JSON object"),
        ("lora", "r is missing"),
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
